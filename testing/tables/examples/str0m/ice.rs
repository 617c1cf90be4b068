//! str0m's ICE agent in the calls of the table of times.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use esp_netsim::{Endpoint, HostId, Net};
use esp_tables::ice::speed::{
    Cell, Figure, LOSSES, SEEDS, TA, candidates_rng, dead_candidate, rows, set_bases, summary, text,
};
use esp_wire::{Action, Destination, Input, Instant, Role, Room, SocketId, Train};
use str0m::Candidate;
use str0m::ice::{IceAgent, IceCreds, StunMessage, StunPacket};
use str0m::net::Protocol;

use crate::{Clock, VERSION};

/// An agent with a socket on each interface.
struct Peer {
    agent: IceAgent,
    clock: Clock,
    sockets: Vec<(SocketId, Option<SocketAddr>)>,
    actions: VecDeque<Action>,
    deadline: Option<Instant>,
    works: bool,
}

impl Peer {
    fn new(role: Role, seed: u64, clock: Clock) -> Self {
        let mut agent = IceAgent::with_hmac(
            IceCreds::new(),
            str0m::crypto::from_feature_flags().sha1_hmac_provider,
        );
        let controlling = role == Role::Controlling;
        agent.set_controlling(controlling);
        agent.set_control_tie_breaker(seed * 2 + u64::from(controlling));
        agent.set_timing_advance(Duration::from_millis(TA));
        agent.set_max_candidate_pairs(400);
        Peer {
            agent,
            clock,
            sockets: Vec::new(),
            actions: VecDeque::new(),
            deadline: None,
            works: false,
        }
    }

    fn follow(&mut self) {
        self.deadline = self.agent.poll_timeout().map(|at| self.clock.back(at));
    }

    fn receive(&mut self, now: Instant, local: SocketAddr, remote: SocketAddr, data: &[u8]) {
        let Ok(message) = StunMessage::parse(data) else {
            return;
        };
        let packet = StunPacket {
            proto: Protocol::Udp,
            source: remote,
            destination: local,
            message,
        };
        self.agent.handle_packet(self.clock.at(now), packet);
        // What waits in the queue is answered by this.
        self.agent.handle_timeout(self.clock.at(now));
        let far: Vec<SocketAddr> = self.agent.remote_candidates().map(|it| it.addr()).collect();
        self.works |= far
            .iter()
            .any(|at| self.agent.has_viable_remote_candidate(*at));
        self.follow();
    }
}

impl Endpoint for Peer {
    fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Interfaces(interfaces) => {
                for interface in interfaces {
                    let socket = SocketId(self.sockets.len() as u32);
                    let local = SocketAddr::new(interface.address, 0);
                    self.sockets.push((socket, None));
                    self.actions.push_back(Action::Bind { socket, local });
                }
            }
            Input::Bound { socket, local } => {
                let known = self.sockets.iter_mut().find(|(name, _)| *name == socket);
                if let (Some((_, at)), Ok(candidate)) = (known, Candidate::host(local, "udp")) {
                    *at = Some(local);
                    self.agent.add_local_candidate(candidate);
                }
            }
            Input::Datagrams {
                socket,
                remote,
                size,
                data,
                ..
            } => {
                let known = self.sockets.iter().find(|(name, _)| *name == socket);
                if let Some((_, Some(local))) = known.copied() {
                    for datagram in data.chunks(size.max(1)) {
                        self.receive(now, local, remote, datagram);
                    }
                }
            }
            _ => {}
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.agent.handle_timeout(self.clock.at(now));
        self.follow();
    }

    fn poll_transmit(&mut self, _now: Instant, train: &mut Train) -> bool {
        while let Some(out) = self.agent.poll_transmit() {
            let by = |(_, at): &&(SocketId, Option<SocketAddr>)| *at == Some(out.source);
            if let Some((socket, _)) = self.sockets.iter().find(by) {
                train.begin(Room::default(), out.contents.len());
                train.push(&out.contents);
                train.set_destination(Destination {
                    socket: *socket,
                    remote: out.destination,
                });
                return true;
            }
        }
        if self.deadline.is_some() {
            self.follow();
        }
        false
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }
}

