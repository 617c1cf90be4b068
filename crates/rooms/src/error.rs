//! What can go wrong when a server starts.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why a server could not be started; each displays as one line for its user.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// Another program listens on this address.
    PortTaken(SocketAddr),
    /// The address cannot be listened on: not of this host, or not allowed.
    Bind(SocketAddr, io::Error),
    /// A setting makes no sense; the text says which and why.
    Misuse(String),
    /// A certificate or its key cannot be used.
    Certificate(String),
    /// A file of the identity cannot be read or written.
    File(PathBuf, io::Error),
    /// The system refuses threads or randomness.
    System(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::PortTaken(address) => write!(
                f,
                "port {} is taken; choose another with --port",
                address.port()
            ),
            Error::Bind(address, why) => write!(f, "cannot listen on {address}: {why}"),
            Error::Misuse(why) => f.write_str(why),
            Error::Certificate(why) => write!(f, "the certificate cannot be used: {why}"),
            Error::File(path, why) => write!(f, "{}: {why}", path.display()),
            Error::System(why) => write!(f, "the room server cannot run: {why}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Bind(_, why) | Error::File(_, why) | Error::System(why) => Some(why),
            _ => None,
        }
    }
}
