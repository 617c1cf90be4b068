//! Two agents amid any sequence of mishaps: bounded and calm throughout, and connected in the end.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use esp_ice::{Agent, Config, Event, State};
use esp_netsim::{Endpoint, TurnServer};
use esp_wire::{
    Action, Ecn, IcePolicy, IceServer, Input, Instant, Interface, Origin, Role, SocketId, Train,
};
use proptest::prelude::*;

/// What may happen to one side.
#[derive(Clone, Debug)]
enum Mishap {
    /// The credentials of this side reach the other.
    Describe(bool),
    /// Candidates of this side reach the other.
    Signal(bool),
    Restart(bool),
    /// This side has these of three addresses.
    Interfaces(bool, u8),
    Role(bool, bool),
    /// So many packets in flight to this side arrive, are lost, come twice, or seem to come from
    /// elsewhere.
    Arrive(bool, u8),
    Lose(bool, u8),
    Repeat(bool),
    Mislead(bool, u8),
    Unreachable(bool),
    Application(bool),
    /// This side is told of no server, of the one with its credentials, or with others.
    Servers(bool, u8),
    /// The TURN server forgets everything.
    Reboot,
    Advance(u16),
}

fn mishaps() -> impl Strategy<Value = Mishap> {
    let side = any::<bool>;
    prop_oneof![
        2 => side().prop_map(Mishap::Describe),
        3 => side().prop_map(Mishap::Signal),
        1 => side().prop_map(Mishap::Restart),
        1 => (side(), 0..8u8).prop_map(|(at, bits)| Mishap::Interfaces(at, bits)),
        1 => (side(), any::<bool>()).prop_map(|(at, controls)| Mishap::Role(at, controls)),
        8 => (side(), 1..8u8).prop_map(|(at, count)| Mishap::Arrive(at, count)),
        2 => (side(), 1..8u8).prop_map(|(at, count)| Mishap::Lose(at, count)),
        1 => side().prop_map(Mishap::Repeat),
        1 => (side(), any::<u8>()).prop_map(|(at, from)| Mishap::Mislead(at, from)),
        1 => side().prop_map(Mishap::Unreachable),
        1 => side().prop_map(Mishap::Application),
        1 => (side(), 0..3u8).prop_map(|(at, kind)| Mishap::Servers(at, kind)),
        1 => Just(Mishap::Reboot),
        4 => any::<u16>().prop_map(Mishap::Advance),
    ]
}

struct Packet {
    from: SocketAddr,
    to: SocketAddr,
    bytes: Vec<u8>,
}

struct Side {
    agent: Agent,
    sockets: Vec<(SocketId, SocketAddr)>,
    lines: VecDeque<String>,
    /// Packets to this side.
    inbox: VecDeque<Packet>,
    ports: u16,
}

/// Where the TURN server is.
const SERVER: [u8; 4] = [10, 9, 0, 1];

fn turn_server() -> TurnServer {
    let mut server = TurnServer::new(3478, "user", "secret");
    let address = SERVER.into();
    let name = "e0".into();
    let list = [Interface {
        name,
        index: 1,
        address,
    }];
    server.handle_input(Instant::ZERO, Input::Interfaces(&list));
    server
}

struct Chaos {
    sides: [Side; 2],
    server: TurnServer,
    server_sockets: Vec<(SocketId, SocketAddr)>,
    server_ports: u16,
    now: Instant,
    train: Train,
}

impl Chaos {
    fn new(policy: IcePolicy) -> Self {
        let side = |number: u64| {
            let config = Config::default()
                .with_role([Role::Controlling, Role::Controlled][number as usize])
                .with_policy(policy)
                .with_max_pairs(12)
                .with_max_remote_candidates(9);
            let mut agent = Agent::new(config, Origin::seeded(number)).unwrap();
            agent.start(Instant::ZERO);
            Side {
                agent,
                sockets: Vec::new(),
                lines: VecDeque::new(),
                inbox: VecDeque::new(),
                ports: 1_000,
            }
        };
        let mut chaos = Chaos {
            sides: [side(0), side(1)],
            server: turn_server(),
            server_sockets: Vec::new(),
            server_ports: 20_000,
            now: Instant::ZERO,
            train: Train::with_capacity(2_000),
        };
        chaos.drain();
        for side in [0, 1] {
            chaos.servers(side, 1);
            chaos.interfaces(side, 1);
        }
        chaos
    }

