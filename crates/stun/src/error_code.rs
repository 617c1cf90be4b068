//! Error codes and their reason phrases (RFC 8489 §14.8, RFC 8656 §19, RFC 8445 §16.1).

use std::fmt;

/// The number in an ERROR-CODE attribute, 300 to 699.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ErrorCode(pub u16);

impl ErrorCode {
    /// The client should ask another server.
    pub const TRY_ALTERNATE: ErrorCode = ErrorCode(300);
    /// The request was malformed.
    pub const BAD_REQUEST: ErrorCode = ErrorCode(400);
    /// Credentials are missing or wrong.
    pub const UNAUTHENTICATED: ErrorCode = ErrorCode(401);
    /// Valid request, administratively refused (TURN).
    pub const FORBIDDEN: ErrorCode = ErrorCode(403);
    /// A comprehension-required attribute was not understood.
    pub const UNKNOWN_ATTRIBUTE: ErrorCode = ErrorCode(420);
    /// The 5-tuple has an allocation already, or none (TURN).
    pub const ALLOCATION_MISMATCH: ErrorCode = ErrorCode(437);
    /// The nonce is no longer valid.
    pub const STALE_NONCE: ErrorCode = ErrorCode(438);
    /// The address family is not supported (TURN).
    pub const ADDRESS_FAMILY_NOT_SUPPORTED: ErrorCode = ErrorCode(440);
    /// The credentials are not those of the allocation (TURN).
    pub const WRONG_CREDENTIALS: ErrorCode = ErrorCode(441);
    /// The transport to peers is not supported (TURN).
    pub const UNSUPPORTED_TRANSPORT: ErrorCode = ErrorCode(442);
    /// The peer's family differs from the allocation's (TURN).
    pub const PEER_ADDRESS_FAMILY_MISMATCH: ErrorCode = ErrorCode(443);
    /// There is a connection to this peer already (RFC 6062).
    pub const CONNECTION_ALREADY_EXISTS: ErrorCode = ErrorCode(446);
    /// The connection to the peer failed (RFC 6062).
    pub const CONNECTION_TIMEOUT_OR_FAILURE: ErrorCode = ErrorCode(447);
    /// The user has too many allocations (TURN).
    pub const ALLOCATION_QUOTA_REACHED: ErrorCode = ErrorCode(486);
    /// Both agents have the same role (ICE).
    pub const ROLE_CONFLICT: ErrorCode = ErrorCode(487);
    /// A temporary error.
    pub const SERVER_ERROR: ErrorCode = ErrorCode(500);
    /// The server cannot do it now (TURN).
    pub const INSUFFICIENT_CAPACITY: ErrorCode = ErrorCode(508);

    /// The recommended reason phrase.
    pub const fn reason(self) -> &'static str {
        match self.0 {
            300 => "Try Alternate",
            400 => "Bad Request",
            401 => "Unauthenticated",
            403 => "Forbidden",
            420 => "Unknown Attribute",
            437 => "Allocation Mismatch",
            438 => "Stale Nonce",
            440 => "Address Family not Supported",
            441 => "Wrong Credentials",
            442 => "Unsupported Transport Protocol",
            443 => "Peer Address Family Mismatch",
            446 => "Connection Already Exists",
            447 => "Connection Timeout or Failure",
            486 => "Allocation Quota Reached",
            487 => "Role Conflict",
            500 => "Server Error",
            508 => "Insufficient Capacity",
            _ => "Error",
        }
    }

    /// What it means for the user of a TURN server, in words; `None` where the phrase says it all.
    pub const fn explanation(self) -> Option<&'static str> {
        Some(match self.0 {
            300 => "it wants another server to be asked",
            400 => "it does not understand the request",
            401 => "user name or password is wrong",
            403 => "its administrator does not allow this",
            420 => "it does not know something that was asked for",
            437 => "it holds another allocation for this address and port, or none any more",
            438 => "the request came too late after its challenge",
            440 => "it has no address of this kind, IPv4 or IPv6",
            441 => "the allocation belongs to another user",
            442 => "it does not relay by this protocol",
            443 => "the peer's address is of another kind, IPv4 or IPv6, than the relay's",
            446 => "it has a connection to this peer already",
            447 => "it cannot connect to the peer",
            486 => "this user has as many allocations as it grants",
            500 => "it is in trouble and may be asked again later",
            508 => "it has no port or capacity left for this",
            _ => return None,
        })
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.0, self.reason())
    }
}
