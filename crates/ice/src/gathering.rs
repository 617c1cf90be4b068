//! Server-reflexive candidates (RFC 8445 §5.1.1.2).
//!
//! 1. `stun:`, `turn:` and `turns:` URLs are resolved, all side by side (`servers.rs`). Allocations follow
//!    in `allocate.rs`; what follows here is for those that speak UDP.
//! 2. Each open socket asks each server of its family by a Binding request, one new request every
//!    Ta; a server that does not answer is asked again after growing intervals.
//! 3. The mapped address becomes a candidate unless it is known.
//! 4. The binding is kept alive until a pair is selected (§5.1.1.4).

use std::net::SocketAddr;
use std::time::Duration;

use esp_stun::{Class, Message, TransactionId};
use esp_wire::{Instant, SocketId, Transport};

use crate::agent::Agent;
use crate::asking::Query;
use crate::candidate::CandidateKind;
use crate::event::{Event, GatheringState};
use crate::local::BaseRole;
use crate::outbox::Outgoing;
use crate::pacing::{Rtt, first_rto};
use crate::priority::is_link_local;
use crate::servers::Server;

/// Most requests to servers at one time.
const MAX_TASKS: usize = 128;
/// Transmissions of one request.
const TRANSMISSIONS: u32 = 6;
const MAX_INTERVAL: Duration = Duration::from_secs(2);
const LAST_WAIT: Duration = Duration::from_secs(3);
/// A server that did not answer is asked again after so long, so many times, until a pair is
/// selected: late candidates are better than none.
const PAUSE: Duration = Duration::from_secs(4);
const ATTEMPTS: u32 = 6;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Queued,
    Waiting,
    /// Answered; to be refreshed at `next`.
    Answered,
    Failed,
}

/// One socket asking one server.
#[derive(Debug)]
struct Task {
    socket: SocketId,
    server: SocketAddr,
    id: TransactionId,
    progress: Progress,
    sent: Option<Instant>,
    transmissions: u32,
    interval: Duration,
    next: Instant,
    /// Requests that failed.
    failures: u32,
    /// It was answered or failed once; gathering does not wait for it any more.
    settled: bool,
}

impl Task {
    fn fail(&mut self, now: Instant) {
        self.progress = Progress::Failed;
        self.failures += 1;
        self.settled = true;
        self.next = now + PAUSE;
    }
}

#[derive(Debug, Default)]
pub(crate) struct Gathering {
    pub(crate) state: GatheringState,
    pub(crate) rtt: Rtt,
    pub(crate) servers: Vec<Server>,
    pub(crate) next_server: u32,
    tasks: Vec<Task>,
    /// Servers that are asked over streams.
    pub(crate) queries: Vec<Query>,
    /// When those who wait should go without, until it was told.
    overdue: Option<Instant>,
    /// No refreshes once a pair is selected.
    concluded: bool,
    /// There is something new to gather.
    reopened: bool,
}

impl Gathering {
    pub(crate) fn server(&self, id: u32) -> Option<&Server> {
        self.servers.iter().find(|server| server.id == id)
    }

    /// Number, transport and address of all servers that are asked over streams.
    pub(crate) fn stream_servers(&self) -> Vec<(u32, Transport, SocketAddr)> {
        self.addresses_of(|server| !server.relays() && server.transport != Transport::Udp)
    }

    fn addresses_of(&self, wanted: impl Fn(&Server) -> bool) -> Vec<(u32, Transport, SocketAddr)> {
        let servers = self.servers.iter().filter(|server| wanted(server));
        let addresses = servers.flat_map(|server| {
            let addresses = server.addresses.iter();
            addresses.map(|address| (server.id, server.transport, *address))
        });
        addresses.collect()
    }

    pub(crate) fn server_mut(&mut self, id: u32) -> Option<&mut Server> {
        self.servers.iter_mut().find(|server| server.id == id)
    }

    /// Number, transport and address of all servers that relay.
    pub(crate) fn relay_servers(&self) -> Vec<(u32, Transport, SocketAddr)> {
        self.addresses_of(Server::relays)
    }

    /// There is something new to gather.
    pub(crate) fn reopen(&mut self) {
        self.reopened = true;
    }

    /// Whether a request may start when its slot comes.
    pub(crate) fn has_queued(&self) -> bool {
        (self.tasks.iter()).any(|task| task.progress == Progress::Queued)
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        let tasks = self.tasks.iter().filter_map(|task| match task.progress {
            Progress::Waiting => Some(task.next),
            Progress::Answered if !self.concluded => Some(task.next),
            Progress::Failed if !self.concluded && task.failures < ATTEMPTS => Some(task.next),
            _ => None,
        });
        let queries = self.queries.iter().filter_map(Query::next);
        tasks.chain(queries).chain(self.overdue).min()
    }

