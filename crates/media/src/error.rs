//! What can go wrong, by blame.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why an operation of this room failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The caller asked for what cannot be done; the text says what.
    Misuse(String),
    /// A file or an encoded frame holds bytes that cannot be used.
    Malformed(Malformed),
    /// The system refused.
    Io {
        /// The file that was worked on, when there was one.
        path: Option<PathBuf>,
        /// What the system said.
        source: io::Error,
    },
    /// An encoder or decoder refused its input.
    Codec(String),
}

/// Bytes that cannot be used, and where they came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The file, when the bytes came from one.
    pub path: Option<PathBuf>,
    /// What is wrong with them.
    pub what: String,
}

impl Error {
    pub(crate) fn misuse(what: impl Into<String>) -> Self {
        Error::Misuse(what.into())
    }

    pub(crate) fn malformed(what: impl Into<String>) -> Self {
        Error::Malformed(Malformed {
            path: None,
            what: what.into(),
        })
    }

    /// The same error, naming the file that it is about.
    pub(crate) fn in_file(self, path: &Path) -> Self {
        match self {
            Error::Malformed(Malformed { path: None, what }) => Error::Malformed(Malformed {
                path: Some(path.to_owned()),
                what,
            }),
            Error::Io { path: None, source } => Error::Io {
                path: Some(path.to_owned()),
                source,
            },
            other => other,
        }
    }
}

impl From<io::Error> for Error {
    fn from(source: io::Error) -> Self {
        // A file that ends too early is the file's fault, not the system's.
        if source.kind() == io::ErrorKind::UnexpectedEof {
            return Error::malformed("it ends too early");
        }
        Error::Io { path: None, source }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Misuse(what) | Error::Codec(what) => f.write_str(what),
            Error::Malformed(Malformed { path, what }) => match path {
                Some(path) => write!(f, "{}: {what}", path.display()),
                None => f.write_str(what),
            },
            Error::Io { path, source } => match path {
                Some(path) => write!(f, "{}: {source}", path.display()),
                None => source.fmt(f),
            },
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
