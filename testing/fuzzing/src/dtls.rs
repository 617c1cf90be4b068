//! Two ends of DTLS: steps, losses, changed flights, noise.

use std::collections::VecDeque;
use std::sync::OnceLock;
use std::time::Duration;

use esp_dtls::{Backend, Certificate, Config, Dtls, DtlsRole, Event, State, Versions};
use esp_wire::{Instant, Origin, Train};

use crate::Bytes;

/// Two certificates that never change: making them is slow.
pub(crate) fn certificate(index: usize) -> &'static Certificate {
    static MADE: OnceLock<[Certificate; 2]> = OnceLock::new();
    let made =
        MADE.get_or_init(|| [(); 2].map(|()| Certificate::generate().expect("a certificate")));
    &made[index]
}

struct Side {
    dtls: Dtls,
    /// Datagrams to this side.
    inbox: VecDeque<Vec<u8>>,
    /// The fingerprint that it was told is that of the other side.
    trusts: bool,
}

struct World {
    sides: [Side; 2],
    now: Instant,
    train: Train,
}

/// No step panics, and none connects to one whose certificate was not announced.
pub(crate) fn steps(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let setup = bytes.u8();
    let versions = [
        Versions::Auto,
        Versions::Only12,
        Versions::Only13,
        Versions::Auto,
    ];
    let side = |index: usize| {
        let versions = versions[usize::from(setup >> (2 * index) & 3)];
        // OpenSSL only knows DTLS 1.2.
        let (backend, versions) = match setup >> (4 + index) & 1 {
            0 => (Backend::Own, versions),
            _ => (Backend::OpenSsl, Versions::Only12),
        };
        let config = Config::new(certificate(index).clone())
            .with_versions(versions)
            .with_backend(backend);
        Side {
            dtls: Dtls::new(&config, &Origin::seeded(3)).expect("a config that is right"),
            inbox: VecDeque::new(),
            trusts: false,
        }
    };
    let mut world = World {
        sides: [side(0), side(1)],
        now: Instant::ZERO,
        train: Train::with_capacity(65_536),
    };
    for _ in 0..80 {
        if bytes.is_empty() {
            return;
        }
        world.step(&mut bytes);
        world.drain();
    }
}

impl World {
    fn step(&mut self, bytes: &mut Bytes<'_>) {
        let code = bytes.u8();
        let end = usize::from(code >> 7);
        let now = self.now;
        let side = &mut self.sides[end];
        match code & 15 {
            0 => {
                let role = [DtlsRole::Client, DtlsRole::Server][end ^ usize::from(code >> 6 & 1)];
                let _ = side.dtls.set_role(now, role);
            }
            1 => {
                side.trusts = code & 64 == 0;
                let of = if side.trusts { 1 - end } else { end };
                let announced = vec![certificate(of).fingerprint().clone()];
                let _ = side.dtls.set_remote_fingerprints(announced);
            }
            2..=4 => (0..1 + code / 16 % 4).for_each(|_| self.deliver(end)),
            5 => drop(side.inbox.pop_front()),
            6 => {
                let first = side.inbox.pop_front();
                side.inbox.extend(first);
            }
            7 => side.inbox.extend(side.inbox.front().cloned()),
            8 => {
                if let Some(datagram) = side.inbox.front_mut() {
                    bytes.change(datagram);
                }
                self.deliver(end);
            }
            9 => {
                let mut noise = bytes.short().to_vec();
                let _ = side.dtls.handle_input(now, &mut noise);
            }
            10 => {
                let (kind, epoch) = (bytes.u8(), bytes.u8() & 3);
                let body = bytes.short();
                let mut record = vec![kind, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, bytes.u8()];
                record.extend((body.len() as u16).to_be_bytes());
                record.extend(body);
                let _ = side.dtls.handle_input(now, &mut record);
            }
            11 | 12 => {
                self.now += Duration::from_millis(u64::from(bytes.u8()) * 8);
                for side in &mut self.sides {
                    let _ = side.dtls.handle_timeout(self.now);
                }
            }
            13 => self.send(end, usize::from(bytes.u16() % 1_200)),
            14 => side.dtls.close(now),
            _ => (0..16).for_each(|turn| self.deliver(turn & 1)),
        }
    }

    fn deliver(&mut self, end: usize) {
        let side = &mut self.sides[end];
        if let Some(mut datagram) = side.inbox.pop_front() {
            let _ = side.dtls.handle_input(self.now, &mut datagram);
            self.drain();
        }
    }

    fn send(&mut self, end: usize, len: usize) {
        let side = &mut self.sides[end];
        self.train.begin(side.dtls.room(), len);
        self.train.push(&vec![end as u8; len]);
        let before = side.dtls.state();
        if side.dtls.protect(self.now, &mut self.train).is_ok() && !self.train.is_empty() {
            assert_eq!(before, State::Connected);
            let record = self.train.segment(0).to_vec();
            self.sides[1 - end].inbox.push_back(record);
        }
    }

    fn drain(&mut self) {
        for end in [0, 1] {
            let mut trains = 0;
            while self.sides[end]
                .dtls
                .poll_transmit(self.now, &mut self.train)
            {
                trains += 1;
                assert!(trains < 1_000, "it never stops sending");
                let inbox = &mut self.sides[1 - end].inbox;
                let free = 64_usize.saturating_sub(inbox.len());
                inbox.extend(self.train.segments().take(free).map(<[u8]>::to_vec));
            }
            let side = &mut self.sides[end];
            while let Some(event) = side.dtls.poll_event() {
                match event {
                    Event::Connected { .. } => assert!(side.trusts, "nobody announced this"),
                    Event::Data(data) => {
                        assert!(data.iter().all(|byte| usize::from(*byte) == 1 - end));
                    }
                    Event::Closed => {}
                }
            }
        }
    }
}
