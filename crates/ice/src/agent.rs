//! The agent: its commands, its inputs and outputs. The mechanisms are in files of their own.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use esp_wire::{Action, Deadline, Ecn, Input, Instant, Origin, QueryId, Rng, Role, SocketId};

use crate::candidate::{Candidate, CandidateError, CandidateHost, CandidateTransport};
use crate::config::Config;
use crate::credentials::Credentials;
use crate::error::Error;
use crate::event::{Event, GatheringState, State, WarningReason};
use crate::gathering::Gathering;
use crate::local::{LocalCandidate, Locals};
use crate::outbox::Outbox;
use crate::pacing::{Pacer, Rtt};
use crate::pair::{Pair, PairEnd, PairId, PairReport, PairState, priority_for, same_address};
use crate::path::Active;
use crate::priority::is_link_local;
use crate::remote::{Added, RemoteCandidate, is_usable};
use crate::session::{Previous, Session};
use crate::timers::Why;

/// Events that wait to be polled; beyond it the oldest are lost.
const MAX_EVENTS: usize = 1_024;

/// A full ICE agent for one component.
///
/// Commands: [`start`](Agent::start), [`set_servers`](Agent::set_servers),
/// [`set_remote_credentials`](Agent::set_remote_credentials),
/// [`add_remote_candidate`](Agent::add_remote_candidate), [`restart`](Agent::restart).
/// Feed: [`handle_input`](Agent::handle_input), [`handle_timeout`](Agent::handle_timeout).
/// Drain, in any order, after every call above: [`poll_transmit`](Agent::poll_transmit),
/// [`poll_action`](Agent::poll_action), [`poll_event`](Agent::poll_event),
/// [`poll_timeout`](Agent::poll_timeout).
/// Data out: [`path`](Agent::path) says how to lay it out, [`send`](Agent::send) addresses it.
#[derive(Debug)]
pub struct Agent {
    pub(crate) config: Config,
    pub(crate) rng: Rng,
    pub(crate) role: Role,
    pub(crate) tie_breaker: u64,
    pub(crate) started: bool,
    /// The usable addresses of this host, once they were told.
    pub(crate) interfaces: Option<Vec<(u32, IpAddr)>>,
    pub(crate) next_socket: SocketId,
    pub(crate) next_query: QueryId,
    pub(crate) next_pair: u32,
    /// How many addresses were ranked so far (RFC 8421 §4).
    pub(crate) ranks: u16,
    pub(crate) locals: Locals,
    pub(crate) gathering: Gathering,
    pub(crate) session: Session,
    pub(crate) previous: Option<Previous>,
    pub(crate) active: Option<Active>,
    /// Since when, and why, there is no path any more.
    pub(crate) lost: Option<(Instant, WarningReason)>,
    pub(crate) pacer: Pacer,
    /// What any check to the peer took.
    pub(crate) rtt: Rtt,
    pub(crate) outbox: Outbox,
    pub(crate) actions: VecDeque<Action>,
    pub(crate) events: VecDeque<Event>,
    pub(crate) state: State,
    pub(crate) counters: Counters,
    pub(crate) deadline: Option<Deadline<Why>>,
}

/// Application datagrams of the authenticated peer.
#[derive(Debug)]
pub struct Received<'a> {
    /// The datagrams, one behind the other.
    pub data: &'a mut [u8],
    /// Size of each but the last, which may be shorter.
    pub size: usize,
    /// Their ECN mark.
    pub ecn: Ecn,
}

/// What was dropped, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Datagrams that claim to be STUN and are not, or lack FINGERPRINT.
    pub malformed: u64,
    /// STUN messages whose credentials or integrity do not fit.
    pub unauthenticated: u64,
    /// Responses to nothing that was asked.
    pub unknown_responses: u64,
    /// Application datagrams from addresses that no check has proved, or for unknown sockets.
    pub unknown_source: u64,
    /// Early checks beyond the bound.
    pub early_dropped: u64,
    /// Responses that found the outbox full.
    pub responses_dropped: u64,
    /// Candidates of the peer that cannot be used: unknown kinds, other generations, beyond bounds.
    pub ignored_candidates: u64,
}

