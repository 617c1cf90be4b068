//! Candidate lines, and two ICE agents by operations.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use esp_ice::{Agent, Candidate, Config, Credentials, Event};
use esp_wire::{Action, IceServer, Input, Instant, Interface, Origin, Role, SocketId, Train};

use crate::Bytes;
use crate::net::{self, Packet};

/// A line that can be read is written so that it reads the same.
pub(crate) fn candidate(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(read) = text.parse::<Candidate>() else {
        return;
    };
    let written = read.to_string();
    let again = written.parse::<Candidate>();
    assert_eq!(again.as_ref(), Ok(&read), "{written}");
    let hidden = read.hiding_related().to_string();
    assert!(hidden.parse::<Candidate>().is_ok(), "{hidden}");
}

struct Side {
    agent: Agent,
    sockets: Vec<(SocketId, SocketAddr)>,
    lines: VecDeque<String>,
    /// Packets to this side.
    inbox: VecDeque<Packet>,
    ports: u16,
    listeners: Vec<(SocketId, SocketAddr)>,
    /// Open streams: ours, and the other side's name of it.
    streams: Vec<(SocketId, SocketId)>,
    accepted: u16,
    /// Bytes to this side, by our name of the stream.
    flow: VecDeque<(SocketId, Vec<u8>)>,
}

struct World {
    sides: [Side; 2],
    now: Instant,
    train: Train,
    names: BTreeMap<String, IpAddr>,
    /// Whether datagrams arrive.
    udp: bool,
}

/// Steps of two agents and of the network between them; after each, bounds hold.
pub(crate) fn agents(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let mut world = World::new(bytes.u8());
    for _ in 0..300 {
        if bytes.is_empty() {
            break;
        }
        world.step(&mut bytes);
        world.drain();
    }
    world.sides.iter_mut().for_each(|side| side.agent.close());
    world.drain();
}

impl World {
    /// With TCP, or not; one side may be a lite agent; without UDP.
    fn new(kind: u8) -> Self {
        let tcp = kind & 1 != 0;
        let lite = (kind & 6 == 6).then_some(usize::from(kind >> 3 & 1));
        let sides = [0, 1].map(|number: u64| {
            let config = Config::default()
                .with_role([Role::Controlling, Role::Controlled][number as usize])
                .with_max_pairs(12)
                .with_tcp_passive(tcp)
                .with_lite(lite == Some(number as usize))
                .with_hide_addresses(number == 1 && tcp)
                .with_max_remote_candidates(9);
            let mut agent =
                Agent::new(config, Origin::seeded(number)).expect("a config that is right");
            agent.start(Instant::ZERO);
            Side {
                agent,
                sockets: Vec::new(),
                lines: VecDeque::new(),
                inbox: VecDeque::new(),
                ports: 1_000,
                listeners: Vec::new(),
                streams: Vec::new(),
                accepted: 0,
                flow: VecDeque::new(),
            }
        });
        let mut world = World {
            sides,
            now: Instant::ZERO,
            train: Train::with_capacity(2_000),
            names: BTreeMap::new(),
            udp: kind & 16 == 0,
        };
        world.interfaces(0, 1);
        world.interfaces(1, 1);
        world.drain();
        world
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
        let done = self.sides[side].agent.handle_input(self.now, input);
        assert!(done.is_ok(), "{:?}", done.err());
    }