    fn servers(&mut self, side: usize, kind: u8) {
        let [a, b, c, d] = SERVER;
        let url = format!("turn:{a}.{b}.{c}.{d}");
        let servers = match kind {
            0 => vec![],
            1 => vec![IceServer::turn(url, "user", "secret")],
            _ => vec![IceServer::turn(url, "user", "wrong")],
        };
        self.sides[side].agent.set_servers(self.now, &servers);
        self.drain();
    }

    fn interfaces(&mut self, side: usize, bits: u8) {
        let list: Vec<_> = (0..3u8)
            .filter(|bit| bits & (1 << bit) != 0)
            .map(|bit| Interface {
                name: format!("e{bit}"),
                index: u32::from(bit),
                address: [10, side as u8, 0, bit + 1].into(),
            })
            .collect();
        self.input(side, Input::Interfaces(&list));
    }

    fn input(&mut self, side: usize, input: Input<'_>) {
        let result = self.sides[side].agent.handle_input(self.now, input);
        assert!(result.is_ok());
        self.drain();
    }

    fn describe(&mut self, from: usize) {
        let credentials = self.sides[from].agent.local_credentials().clone();
        let to = &mut self.sides[1 - from].agent;
        to.set_remote_credentials(self.now, credentials).unwrap();
        self.drain();
    }

    fn signal(&mut self, from: usize) {
        while let Some(line) = self.sides[from].lines.pop_front() {
            let to = &mut self.sides[1 - from].agent;
            to.add_remote_candidate(self.now, &line).unwrap();
        }
        self.drain();
    }

    fn deliver(&mut self, side: usize, mut packet: Packet) {
        let sockets = &self.sides[side].sockets;
        let Some((socket, _)) = sockets.iter().find(|(_, local)| *local == packet.to) else {
            return;
        };
        let input = Input::Datagrams {
            socket: *socket,
            remote: packet.from,
            ecn: Ecn::NotEct,
            size: packet.bytes.len(),
            data: &mut packet.bytes,
        };
        self.input(side, input);
    }

    fn happen(&mut self, mishap: Mishap) {
        match mishap {
            Mishap::Describe(side) => self.describe(usize::from(side)),
            Mishap::Signal(side) => self.signal(usize::from(side)),
            Mishap::Restart(side) => {
                self.sides[usize::from(side)].agent.restart(self.now);
                self.drain();
            }
            Mishap::Interfaces(side, bits) => self.interfaces(usize::from(side), bits),
            Mishap::Role(side, controls) => {
                let role = if controls {
                    Role::Controlling
                } else {
                    Role::Controlled
                };
                self.sides[usize::from(side)].agent.set_role(role);
            }
            Mishap::Unreachable(side) => {
                let side = usize::from(side);
                if let Some(path) = self.sides[side].agent.path() {
                    let (socket, remote) = (path.destination.socket, path.destination.remote);
                    self.input(side, Input::Unreachable { socket, remote });
                }
            }
            Mishap::Servers(side, kind) => self.servers(usize::from(side), kind),
            Mishap::Reboot => {
                self.server = turn_server();
                self.server_sockets.clear();
                self.drain();
            }
            Mishap::Advance(ms) => self.advance(u64::from(ms) / 4, false),
            other => self.traffic(other),
        }
    }