    fn is_idle(&self) -> bool {
        self.tasks.iter().all(|task| task.settled)
            && self.queries.iter().all(Query::is_settled)
            && !self.servers.iter().any(|server| server.query.is_some())
    }

    pub(crate) fn on_sent(
        &mut self,
        id: TransactionId,
        now: Instant,
    ) -> Option<(SocketId, SocketAddr)> {
        let task = self.tasks.iter_mut().find(|task| task.id == id)?;
        task.sent.get_or_insert(now);
        Some((task.socket, task.server))
    }

    /// Keeps the requests to those servers only.
    pub(crate) fn retain_tasks(&mut self, kept: impl Fn(&SocketAddr) -> bool) {
        self.tasks.retain(|task| kept(&task.server));
    }

    pub(crate) fn drop_socket(&mut self, socket: SocketId) {
        self.tasks.retain(|task| task.socket != socket);
    }

    /// Nothing has to be kept alive any more, or all of it again.
    pub(crate) fn set_concluded(&mut self, concluded: bool) {
        self.concluded = concluded;
    }

    /// Asks all servers again, as a restart does: mappings may have changed.
    pub(crate) fn ask_again(&mut self) {
        for task in &mut self.tasks {
            task.progress = Progress::Queued;
            task.failures = 0;
            task.settled = false;
        }
        self.reopened = true;
    }
}

impl Agent {
    /// Queues a request for each open socket and server that go together and have none.
    pub(crate) fn plan_requests(&mut self) {
        if self.gathering.state == GatheringState::New {
            return;
        }
        self.plan_queries();
        let udp = |server: &&Server| server.transport == Transport::Udp;
        let servers = self.gathering.servers.iter().filter(udp);
        let addresses: Vec<_> = servers
            .flat_map(|server| server.addresses.clone())
            .collect();
        for base in &self.locals.bases {
            let Some(local) = base.local.filter(|_| base.role == BaseRole::Open) else {
                continue;
            };
            for server in &addresses {
                let known = |task: &Task| task.socket == base.socket && task.server == *server;
                let tasks = &mut self.gathering.tasks;
                if !can_reach(local, *server) || tasks.len() >= MAX_TASKS || tasks.iter().any(known)
                {
                    continue;
                }
                self.gathering.reopened = true;
                tasks.push(Task {
                    socket: base.socket,
                    server: *server,
                    id: TransactionId([0; 12]),
                    progress: Progress::Queued,
                    sent: None,
                    transmissions: 0,
                    interval: Duration::ZERO,
                    next: Instant::ZERO,
                    failures: 0,
                    settled: false,
                });
            }
        }
    }

    /// Starts the next request; its slot has come.
    pub(crate) fn start_request(&mut self, now: Instant) {
        let queued = |task: &&mut Task| task.progress == Progress::Queued;
        let Some(task) = self.gathering.tasks.iter_mut().find(queued) else {
            return;
        };
        task.id = TransactionId::random(&mut self.rng);
        task.progress = Progress::Waiting;
        task.sent = None;
        task.transmissions = 1;
        // The server's round trip says nothing of another server's.
        task.interval = first_rto(&self.config, &Rtt::default(), &[]);
        task.next = now + task.interval;
        self.outbox.push(Outgoing::Gather(task.id));
    }

    /// Repeats, gives up and refreshes what is due, and tells how gathering goes.
    pub(crate) fn run_gathering(&mut self, now: Instant) {
        let concluded = self.gathering.concluded;
        for task in &mut self.gathering.tasks {
            if task.next > now {
                continue;
            }
            match task.progress {
                Progress::Waiting if task.transmissions >= TRANSMISSIONS => task.fail(now),
                Progress::Waiting => {
                    task.transmissions += 1;
                    task.interval = (task.interval * 2).min(MAX_INTERVAL);
                    let last = task.transmissions >= TRANSMISSIONS;
                    task.next = now + if last { LAST_WAIT } else { task.interval };
                    self.outbox.push(Outgoing::Gather(task.id));
                }
                Progress::Answered if !concluded => task.progress = Progress::Queued,
                Progress::Failed if !concluded && task.failures < ATTEMPTS => {
                    task.progress = Progress::Queued;
                }
                _ => {}
            }
        }
        if self.gathering.overdue.is_some_and(|at| at <= now) {
            self.gathering.overdue = None;
            self.push_event(Event::GatheringOverdue);
        }
        self.run_queries(now);
        self.tell_silent_servers();
        self.update_gathering(now);
    }