    fn step(&mut self, bytes: &mut Bytes<'_>) {
        let code = bytes.u8();
        let side = usize::from(code >> 7);
        match code & 0x1f {
            0 => {
                let credentials = self.sides[side].agent.local_credentials().clone();
                self.describe(1 - side, credentials);
            }
            1 => {
                while let Some(line) = self.sides[side].lines.pop_front() {
                    self.candidate(1 - side, &line);
                }
            }
            2 => self.sides[side].agent.restart(self.now),
            3 => self.interfaces(side, bytes.u8()),
            4 => {
                let role = [Role::Controlling, Role::Controlled][bytes.side()];
                self.sides[side].agent.set_role(role);
            }
            5 => self.arrive(side, usize::from(bytes.u8() % 16)),
            6 => {
                let inbox = &mut self.sides[side].inbox;
                let count = usize::from(bytes.u8() % 16).min(inbox.len());
                inbox.drain(..count);
            }
            7 => {
                let inbox = &mut self.sides[side].inbox;
                inbox.extend(inbox.front().cloned());
            }
            8 => self.mislead(side, bytes),
            9 => self.advance(u64::from(bytes.u16()) / 4),
            10 => self.application(side),
            27 => self.flow(side, 1, usize::from(bytes.u8())),
            28 => self.cut(side, usize::from(bytes.u8())),
            11 => {
                let ms = u64::from(bytes.u8()) * 10;
                self.calm(ms);
            }
            _ => self.odd_step(code & 0x1f, side, bytes),
        }
    }

    fn odd_step(&mut self, code: u8, side: usize, bytes: &mut Bytes<'_>) {
        let agent = &mut self.sides[side].agent;
        match code {
            12 => {
                let line = String::from_utf8_lossy(bytes.short()).into_owned();
                self.candidate(side, &line);
            }
            13 => {
                let ufrag = String::from_utf8_lossy(bytes.short());
                let pwd = String::from_utf8_lossy(bytes.short());
                let _ = agent.set_remote_credentials(self.now, Credentials::new(ufrag, pwd));
            }
            14 => agent.end_of_remote_candidates(self.now),
            15 => agent.set_remote_lite(self.now, bytes.flag()),
            16 => agent.set_remote_pacing(Some(Duration::from_millis(u64::from(bytes.u16())))),
            17 => {
                let server = ["stun:192.0.2.1:3478", "turn:192.0.2.2:3478?transport=udp"];
                let mut servers = vec![IceServer::stun(server[0])];
                if bytes.flag() {
                    servers.push(IceServer::turn(server[1], "user", "pass"));
                }
                agent.set_servers(self.now, &servers);
            }
            18 => agent.handle_timeout(self.now),
            19 => {
                let (socket, remote) = net::place(bytes, &self.sides[side].sockets);
                let mut noise = bytes.short().to_vec();
                let size = noise.len().max(1);
                let packet = net::datagrams(socket, remote, size, &mut noise);
                let _ = self.sides[side].agent.handle_input(self.now, packet);
            }
            20..=26 => {
                let (socket, remote) = net::place(bytes, &self.sides[side].sockets);
                let mut data = bytes.short().to_vec();
                let input = net::odd_input(code, socket, remote, &mut data);
                let _ = self.sides[side].agent.handle_input(self.now, input);
            }
            _ => self.advance(u64::from(bytes.u8())),
        }
    }

    fn describe(&mut self, side: usize, credentials: Credentials) {
        let agent = &mut self.sides[side].agent;
        let done = agent.set_remote_credentials(self.now, credentials);
        assert!(done.is_ok(), "{:?}", done.err());
    }

    fn candidate(&mut self, side: usize, line: &str) {
        let _ = self.sides[side].agent.add_remote_candidate(self.now, line);
    }

    fn mislead(&mut self, side: usize, bytes: &mut Bytes<'_>) {
        let Some(mut packet) = self.sides[side].inbox.pop_front() else {
            return;
        };
        if bytes.flag() {
            packet.from.set_port(bytes.u16());
        } else {
            bytes.change(&mut packet.bytes);
        }
        self.deliver(side, packet);
    }

    fn arrive(&mut self, side: usize, count: usize) {
        for _ in 0..count {
            if let Some(packet) = self.sides[side].inbox.pop_front() {
                self.deliver(side, packet);
            }
        }
    }

    fn deliver(&mut self, side: usize, mut packet: Packet) {
        let sockets = &self.sides[side].sockets;
        let Some((socket, _)) = sockets.iter().find(|(_, local)| *local == packet.to) else {
            return;
        };
        let size = packet.bytes.len().max(1);
        let input = net::datagrams(*socket, packet.from, size, &mut packet.bytes);
        self.input(side, input);
    }

