//! Two whole peers: signals, inputs and commands in any order.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use esp_peer::{ChannelConfig, Event, Peer, PeerConfig, Reliability};
use esp_wire::{
    Action, AudioInfo, Codec, DataFrame, DataKind, Direction, Frame, IceServer, Input, Instant,
    Interface, Origin, Role, Signal, SocketId, Train, VideoInfo,
};

use crate::net::{self, Packet};
use crate::{Bytes, dtls};

struct Side {
    peer: Peer,
    sockets: Vec<(SocketId, SocketAddr)>,
    ports: u16,
    /// Datagrams to this side.
    inbox: VecDeque<Packet>,
    /// Signals to this side.
    signals: VecDeque<Signal<'static>>,
}

struct World {
    sides: [Side; 2],
    now: Instant,
    train: Train,
}

/// Nothing panics, nothing goes on without end, memory of what is on its way is bounded.
pub(crate) fn steps(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let mut world = World::new(bytes.u8());
    for _ in 0..60 {
        if bytes.is_empty() {
            break;
        }
        world.step(&mut bytes);
        world.drain();
    }
    for side in &mut world.sides {
        let _ = side.peer.report(world.now);
        side.peer.close(world.now);
    }
    world.drain();
    assert!(
        world
            .sides
            .iter()
            .all(|side| side.peer.poll_timeout().is_none())
    );
}

fn config(index: usize, bits: u8) -> PeerConfig {
    let audio = AudioInfo {
        codec: [Codec::Opus, Codec::Pcmu][usize::from(bits & 1)],
        sample_rate: [48_000, 8_000][usize::from(bits & 1)],
        channels: 1,
    };
    let video = VideoInfo {
        codec: Codec::H264,
        width: 640,
        height: 480,
        fps: 25,
    };
    let role = [Role::Controlling, Role::Controlled][index];
    let mut config = PeerConfig::default()
        .with_role(role)
        .with_certificate(dtls::certificate(index).clone());
    if bits & 2 == 0 {
        config = config.with_audio(Direction::SendRecv, vec![audio]);
    }
    if bits & 4 == 0 {
        config = config.with_video(Direction::SendRecv, vec![video]);
    }
    if bits & 8 == 0 || bits & 6 == 6 {
        config = config.with_data_channels(bits & 16 != 0);
    }
    config
}

impl World {
    fn new(setup: u8) -> Self {
        let sides = [0, 1].map(|index| Side {
            peer: Peer::new(config(index, setup), Origin::seeded(index as u64))
                .expect("a config that is right"),
            sockets: Vec::new(),
            ports: 1_000,
            inbox: VecDeque::new(),
            signals: VecDeque::new(),
        });
        let mut world = World {
            sides,
            now: Instant::ZERO,
            train: Train::with_capacity(20_000),
        };
        for side in [1, 0] {
            let begun = world.sides[side].peer.new_connection(Instant::ZERO);
            assert!(begun.is_ok(), "{:?}", begun.err());
            world.interfaces(side, 1);
            world.drain();
        }
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
        let _ = self.sides[side].peer.handle_input(self.now, input);
    }