    fn traffic(&mut self, mishap: Mishap) {
        let take = |chaos: &mut Self, side: bool| {
            let side = usize::from(side);
            (side, chaos.sides[side].inbox.pop_front())
        };
        match mishap {
            Mishap::Arrive(side, count) => {
                for _ in 0..count {
                    if let (side, Some(packet)) = take(self, side) {
                        self.deliver(side, packet);
                    }
                }
            }
            Mishap::Lose(side, count) => {
                for _ in 0..count {
                    drop(take(self, side));
                }
            }
            Mishap::Repeat(side) => {
                if let (side, Some(packet)) = take(self, side) {
                    let Packet { from, to, bytes } = &packet;
                    let (from, to, bytes) = (*from, *to, bytes.clone());
                    self.deliver(side, Packet { from, to, bytes });
                    self.deliver(side, packet);
                }
            }
            Mishap::Mislead(side, port) => {
                if let (side, Some(mut packet)) = take(self, side) {
                    packet.from.set_port(u16::from(port) + 1);
                    self.deliver(side, packet);
                }
            }
            Mishap::Application(side) => {
                let side = usize::from(side);
                let Some(path) = self.sides[side].agent.path() else {
                    return;
                };
                self.train.begin(path.room, path.size);
                self.train.push(&[0x80; 9]);
                assert!(self.sides[side].agent.send(&mut self.train));
                self.post(side);
                self.drain();
            }
            other => unreachable!("{other:?}"),
        }
    }

    /// Puts what is in the train on its way.
    fn post(&mut self, side: usize) {
        let to = self.train.destination().unwrap();
        let sockets = &self.sides[side].sockets;
        let Some((_, from)) = sockets.iter().find(|(socket, _)| *socket == to.socket) else {
            panic!("sent from a socket that is not open");
        };
        let packet = Packet {
            from: *from,
            to: to.remote,
            bytes: self.train.segment(0).to_vec(),
        };
        self.carry(packet);
    }

    /// Puts a packet into the inbox that it is for; the server gets its own at once.
    fn carry(&mut self, mut packet: Packet) {
        let sockets = &self.server_sockets;
        if let Some((socket, _)) = sockets.iter().find(|(_, local)| *local == packet.to) {
            let input = Input::Datagrams {
                socket: *socket,
                remote: packet.from,
                ecn: Ecn::NotEct,
                size: packet.bytes.len(),
                data: &mut packet.bytes,
            };
            return self.server.handle_input(self.now, input);
        }
        let owns = |side: &&mut Side| side.sockets.iter().any(|(_, local)| *local == packet.to);
        if let Some(side) = self.sides.iter_mut().find(owns)
            && side.inbox.len() < 64
        {
            side.inbox.push_back(packet);
        }
    }

    /// Lets the server act and send until it has no more.
    fn drain_server(&mut self) {
        self.server.handle_timeout(self.now);
        loop {
            while let Some(action) = self.server.poll_action() {
                match action {
                    Action::Bind { socket, local } if local.is_ipv4() => {
                        self.server_ports += 1;
                        let port = if local.port() == 0 {
                            self.server_ports
                        } else {
                            local.port()
                        };
                        let local = SocketAddr::new(SERVER.into(), port);
                        self.server_sockets.push((socket, local));
                        self.server
                            .handle_input(self.now, Input::Bound { socket, local });
                    }
                    Action::Close { socket } => {
                        self.server_sockets.retain(|(open, _)| *open != socket);
                    }
                    _ => {}
                }
            }
            if !self.server.poll_transmit(self.now, &mut self.train) {
                return;
            }
            let to = self.train.destination().unwrap();
            let found = self
                .server_sockets
                .iter()
                .find(|(open, _)| *open == to.socket);
            if let Some((_, from)) = found.copied() {
                let bytes = self.train.segment(0).to_vec();
                self.carry(Packet {
                    from,
                    to: to.remote,
                    bytes,
                });
            }
        }
    }