    fn application(&mut self, side: usize) {
        let Some(path) = self.sides[side].agent.path() else {
            return;
        };
        self.train.begin(path.room, path.size);
        self.train.push(&[0x80; 9]);
        assert!(self.sides[side].agent.send(&mut self.train));
        self.post(side);
    }

    fn advance(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        for round in 0.. {
            assert!(round < 20_000, "a deadline never passes");
            let timers = self.sides.iter().filter_map(|s| s.agent.poll_timeout());
            let Some(next) = timers.map(|next| next.at).min().filter(|at| *at < end) else {
                break;
            };
            self.now = self.now.max(next);
            for side in &mut self.sides {
                side.agent.handle_timeout(self.now);
            }
            self.drain();
        }
        self.now = end;
    }

    /// Lets time pass while everything arrives.
    fn calm(&mut self, ms: u64) {
        for _ in 0..ms / 10 {
            for side in [0, 1] {
                let count = self.sides[side].inbox.len();
                self.arrive(side, count);
                let count = self.sides[side].flow.len();
                self.flow(side, count, usize::MAX);
            }
            self.drain();
            self.advance(10);
        }
    }

    /// Lets bytes of streams arrive, each piece cut in two at `cut`.
    fn flow(&mut self, side: usize, count: usize, cut: usize) {
        for _ in 0..count {
            let Some((stream, mut data)) = self.sides[side].flow.pop_front() else {
                return;
            };
            let at = cut.min(data.len());
            let (first, rest) = data.split_at_mut(at);
            for data in [first, rest] {
                if !data.is_empty() {
                    self.input(side, Input::StreamBytes { stream, data });
                }
            }
        }
    }

    /// Ends a stream for both sides.
    fn cut(&mut self, side: usize, which: usize) {
        if self.sides[side].streams.is_empty() {
            return;
        }
        let at = which % self.sides[side].streams.len();
        let (stream, _) = self.sides[side].streams[at];
        self.close_stream(side, stream);
        let reason = "cut";
        self.input(
            side,
            Input::Closed {
                socket: stream,
                reason,
            },
        );
    }

    /// One side is done with a stream; the other hears of it.
    fn close_stream(&mut self, side: usize, stream: SocketId) {
        let streams = &mut self.sides[side].streams;
        let Some(at) = streams.iter().position(|(ours, _)| *ours == stream) else {
            return;
        };
        let (_, theirs) = streams.swap_remove(at);
        self.sides[side].flow.retain(|(to, _)| *to != stream);
        let other = &mut self.sides[1 - side];
        other.streams.retain(|(ours, _)| *ours != theirs);
        other.flow.retain(|(to, _)| *to != theirs);
        let reason = "closed";
        self.input(
            1 - side,
            Input::Closed {
                socket: theirs,
                reason,
            },
        );
    }

    fn open_stream(&mut self, side: usize, stream: SocketId, remote: SocketAddr) {
        let other = &mut self.sides[1 - side];
        let listener = other.listeners.iter().find(|(_, local)| *local == remote);
        let Some(&(listener, _)) = listener else {
            let reason = "refused";
            return self.input(
                side,
                Input::Closed {
                    socket: stream,
                    reason,
                },
            );
        };
        let theirs = listener.accepted(other.accepted);
        other.accepted += 1;
        other.streams.push((theirs, stream));
        self.sides[side].streams.push((stream, theirs));
        self.sides[side].ports += 1;
        let local = SocketAddr::from(([10, side as u8, 0, 1], self.sides[side].ports));
        for (side, stream, local, remote) in [
            (1 - side, theirs, remote, local),
            (side, stream, local, remote),
        ] {
            let opened = Input::StreamOpened {
                stream,
                local,
                remote,
            };
            self.input(side, opened);
        }
    }

