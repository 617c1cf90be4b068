//! From the peer's candidates to pairs (RFC 8445 §6.1.2.2 to §6.1.2.5, RFC 8838 §12).

use std::net::{SocketAddr, SocketAddrV6};

use esp_wire::{Instant, SocketId};

use crate::agent::Agent;
use crate::candidate::{Candidate, CandidateHost, CandidateTransport, TcpType};
use crate::local::LocalCandidate;
use crate::pacing::Rtt;
use crate::pair::{Pair, PairId, PairState, priority_for, same_address};
use crate::priority::is_link_local;
use crate::remote::{Added, RemoteCandidate, is_usable};

/// Up to so many candidates of the peer are let through relays at once, others when they are checked.
const PERMITTED_AT_ONCE: usize = 8;

impl Agent {
    /// Takes a parsed candidate of the peer.
    pub(crate) fn take_candidate(&mut self, now: Instant, candidate: Candidate) {
        let auth = self.session.remote.as_ref();
        let ours = |ufrag: &String| auth.is_some_and(|auth| auth.credentials.ufrag == *ufrag);
        let foreign = candidate.ufrag.as_ref().is_some_and(|ufrag| !ours(ufrag));
        if auth.is_none() || foreign {
            // It may belong to a description that is yet to come.
            self.hold(candidate);
            return;
        }
        if candidate.component != 1 {
            self.counters.ignored_candidates += 1;
            return;
        }
        match &candidate.host {
            CandidateHost::Address(ip) => {
                let address = SocketAddr::new(*ip, candidate.port);
                self.take_candidate_at(now, &candidate, address);
            }
            // Who only connects need not be found.
            CandidateHost::Name(_)
                if candidate.transport == CandidateTransport::Tcp(TcpType::Active) =>
            {
                self.counters.ignored_candidates += 1;
            }
            CandidateHost::Name(name) => {
                let name = name.clone();
                self.add_named_candidate(now, candidate, &name);
            }
        }
    }

    /// Takes a candidate whose address is known.
    pub(crate) fn take_candidate_at(
        &mut self,
        now: Instant,
        candidate: &Candidate,
        at: SocketAddr,
    ) {
        if self.is_wanted(at) {
            self.let_through(now, at.ip());
        }
        match candidate.transport {
            CandidateTransport::Udp => self.add_remote(now, candidate, at),
            CandidateTransport::Tcp(_) => self.connect_to(now, candidate, at),
        }
    }

    fn hold(&mut self, candidate: Candidate) {
        let held = &mut self.session.held;
        if held.len() >= self.config.max_remote_candidates {
            held.remove(0);
            self.counters.ignored_candidates += 1;
        }
        held.push(candidate);
    }

    /// Adds a signaled candidate at an address, and its pairs.
    pub(crate) fn add_remote(&mut self, now: Instant, candidate: &Candidate, at: SocketAddr) {
        let limit = self.config.max_remote_candidates;
        if !self.is_wanted(at) {
            self.counters.ignored_candidates += 1;
            return;
        }
        match self.session.remotes.signal(candidate, at, limit) {
            Added::New(remote) => self.pair_remote(now, &remote),
            Added::Updated(remote) => {
                let role = self.role;
                for pair in self.session.checklist.pairs_mut() {
                    if same_address(pair.address, at) {
                        pair.remote = remote.end;
                        pair.remote_foundation = remote.foundation;
                        pair.prioritize(role);
                    }
                }
                self.pair_remote(now, &remote);
            }
            Added::Known => {}
            Added::Full => self.counters.ignored_candidates += 1,
        }
    }

    /// Whether an address that the peer names may be checked.
    pub(crate) fn is_wanted(&self, at: SocketAddr) -> bool {
        is_usable(at, self.config.include_loopback) && self.config.remote_addresses.admits(at.ip())
    }

