//! Everything that has to pass before a change lands.

use crate::{dag, prepare, run};

/// What is off by default and tested all the same.
const FEATURES: &str = "--features=esp-cli/openssl,esp-lab/openssl";

/// The second crypto provider: the packages that know of it.
const PORTABLE: &[&str] = &["esp-crypto", "esp-stun", "esp-ice", "esp-dtls", "esp-srtp"];

/// Checks and tests everything.
pub(crate) fn all(only_tests: bool) -> Result<(), String> {
    prepare::all()?;
    dag::check()?;
    if !only_tests {
        run::cargo(&["fmt", "--all", "--check"])?;
        run::cargo(&[
            "clippy",
            "--workspace",
            FEATURES,
            "--all-targets",
            "--quiet",
            "--",
            "-D",
            "warnings",
        ])?;
        run::cargo_with(
            &["doc", "--workspace", FEATURES, "--no-deps", "--quiet"],
            &[("RUSTDOCFLAGS", "-D warnings")],
        )?;
    }
    run::cargo(&["test", "--workspace", FEATURES])?;
    let mut portable = vec![
        "test",
        "--no-default-features",
        "--features",
        "rust-crypto",
        "--lib",
        "--test",
        "it",
    ];
    portable.extend(PORTABLE.iter().flat_map(|package| ["--package", package]));
    run::cargo(&portable)?;
    run::cargo(&[
        "test",
        "--manifest-path",
        "testing/outside/Cargo.toml",
        "--target-dir",
        "target",
    ])
}
