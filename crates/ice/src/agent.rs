//! The agent: its commands, its inputs and outputs. The mechanisms are in files of their own.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use esp_wire::{Action, Deadline, Ecn, Input, Instant, Origin, QueryId, Rng, Role, SocketId};

use crate::candidate::{Candidate, CandidateError};
use crate::config::Config;
use crate::credentials::Credentials;
use crate::error::Error;
use crate::event::{Event, GatheringState, State, WarningReason};
use crate::gathering::Gathering;
use crate::local::{LocalCandidate, Locals};
use crate::outbox::Outbox;
use crate::pacing::{Pacer, Rtt};
use crate::pair::{Pair, PairEnd, PairReport};
use crate::path::Active;
use crate::relay::Relays;
use crate::session::{Previous, Session};
use crate::tcp::Stream;
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
/// [`poll_timeout`](Agent::poll_timeout), [`poll_received`](Agent::poll_received).
/// Data out: [`path`](Agent::path) says how to lay it out, [`send`](Agent::send) addresses it.
#[derive(Debug)]
pub struct Agent {
    pub(crate) config: Config,
    pub(crate) rng: Rng,
    pub(crate) role: Role,
    pub(crate) tie_breaker: u64,
    /// The peer is a lite agent.
    pub(crate) remote_lite: bool,
    pub(crate) started: bool,
    pub(crate) closed: bool,
    /// Allocations are being given back, and nothing else is done.
    pub(crate) leaving: bool,
    /// The latest time that was told.
    pub(crate) clock: Instant,
    /// The usable addresses of this host, once they were told.
    pub(crate) interfaces: Option<Vec<(u32, IpAddr)>>,
    pub(crate) next_socket: SocketId,
    pub(crate) next_query: QueryId,
    pub(crate) next_pair: u32,
    /// How many addresses were ranked so far (RFC 8421 §4).
    pub(crate) ranks: u16,
    pub(crate) locals: Locals,
    pub(crate) gathering: Gathering,
    pub(crate) relays: Relays,
    /// Streams to the peer.
    pub(crate) streams: Vec<Stream>,
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
    /// Datagrams that were not polled in time.
    pub unpolled: u64,
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
            remote_lite: false,
            pacer: Pacer::new(config.pacing, origin.now, config.shared_pacer.clone()),
            rng,
            started: false,
            closed: false,
            leaving: false,
            clock: origin.now,
            interfaces: None,
            next_socket: SocketId(0),
            next_query: QueryId(0),
            next_pair: 0,
            ranks: 0,
            locals: Locals::telling(config.kinds),
            gathering: Gathering::default(),
            relays: Relays::default(),
            streams: Vec::new(),
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
            config,
        })
    }

    /// Starts gathering; it goes on when [`Input::Interfaces`] has told the addresses of this host.
    pub fn start(&mut self, now: Instant) {
        if self.closed || std::mem::replace(&mut self.started, true) {
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
        let told = self.locals.candidates.iter().filter(|known| known.told);
        told.map(|known| self.line(known))
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

    /// Takes what the driver tells. Datagrams of the peer that are not ICE's own are given back;
    /// further ones wait for [`Agent::poll_received`].
    ///
    /// # Errors
    /// None today; noise is counted and dropped.
    pub fn handle_input<'a>(
        &mut self,
        now: Instant,
        input: Input<'a>,
    ) -> Result<Option<Received<'a>>, Error> {
        if self.closed {
            return Ok(None);
        }
        match input {
            Input::Datagrams {
                socket,
                remote,
                ecn,
                size,
                data,
            } => return Ok(self.on_datagrams(now, socket, remote, ecn, size, data)),
            Input::Bound { socket, local } => self.on_bound(now, socket, local),
            Input::Closed { socket, reason } => self.on_closed(now, socket, reason),
            Input::Unreachable { socket, remote } => self.on_unreachable(now, socket, remote),
            Input::Resolved { query, addresses } => {
                if !self.on_name_resolved(now, query, addresses) {
                    self.on_server_resolved(query, addresses);
                }
            }
            Input::Interfaces(interfaces) => self.on_interfaces(now, interfaces),
            Input::StreamOpened {
                stream,
                local,
                remote,
            } => {
                if !self.on_tunnel_opened(now, stream)
                    && !self.on_peer_stream(now, stream, local, remote)
                {
                    self.on_stream_opened(now, stream, local);
                }
            }
            Input::StreamBytes { stream, data } => {
                self.on_stream_bytes(now, stream, data);
                return Ok(None);
            }
            Input::TooBig {
                socket,
                remote,
                size,
            } => {
                self.on_too_big(socket, remote, size);
                return Ok(None);
            }
            Input::Writable { .. } => return Ok(None),
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
        let event = self.events.pop_front();
        if event.is_none() {
            // Events are for the beginning and for changes: a call that goes on keeps no room for them.
            self.events = VecDeque::new();
        }
        event
    }

    pub(crate) fn push_event(&mut self, event: Event) {
        if self.closed {
            return;
        }
        if self.events.len() >= MAX_EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    /// Lets every mechanism do what is due now.
    pub(crate) fn run(&mut self, now: Instant) {
        if self.closed {
            return;
        }
        self.clock = now;
        if self.leaving {
            self.run_relays(now);
            self.refresh_deadline();
            return;
        }
        if self.started {
            self.run_gathering(now);
            self.run_relays(now);
            self.run_streams(now);
        }
        self.run_consent(now);
        self.run_lite(now);
        self.run_nomination(now);
        self.run_checks(now);
        self.update_path(now);
        self.run_retries(now);
        self.run_give_up(now);
        self.update_state();
        self.refresh_deadline();
    }
}
