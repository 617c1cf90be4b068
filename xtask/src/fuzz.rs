//! Runs fuzz targets on the stable compiler.

use std::path::Path;
use std::process::Command;

use crate::run;

/// libFuzzer is linked for one target triple only, so that build scripts are not instrumented.
const TRIPLE: &str = "x86_64-unknown-linux-gnu";

/// What makes the compiler count edges and compared values.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";

/// Fuzzes one target, or each for `seconds`; with `minimize`, writes back the inputs that count.
pub(crate) fn fuzz(target: Option<&str>, seconds: u32, minimize: bool) -> Result<(), String> {
    let folder = run::root().join("fuzz");
    let known = targets(&folder.join("targets"))?;
    if let Some(target) = target.filter(|target| !known.iter().any(|one| one == target)) {
        return Err(format!(
            "no target `{target}`; there are {}",
            known.join(", ")
        ));
    }
    let binaries = folder.join("target").join(TRIPLE).join("release");
    for target in known
        .iter()
        .filter(|one| target.is_none_or(|name| name == *one))
    {
        build(target)?;
        let [fresh, kept] = ["target/found", "corpus"].map(|at| folder.join(at).join(target));
        let artifacts = folder.join("artifacts").join(target);
        for made in [&fresh, &kept, &artifacts] {
            std::fs::create_dir_all(made)
                .map_err(|error| format!("{}: {error}", made.display()))?;
        }
        let mut command = Command::new(binaries.join(target));
        if minimize {
            // Crashes that were fixed stay: only what adds nothing to the rest is left out.
            command.arg("-merge=1").arg(&kept).arg(&fresh);
        } else {
            command
                .arg(format!("-max_total_time={seconds}"))
                .arg(format!("-artifact_prefix={}/", artifacts.display()))
                .args(["-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1"])
                .arg(&fresh)
                .arg(&kept);
            let dictionary = folder.join("dictionaries").join(format!("{target}.dict"));
            if dictionary.is_file() {
                command.arg(format!("-dict={}", dictionary.display()));
            }
        }
        command.current_dir(&folder);
        run::finish(command, &format!("fuzz {target}"))?;
    }
    Ok(())
}

fn build(target: &str) -> Result<(), String> {
    let arguments = [
        "build",
        "--manifest-path",
        "fuzz/Cargo.toml",
        "--target-dir",
        "fuzz/target",
    ];
    let arguments = [
        &arguments[..],
        &["--release", "--target", TRIPLE, "--bin", target],
    ]
    .concat();
    run::cargo_with(&arguments, &[("RUSTFLAGS", FLAGS)])
}

/// The names of all targets.
fn targets(folder: &Path) -> Result<Vec<String>, String> {
    let entries =
        std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    Ok(names)
}
