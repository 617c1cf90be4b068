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