    fn pair_remote(&mut self, now: Instant, remote: &RemoteCandidate) {
        if self.session.remote.is_none() {
            return;
        }
        let sockets: Vec<_> = (self.locals.bases.iter())
            .filter(|base| !base.role.is_stream())
            .map(|base| base.socket)
            .collect();
        // Who names another address long after a pair was agreed on is about to move there, and its NAT may
        // wait for us.
        let moves = self.config.roaming && self.is_settled(now);
        for socket in sockets {
            self.add_pair(now, socket, remote, false);
            let pair = self.session.checklist.between(socket, remote.end.address);
            let open = pair.filter(|pair| moves && pair.valid.is_none() && !pair.revoked);
            if let Some(id) = open.map(|pair| pair.id) {
                self.session.checklist.trigger(id);
            }
        }
    }

    /// Pairs a new local candidate with all of the peer's.
    pub(crate) fn pair_local(&mut self, now: Instant, local: &LocalCandidate) {
        let stream = (self.locals.base(local.socket)).is_some_and(|base| base.role.is_stream());
        if self.session.remote.is_none() || stream {
            return;
        }
        let remotes: Vec<_> = self.session.remotes.iter().copied().collect();
        for remote in remotes {
            self.add_pair(now, local.socket, &remote, false);
        }
    }

    /// Pairs all candidates of both sides (RFC 8445 §6.1.2.2).
    pub(crate) fn pair_all(&mut self, now: Instant) {
        for local in self.locals.candidates.clone() {
            self.pair_local(now, &local);
        }
    }

    /// Makes the pair of a socket and a candidate of the peer, unless they do not go together or
    /// the pair is there (RFC 8445 §6.1.2.2 to §6.1.2.5). Reflexive candidates stand for their base,
    /// so pairs are made of sockets from the beginning.
    pub(crate) fn add_pair(
        &mut self,
        now: Instant,
        socket: SocketId,
        remote: &RemoteCandidate,
        heard: bool,
    ) {
        let known = self
            .session
            .checklist
            .between(socket, remote.end.address)
            .is_some();
        let (Some(base), Some(local)) = (self.locals.base(socket), self.locals.host(socket)) else {
            return;
        };
        if known || !(heard || go_together(local.address, remote.end.address)) {
            return;
        }
        let id = PairId(self.next_pair);
        let pair = Pair {
            id,
            socket,
            address: scoped(remote.end.address, base.interface),
            local: local.end(),
            local_foundation: local.foundation,
            remote: remote.end,
            remote_foundation: remote.foundation,
            priority: priority_for(self.role, local.priority, remote.end.priority),
            state: PairState::Frozen,
            valid: None,
            nominated: false,
            nominate_on_success: false,
            nominating: false,
            heard,
            last_heard: None,
            doubted: None,
            revoked: false,
            rtt: Rtt::default(),
            requests_sent: 0,
            responses_received: 0,
            requests_received: 0,
        };
        self.next_pair = self.next_pair.wrapping_add(1);
        // The peer's checks may come before ours: it has to be let through as soon as it is known.
        if self.session.remotes.iter().nth(PERMITTED_AT_ONCE).is_none() {
            self.permit(now, socket, remote.end.address.ip());
        }
        let limit = self.config.max_pairs;
        if let Some(evicted) = self.session.checklist.insert(pair, limit) {
            self.session.checks.remove_pair(evicted);
        }
    }
}

/// Whether two addresses can be a pair: one family, one scope (RFC 8445 §6.1.2.2).
pub(crate) fn go_together(local: SocketAddr, remote: SocketAddr) -> bool {
    let (local, remote) = (local.ip(), remote.ip());
    let link_local = is_link_local(local) == is_link_local(remote);
    local.is_ipv4() == remote.is_ipv4()
        && local.is_loopback() == remote.is_loopback()
        // IPv4 hosts without a DHCP server talk to those that have one (RFC 3927 §2.6.2).
        && (link_local || local.is_ipv4())
}

/// The address with the scope of our interface when it is link-local.
fn scoped(address: SocketAddr, interface: u32) -> SocketAddr {
    match address {
        SocketAddr::V6(v6) if is_link_local(address.ip()) => {
            SocketAddrV6::new(*v6.ip(), v6.port(), 0, interface).into()
        }
        _ => address,
    }
}
