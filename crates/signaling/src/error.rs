//! What can go wrong with a signaling, by blame.

use std::fmt;

/// Why a signaling did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The caller asked for what cannot be: a bad URL, a second start, a message before the start.
    Misuse(String),
    /// The server cannot be reached, or its certificate is not the expected one.
    Unreachable(String),
    /// The server answered, but with a refusal.
    Refused(String),
    /// The server's answer is not of the protocol.
    Malformed(String),
    /// More is waiting to be sent than there is room for; try again later.
    WouldBlock,
    /// The signaling has ended.
    Closed,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Misuse(reason)
            | Error::Unreachable(reason)
            | Error::Refused(reason)
            | Error::Malformed(reason) => f.write_str(reason),
            Error::WouldBlock => f.write_str("too many messages are waiting to be sent"),
            Error::Closed => f.write_str("the signaling has ended"),
        }
    }
}

impl std::error::Error for Error {}