    /// Tells once of each server that answered no socket at all.
    fn tell_silent_servers(&mut self) {
        let Gathering { servers, tasks, .. } = &mut self.gathering;
        for server in servers
            .iter_mut()
            .filter(|server| !server.told && !server.answered)
            .filter(|server| server.transport == Transport::Udp)
        {
            let mut asked = (tasks.iter()).filter(|task| server.addresses.contains(&task.server));
            let given_up = |task: &Task| task.failures > 0;
            if asked.clone().next().is_some() && asked.all(given_up) {
                server.told = true;
                let url = server.url.clone();
                self.events.push_back(Event::ServerFailed {
                    url,
                    reason: "it did not answer".to_owned(),
                });
            }
        }
    }

    fn update_gathering(&mut self, now: Instant) {
        let opening = (self.locals.bases.iter()).any(|base| base.local.is_none());
        let idle = self.gathering.is_idle() && self.relays.is_settled();
        let done = self.interfaces.is_some() && !opening && idle;
        let news = opening || self.gathering.reopened;
        match self.gathering.state {
            GatheringState::Gathering if done => {
                self.gathering.reopened = false;
                self.set_gathering(now, GatheringState::Complete);
            }
            // Refreshes of known bindings are no news.
            GatheringState::Complete if news && !done => {
                self.set_gathering(now, GatheringState::Gathering);
            }
            _ => {}
        }
    }

    pub(crate) fn set_gathering(&mut self, now: Instant, state: GatheringState) {
        self.gathering.overdue = match state {
            GatheringState::Gathering => Some(now + self.config.gather_timeout),
            _ => None,
        };
        self.gathering.state = state;
        self.push_event(Event::GatheringState(state));
    }

    /// Takes a response of a STUN server; `false` when no request of gathering fits.
    pub(crate) fn on_server_response(
        &mut self,
        now: Instant,
        socket: SocketId,
        remote: SocketAddr,
        message: &Message<'_>,
    ) -> bool {
        let id = message.transaction_id();
        let fits = |task: &&mut Task| task.id == id && task.progress == Progress::Waiting;
        let Some(task) = self.gathering.tasks.iter_mut().find(fits) else {
            return false;
        };
        if task.socket != socket || task.server != remote {
            self.counters.unknown_responses += 1;
            return true;
        }
        // RFC 8445 §5.1.1.2: ALTERNATE-SERVER is ignored, so any error ends the matter.
        let mapped = match message.class() {
            Class::Success => message
                .xor_mapped_address()
                .or_else(|| message.mapped_address()),
            _ => None,
        };
        if task.transmissions == 1
            && let Some(sent) = task.sent
        {
            self.gathering.rtt.sample(now.since(sent));
        }
        if mapped.is_some() {
            task.progress = Progress::Answered;
            task.settled = true;
            task.failures = 0;
            task.next = now + self.config.binding_refresh;
        } else {
            task.fail(now);
        }
        for server in &mut self.gathering.servers {
            server.answered |= mapped.is_some() && server.addresses.contains(&remote);
        }
        if let Some(mapped) = mapped {
            self.on_mapped(socket, remote, mapped);
        }
        true
    }

    pub(crate) fn on_mapped(&mut self, socket: SocketId, server: SocketAddr, mapped: SocketAddr) {
        let Some(base) = self.locals.base(socket).copied() else {
            return;
        };
        let Some(local) = base.local else { return };
        let known = self.locals.find(socket, mapped).is_some();
        let odd = !crate::remote::is_usable(mapped, self.config.include_loopback)
            || mapped.is_ipv4() != local.is_ipv4();
        if known || odd || self.locals.candidates.len() >= self.config.max_candidates {
            return;
        }
        let kind = CandidateKind::ServerReflexive;
        let mut candidate = self.locals.make(&base, local, kind, mapped, Some(server));
        candidate.related = self.related(Some(local), mapped);
        self.locals.candidates.push(candidate);
        self.announce(&candidate);
    }
}

/// Whether a socket can talk to a server: one family, one scope.
pub(crate) fn can_reach(local: SocketAddr, server: SocketAddr) -> bool {
    let (local, server) = (local.ip(), server.ip());
    local.is_ipv4() == server.is_ipv4()
        && local.is_loopback() == server.is_loopback()
        && (is_link_local(local) == is_link_local(server) || local.is_ipv4())
}
