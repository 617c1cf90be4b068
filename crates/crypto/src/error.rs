use std::fmt;

/// Why a primitive refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The caller broke the contract that the text names.
    Misuse(&'static str),
    /// The tag does not belong to these bytes under this key; the buffer's contents are undefined.
    Unauthentic,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Misuse(what) => f.write_str(what),
            Error::Unauthentic => f.write_str("the authentication tag does not match"),
        }
    }
}

impl std::error::Error for Error {}
