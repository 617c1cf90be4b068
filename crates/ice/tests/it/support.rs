//! Two agents on a seeded network, with signaling that passes lines at once or later.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use esp_ice::{Agent, Config, Event, State};
use esp_netsim::{Endpoint, HostId, Net};
use esp_wire::{Action, IceServer, Input, Instant, Origin, Role, Train};

pub(crate) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// An agent with something to send.
pub(crate) struct Peer {
    pub(crate) agent: Agent,
    pub(crate) events: Vec<(Instant, Event)>,
    /// Candidates that the other side has not got yet.
    pub(crate) lines: VecDeque<String>,
    /// Application datagrams to be sent, and those that came.
    pub(crate) outgoing: VecDeque<Vec<u8>>,
    pub(crate) received: Vec<Vec<u8>>,
    pub(crate) sent_application: u64,
    buffer: Vec<u8>,
}

impl Peer {
    pub(crate) fn new(config: Config, origin: Origin) -> Self {
        let now = origin.now;
        let mut agent = Agent::new(config, origin).unwrap();
        agent.start(now);
        Peer {
            agent,
            events: Vec::new(),
            lines: VecDeque::new(),
            outgoing: VecDeque::new(),
            received: Vec::new(),
            sent_application: 0,
            buffer: Vec::new(),
        }
    }

    pub(crate) fn drain(&mut self, now: Instant) {
        while let Some(event) = self.agent.poll_event() {
            if let Event::LocalCandidate { line } = &event {
                self.lines.push_back(line.clone());
            }
            self.events.push((now, event));
        }
    }

    pub(crate) fn saw(&self, wanted: impl Fn(&Event) -> bool) -> Option<Instant> {
        (self.events.iter())
            .find(|(_, event)| wanted(event))
            .map(|(at, _)| *at)
    }

    pub(crate) fn count(&self, wanted: impl Fn(&Event) -> bool) -> usize {
        self.events
            .iter()
            .filter(|(_, event)| wanted(event))
            .count()
    }
}

impl Endpoint for Peer {
    fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        let received = self.agent.handle_input(now, input).unwrap();
        if let Some(received) = received {
            let datagrams = received.data.chunks(received.size);
            self.received.extend(datagrams.map(<[u8]>::to_vec));
        }
        while let Some(received) = self.agent.poll_received(&mut self.buffer) {
            let datagrams = received.data.chunks(received.size);
            self.received.extend(datagrams.map(<[u8]>::to_vec));
        }
        self.drain(now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.agent.handle_timeout(now);
        self.drain(now);
    }

    fn poll_transmit(&mut self, now: Instant, train: &mut Train) -> bool {
        if self.agent.poll_transmit(now, train) {
            return true;
        }
        let Some(path) = self.agent.path() else {
            return false;
        };
        let Some(data) = self.outgoing.pop_front() else {
            return false;
        };
        train.begin(path.room, path.size);
        self.sent_application += 1;
        train.push(&data) && self.agent.send(train)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.agent.poll_timeout().map(|deadline| deadline.at)
    }

    fn poll_action(&mut self) -> Option<Action> {
        self.agent.poll_action()
    }
}

/// Two peers and the way between them.
pub(crate) struct Call {
    pub(crate) net: Net<Peer>,
    pub(crate) a: HostId,
    pub(crate) b: HostId,
    /// Whether each side's candidates reach the other.
    pub(crate) signal: [bool; 2],
}

impl Call {
    /// `a` controls, `b` is controlled.
    pub(crate) fn new(seed: u64) -> Self {
        let config = Config::default();
        Call::with(seed, config.clone(), config.with_role(Role::Controlled))
    }

    pub(crate) fn with(seed: u64, a: Config, b: Config) -> Self {
        let mut net = Net::seeded(seed);
        net.keep_log(200);
        let (origin_a, origin_b) = (net.origin("a"), net.origin("b"));
        let a = net.host("a", Peer::new(a, origin_a));
        let b = net.host("b", Peer::new(b, origin_b));
        Call {
            net,
            a,
            b,
            signal: [true, true],
        }
    }

    /// Adds a STUN server that both use.
    pub(crate) fn stun(&mut self) -> SocketAddr {
        let server = self.net.stun_server();
        let servers = [IceServer::stun(format!("stun:{server}"))];
        let now = self.net.now();
        for host in [self.a, self.b] {
            self.net.endpoint_mut(host).agent.set_servers(now, &servers);
        }
        server
    }

    /// Tells `to` the credentials of `from`.
    pub(crate) fn describe(&mut self, from: HostId, to: HostId) {
        let now = self.net.now();
        let (from, to) = self.net.pair_mut(from, to);
        let credentials = from.agent.local_credentials().clone();
        to.agent.set_remote_credentials(now, credentials).unwrap();
        to.drain(now);
    }

    /// Offer and answer.
    pub(crate) fn exchange(&mut self) {
        let (a, b) = (self.a, self.b);
        self.describe(a, b);
        self.describe(b, a);
    }

    /// Runs until `done`, passing candidates on.
    pub(crate) fn run_until(
        &mut self,
        limit: Duration,
        mut done: impl FnMut(&mut Net<Peer>) -> bool,
    ) -> Duration {
        let (a, b, signal) = (self.a, self.b, self.signal);
        self.net.run_until(
            |net| {
                pass(net, a, b, signal);
                done(net)
            },
            limit,
        )
    }

    pub(crate) fn run_for(&mut self, time: Duration) {
        let end = self.net.now() + time;
        let (a, b, signal) = (self.a, self.b, self.signal);
        pass(&mut self.net, a, b, signal);
        while self.net.step(end) {
            pass(&mut self.net, a, b, signal);
        }
    }

    /// Runs until both have selected a pair, and checks that data passes both ways.
    pub(crate) fn connect(&mut self, limit: Duration) -> Duration {
        let (a, b) = (self.a, self.b);
        let took = self.run_until(limit, |net| {
            let state = |host| net.endpoint(host).agent.state();
            state(a) == State::Completed && state(b) == State::Completed
        });
        self.talk();
        took
    }

    /// Sends until a datagram has passed each way.
    pub(crate) fn talk(&mut self) {
        let (a, b) = (self.a, self.b);
        let before = [a, b].map(|host| self.net.endpoint(host).received.len());
        let mut next = self.net.now();
        self.run_until(ms(20_000), |net| {
            if net.now() >= next {
                next = net.now() + ms(100);
                for host in [a, b] {
                    net.endpoint_mut(host).outgoing.push_back(vec![0x80; 40]);
                }
                // Something must move the clock.
                net.after(ms(100), |_| {});
            }
            net.endpoint(a).received.len() > before[0] && net.endpoint(b).received.len() > before[1]
        });
    }

    pub(crate) fn peer(&self, host: HostId) -> &Peer {
        self.net.endpoint(host)
    }
}

fn pass(net: &mut Net<Peer>, a: HostId, b: HostId, signal: [bool; 2]) {
    let now = net.now();
    for (from, to, open) in [(a, b, signal[0]), (b, a, signal[1])] {
        if net.endpoint(from).lines.is_empty() || !open {
            continue;
        }
        let (from, to) = net.pair_mut(from, to);
        while let Some(line) = from.lines.pop_front() {
            to.agent.add_remote_candidate(now, &line).unwrap();
        }
        to.drain(now);
    }
}
