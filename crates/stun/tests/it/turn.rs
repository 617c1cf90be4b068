//! The TURN client under arbitrary input: it may refuse, it may not panic, hang or lie.

use std::net::SocketAddr;
use std::time::Duration;

use esp_stun::turn::{
    ConnectionId, Framer, Incoming, TurnClient, TurnConfig, TurnError, TurnEvent,
};
use esp_stun::{
    Class, ErrorCode, LongTermAuth, Message, MessageBuilder, Method, PasswordAlgorithm,
    SecurityFeatures, TransactionId,
};
use esp_wire::{Instant, Origin, Room, SocketId, Train, Transport};
use proptest::collection::vec;
use proptest::prelude::*;

/// What may happen to a client, in any order.
#[derive(Clone, Debug)]
enum Step {
    Start,
    Permit(u8),
    Bind(u8, u16),
    Forget(u8),
    Close,
    Advance(u32),
    Noise(Vec<u8>),
    /// Answers the request sent last with this class, code and these extras.
    Answer(bool, u16, u8),
    Data(u8, u16),
    Closed,
    Connect(u8),
    Attempt(u8, u8),
    BindConnection(u8),
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(Step::Start),
        any::<u8>().prop_map(Step::Permit),
        (any::<u8>(), any::<u16>()).prop_map(|(host, port)| Step::Bind(host, port)),
        any::<u8>().prop_map(Step::Forget),
        Just(Step::Close),
        (0u32..700_000).prop_map(Step::Advance),
        vec(any::<u8>(), 0..60).prop_map(Step::Noise),
        (any::<bool>(), codes(), any::<u8>())
            .prop_map(|(ok, code, more)| Step::Answer(ok, code, more)),
        (any::<u8>(), 0u16..1_500).prop_map(|(host, len)| Step::Data(host, len)),
        Just(Step::Closed),
        any::<u8>().prop_map(Step::Connect),
        (any::<u8>(), 0u8..8).prop_map(|(host, id)| Step::Attempt(host, id)),
        (0u8..8).prop_map(Step::BindConnection),
    ]
}

fn codes() -> impl Strategy<Value = u16> {
    prop_oneof![
        Just(401u16),
        Just(438),
        Just(300),
        Just(400),
        Just(437),
        300u16..600,
    ]
}

fn peer(host: u8) -> SocketAddr {
    match host % 3 {
        0 => SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(host)], 7)),
        _ => SocketAddr::from(([192, 0, 2, host], 7)),
    }
}

struct Bench {
    client: TurnClient,
    train: Train,
    now: Instant,
    last: Vec<u8>,
    over: bool,
}

impl Bench {
    fn new(seed: u64) -> Self {
        let server = SocketAddr::from(([198, 51, 100, 1], 3478));
        let mut config = TurnConfig::new(SocketId(0), server, "user", "pass");
        if seed.is_multiple_of(2) {
            config = config.with_transport(Transport::Tcp).with_tcp(true);
        }
        Bench {
            client: TurnClient::new(config, Origin::seeded(seed)).unwrap(),
            train: Train::with_capacity(4_096),
            now: Instant::ZERO,
            last: Vec::new(),
            over: false,
        }
    }

    fn answer(&mut self, ok: bool, code: u16, more: u8) {
        let request = self.last.clone();
        let Ok(request) = Message::parse(&request) else {
            return;
        };
        let mut buffer = [0; 512];
        let class = if ok { Class::Success } else { Class::Error };
        let (method, id) = (request.method(), request.transaction_id());
        let mut builder = MessageBuilder::new(&mut buffer, class, method, id);
        if !ok {
            builder.error_code(ErrorCode(code));
        }
        if more & 1 != 0 {
            let mut features = SecurityFeatures::default();
            if more & 2 != 0 {
                features = features.with(SecurityFeatures::PASSWORD_ALGORITHMS);
            }
            builder.realm("realm").nonce(&features.nonce_cookie());
        }
        if more & 4 != 0 {
            builder.password_algorithms(&[PasswordAlgorithm::Sha256]);
        }
        if more & 8 != 0 {
            builder.xor_relayed_address(peer(more));
        }
        if more & 64 != 0 {
            builder.connection_id(u32::from(more) % 8);
        }
        if more & 16 != 0 {
            builder.lifetime(Duration::from_secs(u64::from(more)));
        }
        if more & 32 != 0 {
            builder.alternate_server(peer(more));
        }
        let len = builder.finish().unwrap();
        let incoming = self.client.handle_message(self.now, &mut buffer[..len]);
        assert_eq!(incoming, Incoming::Consumed);
    }

    fn attempt(&mut self, host: u8, id: u8) {
        let mut buffer = [0; 128];
        let method = Method::CONNECTION_ATTEMPT;
        let transaction = TransactionId([id; 12]);
        let mut builder = MessageBuilder::indication(&mut buffer, method, transaction);
        let builder = builder.connection_id(id.into());
        let len = builder.xor_peer_address(peer(host)).finish().unwrap();
        let incoming = self.client.handle_message(self.now, &mut buffer[..len]);
        assert_eq!(incoming, Incoming::Consumed);
    }

