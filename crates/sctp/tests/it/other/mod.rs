//! Against an association of other making, over a link that loses, delays, reorders and duplicates.
//!
//! The other side is `sctp-proto`, which shares no code with ours. What it does not do is not tried here:
//! I-DATA (so all of this is DATA and FORWARD-TSN), zero checksums, adding streams, reset requests for
//! incoming streams, ECN, and an ABORT by command (it only aborts when its memory is exhausted). Nor does it
//! know channels: the few messages of RFC 8832 are written here. Its random numbers are its own, so that runs
//! differ in tags, TSNs and timers.

mod ending;
mod exchange;
mod partial;
mod resets;

use std::{cmp::Reverse, collections::BinaryHeap, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use esp_sctp::{Association, ChannelConfig, ChannelHandle, CloseReason, Config, Event};
use esp_wire::{DataKind, Instant, Origin, Rng, Train};
use sctp_proto::{
    AssociationHandle, ClientConfig, DatagramEvent, Endpoint, EndpointConfig, Payload,
    PayloadProtocolIdentifier as Ppid, ReliabilityType, ServerConfig, StreamEvent, TransportConfig,
};

use crate::link::ROOM;

/// Memory and largest message of either side.
const MEMORY: usize = 8 << 20;
const LARGEST: usize = 4 << 20;

/// The other side.
struct Other {
    endpoint: Endpoint,
    association: Option<(AssociationHandle, sctp_proto::Association)>,
    base: std::time::Instant,
    remote: SocketAddr,
    /// Sends every message back, instead of keeping it.
    echoes: bool,
    waiting: Vec<(u16, Ppid, Vec<u8>)>,
    got: Vec<(u16, Vec<u8>)>,
    finished: Vec<u16>,
    complete: Vec<u16>,
    lost: Option<String>,
}

/// Which side begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begins {
    Ours,
    Theirs,
}

fn transport(memory: usize) -> TransportConfig {
    TransportConfig::default()
        .with_max_receive_buffer_size(memory as u32)
        .with_max_receive_message_size(LARGEST as u32)
        .with_max_send_message_size(LARGEST as u32)
}