    /// Lets time pass; with `calm`, every packet arrives after 10 ms and all is signaled.
    fn advance(&mut self, ms: u64, calm: bool) {
        let end = self.now + Duration::from_millis(ms);
        for round in 0.. {
            let waits = || self.sides.each_ref().map(|side| side.agent.poll_timeout());
            assert!(
                round < 20_000,
                "a deadline never passes: {:?} at {:?}",
                waits(),
                self.now
            );
            if calm {
                self.exchange();
            }
            let timers = self
                .sides
                .iter()
                .filter_map(|side| side.agent.poll_timeout());
            let mut next = timers.map(|next| next.at).min().unwrap_or(end);
            if calm {
                next = next.min(self.now + Duration::from_millis(10));
            }
            if next > end {
                break;
            }
            if next >= end && round > 0 && self.now >= end {
                break;
            }
            self.now = self.now.max(next);
            for side in [0, 1] {
                let due = self.sides[side].agent.poll_timeout();
                if due.is_some_and(|due| due.at <= self.now) {
                    self.sides[side].agent.handle_timeout(self.now);
                }
            }
            self.drain();
        }
        self.now = end;
    }

    fn exchange(&mut self) {
        for side in [0, 1] {
            self.signal(side);
            for packet in std::mem::take(&mut self.sides[side].inbox) {
                self.deliver(side, packet);
            }
        }
    }

    /// Polls everything of both sides.
    fn drain(&mut self) {
        for side in [0, 1] {
            while let Some(action) = self.sides[side].agent.poll_action() {
                self.act(side, action);
            }
            while self.sides[side]
                .agent
                .poll_transmit(self.now, &mut self.train)
            {
                self.post(side);
            }
            while let Some(event) = self.sides[side].agent.poll_event() {
                if let Event::LocalCandidate { line } = event {
                    self.sides[side].lines.push_back(line);
                }
            }
            self.drain_server();
            let agent = &self.sides[side].agent;
            assert!(agent.pairs().len() <= 12);
            assert!(agent.remote_candidates().count() <= 9);
            let selected = agent.pairs().iter().filter(|pair| pair.in_use).count();
            assert!(selected <= 1);
        }
    }

    fn act(&mut self, side: usize, action: Action) {
        match action {
            Action::Bind { socket, local } => {
                self.sides[side].ports += 1;
                let local = SocketAddr::new(local.ip(), self.sides[side].ports);
                self.sides[side].sockets.push((socket, local));
                let bound = Input::Bound { socket, local };
                self.sides[side]
                    .agent
                    .handle_input(self.now, bound)
                    .unwrap();
            }
            Action::Close { socket } => {
                self.sides[side].sockets.retain(|(open, _)| *open != socket);
            }
            other => panic!("{other:?}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn after_all_mishaps_a_restart_connects(
        mishaps in proptest::collection::vec(mishaps(), 0..120),
        relay in any::<bool>(),
    ) {
        let policy = if relay { IcePolicy::Relay } else { IcePolicy::All };
        let mut chaos = Chaos::new(policy);
        for mishap in mishaps {
            chaos.happen(mishap);
        }
        chaos.interfaces(0, 3);
        chaos.interfaces(1, 5);
        chaos.servers(0, 1);
        chaos.servers(1, 1);
        chaos.sides[0].agent.restart(chaos.now);
        chaos.drain();
        chaos.describe(0);
        chaos.describe(1);
        // A description carries all candidates, also those that were told before: a relay lets in only
        // whom it knows.
        for side in [0, 1] {
            let lines: Vec<_> = chaos.sides[side].agent.candidate_lines().collect();
            chaos.sides[side].lines.extend(lines);
        }
        chaos.advance(15_000, true);
        for side in &chaos.sides {
            let agent = &side.agent;
            prop_assert_eq!(agent.state(), State::Completed, "{:?}", agent.pairs());
        }
        let [a, b] = &chaos.sides;
        prop_assert_ne!(a.agent.role(), b.agent.role());
        let (ours, theirs) = (a.agent.selected(), b.agent.selected());
        let ends = |pair: Option<esp_ice::PairReport>| pair.map(|pair| (pair.base, pair.remote.address));
        let swapped = ends(theirs).map(|(base, remote)| (remote, base));
        // A late answer of the server before its reboot may name another address than the one that
        // relays now; the path is the same.
        prop_assert!(relay || ends(ours) == swapped, "{:?} {:?}", ends(ours), swapped);
    }
}
