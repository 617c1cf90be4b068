//! What the agent tells its owner.

use std::fmt;

use esp_wire::Role;

use crate::pair::PairReport;

/// How far gathering has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GatheringState {
    /// Not begun.
    #[default]
    New,
    /// Candidates may still come.
    Gathering,
    /// All candidates that there are were told; `end-of-candidates` may be sent.
    Complete,
}

/// How far the connection has come, as in W3C `RTCIceTransportState`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Nothing to check yet.
    #[default]
    New,
    /// Pairs are being checked, none works yet.
    Checking,
    /// A pair works; data may be sent.
    Connected,
    /// A pair is selected.
    Completed,
    /// The path has gone silent, or is gone.
    Disconnected,
    /// No pair works; only an ICE restart or a late check of the peer helps.
    Failed,
    /// The owner has closed it.
    Closed,
}

/// Why the path is in doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WarningReason {
    /// Nothing was heard for [`Config::disconnected_after`](crate::Config::disconnected_after).
    Silence,
    /// The network says that the destination cannot be reached, and nothing else is heard.
    Unreachable,
    /// The local address or socket is gone.
    SocketLost,
    /// The allocation on the TURN server is gone.
    RelayLost,
    /// Consent expired (RFC 7675 §5.1).
    ConsentExpired,
    /// The peer revoked consent (RFC 7675 §5.2).
    ConsentRevoked,
}

impl fmt::Display for WarningReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            WarningReason::Silence => "nothing is heard from the peer",
            WarningReason::Unreachable => "the network cannot reach the peer",
            WarningReason::SocketLost => "the local address is gone",
            WarningReason::RelayLost => "the relay is gone",
            WarningReason::ConsentExpired => "the peer has not answered for too long",
            WarningReason::ConsentRevoked => "the peer no longer wants to receive",
        })
    }
}

/// Why there is no path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailureReason {
    /// There was nothing to check: one side had no usable candidate.
    NoPairs,
    /// All pairs were checked and none answered.
    NoAnswer,
    /// The path was lost and no other was found.
    PathLost(WarningReason),
}

impl fmt::Display for FailureReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FailureReason::NoPairs => f.write_str("no candidates of both sides go together"),
            FailureReason::NoAnswer => f.write_str("no candidate pair was answered"),
            FailureReason::PathLost(reason) => write!(f, "the path was lost: {reason}"),
        }
    }
}

/// What happened, in order.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// Gathering moved on. `Complete` comes again after a restart or a change of the network.
    GatheringState(GatheringState),
    /// Gathering takes longer than [`Config::gather_timeout`](crate::Config::gather_timeout): who
    /// waits for all candidates should go with those there are. Late ones still follow.
    GatheringOverdue,
    /// A candidate for the peer, as `candidate:...`.
    LocalCandidate {
        /// The line, without `a=`.
        line: String,
    },
    /// A candidate is gone, with its interface or socket.
    CandidateRemoved {
        /// The line that announced it.
        line: String,
    },
    /// A server could not be used.
    ServerFailed {
        /// Its URL.
        url: String,
        /// Why, in words.
        reason: String,
    },
    /// The state changed.
    StateChanged(State),
    /// The first pair works: data may be sent from now on.
    PathAvailable(PairReport),
    /// Data now takes this pair.
    PathChanged(PairReport),
    /// The framing of the path changed: [`Agent::path`](crate::Agent::path) has another room.
    RoomChanged,
    /// The network said that the path does not take more, on the way to the far end or to the relay, or beyond it
    /// (ICMP). Anybody may have said so.
    PathTooBig {
        /// Bytes of the largest datagram that fits, the path's framing included, as [`Path::size`](crate::Path).
        size: usize,
    },
    /// This pair was nominated.
    Selected(PairReport),
    /// A role conflict was resolved against us.
    RoleChanged(Role),
    /// The peer changed its credentials, and so did we; both go into the next description.
    RemoteRestart,
    /// Early warning: the path is silent or gone. Consent may still hold.
    Disconnected(WarningReason),
    /// The path is heard again.
    Recovered,
    /// The peer has not answered for so long that nothing more may be sent on the path
    /// (RFC 7675 §5.1).
    ConsentExpired,
    /// There is no path.
    Failed(FailureReason),
}