/// Offer and answer with all candidates, both at once.
fn exchange(net: &mut Net<Peer>, a: HostId, b: HostId) {
    let now = net.now();
    for (from, to) in [(a, b), (b, a)] {
        let (from, to) = net.pair_mut(from, to);
        to.agent
            .set_remote_credentials(from.agent.local_credentials().clone());
        for candidate in from.agent.local_candidates() {
            // As it travels in a description.
            if let Ok(known) = Candidate::from_sdp_string(&candidate.to_sdp_string()) {
                to.agent.add_remote_candidate(known);
            }
        }
    }
    for host in [a, b] {
        net.endpoint_mut(host).handle_timeout(now);
    }
}

/// The call of `speed::run` with the same seed: its time in microseconds.
fn run(cell: &Cell, seed: u64) -> Option<u128> {
    let clock = Clock::new();
    let mut net = Net::seeded(seed);
    net.keep_log(0);
    let a = net.host("a", Peer::new(Role::Controlling, seed, clock));
    let b = net.host("b", Peer::new(Role::Controlled, seed, clock));
    let mut rng = candidates_rng(seed);
    for host in [a, b] {
        set_bases(&mut net, host, cell.bases, &mut rng);
    }
    net.delay(Duration::from_micros(cell.rtt * 500));
    let soon = net.now() + Duration::from_millis(1);
    while net.step(soon) {}
    for (host, network) in [(a, 1), (b, 2)] {
        for number in cell.bases..cell.candidates {
            let line = dead_candidate(network, number, &mut rng);
            if let Ok(candidate) = Candidate::from_sdp_string(&line) {
                net.endpoint_mut(host).agent.add_remote_candidate(candidate);
            }
        }
    }
    net.loss(cell.loss as f64 / 100.0);
    let start = net.now();
    exchange(&mut net, a, b);
    let end = start + Duration::from_secs(120);
    while !(net.endpoint(a).works && net.endpoint(b).works) {
        if !net.step(end) {
            return None;
        }
    }
    Some(net.now().since(start).as_micros())
}

fn figure(cell: &Cell) -> Figure {
    let runs: Vec<_> = (0..SEEDS)
        .map(|seed| run(cell, seed).map(|took| (took, 0)))
        .collect();
    summary(&runs)
}

/// A row of the table.
pub(crate) fn row((rtt, candidates, bases): (u64, u64, u64)) -> String {
    let mut row = format!("| {rtt} | {candidates} | {bases} |");
    for loss in LOSSES {
        let cell = Cell {
            rtt,
            candidates,
            bases,
            loss,
        };
        let _ = write!(row, " {} |", text(&figure(&cell)));
    }
    row
}

/// The table.
pub(crate) fn table() -> String {
    let mut out = format!(
        "# Times to connected of str0m\n\n\
         The ICE agent of str0m {VERSION} in the calls of [ice.md](ice.md): the same seeds, bases and candidates, Ta \
         {TA} ms, the limit for pairs 400, all else its defaults; written by `cargo xtask tables str0m`. From the \
         exchange of descriptions to the first pair that works on both sides, in ms: median / worst of {SEEDS} \
         seeds; \"failed\" are calls without one after two minutes. Its identifiers are random, so that figures may \
         differ a little from run to run; the tests do not compute them again.\n\n\
         | RTT, ms | candidates | bases | no loss | loss 10 % | loss 30 % |\n\
         |---|---|---|---|---|---|\n"
    );
    for at in rows() {
        let row = row(at);
        eprintln!("{row}");
        let _ = writeln!(out, "{row}");
    }
    out
}
