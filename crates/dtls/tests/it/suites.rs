//! Every cipher suite that the library speaks, against the bare library.

use std::sync::Arc;
use std::time::Duration;

use dimpl::crypto::{Dtls12CipherSuite, Dtls13CipherSuite};
use dimpl::{DtlsCertificate, Output};
use esp_dtls::{Dtls, DtlsRole, Event, State, Versions};
use esp_wire::{Instant, Origin, Train};

use crate::link::{certificate, config};

/// The bare library, fed and drained at once: the path is in order and loses nothing.
struct Bare {
    dtls: dimpl::Dtls,
    start: std::time::Instant,
    data: Vec<Vec<u8>>,
    closed: bool,
}

impl Bare {
    fn new(config: dimpl::Config, versions: Versions, client: bool) -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "there is no other way to make one"
        )]
        let start = std::time::Instant::now();
        let own = certificate(1);
        let certificate = DtlsCertificate {
            certificate: own.certificate_der().to_vec(),
            private_key: own.private_key_pkcs8().to_vec(),
        };
        let mut dtls = match versions {
            Versions::Only12 => dimpl::Dtls::new_12(Arc::new(config), certificate, start),
            _ => dimpl::Dtls::new_13(Arc::new(config), certificate, start),
        };
        dtls.set_active(client);
        Bare {
            dtls,
            start,
            data: Vec::new(),
            closed: false,
        }
    }

    fn drain(&mut self, millis: u64) -> Vec<Vec<u8>> {
        let now = self.start + Duration::from_millis(millis);
        self.dtls.handle_timeout(now).unwrap();
        let mut out = Vec::new();
        let mut buffer = vec![0; 10_000];
        loop {
            match self.dtls.poll_output(&mut buffer) {
                Output::Packet(packet) => out.push(packet.to_vec()),
                Output::ApplicationData(data) => self.data.push(data.to_vec()),
                Output::CloseNotify => self.closed = true,
                Output::Timeout(_) => return out,
                _ => {}
            }
        }
    }
}

struct Pair {
    ours: Dtls,
    bare: Bare,
    data: Vec<Vec<u8>>,
    closed: bool,
    millis: u64,
}

impl Pair {
    fn new(config_of_bare: dimpl::Config, versions: Versions, client: bool) -> Self {
        let mut ours = Dtls::new(&config(0, versions), &Origin::seeded(1)).unwrap();
        let announced = vec![certificate(1).fingerprint().clone()];
        ours.set_remote_fingerprints(announced).unwrap();
        let role = if client {
            DtlsRole::Client
        } else {
            DtlsRole::Server
        };
        ours.set_role(Instant::ZERO, role).unwrap();
        Pair {
            ours,
            bare: Bare::new(config_of_bare, versions, !client),
            data: Vec::new(),
            closed: false,
            millis: 0,
        }
    }

    fn run(&mut self) {
        let mut train = Train::with_capacity(65_536);
        for _ in 0..20 {
            self.millis += 1;
            let now = Instant::ZERO + Duration::from_millis(self.millis);
            for mut datagram in self.bare.drain(self.millis) {
                if let Some(data) = self.ours.open(now, &mut datagram).unwrap() {
                    self.data.push(data.to_vec());
                }
            }
            self.ours.handle_timeout(now).unwrap();
            while let Some(event) = self.ours.poll_event() {
                match event {
                    Event::Data(data) => self.data.push(data.to_vec()),
                    Event::Closed => self.closed = true,
                    Event::Connected { .. } => {}
                }
            }
            while self.ours.poll_transmit(now, &mut train) {
                for datagram in train.segments() {
                    self.bare.dtls.handle_packet(datagram).unwrap();
                }
            }
        }
    }

    fn send(&mut self, payload: &[u8]) {
        let mut train = Train::with_capacity(2_000);
        train.begin(self.ours.room(), payload.len());
        assert!(train.push(payload));
        let now = Instant::ZERO + Duration::from_millis(self.millis);
        self.ours.protect(now, &mut train).unwrap();
        self.bare.dtls.handle_packet(train.segment(0)).unwrap();
    }
}

fn talk(make: impl Fn() -> dimpl::Config, versions: Versions, own: bool) {
    for client in [false, true] {
        let mut pair = Pair::new(make(), versions, client);
        pair.run();
        assert_eq!(pair.ours.state(), State::Connected);
        for round in 0..300_u16 {
            let payload = round.to_be_bytes().repeat(1 + usize::from(round));
            pair.send(&payload);
            pair.bare.dtls.send_application_data(&payload).unwrap();
            pair.run();
            assert_eq!(pair.bare.data.pop(), Some(payload.clone()));
            assert_eq!(pair.data.pop(), Some(payload));
        }
        let ours = pair.ours.stats().records_received;
        assert_eq!(ours, if own { 300 } else { 0 });
        if client {
            pair.ours.close(Instant::ZERO);
            pair.run();
            assert!(pair.bare.closed);
        } else {
            pair.bare.dtls.close().unwrap();
            pair.run();
            assert!(pair.closed);
        }
    }
}

#[test]
fn suites_of_1_3() {
    // With key updates by the bare library on the way.
    for (suite, own) in [
        (Dtls13CipherSuite::AES_128_GCM_SHA256, true),
        (Dtls13CipherSuite::AES_256_GCM_SHA384, true),
        (Dtls13CipherSuite::CHACHA20_POLY1305_SHA256, false),
    ] {
        let make = || {
            dimpl::Config::builder()
                .use_server_cookie(false)
                .dtls13_cipher_suites(&[suite])
                .aead_encryption_limit(40)
                .build()
                .unwrap()
        };
        talk(make, Versions::Only13, own);
    }
}

#[test]
fn suites_of_1_2() {
    for suite in [
        Dtls12CipherSuite::ECDHE_ECDSA_AES128_GCM_SHA256,
        Dtls12CipherSuite::ECDHE_ECDSA_AES256_GCM_SHA384,
    ] {
        let make = || {
            dimpl::Config::builder()
                .dtls12_cipher_suites(&[suite])
                .build()
                .unwrap()
        };
        talk(make, Versions::Only12, true);
    }
}
