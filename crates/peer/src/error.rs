//! What a call on a peer connection can answer.

use std::fmt;

/// Why a call was refused; the connection goes on unless a state change says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// An argument makes no sense; in words.
    InvalidArgument(String),
    /// Memory bounds leave no room for it.
    NoMemory(&'static str),
    /// Not possible in this state; what to wait for.
    WrongState(&'static str),
    /// Not negotiated, or not part of this build.
    NotSupported(&'static str),
    /// No such channel or track.
    NotExists(&'static str),
    /// It failed; in words.
    Failed(String),
    /// A limit of the configuration is reached.
    OverLimit(&'static str),
    /// Bytes or text from the peer that make no sense; in words.
    BadData(String),
    /// The peer has begun another session and offers it: this connection has nobody at its far end any more.
    /// `disconnect`, begin a `new_connection`, and hand the offer over again.
    PeerBeganAnew,
    /// A queue is full: try again after `on_writable`, or with the next frame.
    WouldBlock,
    /// A message is larger than the peer or the configuration allows.
    TooLarge {
        /// Bytes of the message.
        size: usize,
        /// The most that may be sent.
        limit: usize,
    },
}

impl Error {
    /// The code of the C interface: `NONE` 0 is not an error, `INVALID_ARG` -1 to `WOULD_BLOCK` -9.
    pub const fn code(&self) -> i32 {
        match self {
            Error::InvalidArgument(_) => -1,
            Error::NoMemory(_) => -2,
            Error::WrongState(_) | Error::PeerBeganAnew => -3,
            Error::NotSupported(_) => -4,
            Error::NotExists(_) => -5,
            Error::Failed(_) => -6,
            Error::OverLimit(_) | Error::TooLarge { .. } => -7,
            Error::BadData(_) => -8,
            Error::WouldBlock => -9,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::InvalidArgument(what) => write!(f, "invalid argument: {what}"),
            Error::NoMemory(what) => write!(f, "no memory left: {what}"),
            Error::WrongState(what) => write!(f, "not possible now: {what}"),
            Error::PeerBeganAnew => f.write_str("the peer has begun anew"),
            Error::NotSupported(what) => write!(f, "not supported: {what}"),
            Error::NotExists(what) => write!(f, "does not exist: {what}"),
            Error::Failed(what) => write!(f, "failed: {what}"),
            Error::OverLimit(what) => write!(f, "over the limit: {what}"),
            Error::BadData(what) => write!(f, "bad data from the peer: {what}"),
            Error::WouldBlock => f.write_str("would block: the queue is full"),
            Error::TooLarge { size, limit } => {
                write!(
                    f,
                    "a message of {size} bytes is over the limit of {limit} bytes"
                )
            }
        }
    }
}

impl std::error::Error for Error {}
