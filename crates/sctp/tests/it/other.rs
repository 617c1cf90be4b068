//! Against an association of other making, over the same kind of link.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use esp_sctp::{Association, ChannelConfig, Config, Event};
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

/// Ours sends messages and gets them back; returns after how long.
fn exchange(seed: u64, loss: f64, begins: [bool; 2], snap: bool, sizes: &[usize]) {
    let mut ours =
        Association::new(Config::default(), Origin::seeded(seed)).expect("a configuration");
    ours.set_path(ROOM, 1_160);
    ours.set_dtls_role(true);
    let token = generate_snap_token(&TransportConfig::default()).expect("a token");
    let tokens = snap.then(|| (token.clone(), Bytes::from(ours.local_init())));
    let mut other = Other::new(begins[1], tokens);
    let mut rng = Rng::new([seed as u8; 32]);
    let mut train = Train::with_capacity(65_536);
    let mut now = Instant::from_millis(1);
    if snap {
        ours.connect_with_init(now, &token).expect("a sound INIT");
    } else if begins[0] {
        ours.connect(now).expect("it can connect");
    }
    let channel = ours
        .open_channel(now, ChannelConfig::new("echo"))
        .expect("a channel");
    for (index, size) in sizes.iter().enumerate() {
        ours.send(now, channel, DataKind::Binary, &pattern(index, *size))
            .expect("room");
    }
    let mut received = 0;
    let mut towards_us: Vec<(Instant, Vec<u8>)> = Vec::new();
    let mut towards_them: Vec<(Instant, Vec<u8>)> = Vec::new();
    let end = now + Duration::from_secs(300);
    while received < sizes.len() {
        assert!(now < end, "only {received} came back; {:?}", ours.stats());
        let arrival = now + Duration::from_millis(5);
        while ours.poll_transmit(now, &mut train) {
            for packet in train.segments() {
                if !rng.chance(loss) {
                    towards_them.push((arrival, packet.to_vec()));
                }
            }
        }
        for packet in other.drive(now) {
            if !rng.chance(loss) {
                towards_us.push((arrival, packet));
            }
        }
        now += Duration::from_millis(1);
        let due = towards_us.partition_point(|(at, _)| *at <= now);
        for (_, mut packet) in towards_us.drain(..due) {
            ours.handle_input(now, &mut packet).expect("a sound peer");
        }
        let due = towards_them.partition_point(|(at, _)| *at <= now);
        for (_, packet) in towards_them.drain(..due) {
            other.handle(now, &packet);
        }
        ours.handle_timeout(now);
        check_events(&mut ours, sizes, &mut received);
    }
}

#[test]
fn messages_come_back_from_another_implementation() {
    let sizes = [1, 100, 1_128, 1_129, 5_000, 60_000, 3, 20_000];
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
