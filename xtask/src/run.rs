//! Runs other programs and says which one failed.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// Runs `cargo` with these arguments in the root of the repository.
pub(crate) fn cargo(arguments: &[&str]) -> Result<(), String> {
    cargo_with(arguments, &[])
}

/// Runs `cargo` with these arguments and environment variables.
pub(crate) fn cargo_with(arguments: &[&str], variables: &[(&str, &str)]) -> Result<(), String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(arguments)
        .envs(variables.iter().copied())
        .current_dir(root());
    finish(command, &format!("cargo {}", arguments.join(" ")))
}

/// Whether a program can be started.
pub(crate) fn exists(name: &str) -> bool {
    Command::new(name)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok()
}

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask lies in the root")
}

/// Runs a command to its end, under the name `line`.
pub(crate) fn finish(mut command: Command, line: &str) -> Result<(), String> {
    eprintln!("→ {line}");
    let begun = Instant::now();
    match command.status() {
        Ok(status) if status.success() => {
            eprintln!("  done in {:.0} s", begun.elapsed().as_secs_f32());
            Ok(())
        }
        Ok(status) => Err(format!("`{line}` failed ({status})")),
        Err(error) => Err(format!("`{line}` could not be started: {error}")),
    }
}