impl Other {
    #[expect(
        clippy::disallowed_methods,
        reason = "the other side knows no other time"
    )]
    fn new(begins: bool, snap: Option<(Bytes, Bytes)>, memory: usize) -> Other {
        let mut server = ServerConfig::default();
        server.transport = Arc::new(transport(memory));
        let mut endpoint =
            Endpoint::new(Arc::new(EndpointConfig::default()), Some(Arc::new(server)));
        let remote = SocketAddr::from(([127, 0, 0, 1], 5000));
        let mut client = ClientConfig::default();
        client.transport = Arc::new(transport(memory));
        if let Some((own, far)) = snap {
            client = client.with_snap(own, far);
        }
        let association = begins.then(|| endpoint.connect(client, remote).expect("it can connect"));
        Other {
            endpoint,
            association,
            base: std::time::Instant::now(),
            remote,
            echoes: true,
            waiting: Vec::new(),
            got: Vec::new(),
            finished: Vec::new(),
            complete: Vec::new(),
            lost: None,
        }
    }

    fn at(&self, now: Instant) -> std::time::Instant {
        self.base + Duration::from_nanos(now.as_nanos())
    }

    fn side(&mut self) -> &mut sctp_proto::Association {
        &mut self.association.as_mut().expect("an association").1
    }

    fn handle(&mut self, now: Instant, packet: &[u8]) {
        let time = self.at(now);
        let data = Bytes::copy_from_slice(packet);
        match self.endpoint.handle(time, self.remote, None, None, data) {
            Some((handle, DatagramEvent::NewAssociation(new))) => {
                self.association = Some((handle, new));
            }
            Some((_, DatagramEvent::AssociationEvent(event))) => {
                if let Some((_, association)) = &mut self.association {
                    association.handle_event(event);
                }
            }
            _ => {}
        }
    }

    /// Opens a channel: the stream, and the message that says so.
    fn open(&mut self, stream: u16, unordered: bool, kind: ReliabilityType, value: u32) {
        let mut open = vec![3, kind as u8 | if unordered { 0x80 } else { 0 }, 1, 0];
        open.extend(value.to_be_bytes());
        open.extend([0, 1, 0, 0, b'x']);
        let mut stream = self
            .side()
            .open_stream(stream, Ppid::Binary)
            .expect("a free stream");
        stream.write_with_ppi(&open, Ppid::Dcep).expect("room");
        stream
            .set_reliability_params(unordered, kind, value)
            .expect("an open stream");
    }

    fn send(&mut self, stream: u16, data: &[u8]) {
        let mut stream = self.side().stream(stream).expect("an open stream");
        stream.write_with_ppi(data, Ppid::Binary).expect("room");
    }

    fn take(&mut self, id: u16) {
        let Some((_, association)) = &mut self.association else {
            return;
        };
        let Ok(mut stream) = association.stream(id) else {
            return;
        };
        while let Ok(Some(chunks)) = stream.read_sctp() {
            let mut message = vec![0; chunks.len()];
            let _ = chunks.read(&mut message);
            match (chunks.ppi, message.first()) {
                // DATA_CHANNEL_OPEN: its answer, and the order that it asks for.
                (Ppid::Dcep, Some(3)) => {
                    let unordered = message[1] & 0x80 != 0;
                    self.waiting.push((id, Ppid::Dcep, vec![2]));
                    let reliable = ReliabilityType::Reliable;
                    let set = stream.set_reliability_params(unordered, reliable, 0);
                    set.expect("an open stream");
                }
                (Ppid::Dcep, _) => {}
                (ppid, _) if self.echoes => self.waiting.push((id, ppid, message)),
                _ => self.got.push((id, message)),
            }
        }
    }

    fn drive(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let time = self.at(now);
        let mut packets = Vec::new();
        let mut take = |payload: Payload| {
            if let Payload::RawEncode(contents) = payload {
                packets.extend(contents.iter().map(|bytes| bytes.to_vec()));
            }
        };
        while let Some(transmit) = self.endpoint.poll_transmit() {
            take(transmit.payload);
        }
        if self.association.is_none() {
            return packets;
        }
        let due = self.side().poll_timeout().is_some_and(|at| at <= time);
        if due {
            self.side().handle_timeout(time);
        }
        while let Some(event) = self.side().poll() {
            match event {
                sctp_proto::Event::Stream(StreamEvent::Readable { id }) => self.take(id),
                sctp_proto::Event::Stream(StreamEvent::Finished { id }) => self.finished.push(id),
                sctp_proto::Event::Stream(StreamEvent::ResetComplete { id }) => {
                    self.complete.push(id);
                }
                sctp_proto::Event::AssociationLost { reason } => {
                    self.lost = Some(reason.to_string());
                }
                _ => {}
            }
        }
        // It takes data before it lets any be sent.
        for (id, kind, message) in std::mem::take(&mut self.waiting) {
            let sent = match self.side().stream(id) {
                Ok(mut stream) => stream.write_with_ppi(&message, kind).is_ok(),
                Err(_) => true,
            };
            if !sent {
                self.waiting.push((id, kind, message));
            }
        }
        // Events to the endpoint only ask to forget an association that is not over yet.
        while self.side().poll_endpoint_event().is_some() {}
        while let Some(transmit) = self.side().poll_transmit(time) {
            take(transmit.payload);
        }
        packets
    }
}

/// What the link does, each way.
#[derive(Clone, Copy, Debug, Default)]
struct Way {
    loss: f64,
    duplication: f64,
    /// Milliseconds up to which a packet may be late.
    jitter: u64,
}

impl Way {
    fn lossy(loss: f64) -> Way {
        Way {
            loss,
            ..Way::default()
        }
    }

    fn bad() -> Way {
        Way {
            loss: 0.05,
            duplication: 0.05,
            jitter: 8,
        }
    }
}

/// A packet on its way: arrival, order, whether to us, bytes.
type Flying = (Instant, u64, bool, Vec<u8>);

/// Both, and the link between them.
struct Both {
    ours: Association,
    other: Other,
    rng: Rng,
    way: Way,
    train: Train,
    now: Instant,
    flying: BinaryHeap<Reverse<Flying>>,
    order: u64,
    opened: Vec<ChannelHandle>,
    closed: Vec<Option<u16>>,
    messages: Vec<(u16, Vec<u8>)>,
    ended: Option<CloseReason>,
}

impl Both {
    fn new(seed: u64, way: Way, begins: Begins) -> Both {
        let mut both = Both::idle(seed, way, begins == Begins::Theirs, None, MEMORY);
        if begins == Begins::Ours {
            let now = both.now;
            both.ours.connect(now).expect("it can connect");
        }
        both.until(|both| {
            let theirs = both.other.association.as_ref();
            both.ours.is_connected() && theirs.is_some_and(|(_, theirs)| !theirs.is_handshaking())
        });
        both
    }

