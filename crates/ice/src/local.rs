//! Our sockets and candidates (RFC 8445 §5.1.1).

use std::net::{IpAddr, SocketAddr};

use esp_wire::SocketId;

use crate::candidate::{Candidate, CandidateHost, CandidateKind, CandidateTransport};
use crate::pair::{PairEnd, same_address};
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
    /// The STUN server that told of it.
    pub server: Option<SocketAddr>,
    pub(crate) foundation: u32,
}

impl LocalCandidate {
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
            transport: CandidateTransport::Udp,
            priority: self.priority,
            host: CandidateHost::Address(self.address.ip()),
            port: self.address.port(),
            kind: self.kind,
            related: (self.kind != CandidateKind::Host).then_some(self.base),
            ufrag: ufrag.map(str::to_owned),
        }
    }
}

/// A socket of ours, asked for or open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Base {
    pub(crate) socket: SocketId,
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
    foundations: Vec<Origin>,
}

impl Locals {
    pub(crate) fn base(&self, socket: SocketId) -> Option<&Base> {
        self.bases.iter().find(|base| base.socket == socket)
    }

    pub(crate) fn base_mut(&mut self, socket: SocketId) -> Option<&mut Base> {
        self.bases.iter_mut().find(|base| base.socket == socket)
    }

    /// The host candidate of a socket.
    pub(crate) fn host(&self, socket: SocketId) -> Option<&LocalCandidate> {
        (self.candidates.iter())
            .find(|known| known.socket == socket && known.kind == CandidateKind::Host)
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