    /// Puts what is in the train on its way.
    fn post(&mut self, side: usize) {
        let to = self.train.destination().expect("a destination");
        let streams = &self.sides[side].streams;
        let stream = streams.iter().find(|(ours, _)| *ours == to.socket);
        if let Some(&(_, theirs)) = stream {
            let bytes: Vec<u8> = self.train.segments().flatten().copied().collect();
            let flow = &mut self.sides[1 - side].flow;
            if flow.len() < 64 {
                flow.push_back((theirs, bytes));
            }
            return;
        }
        if !self.udp {
            return;
        }
        let sockets = &self.sides[side].sockets;
        // Streams that nobody took have no local address here.
        let Some((_, from)) = sockets.iter().find(|(socket, _)| *socket == to.socket) else {
            return;
        };
        let inbox = &mut self.sides[1 - side].inbox;
        for bytes in self
            .train
            .segments()
            .take(64_usize.saturating_sub(inbox.len()))
        {
            inbox.push_back(Packet {
                from: *from,
                to: to.remote,
                bytes: bytes.to_vec(),
            });
        }
    }

    /// Polls everything of both sides.
    fn drain(&mut self) {
        for side in [0, 1] {
            let mut rounds = 0;
            while let Some(action) = self.sides[side].agent.poll_action() {
                rounds += 1;
                assert!(rounds < 1_000, "it never stops asking: {action:?}");
                self.act(side, action);
            }
            while self.sides[side]
                .agent
                .poll_transmit(self.now, &mut self.train)
            {
                rounds += 1;
                assert!(rounds < 10_000, "it never stops sending");
                self.post(side);
            }
            while let Some(event) = self.sides[side].agent.poll_event() {
                if let Event::LocalCandidate { line } = event {
                    self.sides[side].lines.push_back(line);
                }
            }
            let agent = &self.sides[side].agent;
            let pairs = agent.pairs();
            assert!(pairs.len() <= 12 && agent.remote_candidates().count() <= 9);
            assert!(pairs.iter().filter(|pair| pair.in_use).count() <= 1);
        }
    }

    fn act(&mut self, side: usize, action: Action) {
        match action {
            Action::Bind { socket, local } => {
                self.sides[side].ports += 1;
                let local = SocketAddr::new(local.ip(), self.sides[side].ports);
                self.sides[side].sockets.push((socket, local));
                self.input(side, Input::Bound { socket, local });
            }
            Action::Listen { socket, local } => {
                self.sides[side].ports += 1;
                let local = SocketAddr::new(local.ip(), self.sides[side].ports);
                self.sides[side].listeners.push((socket, local));
                self.input(side, Input::Bound { socket, local });
            }
            Action::Close { socket } => {
                self.sides[side].sockets.retain(|(open, _)| *open != socket);
                let others = |(open, _): &(SocketId, SocketAddr)| *open != socket;
                self.sides[side].listeners.retain(others);
                self.close_stream(side, socket);
            }
            Action::OpenStream { stream, remote, .. } => self.open_stream(side, stream, remote),
            Action::Resolve { query, name, .. } => {
                let addresses = match self.names.get(&name) {
                    Some(address) => vec![*address],
                    None => Vec::new(),
                };
                let addresses = &addresses;
                self.input(side, Input::Resolved { query, addresses });
            }
            Action::Publish { name, address } => {
                self.names.insert(name, address);
            }
            Action::Withdraw { name } => {
                self.names.remove(&name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_tcp_streams_are_opened_and_carry_checks() {
        let mut world = World::new(1 | 16);
        // Both describe themselves, tell their candidates, and have half a second.
        let mut bytes = Bytes::new(&[0, 0x80, 1, 0x81, 11, 50]);
        while !bytes.is_empty() {
            world.step(&mut bytes);
            world.drain();
        }
        for side in &world.sides {
            assert!(!side.streams.is_empty());
            let streams: Vec<_> = side.agent.candidates().iter().collect();
            let stream = |base: SocketAddr| {
                let udp = esp_ice::CandidateTransport::Udp;
                streams
                    .iter()
                    .any(|one| one.base == base && one.transport != udp)
            };
            let mut pairs = side.agent.pairs().into_iter();
            assert!(pairs.any(|pair| stream(pair.base) && pair.requests_received > 0));
        }
    }
}
