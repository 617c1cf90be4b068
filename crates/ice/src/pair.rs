//! One candidate pair: what is sent from a base to an address of the peer (RFC 8445 §6.1.2).

use std::net::SocketAddr;
use std::time::Duration;

use esp_wire::{Instant, Role, SocketId};

use crate::candidate::CandidateKind;
use crate::pacing::Rtt;
use crate::priority::pair_priority;

/// Names a pair of one agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PairId(pub u32);

/// How far the checks of a pair have come (RFC 8445 §6.1.2.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PairState {
    /// Held back behind a pair of the same foundation.
    Frozen,
    /// To be checked.
    Waiting,
    /// A check is under way.
    InProgress,
    /// A check was answered.
    Succeeded,
    /// A check was refused, or not answered in time.
    Failed,
}

/// One end of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PairEnd {
    /// The address that the other end sees, as far as known.
    pub address: SocketAddr,
    /// How it was learned.
    pub kind: CandidateKind,
    /// Its priority.
    pub priority: u32,
}

/// What is known of a pair.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct PairReport {
    /// Its name.
    pub id: PairId,
    /// Our end: the valid pair's local candidate once a check was answered, else the base.
    pub local: PairEnd,
    /// The address of our socket.
    pub base: SocketAddr,
    /// The peer's end.
    pub remote: PairEnd,
    /// Its priority (RFC 8445 §6.1.2.3).
    pub priority: u64,
    /// How far the checks have come.
    pub state: PairState,
    /// Whether data may be sent on it.
    pub valid: bool,
    /// Whether it was nominated.
    pub nominated: bool,
    /// Whether data takes it now.
    pub in_use: bool,
    /// The smoothed round-trip time.
    pub rtt: Option<Duration>,
    /// Requests sent, retransmissions included.
    pub requests_sent: u32,
    /// Responses received that fitted.
    pub responses_received: u32,
    /// Authenticated requests received.
    pub requests_received: u32,
}

/// The local candidate of the valid pair that a check produced (RFC 8445 §7.2.5.3.2).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Valid {
    pub(crate) local: PairEnd,
    pub(crate) priority: u64,
    /// When the peer last answered; consent lasts from then on.
    pub(crate) answered: Instant,
}

#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub(crate) id: PairId,
    pub(crate) socket: SocketId,
    /// Where checks go; carries the scope of the base when it is link-local.
    pub(crate) address: SocketAddr,
    pub(crate) local: PairEnd,
    pub(crate) local_foundation: u32,
    pub(crate) remote: PairEnd,
    pub(crate) remote_foundation: u32,
    pub(crate) priority: u64,
    pub(crate) state: PairState,
    pub(crate) valid: Option<Valid>,
    /// Successfully nominated, by us or by the peer.
    pub(crate) nominated: bool,
    /// The peer sent USE-CANDIDATE before our own check was answered (RFC 8445 §7.3.1.5).
    pub(crate) nominate_on_success: bool,
    /// Our next check carries USE-CANDIDATE (RFC 8445 §8.1.1).
    pub(crate) nominating: bool,
    /// The peer has sent an authenticated request over it.
    pub(crate) heard: bool,
    /// When anything was last received on it.
    pub(crate) last_heard: Option<Instant>,
    /// When it went silent while it was in use; until it is answered again it comes last.
    pub(crate) doubted: Option<Instant>,
    /// RFC 7675 §5.1: with these credentials it may not be used again.
    pub(crate) revoked: bool,
    pub(crate) rtt: Rtt,
    pub(crate) requests_sent: u32,
    pub(crate) responses_received: u32,
    pub(crate) requests_received: u32,
}

impl Pair {
    /// Whether both are a path of the same datagrams.
    pub(crate) fn is_between(&self, socket: SocketId, remote: SocketAddr) -> bool {
        self.socket == socket && same_address(self.address, remote)
    }

    /// Whether datagrams of the far end are the authenticated peer's.
    pub(crate) fn is_authentic(&self) -> bool {
        self.heard || self.valid.is_some()
    }

    /// Whether it was answered since it went silent.
    pub(crate) fn is_fresh(&self) -> bool {
        match (self.doubted, self.valid) {
            (Some(doubted), Some(valid)) => valid.answered > doubted,
            (doubted, _) => doubted.is_none(),
        }
    }

    pub(crate) fn foundation(&self) -> (u32, u32) {
        (self.local_foundation, self.remote_foundation)
    }

    /// Computes the priorities anew after a change of role or of the peer's candidate.
    pub(crate) fn prioritize(&mut self, role: Role) {
        let remote = self.remote.priority;
        self.priority = priority_for(role, self.local.priority, remote);
        if let Some(valid) = &mut self.valid {
            valid.priority = priority_for(role, valid.local.priority, remote);
        }
    }

    pub(crate) fn report(&self, in_use: bool) -> PairReport {
        PairReport {
            id: self.id,
            local: self.valid.map_or(self.local, |valid| valid.local),
            base: self.local.address,
            remote: self.remote,
            priority: self.valid.map_or(self.priority, |valid| valid.priority),
            state: self.state,
            valid: self.valid.is_some(),
            nominated: self.nominated,
            in_use,
            rtt: self.rtt.smoothed(),
            requests_sent: self.requests_sent,
            responses_received: self.responses_received,
            requests_received: self.requests_received,
        }
    }
}

/// The priority of a pair seen from `role`.
pub(crate) fn priority_for(role: Role, local: u32, remote: u32) -> u64 {
    match role {
        Role::Controlling => pair_priority(local, remote),
        Role::Controlled => pair_priority(remote, local),
    }
}

/// Whether two addresses are the same but for scope and flow label.
pub(crate) fn same_address(a: SocketAddr, b: SocketAddr) -> bool {
    a.port() == b.port() && a.ip() == b.ip()
}
