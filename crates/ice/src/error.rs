//! What can go wrong, by blame.

use std::fmt;

use crate::candidate::CandidateError;

/// An error of the agent; none of them ends it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The caller asked for something that cannot be.
    Misuse(Misuse),
    /// A candidate line could not be read.
    Malformed(CandidateError),
}

/// What the caller did wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misuse {
    /// A setting is out of its range; the text names it.
    Config(&'static str),
    /// A ufrag of the peer must have 4 to 256 characters, a password 22 to 256 (RFC 8839 §5.4).
    Credentials,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Misuse(Misuse::Config(what)) => write!(f, "ICE setting out of range: {what}"),
            Error::Misuse(Misuse::Credentials) => {
                f.write_str("ICE credentials of the peer are too short, too long or not ice-chars")
            }
            Error::Malformed(error) => write!(f, "candidate: {error}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<CandidateError> for Error {
    fn from(error: CandidateError) -> Self {
        Error::Malformed(error)
    }
}