    fn step(&mut self, bytes: &mut Bytes<'_>) {
        let code = bytes.u8();
        let side = usize::from(code >> 7);
        match code & 0x1f {
            0 | 1 => self.calm(u64::from(bytes.u8())),
            2 => self.advance(u64::from(bytes.u16()) / 4),
            3 => {
                let count = usize::from(bytes.u8() % 16);
                self.arrive(side, count);
            }
            4 => {
                let inbox = &mut self.sides[side].inbox;
                let count = usize::from(bytes.u8() % 8).min(inbox.len());
                inbox.drain(..count);
            }
            5 => {
                if let Some(mut packet) = self.sides[side].inbox.pop_front() {
                    bytes.change(&mut packet.bytes);
                    self.deliver(side, packet);
                }
            }
            6 => self.hear(side),
            7 => drop(self.sides[side].signals.pop_front()),
            8..=10 => {
                if let Some(Signal::Sdp(text)) = self.sides[side].signals.pop_front() {
                    let text = edited(&text, bytes);
                    self.signal(side, &Signal::Sdp(text.into()));
                }
            }
            11 => {
                let text = String::from_utf8_lossy(bytes.long()).into_owned();
                self.signal(side, &Signal::Sdp(text.into()));
            }
            12 => {
                let candidate = String::from_utf8_lossy(bytes.short()).into_owned().into();
                let line = bytes.flag().then_some(0);
                let mid = None;
                let signal = Signal::Candidate {
                    candidate,
                    mid,
                    line,
                };
                self.signal(side, &signal);
            }
            13 => self.signal(side, &Signal::Bye),
            14 => drop(self.sides[side].peer.new_connection(self.now)),
            15 => drop(self.sides[side].peer.disconnect(self.now)),
            _ => self.use_step(code & 0x1f, side, bytes),
        }
    }

    fn use_step(&mut self, code: u8, side: usize, bytes: &mut Bytes<'_>) {
        let now = self.now;
        let peer = &mut self.sides[side].peer;
        let pts = now - Instant::ZERO;
        match code {
            16 => {
                let data = bytes.short();
                let _ = peer.send_audio(now, Frame { pts, data });
            }
            17 => {
                let data = [&[0, 0, 0, 1, 0x65][..], &vec![3; usize::from(bytes.u16())]].concat();
                let _ = peer.send_video(now, Frame { pts, data: &data });
            }
            18 => {
                let kind = [DataKind::Text, DataKind::Binary][bytes.side()];
                let stream_id = u16::from(bytes.u8() % 8);
                let data = vec![b'x'; usize::from(bytes.u16())];
                let data = &data;
                let frame = DataFrame {
                    kind,
                    stream_id,
                    data,
                };
                let _ = peer.send_data(now, frame);
            }
            19 => {
                let reliability = Reliability::MaxRetransmits(u16::from(bytes.u8()));
                let config = ChannelConfig::new("more").with_reliability(reliability);
                let _ = peer.create_data_channel(now, config);
            }
            20 => drop(peer.close_data_channel(now, u16::from(bytes.u8() % 8))),
            21 => drop(peer.request_keyframe(now)),
            22 => peer.set_delivery(bytes.flag()),
            23 => {
                let role = [Role::Controlling, Role::Controlled][bytes.side()];
                let turn = IceServer::turn("turn:192.0.2.2:3478?transport=tcp", "user", "pass");
                let servers = [IceServer::stun("stun:stun.example:3478"), turn];
                let _ = peer.update_ice_info(now, role, &servers[bytes.side()..]);
            }
            24 => self.interfaces(side, bytes.u8()),
            25 => {
                let (socket, remote) = net::place(bytes, &self.sides[side].sockets);
                let mut noise = bytes.short().to_vec();
                let size = noise.len().max(1);
                self.input(side, net::datagrams(socket, remote, size, &mut noise));
            }
            26 => {
                let (socket, remote) = net::place(bytes, &self.sides[side].sockets);
                let kind = bytes.u8();
                let mut data = bytes.short().to_vec();
                self.input(side, net::odd_input(kind, socket, remote, &mut data));
            }
            27 => peer.close(now),
            _ => peer.handle_timeout(now),
        }
    }

    fn signal(&mut self, side: usize, signal: &Signal<'_>) {
        let _ = self.sides[side].peer.handle_signal(self.now, signal);
    }

    /// Hands the next signal over.
    fn hear(&mut self, side: usize) {
        if let Some(signal) = self.sides[side].signals.pop_front() {
            self.signal(side, &signal);
        }
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
        let (socket, size) = (*socket, packet.bytes.len().max(1));
        let input = net::datagrams(socket, packet.from, size, &mut packet.bytes);
        self.input(side, input);
    }

