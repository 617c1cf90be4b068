//! Against an association of other making, over the same kind of link.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use esp_sctp::{Association, ChannelConfig, Config, Event, Reliability};
use esp_wire::{DataKind, Instant, Origin, Rng, Train};
use sctp_proto::{
    AssociationHandle, ClientConfig, DatagramEvent, Endpoint, EndpointConfig, Payload,
    PayloadProtocolIdentifier, ServerConfig, StreamEvent, TransportConfig, generate_snap_token,
};

use crate::link::{ROOM, pattern};

/// The other side: accepts channels and sends every message back.
struct Other {
    endpoint: Endpoint,
    association: Option<(AssociationHandle, sctp_proto::Association)>,
    base: std::time::Instant,
    remote: SocketAddr,
    echoes: Vec<(u16, PayloadProtocolIdentifier, Vec<u8>)>,
    finished: usize,
}

impl Other {
    #[expect(
        clippy::disallowed_methods,
        reason = "the other side knows no other time"
    )]
    fn new(begins: bool, snap: Option<(Bytes, Bytes)>) -> Other {
        let config = Arc::new(EndpointConfig::default());
        let server = Some(Arc::new(ServerConfig::default()));
        let mut endpoint = Endpoint::new(config, server);
        let remote = SocketAddr::from(([127, 0, 0, 1], 5000));
        let association = begins.then(|| {
            endpoint
                .connect(
                    match snap {
                        Some((own, far)) => ClientConfig::default().with_snap(own, far),
                        None => ClientConfig::default(),
                    },
                    remote,
                )
                .expect("it can connect")
        });
        Other {
            endpoint,
            association,
            base: std::time::Instant::now(),
            remote,
            echoes: Vec::new(),
            finished: 0,
        }
    }

    fn at(&self, now: Instant) -> std::time::Instant {
        self.base + Duration::from_nanos(now.as_nanos())
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
        let Some((handle, association)) = &mut self.association else {
            return packets;
        };
        if association.poll_timeout().is_some_and(|at| at <= time) {
            association.handle_timeout(time);
        }
        while let Some(event) = association.poll() {
            match event {
                sctp_proto::Event::Stream(StreamEvent::Readable { id }) => {
                    let Ok(mut stream) = association.stream(id) else {
                        continue;
                    };
                    while let Ok(Some(chunks)) = stream.read_sctp() {
                        let mut message = vec![0; chunks.len()];
                        let _ = chunks.read(&mut message);
                        self.echoes.push((id, chunks.ppi, message));
                    }
                }
                sctp_proto::Event::Stream(StreamEvent::Finished { .. }) => self.finished += 1,
                _ => {}
            }
        }
        for (id, kind, message) in std::mem::take(&mut self.echoes) {
            let Ok(mut stream) = association.stream(id) else {
                continue;
            };
            let answer = match kind {
                PayloadProtocolIdentifier::Dcep => vec![2],
                _ => message,
            };
            let _ = stream.write_with_ppi(&answer, kind);
        }
        while let Some(event) = association.poll_endpoint_event() {
            if let Some(event) = self.endpoint.handle_event(*handle, event) {
                association.handle_event(event);
            }
        }
        while let Some(transmit) = association.poll_transmit(time) {
            take(transmit.payload);
        }
        packets
    }
}

/// Messages come back in order and unchanged.
fn check_events(ours: &mut Association, sizes: &[usize], received: &mut usize) {
    while let Some(event) = ours.poll_event() {
        match event {
            Event::Message { data, .. } => {
                assert!(data == pattern(*received, sizes[*received]));
                *received += 1;
            }
            Event::Closed { reason } => panic!("{reason:?}"),
            _ => {}
        }
    }
}

/// Both, and the link between them.
struct Both {
    ours: Association,
    other: Other,
    rng: Rng,
    loss: f64,
    train: Train,
    now: Instant,
    towards_us: Vec<(Instant, Vec<u8>)>,
    towards_them: Vec<(Instant, Vec<u8>)>,
}

impl Both {
    /// Two that shake hands, by packets or by descriptions.
    fn new(seed: u64, loss: f64, begins: [bool; 2], snap: bool) -> Both {
        let mut ours =
            Association::new(Config::default(), Origin::seeded(seed)).expect("a configuration");
        ours.set_path(ROOM, 1_160);
        ours.set_dtls_role(true);
        let token = generate_snap_token(&TransportConfig::default()).expect("a token");
        let tokens = snap.then(|| (token.clone(), Bytes::from(ours.local_init())));
        let other = Other::new(begins[1], tokens);
        let now = Instant::from_millis(1);
        if snap {
            ours.connect_with_init(now, &token).expect("a sound INIT");
        } else if begins[0] {
            ours.connect(now).expect("it can connect");
        }
        Both {
            ours,
            other,
            rng: Rng::new([seed as u8; 32]),
            loss,
            train: Train::with_capacity(65_536),
            now,
            towards_us: Vec::new(),
            towards_them: Vec::new(),
        }
    }

