//! Why there is no allocation, or none any more.

use std::fmt;
use std::net::SocketAddr;

use esp_wire::RoomError;

use crate::auth::AuthError;
use crate::builder::BuildError;
use crate::error_code::ErrorCode;
use crate::opaque::OpaqueStringError;

/// Why a TURN server could not be used; its `Display` is meant for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TurnError {
    /// Misuse: user name or password cannot be sent.
    Credentials(OpaqueStringError),
    /// Misuse: these options of [`TurnConfig`](crate::turn::TurnConfig) exclude each other.
    Options(&'static str),
    /// Misuse: a request could not be formed.
    Build(BuildError),
    /// Misuse: the train was laid out with less room than [`TurnClient::room`] says.
    ///
    /// [`TurnClient::room`]: crate::turn::TurnClient::room
    NoRoom,
    /// There is no allocation to send through.
    NoAllocation,
    /// The server did not answer.
    Timeout,
    /// The server answered, but not with the integrity that our password gives.
    Integrity,
    /// Server and credential do not come together.
    Auth(AuthError),
    /// The server refused, in its own words.
    Refused(ErrorCode, String),
    /// The server wants another one to be used, over a stream of its own, which must carry this
    /// name if it uses TLS.
    TryAlternate(SocketAddr, Option<String>),
    /// The server's success lacks an address that we asked for.
    NoRelayedAddress,
    /// The server's answer to a Connect does not name the connection.
    NoConnectionId,
    /// The allocation has expired or the server has lost it.
    Lost,
    /// The stream to the server has ended, in the words of the system.
    StreamClosed(String),
    /// The server has sent something that is neither STUN nor ChannelData on its stream.
    OutOfStep,
}

impl TurnError {
    /// Whether the server has said that it does not know this attribute.
    pub(crate) fn is_unknown(&self, name: &str) -> bool {
        let is = |words: &String| words.split(' ').any(|word| word == name);
        matches!(self, TurnError::Refused(ErrorCode::UNKNOWN_ATTRIBUTE, words) if is(words))
    }

    /// Whether another client address may help: the server holds an old allocation for this one
    /// (RFC 8656 §7.4, code 437).
    pub fn wants_other_socket(&self) -> bool {
        matches!(self, TurnError::Refused(ErrorCode::ALLOCATION_MISMATCH, _))
    }
}

impl fmt::Display for TurnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TurnError::Credentials(why) => write!(f, "user name or password is unusable: {why}"),
            TurnError::Options(why) => f.write_str(why),
            TurnError::Build(why) => write!(f, "the request could not be formed: {why}"),
            TurnError::NoRoom => write!(f, "{RoomError}"),
            TurnError::NoAllocation => f.write_str("there is no allocation"),
            TurnError::Timeout => f.write_str("the TURN server does not answer"),
            TurnError::Integrity => f.write_str("the TURN server's answers are not authentic"),
            TurnError::Auth(why) => write!(f, "TURN: {why}"),
            TurnError::Refused(code, words) if words.is_empty() || words == code.reason() => {
                write!(f, "the TURN server refused: {code}{}", Why(*code))
            }
            TurnError::Refused(code, words) => {
                write!(
                    f,
                    "the TURN server refused: {code}{}, {words:?}",
                    Why(*code)
                )
            }
            TurnError::TryAlternate(server, _) => {
                write!(f, "the TURN server sends us to {server}")
            }
            TurnError::NoRelayedAddress => f.write_str("the TURN server gave no relayed address"),
            TurnError::NoConnectionId => f.write_str("the TURN server names no connection"),
            TurnError::Lost => f.write_str("the TURN server has lost the allocation"),
            TurnError::StreamClosed(why) => write!(f, "the stream to the TURN server ended: {why}"),
            TurnError::OutOfStep => f.write_str("the TURN server's stream makes no sense"),
        }
    }
}

/// What follows a code, if its phrase needs words.
struct Why(ErrorCode);

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.explanation() {
            Some(words) => write!(f, ": {words}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for TurnError {}

impl From<OpaqueStringError> for TurnError {
    fn from(error: OpaqueStringError) -> Self {
        TurnError::Credentials(error)
    }
}

impl From<BuildError> for TurnError {
    fn from(error: BuildError) -> Self {
        TurnError::Build(error)
    }
}

impl From<RoomError> for TurnError {
    fn from(_: RoomError) -> Self {
        TurnError::NoRoom
    }
}
