//! Why the program ends without having done its work.

use std::fmt;
use std::process::ExitCode;

/// One line for the user, and the exit code that goes with it.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Something is wrong with the arguments: exit code 2.
    Usage(String),
    /// It could not be done: exit code 1.
    Failed(String),
}

impl Failure {
    /// A failure of something that says why.
    pub(crate) fn of(error: impl fmt::Display) -> Self {
        Failure::Failed(error.to_string())
    }

    /// A failure of the file or directory that an option names; `why` begins with its path.
    pub(crate) fn of_option(option: &str, why: impl fmt::Display) -> Self {
        Failure::Failed(format!("{option} {why}"))
    }

    /// The same of a directory that is to be written to.
    pub(crate) fn of_directory(option: &str, why: impl fmt::Display) -> Self {
        Failure::Failed(format!(
            "{option} {why}; name a directory that this program may make or write to"
        ))
    }

    /// Says it on standard error.
    pub(crate) fn report(&self) -> ExitCode {
        eprintln!("esp-webrtc: {self}");
        match self {
            Failure::Usage(_) => ExitCode::from(2),
            Failure::Failed(_) => ExitCode::FAILURE,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Usage(line) | Failure::Failed(line) => f.write_str(line),
        }
    }
}
