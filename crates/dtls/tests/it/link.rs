//! Two ends and the network between them, in virtual time.

use std::sync::OnceLock;
use std::time::Duration;

use esp_dtls::{
    Certificate, Config, Dtls, DtlsRole, Error, Event, SrtpKeys, State, Version, Versions,
};
use esp_wire::{Instant, Origin, Rng, Room, Train};

pub(crate) const BOTH: [Versions; 2] = [Versions::Only12, Versions::Only13];

/// Two certificates that all tests share: making them is the slow part.
pub(crate) fn certificate(index: usize) -> Certificate {
    static MADE: OnceLock<[Certificate; 2]> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        [
            Certificate::generate().unwrap(),
            Certificate::generate().unwrap(),
        ]
    });
    made[index].clone()
}

pub(crate) fn config(index: usize, versions: Versions) -> Config {
    Config::new(certificate(index)).with_versions(versions)
}

/// What one end said.
#[derive(Debug, PartialEq)]
pub(crate) enum Told {
    Connected(Version, Option<SrtpKeys>),
    Data(Vec<u8>),
    Closed,
}

pub(crate) struct End {
    pub(crate) dtls: Dtls,
    pub(crate) told: Vec<Told>,
    pub(crate) failed: Option<Error>,
}

impl End {
    pub(crate) fn new(config: &Config) -> Self {
        End {
            dtls: Dtls::new(config, &Origin::seeded(1)).unwrap(),
            told: Vec::new(),
            failed: None,
        }
    }

    fn note(&mut self, result: Result<(), Error>) {
        if let Err(error) = result {
            assert!(self.failed.is_none(), "failed twice: {error}");
            self.failed = Some(error);
        }
    }

    pub(crate) fn listen(&mut self) {
        while let Some(event) = self.dtls.poll_event() {
            self.told.push(match event {
                Event::Connected { version, srtp } => Told::Connected(version, srtp),
                Event::Data(data) => Told::Data(data.to_vec()),
                Event::Closed => Told::Closed,
            });
        }
    }

    pub(crate) fn keys(&self) -> &SrtpKeys {
        self.told
            .iter()
            .find_map(|told| match told {
                Told::Connected(_, keys) => keys.as_ref(),
                _ => None,
            })
            .expect("SRTP keys")
    }

    pub(crate) fn data(&self) -> Vec<&[u8]> {
        self.told
            .iter()
            .filter_map(|told| match told {
                Told::Data(data) => Some(&data[..]),
                _ => None,
            })
            .collect()
    }
}

/// Decides by sender, index and bytes.
pub(crate) type Lose = dyn FnMut(usize, usize, &[u8]) -> bool;

/// A network of two ends: 0 and 1.
pub(crate) struct Link {
    pub(crate) ends: [End; 2],
    pub(crate) now: Instant,
    pub(crate) loss: f64,
    pub(crate) jitter: Duration,
    pub(crate) largest: usize,
    pub(crate) sent: usize,
    /// Datagrams are opened in place where they can be.
    pub(crate) opens: bool,
    /// Loses what it says `true` to, by sender and index among all that were sent.
    pub(crate) lose: Option<Box<Lose>>,
    rng: Rng,
    flying: Vec<(Instant, usize, Vec<u8>)>,
}

impl Link {
    pub(crate) fn new(left: &Config, right: &Config, seed: u64) -> Self {
        Link {
            ends: [End::new(left), End::new(right)],
            now: Instant::ZERO,
            loss: 0.0,
            jitter: Duration::ZERO,
            largest: 0,
            sent: 0,
            opens: seed % 2 == 1,
            lose: None,
            rng: Rng::new(Origin::seeded(seed).seed),
            flying: Vec::new(),
        }
    }

    /// Both ends know each other's fingerprint.
    pub(crate) fn introduce(&mut self) {
        for (index, end) in self.ends.iter_mut().enumerate() {
            let other = certificate(1 - index).fingerprint().clone();
            end.dtls.set_remote_fingerprints(vec![other]).unwrap();
        }
    }

