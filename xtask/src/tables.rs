//! Tables in the repository that a program computes.

use std::process::{Command, Stdio};

use crate::run;

/// str0m's tables stand for the month in which they were computed.
const OTHERS: [(&str, &str); 2] = [
    ("goodput", "goodput-str0m-2026-11"),
    ("ice", "ice-str0m-2026-11"),
];

/// Computes a table and writes it to `docs/tables`.
pub(crate) fn write(name: &str) -> Result<(), String> {
    if name == "str0m" {
        for (table, file) in OTHERS {
            compute(&["--example", "str0m", "--", table], file)?;
        }
        return Ok(());
    }
    compute(&["--bin", "esp-tables", "--", name], name)
}

fn compute(what: &[&str], file: &str) -> Result<(), String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let output = Command::new(cargo)
        .args(["run", "--release", "--quiet", "--package", "esp-tables"])
        .args(what)
        .current_dir(run::root())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("`cargo run` could not be started: {error}"))?;
    if !output.status.success() {
        return Err(format!("the table {file:?} could not be computed"));
    }
    let path = run::root().join("docs/tables").join(format!("{file}.md"));
    let written = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    written
        .and_then(|()| std::fs::write(&path, &output.stdout))
        .map_err(|error| format!("{}: {error}", path.display()))
}
