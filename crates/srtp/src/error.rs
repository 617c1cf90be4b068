use std::fmt;

/// Why a packet was refused; none of these ends a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The caller broke the contract that the text names.
    Misuse(&'static str),
    /// The bytes are no packet of this kind.
    Malformed,
    /// The packet came before.
    Replayed,
    /// The packet is older than the replay window reaches.
    TooOld,
    /// The packet was not made with the keys of this session, or was changed.
    Unauthentic,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Error::Misuse(what) => what,
            Error::Malformed => "malformed packet",
            Error::Replayed => "replayed packet",
            Error::TooOld => "packet older than the replay window",
            Error::Unauthentic => "packet fails authentication",
        })
    }
}

impl std::error::Error for Error {}