    /// A millisecond.
    fn step(&mut self) {
        let arrival = self.now + Duration::from_millis(5);
        while self.ours.poll_transmit(self.now, &mut self.train) {
            for packet in self.train.segments() {
                if !self.rng.chance(self.loss) {
                    self.towards_them.push((arrival, packet.to_vec()));
                }
            }
        }
        for packet in self.other.drive(self.now) {
            if !self.rng.chance(self.loss) {
                self.towards_us.push((arrival, packet));
            }
        }
        self.now += Duration::from_millis(1);
        let now = self.now;
        let due = self.towards_us.partition_point(|(at, _)| *at <= now);
        for (_, mut packet) in self.towards_us.drain(..due) {
            let taken = self.ours.handle_input(now, &mut packet);
            taken.expect("a sound peer");
        }
        let due = self.towards_them.partition_point(|(at, _)| *at <= now);
        for (_, packet) in self.towards_them.drain(..due) {
            self.other.handle(now, &packet);
        }
        self.ours.handle_timeout(now);
    }

    /// Steps until something is so.
    fn until(&mut self, mut done: impl FnMut(&mut Both) -> bool) {
        let end = self.now + Duration::from_secs(300);
        while !done(self) {
            assert!(self.now < end, "{:?}", self.ours.stats());
            self.step();
        }
    }
}

/// Ours sends messages and gets them back; then it closes the channel, and the association.
fn exchange(seed: u64, loss: f64, begins: [bool; 2], snap: bool, sizes: &[usize]) {
    let mut both = Both::new(seed, loss, begins, snap);
    let now = both.now;
    let channel = both.ours.open_channel(now, ChannelConfig::new("echo"));
    let channel = channel.expect("a channel");
    for (index, size) in sizes.iter().enumerate() {
        let sent = both
            .ours
            .send(now, channel, DataKind::Binary, &pattern(index, *size));
        sent.expect("room");
    }
    let mut received = 0;
    both.until(|both| {
        check_events(&mut both.ours, sizes, &mut received);
        received == sizes.len()
    });
    let now = both.now;
    let closed = both.ours.close_channel(now, channel);
    closed.expect("a channel that is open");
    both.until(|both| both.other.finished > 0);
    both.ours.shutdown(both.now);
    both.until(|both| both.ours.has_ended());
}

#[test]
fn messages_come_back_from_another_implementation() {
    let sizes = [1, 100, 0, 1_128, 1_129, 5_000, 60_000, 3, 0, 20_000];
    for begins in [[true, false], [false, true]] {
        for (seed, loss) in [(1, 0.0), (2, 0.05), (3, 0.2)] {
            exchange(seed, loss, begins, false, &sizes);
        }
    }
}

#[test]
fn another_implementation_takes_our_handshake_from_a_description() {
    exchange(4, 0.0, [false, true], true, &[1, 50_000]);
}

#[test]
fn another_implementation_understands_what_we_give_up() {
    for ordered in [true, false] {
        let mut both = Both::new(5, 0.0, [true, false], false);
        let now = both.now;
        let config = ChannelConfig {
            ordered,
            ..ChannelConfig::new("echo").with_reliability(Reliability::MaxRetransmits(0))
        };
        let channel = both.ours.open_channel(now, config).expect("a channel");
        both.until(|both| both.ours.is_connected());
        for _ in 0..100 {
            both.step();
        }
        both.loss = 0.2;
        let mut back: Vec<u32> = Vec::new();
        let mut take = |both: &mut Both| {
            while let Some(event) = both.ours.poll_event() {
                if let Event::Message { data, .. } = event {
                    let number = data.first_chunk::<4>().expect("a number");
                    back.push(u32::from_be_bytes(*number));
                }
            }
            back.len()
        };
        for number in 0u32..300 {
            let mut message = number.to_be_bytes().to_vec();
            message.resize(400, 9);
            let now = both.now;
            let sent = both.ours.send(now, channel, DataKind::Binary, &message);
            sent.expect("room");
            both.step();
            take(&mut both);
        }
        // What was given up is told, so that nothing waits for it, and later messages pass.
        both.loss = 0.0;
        both.until(|both| {
            take(both);
            both.ours.stats().send_buffered == 0
        });
        // What it sends back is reliable, and takes its time after losses.
        for _ in 0..30_000 {
            both.step();
        }
        let before = take(&mut both);
        let now = both.now;
        let sent = both
            .ours
            .send(now, channel, DataKind::Binary, &pattern(0, 400));
        sent.expect("room");
        both.until(|both| take(both) > before);
        assert!(both.ours.stats().messages_abandoned > 10);
        assert!((150..300).contains(&before), "{before}");
        let mut distinct = back.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), back.len());
        assert!(!ordered || back[..before].is_sorted());
    }
}
