//! The TURN client by operations.

use std::net::SocketAddr;
use std::time::Duration;

use esp_stun::turn::{Incoming, TurnClient, TurnConfig, TurnError, TurnEvent};
use esp_stun::{Class, ErrorCode, Message, MessageBuilder, PasswordAlgorithm, SecurityFeatures};
use esp_wire::{Instant, Origin, SocketId, Train};

use crate::Bytes;

struct Bench {
    client: TurnClient,
    train: Train,
    now: Instant,
    /// The request that was sent last.
    last: Vec<u8>,
    over: bool,
}

/// Steps of a client, its server and the application; after each, what must always hold.
pub(crate) fn steps(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let server = SocketAddr::from(([198, 51, 100, 1], 3478));
    let config = TurnConfig::new(SocketId(0), server, "user", "pass");
    let mut bench = Bench {
        client: TurnClient::new(config, Origin::seeded(1)).expect("a config that is right"),
        train: Train::with_capacity(4_096),
        now: Instant::ZERO,
        last: Vec::new(),
        over: false,
    };
    for _ in 0..400 {
        if bytes.is_empty() {
            return;
        }
        bench.step(&mut bytes);
        bench.check();
    }
}

fn peer(host: u8) -> SocketAddr {
    match host % 3 {
        0 => SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(host)], 7)),
        _ => SocketAddr::from(([192, 0, 2, host], 7)),
    }
}

impl Bench {
    fn step(&mut self, bytes: &mut Bytes<'_>) {
        match bytes.u8() % 11 {
            0 => self.client.start(self.now),
            1 => self.client.permit(self.now, peer(bytes.u8()).ip()),
            2 => {
                let mut to = peer(bytes.u8());
                to.set_port(bytes.u16());
                self.client.bind_channel(self.now, to);
            }
            3 => self.client.forget(peer(bytes.u8()).ip()),
            4 => self.client.close(self.now),
            5 => {
                self.now += Duration::from_millis(u64::from(bytes.u16()) * 10);
                self.client.handle_timeout(self.now);
            }
            6 => {
                let mut noise = bytes.short().to_vec();
                let _ = self.client.handle_message(self.now, &mut noise);
            }
            7 => self.answer(bytes),
            8 => self.data(bytes.u8(), usize::from(bytes.u16() % 1_500)),
            9 => self.client.handle_closed("reset"),
            _ => {
                let mut echo = self.last.clone();
                bytes.change(&mut echo);
                let _ = self.client.handle_message(self.now, &mut echo);
            }
        }
    }

    fn answer(&mut self, bytes: &mut Bytes<'_>) {
        let request = self.last.clone();
        let Ok(request) = Message::parse(&request) else {
            return;
        };
        let (code, more) = (bytes.u16(), bytes.u8());
        let mut buffer = [0; 512];
        let (method, id) = (request.method(), request.transaction_id());
        let class = match code {
            0 => Class::Success,
            _ => Class::Error,
        };
        let mut builder = MessageBuilder::new(&mut buffer, class, method, id);
        if code != 0 {
            let codes = [401, 438, 300, 400, 403, 437, 440, 441, 442, 486, 500, 508];
            let code = codes.get(usize::from(code - 1)).copied();
            builder.error_code(ErrorCode(code.unwrap_or(300 + (more as u16))));
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
        if more & 16 != 0 {
            builder.lifetime(Duration::from_secs(u64::from(more)));
        }
        if more & 32 != 0 {
            builder.alternate_server(peer(more));
        }
        let len = builder.finish().expect("room for an answer");
        let incoming = self.client.handle_message(self.now, &mut buffer[..len]);
        assert_eq!(incoming, Incoming::Consumed);
    }

    fn data(&mut self, host: u8, len: usize) {
        let to = peer(host);
        self.train.begin(self.client.room(to), len);
        self.train.push(&vec![7; len]);
        match self.client.wrap(self.now, &mut self.train, to) {
            Ok(()) if len == 0 => assert!(self.train.is_empty()),
            Ok(()) => {
                let destination = self.train.destination().expect("a destination");
                assert_eq!(destination.remote, self.client.server());
            }
            Err(error) => assert_eq!(error, TurnError::NoAllocation),
        }
    }

    /// Drains everything; the client is never busy without end.
    fn check(&mut self) {
        let mut sent = 0;
        while self.client.poll_transmit(self.now, &mut self.train) {
            sent += 1;
            assert!(sent < 1_000, "it never stops sending");
            self.last = self.train.segment(0).to_vec();
            assert!(Message::parse(&self.last).is_ok());
        }
        while let Some(event) = self.client.poll_event() {
            self.over |= matches!(event, TurnEvent::Failed(_) | TurnEvent::Closed);
        }
        if self.client.is_over() {
            let next = self.client.poll_timeout();
            assert!(self.over && next.is_none() && !self.client.is_allocated());
        }
        self.client.handle_timeout(self.now);
        while self.client.poll_transmit(self.now, &mut self.train) {}
        if let Some(next) = self.client.poll_timeout() {
            assert!(next.at > self.now, "{next:?} at {:?}", self.now);
        }
    }
}