impl Agent {
    /// An agent that does nothing until [`Agent::start`].
    ///
    /// # Errors
    /// [`Error::Misuse`] when a setting is out of range.
    pub fn new(config: Config, origin: Origin) -> Result<Self, Error> {
        config.check()?;
        let mut rng = Rng::new(origin.seed).fork("ice");
        let session = Session::new(0, &mut rng);
        Ok(Agent {
            role: config.role,
            tie_breaker: rng.u64(),
            pacer: Pacer::new(config.pacing, origin.now),
            rng,
            config,
            started: false,
            interfaces: None,
            next_socket: SocketId(0),
            next_query: QueryId(0),
            next_pair: 0,
            ranks: 0,
            locals: Locals::default(),
            gathering: Gathering::default(),
            session,
            previous: None,
            active: None,
            lost: None,
            rtt: Rtt::default(),
            outbox: Outbox::new(),
            actions: VecDeque::new(),
            events: VecDeque::new(),
            state: State::New,
            counters: Counters::default(),
            deadline: None,
        })
    }

    /// Starts gathering; it goes on when [`Input::Interfaces`] has told the addresses of this host.
    pub fn start(&mut self, now: Instant) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        self.set_gathering(now, GatheringState::Gathering);
        self.bind_all();
        self.run(now);
    }

    /// Our credentials, for the description of this side.
    pub fn local_credentials(&self) -> &Credentials {
        &self.session.local.credentials
    }

    /// The peer's credentials, once they are known in this session.
    pub fn remote_credentials(&self) -> Option<&Credentials> {
        (self.session.remote.as_ref()).map(|auth| &auth.credentials)
    }

    /// Takes a candidate of the peer, as `candidate:...` with or without `a=`; an empty line or
    /// `end-of-candidates` ends them. Candidates that cannot be used are counted and ignored.
    ///
    /// # Errors
    /// [`Error::Malformed`] when the line cannot be read.
    pub fn add_remote_candidate(&mut self, now: Instant, line: &str) -> Result<(), Error> {
        let line = line.trim();
        if matches!(line, "" | "a=end-of-candidates" | "end-of-candidates") {
            self.end_of_remote_candidates(now);
            return Ok(());
        }
        match line.parse::<Candidate>() {
            Ok(candidate) => {
                self.take_candidate(now, candidate);
                self.run(now);
                Ok(())
            }
            Err(CandidateError::Unknown(_)) => {
                self.counters.ignored_candidates += 1;
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The peer has no more candidates (RFC 8838 §13).
    pub fn end_of_remote_candidates(&mut self, now: Instant) {
        self.session.remote_ended = true;
        self.run(now);
    }

    /// The peer is a lite agent (`a=ice-lite`): this side controls (RFC 8445 §6.1.1).
    pub fn set_remote_lite(&mut self, now: Instant, lite: bool) {
        if lite {
            self.switch_role(now, Role::Controlling);
            self.run(now);
        }
    }

    /// What the peer proposes as Ta (`a=ice-pacing`, RFC 8839 §5.5), `None` when it says nothing.
    pub fn set_remote_pacing(&mut self, pacing: Option<Duration>) {
        let theirs = pacing.unwrap_or(self.config.silent_peer_pacing);
        // RFC 8445 §14.2: the higher of both values; a peer cannot stop us for more than 2 s.
        let agreed = self.config.pacing.max(theirs.min(Duration::from_secs(2)));
        self.pacer.set_interval(agreed);
    }

    /// Takes a role before checks begin; a conflict is resolved later.
    pub fn set_role(&mut self, role: Role) {
        self.role = role;
        self.session.checklist.prioritize(role);
    }

    /// The role, which a conflict may have changed.
    pub fn role(&self) -> Role {
        self.role
    }

    /// How far the connection has come.
    pub fn state(&self) -> State {
        self.state
    }

    /// How far gathering has come.
    pub fn gathering_state(&self) -> GatheringState {
        self.gathering.state
    }

    /// Our candidates; those that the peer revealed are among them.
    pub fn candidates(&self) -> &[LocalCandidate] {
        &self.locals.candidates
    }

    /// Our candidates as lines for a description, without `a=`.
    pub fn candidate_lines(&self) -> impl Iterator<Item = String> {
        let ufrag = &self.session.local.credentials.ufrag;
        (self.locals.candidates.iter())
            .filter(|known| known.kind != crate::candidate::CandidateKind::PeerReflexive)
            .map(move |known| known.to_candidate(Some(ufrag)).to_string())
    }

    /// The candidates of the peer, revealed ones included.
    pub fn remote_candidates(&self) -> impl Iterator<Item = PairEnd> {
        self.session.remotes.iter().map(|candidate| candidate.end)
    }

    /// All pairs with their states.
    pub fn pairs(&self) -> Vec<PairReport> {
        let active = self.active.as_ref();
        let in_use = |pair: &Pair| {
            active.is_some_and(|on| on.pair == pair.id && on.generation == self.session.generation)
        };
        let pairs = self.session.checklist.pairs().iter();
        pairs.map(|pair| pair.report(in_use(pair))).collect()
    }

    /// What was dropped so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Takes what the driver tells. Datagrams of the peer that are not ICE's own are given back.
    ///
    /// # Errors
    /// None today; noise is counted and dropped.
    pub fn handle_input<'a>(
        &mut self,
        now: Instant,
        input: Input<'a>,
    ) -> Result<Option<Received<'a>>, Error> {
        match input {
            Input::Datagrams {
                socket,
                remote,
                ecn,
                size,
                data,
            } => return Ok(self.on_datagrams(now, socket, remote, ecn, size, data)),
            Input::Bound { socket, local } => self.on_bound(now, socket, local),
            Input::Closed { socket, .. } => self.on_closed(now, socket),
            Input::Unreachable { socket, remote } => self.on_unreachable(now, socket, remote),
            Input::Resolved { query, addresses } => {
                if !self.on_name_resolved(now, query, addresses) {
                    self.on_server_resolved(query, addresses);
                }
            }
            Input::Interfaces(interfaces) => self.on_interfaces(now, interfaces),
            Input::Writable { .. } | Input::StreamOpened { .. } | Input::StreamBytes { .. } => {
                return Ok(None);
            }
        }
        self.run(now);
        Ok(None)
    }

    /// Does what time has made due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.run(now);
    }

    /// When [`Agent::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Deadline<Why>> {
        self.deadline
    }

    /// What the driver is asked to do.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// What happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    pub(crate) fn push_event(&mut self, event: Event) {
        if self.events.len() >= MAX_EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    /// Lets every mechanism do what is due now.
    pub(crate) fn run(&mut self, now: Instant) {
        if self.started {
            self.run_gathering(now);
        }
        self.run_consent(now);
        self.run_nomination(now);
        self.run_checks(now);
        self.update_path(now);
        self.run_give_up(now);
        self.update_state();
        self.refresh_deadline();
    }

    /// Sorts datagrams: ICE's own are consumed, others of the peer are moved together.
    fn on_datagrams<'a>(
        &mut self,
        now: Instant,
        socket: SocketId,
        remote: SocketAddr,
        ecn: Ecn,
        size: usize,
        data: &'a mut [u8],
    ) -> Option<Received<'a>> {
        if data.is_empty() || size == 0 {
            return None;
        }
        // RFC 7983 §7: a first byte of 0 to 3 is STUN.
        let mut kept = data.len();
        if (data.chunks(size)).any(|datagram| datagram[0] < 4) {
            kept = self.consume_stun(now, socket, remote, size, data);
            self.run(now);
        }
        if kept == 0 {
            return None;
        }
        if !self.is_peer(now, socket, remote) {
            self.counters.unknown_source += kept.div_ceil(size) as u64;
            return None;
        }
        Some(Received {
            data: &mut data[..kept],
            size: size.min(kept),
            ecn,
        })
    }

    /// Takes out what is STUN and says how many bytes are left at the front.
    fn consume_stun(
        &mut self,
        now: Instant,
        socket: SocketId,
        remote: SocketAddr,
        size: usize,
        data: &mut [u8],
    ) -> usize {
        let (mut at, mut kept) = (0, 0);
        while at < data.len() {
            let end = data.len().min(at + size);
            if data[at] < 4 {
                self.on_stun(now, socket, remote, &data[at..end]);
            } else {
                data.copy_within(at..end, kept);
                kept += end - at;
            }
            at = end;
        }
        kept
    }

    /// Whether a check has proved that this far end is the peer's.
    fn is_peer(&mut self, now: Instant, socket: SocketId, remote: SocketAddr) -> bool {
        if let Some(active) = &self.active
            && active.socket == socket
            && same_address(active.remote, remote)
        {
            self.on_heard_active(now);
            return true;
        }
        if let Some(pair) = self.session.checklist.between_mut(socket, remote)
            && pair.is_authentic()
        {
            pair.last_heard = Some(now);
            return true;
        }
        let previous = self
            .previous
            .as_ref()
            .and_then(|previous| previous.pair.as_ref());
        previous.is_some_and(|pair| pair.is_between(socket, remote))
            || (self.session.early.iter())
                .any(|early| early.socket == socket && same_address(early.remote, remote))
    }

    /// Takes a parsed candidate of the peer.
    pub(crate) fn take_candidate(&mut self, now: Instant, candidate: Candidate) {
        let Some(auth) = &self.session.remote else {
            // It may belong to a description that is yet to come.
            if self.session.held.len() < self.config.max_remote_candidates {
                self.session.held.push(candidate);
            } else {
                self.counters.ignored_candidates += 1;
            }
            return;
        };
        let other = (candidate.ufrag.as_ref()).is_some_and(|it| *it != auth.credentials.ufrag);
        if other || candidate.component != 1 || candidate.transport != CandidateTransport::Udp {
            self.counters.ignored_candidates += 1;
            return;
        }
        match &candidate.host {
            CandidateHost::Address(ip) => {
                let address = SocketAddr::new(*ip, candidate.port);
                self.add_remote(now, &candidate, address);
            }
            CandidateHost::Name(name) => {
                let name = name.clone();
                self.add_named_candidate(now, candidate, &name);
            }
        }
    }

    /// Adds a signaled candidate at an address, and its pairs.
    pub(crate) fn add_remote(&mut self, now: Instant, candidate: &Candidate, at: SocketAddr) {
        let limit = self.config.max_remote_candidates;
        if !is_usable(at, self.config.include_loopback) {
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

    fn pair_remote(&mut self, _now: Instant, remote: &RemoteCandidate) {
        if self.session.remote.is_none() {
            return;
        }
        let sockets: Vec<_> = self.locals.bases.iter().map(|base| base.socket).collect();
        for socket in sockets {
            self.add_pair(socket, remote, false);
        }
    }

    /// Pairs a new local candidate with all of the peer's.
    pub(crate) fn pair_local(&mut self, _now: Instant, local: &LocalCandidate) {
        if self.session.remote.is_none() {
            return;
        }
        let remotes: Vec<_> = self.session.remotes.iter().copied().collect();
        for remote in remotes {
            self.add_pair(local.socket, &remote, false);
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
    pub(crate) fn add_pair(&mut self, socket: SocketId, remote: &RemoteCandidate, heard: bool) {
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
            revoked: false,
            rtt: Rtt::default(),
            requests_sent: 0,
            responses_received: 0,
            requests_received: 0,
        };
        self.next_pair = self.next_pair.wrapping_add(1);
        let limit = self.config.max_pairs;
        if let Some(evicted) = self.session.checklist.insert(pair, limit) {
            self.session.checks.remove_pair(evicted);
        }
    }
}

/// Whether two addresses can be a pair: one family, one scope (RFC 8445 §6.1.2.2).
fn go_together(local: SocketAddr, remote: SocketAddr) -> bool {
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
