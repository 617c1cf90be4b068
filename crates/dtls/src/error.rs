use std::fmt;

use crate::Fingerprint;

/// Why DTLS refused; but for [`Error::Misuse`] and [`Error::Malformed`], the association is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The caller broke the contract that the text names; nothing changed.
    Misuse(&'static str),
    /// Bytes or text that were to be parsed are no such thing; nothing changed.
    Malformed(&'static str),
    /// The peer broke the protocol; the association is over.
    PeerMisbehaved(Violation),
    /// The handshake did not end in the time it was given; the association is over.
    Timeout,
    /// The DTLS library gave up for a reason of its own; the association is over.
    Library(String),
}

/// What a peer did that ends the association.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// Its certificate is not the one that the signaling announced (RFC 8122 §6.2).
    Fingerprint {
        /// What the signaling announced.
        announced: Vec<Fingerprint>,
        /// What the certificate hashes to.
        presented: Fingerprint,
    },
    /// It showed no certificate.
    NoCertificate,
    /// It is a server whose certificates are not believed; the text is that of whoever judged them.
    Untrusted(String),
    /// It ended the handshake or broke its rules; the text is the library's.
    Protocol(String),
}

impl Error {
    /// True when the association cannot go on after this error.
    pub fn is_fatal(&self) -> bool {
        !matches!(self, Error::Misuse(_) | Error::Malformed(_))
    }

    pub(crate) fn from_library(error: &dimpl::Error) -> Self {
        match error {
            dimpl::Error::Timeout(_) => Error::Timeout,
            dimpl::Error::UnexpectedMessage(_)
            | dimpl::Error::CertificateError(_)
            | dimpl::Error::SecurityError(_)
            | dimpl::Error::IncompleteServerHello
            | dimpl::Error::RenegotiationAttempt
            | dimpl::Error::TooManyClientHelloFragments
            | dimpl::Error::ReceiveQueueFull => {
                Error::PeerMisbehaved(Violation::Protocol(error.to_string()))
            }
            _ => Error::Library(error.to_string()),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Misuse(what) | Error::Malformed(what) => f.write_str(what),
            Error::PeerMisbehaved(violation) => violation.fmt(f),
            Error::Timeout => f.write_str("the DTLS handshake timed out"),
            Error::Library(what) => write!(f, "the DTLS library failed: {what}"),
        }
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Violation::Fingerprint {
                announced,
                presented,
            } => {
                f.write_str("the peer's certificate is not the announced one: announced ")?;
                if announced.is_empty() {
                    f.write_str("nothing that can be checked")?;
                }
                for (index, fingerprint) in announced.iter().enumerate() {
                    if index > 0 {
                        f.write_str(" or ")?;
                    }
                    fingerprint.fmt(f)?;
                }
                write!(f, ", presented {presented}")
            }
            Violation::NoCertificate => f.write_str("the peer showed no certificate"),
            Violation::Untrusted(why) => f.write_str(why),
            Violation::Protocol(what) => write!(f, "the peer broke the DTLS protocol: {what}"),
        }
    }
}