    fn data(&mut self, host: u8, len: u16) {
        let to = peer(host);
        let payload = vec![7; usize::from(len)];
        self.train.begin(self.client.room(to), payload.len());
        self.train.push(&payload);
        match self.client.wrap(self.now, &mut self.train, to) {
            Ok(()) if len == 0 => assert!(self.train.is_empty()),
            Ok(()) => assert_eq!(
                self.train.destination().unwrap().remote,
                self.client.server()
            ),
            Err(TurnError::Options(_)) => assert!(self.client.config().tcp),
            Err(error) => assert_eq!(error, TurnError::NoAllocation),
        }
    }

    fn apply(&mut self, step: Step) {
        match step {
            Step::Start => self.client.start(self.now),
            Step::Permit(host) => self.client.permit(self.now, peer(host).ip()),
            Step::Bind(host, port) => {
                let mut to = peer(host);
                to.set_port(port);
                self.client.bind_channel(self.now, to);
            }
            Step::Forget(host) => self.client.forget(peer(host).ip()),
            Step::Close => self.client.close(self.now),
            Step::Advance(millis) => {
                self.now += Duration::from_millis(u64::from(millis));
                self.client.handle_timeout(self.now);
            }
            Step::Noise(mut bytes) => {
                let _ = self.client.handle_message(self.now, &mut bytes);
            }
            Step::Answer(ok, code, more) => self.answer(ok, code, more),
            Step::Data(host, len) => self.data(host, len),
            Step::Closed => self.client.handle_closed("reset"),
            Step::Connect(host) => self.client.connect(self.now, peer(host)),
            Step::Attempt(host, id) => self.attempt(host, id),
            Step::BindConnection(id) => {
                let id = ConnectionId(id.into());
                let bound = self.client.bind_connection(self.now, id, SocketId(1));
                if let Some(mut data) = bound {
                    assert!(self.client.is_allocated());
                    assert!(data.poll_transmit(self.now, &mut self.train));
                    self.last = self.train.segment(0).to_vec();
                }
            }
        }
    }

    /// Drains everything and checks what always holds.
    fn check(&mut self) {
        let mut sent = 0;
        while self.client.poll_transmit(self.now, &mut self.train) {
            sent += 1;
            assert!(sent < 1_000, "it never stops sending");
            self.last = self.train.segment(0).to_vec();
            assert!(Message::parse(&self.last).is_ok());
        }
        while let Some(event) = self.client.poll_event() {
            let end = matches!(event, TurnEvent::Failed(_) | TurnEvent::Closed);
            self.over |= end;
        }
        let next = self.client.poll_timeout();
        if self.client.is_over() {
            assert!(self.over && next.is_none() && !self.client.is_allocated());
        }
        // Whatever is due now is done by one call, or the clock would stand still.
        self.client.handle_timeout(self.now);
        while self.client.poll_transmit(self.now, &mut self.train) {}
        if let Some(next) = self.client.poll_timeout() {
            assert!(next.at > self.now, "{next:?} at {:?}", self.now);
        }
    }
}

proptest! {
    #[test]
    fn any_steps_in_any_order(seed in any::<u64>(), steps in vec(steps(), 1..60)) {
        let mut bench = Bench::new(seed);
        for step in steps {
            bench.apply(step);
            bench.check();
        }
    }

    #[test]
    fn a_stream_of_anything_is_cut_or_refused(parts in vec(vec(any::<u8>(), 0..40), 0..40)) {
        let mut framer = Framer::new();
        for part in parts {
            framer.push(&part);
            loop {
                match framer.next_frame() {
                    Ok(Some(frame)) => prop_assert!(frame.len() >= 4),
                    Ok(None) => break,
                    Err(error) => {
                        prop_assert_eq!(error, TurnError::OutOfStep);
                        return Ok(());
                    }
                }
            }
        }
    }

    #[test]
    fn credentials_of_any_kind(name in ".{0,600}", word in ".{0,600}") {
        if let Ok(auth) = LongTermAuth::new(&name, &word) {
            let mut buffer = [0; 2_048];
            let id = TransactionId([0; 12]);
            let mut builder = MessageBuilder::request(&mut buffer, Method::BINDING, id);
            auth.apply(&mut builder);
            prop_assert!(builder.finish().is_ok());
        }
    }
}

#[test]
fn an_empty_train_stays_empty() {
    let mut train = Train::with_capacity(2_000);
    train.begin(Room::default(), 10);
    let mut bench = Bench::new(1);
    let wrapped = bench.client.wrap(bench.now, &mut train, peer(1));
    assert_eq!(wrapped, Err(TurnError::NoAllocation));
}
