//! Two agents amid any sequence of mishaps: bounded and calm throughout, and connected in the end.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use esp_ice::{Agent, Config, Event, State};
use esp_wire::{Action, Ecn, Input, Instant, Interface, Origin, Role, SocketId, Train};
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

struct Chaos {
    sides: [Side; 2],
    now: Instant,
    train: Train,
}

impl Chaos {
    fn new() -> Self {
        let side = |number: u64| {
            let config = Config::default()
                .with_role([Role::Controlling, Role::Controlled][number as usize])
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
            now: Instant::ZERO,
            train: Train::with_capacity(2_000),
        };
        chaos.interfaces(0, 1);
        chaos.interfaces(1, 1);
        chaos
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
        let inbox = &mut self.sides[1 - side].inbox;
        if inbox.len() < 64 {
            inbox.push_back(packet);
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
    fn after_all_mishaps_a_restart_connects(mishaps in proptest::collection::vec(mishaps(), 0..120)) {
        let mut chaos = Chaos::new();
        for mishap in mishaps {
            chaos.happen(mishap);
        }
        chaos.interfaces(0, 3);
        chaos.interfaces(1, 5);
        chaos.sides[0].agent.restart(chaos.now);
        chaos.drain();
        chaos.describe(0);
        chaos.describe(1);
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
        prop_assert_eq!(ends(ours), swapped);
    }
}
