//! What a call on the solution can answer.

use std::fmt;

/// Why a call was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The solution was closed.
    Closed,
    /// There is no connection to do it on.
    NotConnected,
    /// No data channel is open.
    NoDataChannel,
    /// The system gave no thread or socket; in words.
    System(String),
    /// The peer connection refused.
    Peer(esp_peer::Error),
    /// Signaling refused; in words.
    Signaling(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Closed => f.write_str("it was closed"),
            Error::NotConnected => f.write_str("there is no connection; wait for `connected`"),
            Error::NoDataChannel => f.write_str("no data channel is open; wait for it to open"),
            Error::System(what) => write!(f, "the system refused: {what}"),
            Error::Peer(error) => error.fmt(f),
            Error::Signaling(what) => write!(f, "signaling refused: {what}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<esp_peer::Error> for Error {
    fn from(error: esp_peer::Error) -> Self {
        Error::Peer(error)
    }
}
