//! Runs the bench: a workspace of its own, so that other stacks stay out of ours.

use crate::run;

/// Builds the bench and hands it these arguments.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let root = run::root();
    let manifest = root.join("bench/Cargo.toml");
    let manifest = manifest.to_string_lossy();
    let mut all = vec!["run", "--release", "--quiet", "--manifest-path", &manifest];
    all.push("--");
    all.extend(arguments.iter().map(String::as_str));
    let target = std::env::var("CARGO_TARGET_DIR")
        .unwrap_or_else(|_| root.join("target/bench").to_string_lossy().into_owned());
    run::cargo_with(&all, &[("CARGO_TARGET_DIR", &target)])
}
