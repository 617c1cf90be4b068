//! Our sockets and candidates (RFC 8445 §5.1.1).

use std::net::{IpAddr, SocketAddr};

use esp_wire::SocketId;

use crate::candidate::{Candidate, CandidateHost, CandidateKind, CandidateTransport, TcpType};
use crate::filter::KindFilter;
use crate::names::Names;
use crate::pair::{PairEnd, same_address};
use crate::ports::Try;
use crate::priority::candidate_priority;

/// A candidate of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LocalCandidate {
    /// How it was learned.
    pub kind: CandidateKind,
    /// The address that the peer sends to.
    pub address: SocketAddr,
    /// The address of the socket that receives it.
    pub base: SocketAddr,
    /// The socket.
    pub socket: SocketId,
    /// Its priority.
    pub priority: u32,
    /// The STUN or TURN server that told of it.
    pub server: Option<SocketAddr>,
    /// What is told as its related address: the base of a reflexive candidate, the mapped address of
    /// a relayed one, nowhere when addresses of this host are hidden.
    pub related: Option<SocketAddr>,
    /// UDP, or TCP and its direction.
    pub transport: CandidateTransport,
    pub(crate) foundation: u32,
    /// The peer is told of it.
    pub(crate) told: bool,
    /// It is only told of; pairs are made of what comes of it.
    pub(crate) advert: bool,
}

impl LocalCandidate {
    fn is_base(&self) -> bool {
        matches!(self.kind, CandidateKind::Host | CandidateKind::Relayed) && !self.advert
    }

    pub(crate) fn end(&self) -> PairEnd {
        PairEnd {
            address: self.address,
            kind: self.kind,
            priority: self.priority,
        }
    }

    /// The candidate as it travels in SDP.
    pub fn to_candidate(&self, ufrag: Option<&str>) -> Candidate {
        Candidate {
            foundation: self.foundation.to_string(),
            component: 1,
            transport: self.transport,
            priority: self.priority,
            host: CandidateHost::Address(self.address.ip()),
            port: self.address.port(),
            kind: self.kind,
            related: self.related,
            ufrag: ufrag.map(str::to_owned),
        }
    }
}

/// What a socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BaseRole {
    /// Candidates, checks, data, servers.
    Open,
    /// TURN servers only: addresses of this host stay hidden.
    Hidden,
    /// One TURN server only.
    Spare,
    /// It takes in streams of the peer, for a passive or `so` candidate.
    Listener(TcpType),
    /// It is a stream to one address of the peer.
    Stream,
    /// It is a stream to a TURN server that carries what one address of the peer sends.
    RelayedStream,
    /// It is no socket of the driver's but the relayed address of an allocation that takes in streams.
    RelayedListener,
    /// It is no socket of the driver's but the relayed address of an allocation.
    Relayed,
}

impl BaseRole {
    /// Whether servers are asked through it.
    pub(crate) fn gathers(self) -> bool {
        matches!(self, BaseRole::Open | BaseRole::Hidden)
    }

    /// Whether the peer may be heard on it.
    pub(crate) fn checks(self) -> bool {
        matches!(self, BaseRole::Open | BaseRole::Relayed) || self.is_stream()
    }

    /// Whether it reaches one address of the peer only.
    pub(crate) fn is_stream(self) -> bool {
        matches!(self, BaseRole::Stream | BaseRole::RelayedStream)
    }
}

/// A socket of ours, asked for or open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Base {
    pub(crate) socket: SocketId,
    pub(crate) role: BaseRole,
    /// The interface and its address.
    pub(crate) interface: u32,
    pub(crate) address: IpAddr,
    /// The local preference of its candidates (RFC 8421 §4).
    pub(crate) preference: u16,
    /// Where it is bound, once it is.
    pub(crate) local: Option<SocketAddr>,
}

/// What two candidates of one foundation have in common (RFC 8445 §5.1.1.3).
type Origin = (CandidateKind, IpAddr, Option<IpAddr>);

#[derive(Debug, Default)]
pub(crate) struct Locals {
    pub(crate) bases: Vec<Base>,
    pub(crate) candidates: Vec<LocalCandidate>,
    /// Which kinds the peer is told of.
    pub(crate) kinds: KindFilter,
    /// The names that hide our addresses.
    pub(crate) names: Names,
    /// Sockets that wait for a port of the range.
    pub(crate) tries: Vec<Try>,
    foundations: Vec<Origin>,
}

impl Base {
    /// The priority that a check out of it carries: what a peer-reflexive candidate would have
    /// (RFC 8445 §7.1.1). A relay says its own, so that a check that comes before its candidate does not
    /// make it look better than a direct path.
    pub(crate) fn check_priority(&self) -> u32 {
        let kind = match self.role {
            BaseRole::Relayed | BaseRole::RelayedStream => CandidateKind::Relayed,
            _ => CandidateKind::PeerReflexive,
        };
        candidate_priority(kind, self.preference)
    }
}

impl Locals {
    /// None yet; the peer will be told of these kinds.
    pub(crate) fn telling(kinds: KindFilter) -> Self {
        Locals {
            kinds,
            ..Locals::default()
        }
    }

    pub(crate) fn base(&self, socket: SocketId) -> Option<&Base> {
        self.bases.iter().find(|base| base.socket == socket)
    }

    pub(crate) fn base_mut(&mut self, socket: SocketId) -> Option<&mut Base> {
        self.bases.iter_mut().find(|base| base.socket == socket)
    }

    /// The candidate that is its own base: the host or relayed candidate of a socket.
    pub(crate) fn host(&self, socket: SocketId) -> Option<&LocalCandidate> {
        (self.candidates.iter()).find(|known| known.socket == socket && known.is_base())
    }

    /// The candidate of a socket at an address.
    pub(crate) fn find(&self, socket: SocketId, address: SocketAddr) -> Option<&LocalCandidate> {
        (self.candidates.iter())
            .find(|known| known.socket == socket && same_address(known.address, address))
    }

    /// Makes a candidate, which is not yet in the list.
    pub(crate) fn make(
        &mut self,
        base: &Base,
        local: SocketAddr,
        kind: CandidateKind,
        address: SocketAddr,
        server: Option<SocketAddr>,
    ) -> LocalCandidate {
        LocalCandidate {
            kind,
            address,
            base: local,
            socket: base.socket,
            priority: candidate_priority(kind, base.preference),
            server,
            related: (kind != CandidateKind::Host).then_some(local),
            transport: CandidateTransport::Udp,
            told: self.kinds.admits(kind),
            advert: false,
            foundation: self.foundation((kind, local.ip(), server.map(|server| server.ip()))),
        }
    }

    fn foundation(&mut self, origin: Origin) -> u32 {
        let at = self.foundations.iter().position(|known| *known == origin);
        let at = at.unwrap_or_else(|| {
            self.foundations.push(origin);
            self.foundations.len() - 1
        });
        at as u32 + 1
    }
}