    fn advance(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        for round in 0.. {
            assert!(round < 20_000, "a deadline never passes");
            let timers = self.sides.iter().filter_map(|s| s.peer.poll_timeout());
            let Some(next) = timers.map(|next| next.at).min().filter(|at| *at < end) else {
                break;
            };
            self.now = self.now.max(next);
            for side in &mut self.sides {
                side.peer.handle_timeout(self.now);
            }
            self.drain();
        }
        self.now = end;
    }

    /// Lets time pass while everything arrives.
    fn calm(&mut self, ms: u64) {
        for _ in 0..ms / 5 {
            for side in [0, 1] {
                for _ in 0..self.sides[side].signals.len() {
                    self.hear(side);
                }
                let count = self.sides[side].inbox.len();
                self.arrive(side, count);
            }
            self.drain();
            self.advance(5);
        }
    }

    fn drain(&mut self) {
        for side in [0, 1] {
            let mut rounds = 0;
            loop {
                rounds += 1;
                assert!(rounds < 5_000, "it never comes to rest");
                if let Some(action) = self.sides[side].peer.poll_action() {
                    self.act(side, action);
                } else if self.sides[side]
                    .peer
                    .poll_transmit(self.now, &mut self.train)
                {
                    self.post(side);
                } else if !self.listen(side) {
                    break;
                }
            }
        }
    }

    /// Takes one event; false when there is none.
    fn listen(&mut self, side: usize) -> bool {
        let Some(event) = self.sides[side].peer.poll_event() else {
            return false;
        };
        if let Event::Msg(signal) = event {
            let signal = signal.into_owned();
            let signals = &mut self.sides[1 - side].signals;
            if signals.len() < 100 {
                signals.push_back(signal);
            }
        }
        true
    }

    /// Puts what is in the train on its way.
    fn post(&mut self, side: usize) {
        let to = self.train.destination().expect("a destination");
        let sockets = &self.sides[side].sockets;
        let Some((_, from)) = sockets.iter().find(|(socket, _)| *socket == to.socket) else {
            return;
        };
        let inbox = &mut self.sides[1 - side].inbox;
        let free = 200_usize.saturating_sub(inbox.len());
        inbox.extend(self.train.segments().take(free).map(|bytes| Packet {
            from: *from,
            to: to.remote,
            bytes: bytes.to_vec(),
        }));
    }

    fn act(&mut self, side: usize, action: Action) {
        match action {
            Action::Bind { socket, local } => {
                self.sides[side].ports += 1;
                let local = SocketAddr::new(local.ip(), self.sides[side].ports);
                self.sides[side].sockets.push((socket, local));
                self.input(side, Input::Bound { socket, local });
            }
            Action::Close { socket } => {
                self.sides[side].sockets.retain(|(open, _)| *open != socket);
            }
            Action::OpenStream { .. }
            | Action::Listen { .. }
            | Action::Resolve { .. }
            | Action::Publish { .. }
            | Action::Withdraw { .. } => {}
        }
    }
}

/// The text with some of its lines dropped, doubled, cut or written anew.
fn edited(text: &str, bytes: &mut Bytes<'_>) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for _ in 0..1 + bytes.u8() % 4 {
        if lines.is_empty() {
            break;
        }
        let (how, at) = (bytes.u8(), usize::from(bytes.u8()) % lines.len());
        match how % 5 {
            0 => drop(lines.remove(at)),
            1 => lines.insert(at, lines[at].clone()),
            2 => {
                let keep = usize::from(bytes.u8());
                lines[at] = lines[at].chars().take(keep).collect();
            }
            3 => lines[at] = String::from_utf8_lossy(bytes.short()).into_owned(),
            _ => {
                let other = usize::from(bytes.u8()) % lines.len();
                lines.swap(at, other);
            }
        }
    }
    lines.iter().map(|line| format!("{line}\r\n")).collect()
}
