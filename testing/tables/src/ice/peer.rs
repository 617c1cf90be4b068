//! Two agents on a seeded network, with signaling that takes no time.

use std::collections::VecDeque;
use std::time::Duration;

use esp_ice::{Agent, Config, Event};
use esp_netsim::{Endpoint, HostId, Net};
use esp_wire::{Action, IceServer, Input, Instant, Origin, Train};

/// An agent with the candidates that the other side has not got yet.
pub(super) struct Peer {
    pub(super) agent: Agent,
    lines: VecDeque<String>,
}

impl Peer {
    fn new(config: Config, origin: Origin) -> Self {
        let now = origin.now;
        let mut agent = Agent::new(config, origin).expect("settings in range");
        agent.start(now);
        Peer {
            agent,
            lines: VecDeque::new(),
        }
    }

    pub(super) fn drain(&mut self) {
        while let Some(event) = self.agent.poll_event() {
            if let Event::LocalCandidate { line } = event {
                self.lines.push_back(line);
            }
        }
    }
}

impl Endpoint for Peer {
    fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        // No application data is sent, and nothing else ends the agent.
        let _ = self.agent.handle_input(now, input);
        self.drain();
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.agent.handle_timeout(now);
        self.drain();
    }

    fn poll_transmit(&mut self, now: Instant, train: &mut Train) -> bool {
        self.agent.poll_transmit(now, train)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.agent.poll_timeout().map(|deadline| deadline.at)
    }

    fn poll_action(&mut self) -> Option<Action> {
        self.agent.poll_action()
    }
}

/// Two peers and the way between them.
pub(super) struct Call {
    pub(super) net: Net<Peer>,
    pub(super) a: HostId,
    pub(super) b: HostId,
}

impl Call {
    pub(super) fn new(seed: u64, a: Config, b: Config) -> Self {
        let mut net = Net::seeded(seed);
        net.keep_log(0);
        let (origin_a, origin_b) = (net.origin("a"), net.origin("b"));
        let a = net.host("a", Peer::new(a, origin_a));
        let b = net.host("b", Peer::new(b, origin_b));
        Call { net, a, b }
    }

    pub(super) fn set_servers(&mut self, servers: &[IceServer]) {
        let now = self.net.now();
        for host in [self.a, self.b] {
            let peer = self.net.endpoint_mut(host);
            peer.agent.set_servers(now, servers);
            peer.drain();
        }
    }

    /// Offer and answer, both at once.
    pub(super) fn exchange(&mut self) {
        let now = self.net.now();
        for (from, to) in [(self.a, self.b), (self.b, self.a)] {
            let (from, to) = self.net.pair_mut(from, to);
            let credentials = from.agent.local_credentials().clone();
            let taken = to.agent.set_remote_credentials(now, credentials);
            taken.expect("credentials of an agent");
            to.drain();
        }
    }

    /// Runs for so long, passing candidates on.
    pub(super) fn run_for(&mut self, time: Duration) {
        let end = self.net.now() + time;
        self.pass();
        while self.net.step(end) {
            self.pass();
        }
    }

    /// The time until both sides have a pair that works; `None` when that takes longer than `limit`.
    pub(super) fn connect(&mut self, limit: Duration) -> Option<Duration> {
        let start = self.net.now();
        let end = start + limit;
        loop {
            self.pass();
            let works = |host| self.net.endpoint(host).agent.path().is_some();
            if works(self.a) && works(self.b) {
                return Some(self.net.now().since(start));
            }
            if !self.net.step(end) {
                return None;
            }
        }
    }

    fn pass(&mut self) {
        let now = self.net.now();
        for (from, to) in [(self.a, self.b), (self.b, self.a)] {
            if self.net.endpoint(from).lines.is_empty() {
                continue;
            }
            let (from, to) = self.net.pair_mut(from, to);
            while let Some(line) = from.lines.pop_front() {
                let taken = to.agent.add_remote_candidate(now, &line);
                taken.expect("a line of an agent");
            }
            to.drain();
        }
    }
}