    /// Two of which ours has not begun.
    fn idle(
        seed: u64,
        way: Way,
        theirs: bool,
        snap: Option<(Bytes, Bytes)>,
        memory: usize,
    ) -> Both {
        let config = Config::default()
            .with_buffers(MEMORY, MEMORY)
            .with_max_message_size(LARGEST);
        let mut ours = Association::new(config, Origin::seeded(seed)).expect("a configuration");
        ours.set_path(ROOM, 1_160);
        ours.set_dtls_role(true);
        ours.set_remote_max_message_size(LARGEST as u64);
        Both {
            ours,
            other: Other::new(theirs, snap, memory),
            rng: Rng::new([seed as u8; 32]),
            way,
            train: Train::with_capacity(65_536),
            now: Instant::from_millis(1),
            flying: BinaryHeap::new(),
            order: 0,
            opened: Vec::new(),
            closed: Vec::new(),
            messages: Vec::new(),
            ended: None,
        }
    }

    fn depart(&mut self, to_us: bool, packet: Vec<u8>) {
        if self.rng.chance(self.way.loss) {
            return;
        }
        for _ in 0..1 + u32::from(self.rng.chance(self.way.duplication)) {
            let late = self.rng.below(self.way.jitter + 1);
            let at = self.now + Duration::from_millis(5 + late);
            self.order += 1;
            self.flying
                .push(Reverse((at, self.order, to_us, packet.clone())));
        }
    }

    /// A millisecond.
    fn step(&mut self) {
        while self.ours.poll_transmit(self.now, &mut self.train) {
            let packets: Vec<Vec<u8>> = self.train.segments().map(<[u8]>::to_vec).collect();
            packets
                .into_iter()
                .for_each(|packet| self.depart(false, packet));
        }
        for packet in self.other.drive(self.now) {
            self.depart(true, packet);
        }
        self.now += Duration::from_millis(1);
        while let Some(Reverse((at, ..))) = self.flying.peek()
            && *at <= self.now
        {
            let Some(Reverse((_, _, to_us, mut packet))) = self.flying.pop() else {
                return;
            };
            match to_us {
                true => {
                    let taken = self.ours.handle_input(self.now, &mut packet);
                    taken.expect("a sound peer");
                }
                false => self.other.handle(self.now, &packet),
            }
        }
        self.ours.handle_timeout(self.now);
        self.take();
    }

    fn take(&mut self) {
        while let Some(event) = self.ours.poll_event() {
            match event {
                Event::ChannelOpen { channel, .. } => self.opened.push(channel),
                Event::ChannelClosed { stream_id, .. } => self.closed.push(stream_id),
                Event::Message {
                    stream_id, data, ..
                } => self.messages.push((stream_id, data.to_vec())),
                Event::Closed { reason } => self.ended = Some(reason.clone()),
                _ => {}
            }
        }
    }

    fn run(&mut self, millis: u32) {
        for _ in 0..millis {
            self.step();
        }
    }

    /// Steps until something is so.
    fn until(&mut self, mut done: impl FnMut(&mut Both) -> bool) {
        let end = self.now + Duration::from_secs(600);
        while !done(self) {
            assert!(
                self.now < end,
                "{:?} {:?} {:?}",
                self.ours.stats(),
                self.ended,
                self.other.lost
            );
            self.step();
        }
    }

    fn open(&mut self, config: ChannelConfig) -> ChannelHandle {
        let now = self.now;
        self.ours.open_channel(now, config).expect("a channel")
    }

    /// Sends, when there is room at once or later.
    fn send(&mut self, channel: ChannelHandle, data: &[u8]) {
        self.until(|both| {
            let now = both.now;
            match both.ours.send(now, channel, DataKind::Binary, data) {
                Ok(()) => true,
                Err(esp_sctp::Error::WouldBlock) => false,
                Err(error) => panic!("{error}"),
            }
        });
    }

    /// Messages of a stream, in order of arrival.
    fn on(&self, stream: u16) -> Vec<&[u8]> {
        let of = self.messages.iter().filter(|(id, _)| *id == stream);
        of.map(|(_, data)| &data[..]).collect()
    }
}

/// The number with which a message begins.
fn number(data: &[u8]) -> usize {
    let word = data.first_chunk::<4>().expect("a number");
    u32::from_be_bytes(*word) as usize
}

/// A message that begins with its number.
fn numbered(number: usize, size: usize) -> Vec<u8> {
    let mut data = crate::link::pattern(number, size.max(4));
    data[..4].copy_from_slice(&(number as u32).to_be_bytes());
    data
}
