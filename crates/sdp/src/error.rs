//! What can be wrong with a description, by blame.

use std::fmt;

/// Why a description could not be made, read or agreed upon.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The caller's own settings cannot be described.
    Misuse(String),
    /// The text is not a session description.
    Malformed {
        /// The offending line, shortened, without secrets; empty when it is the text as a whole.
        line: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The peer broke the rules of offer and answer.
    PeerMisbehaved(String),
    /// Both sides are right but have nothing in common that a connection needs.
    Incompatible(String),
}

impl Error {
    pub(crate) fn malformed(line: impl Into<String>, reason: impl Into<String>) -> Self {
        Error::Malformed {
            line: shown(line.into()),
            reason: reason.into(),
        }
    }
}

/// Secrets and overlong lines never reach a log.
fn shown(mut line: String) -> String {
    const MOST: usize = 120;
    for secret in ["a=ice-pwd:", "a=crypto:"] {
        if line.starts_with(secret) {
            return format!("{secret}...");
        }
    }
    if line.len() > MOST {
        let end = (0..=MOST)
            .rev()
            .find(|at| line.is_char_boundary(*at))
            .unwrap_or(0);
        line.truncate(end);
        line.push_str("...");
    }
    line
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Misuse(reason) => write!(f, "cannot describe this peer: {reason}"),
            Error::Malformed { line, reason } if line.is_empty() => {
                write!(f, "not a session description: {reason}")
            }
            Error::Malformed { line, reason } => {
                write!(f, "malformed session description at {line:?}: {reason}")
            }
            Error::PeerMisbehaved(reason) => {
                write!(f, "the peer broke the rules of offer and answer: {reason}")
            }
            Error::Incompatible(reason) => write!(f, "no agreement with the peer: {reason}"),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        let error = Error::malformed("a=ice-pwd:tooshort", "it has fewer than 22 characters");
        assert!(!format!("{error} {error:?}").contains("tooshort"));
    }

    #[test]
    fn long_lines_are_cut_between_characters() {
        let error = Error::malformed("é".repeat(500), "it is long");
        assert!(error.to_string().len() < 400);
    }
}
