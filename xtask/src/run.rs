//! Runs other programs and says which one failed.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;
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

/// Whether there is a program of this name where programs are looked for. It is not started: not every one knows
/// `--version`.
pub(crate) fn exists(name: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| is_in(&path, name))
}

fn is_in(path: &OsStr, name: &str) -> bool {
    std::env::split_paths(path).any(|directory| directory.join(name).is_file())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_where_they_lie() {
        let own = std::env::current_exe().expect("a test has a program");
        let (directory, name) = (own.parent().expect("a directory"), own.file_name());
        let name = name.and_then(OsStr::to_str).expect("a name");
        let path = std::env::join_paths([Path::new("/nowhere"), directory]).expect("a path");
        assert!(is_in(&path, name));
        assert!(!is_in(&path, "no such program"));
        let manifest = std::env::join_paths([env!("CARGO_MANIFEST_DIR")]).expect("a path");
        assert!(!is_in(&manifest, "src"));
    }
}