    pub(crate) fn start(&mut self, client: usize) {
        let now = self.now;
        // The server first: it holds nothing then.
        for index in [1 - client, client] {
            let role = if index == client {
                DtlsRole::Client
            } else {
                DtlsRole::Server
            };
            self.ends[index].dtls.set_role(now, role).unwrap();
        }
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.ends
            .iter()
            .all(|end| end.dtls.state() == State::Connected)
    }

    pub(crate) fn launch(&mut self, from: usize, datagram: Vec<u8>) {
        self.sent += 1;
        self.largest = self.largest.max(datagram.len());
        let index = self.sent - 1;
        let lost = self.lose.as_mut();
        if lost.is_some_and(|lose| lose(from, index, &datagram)) || self.rng.chance(self.loss) {
            return;
        }
        let extra = self.rng.below(self.jitter.as_nanos() as u64 + 1);
        let at = self.now + Duration::from_millis(5) + Duration::from_nanos(extra);
        self.flying.push((at, 1 - from, datagram));
    }

    fn collect(&mut self) {
        let mut train = Train::with_capacity(65_536);
        for index in 0..2 {
            while self.ends[index].dtls.poll_transmit(self.now, &mut train) {
                let datagrams: Vec<Vec<u8>> = train.segments().map(<[u8]>::to_vec).collect();
                for datagram in datagrams {
                    self.launch(index, datagram);
                }
            }
            self.ends[index].listen();
        }
    }

    /// Runs until `done` or until `until`; true when done.
    pub(crate) fn run(&mut self, until: Instant, done: impl Fn(&Link) -> bool) -> bool {
        loop {
            self.collect();
            if done(self) {
                return true;
            }
            let timers = self
                .ends
                .iter()
                .filter_map(|end| end.dtls.poll_timeout().map(|deadline| deadline.at));
            let arrivals = self.flying.iter().map(|(at, _, _)| *at);
            let Some(next) = timers.chain(arrivals).min() else {
                return false;
            };
            if next > until {
                return false;
            }
            self.now = self.now.max(next);
            self.step();
        }
    }

    fn step(&mut self) {
        let now = self.now;
        self.flying.sort_by_key(|(at, _, _)| *at);
        while self.flying.first().is_some_and(|(at, _, _)| *at <= now) {
            let (_, to, mut datagram) = self.flying.remove(0);
            let end = &mut self.ends[to];
            let result = if self.opens {
                end.dtls.open(now, &mut datagram).map(|data| {
                    let data = data.map(|data| Told::Data(data.to_vec()));
                    end.told.extend(data);
                })
            } else {
                end.dtls.handle_input(now, &mut datagram)
            };
            end.note(result);
        }
        for end in &mut self.ends {
            if end.dtls.poll_timeout().is_some_and(|it| it.at <= now) {
                let result = end.dtls.handle_timeout(now);
                end.note(result);
            }
        }
    }

    pub(crate) fn connect(&mut self) {
        let until = self.now + Duration::from_secs(60);
        let connected = self.run(until, Link::is_connected);
        let states = self
            .ends
            .each_ref()
            .map(|end| (end.dtls.state(), &end.failed));
        assert!(connected, "not connected at {:?}: {states:?}", self.now);
    }

    /// Lets what flies arrive.
    pub(crate) fn settle(&mut self) {
        let until = self.now + Duration::from_millis(20);
        self.run(until, |_| false);
        self.now = until;
    }

    /// Protects equal payloads as one train and launches the records.
    pub(crate) fn send(&mut self, from: usize, payloads: &[Vec<u8>]) {
        let dtls = &mut self.ends[from].dtls;
        let mut train = Train::with_capacity(65_536);
        train.begin(dtls.room(), payloads[0].len());
        for payload in payloads {
            assert!(train.push(payload));
        }
        dtls.protect(self.now, &mut train).unwrap();
        let records: Vec<Vec<u8>> = train.segments().map(<[u8]>::to_vec).collect();
        for record in records {
            self.launch(from, record);
        }
    }
}

pub(crate) fn connected(versions: [Versions; 2], client: usize) -> Link {
    let mut link = Link::new(&config(0, versions[0]), &config(1, versions[1]), 7);
    link.introduce();
    link.start(client);
    link.connect();
    link
}

pub(crate) fn sum(room: Room) -> usize {
    room.head + room.tail
}
