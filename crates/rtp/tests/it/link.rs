//! Two sessions and a seeded link between them, in virtual time.

use std::collections::BTreeMap;
use std::time::Duration;

use esp_rtp::{
    Class, Config, EndReason, Event, Extension, MediaConfig, PayloadMap, Session, TrackId,
};
use esp_wire::{Codec, Direction, Frame, Instant, Kind, Origin, Rng, Room, Train};

/// An event with bytes of its own.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Happened {
    Started(TrackId, Codec),
    Ended(TrackId, EndReason),
    Frame {
        track: TrackId,
        pts: Duration,
        captured: Option<Duration>,
        data: Vec<u8>,
        keyframe: bool,
    },
    KeyframeRequested(TrackId),
    Bitrate(u64),
    Estimate(u64),
    Feedback(esp_rtp::congestion::Observation),
}

impl From<Event<'_>> for Happened {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::TrackStarted { track, codec, .. } => Happened::Started(track, codec),
            Event::TrackEnded { track, reason, .. } => Happened::Ended(track, reason),
            Event::Frame {
                track,
                pts,
                captured,
                data,
                keyframe,
                ..
            } => Happened::Frame {
                track,
                pts,
                captured,
                data: data.to_vec(),
                keyframe,
            },
            Event::KeyframeRequested { track } => Happened::KeyframeRequested(track),
            Event::BitrateHint { bitrate } => Happened::Bitrate(bitrate),
            Event::BitrateEstimate { bitrate } => Happened::Estimate(bitrate),
            Event::TransportFeedback(seen) => Happened::Feedback(seen),
            other => panic!("an event that nobody expects: {other:?}"),
        }
    }
}

/// What the link does to datagrams.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quality {
    pub(crate) delay: Duration,
    pub(crate) jitter: Duration,
    pub(crate) loss: f64,
    pub(crate) duplicates: f64,
}

impl Quality {
    pub(crate) const GOOD: Quality = Quality {
        delay: Duration::from_millis(20),
        jitter: Duration::ZERO,
        loss: 0.0,
        duplicates: 0.0,
    };
}

type Filter = Box<dyn FnMut(usize, Class, &[u8]) -> bool>;

/// Two sessions and what is under way between them.
pub(crate) struct Pair {
    pub(crate) now: Instant,
    pub(crate) sessions: [Session; 2],
    pub(crate) happened: [Vec<(Instant, Happened)>; 2],
    pub(crate) quality: Quality,
    /// Drops a datagram of a side when it says so.
    pub(crate) filter: Option<Filter>,
    /// Sizes of the trains of RTP that each side sent.
    pub(crate) trains: [Vec<usize>; 2],
    flights: BTreeMap<(Instant, u64), (usize, Class, Vec<u8>)>,
    count: u64,
    rng: Rng,
    train: Train,
}

impl Pair {
    pub(crate) fn new(seed: u64, config: &Config, media: &[MediaConfig]) -> Self {
        let mut sessions = [1, 2].map(|side| {
            let origin = Origin::seeded(seed * 2 + side);
            let mut session = Session::new(config.clone(), origin).unwrap();
            session.set_path(Room { head: 40, tail: 30 }, 1_150);
            session
        });
        for session in &mut sessions {
            session.set_media(Instant::ZERO, media).unwrap();
        }
        Pair {
            now: Instant::ZERO,
            sessions,
            happened: [Vec::new(), Vec::new()],
            quality: Quality::GOOD,
            filter: None,
            trains: [Vec::new(), Vec::new()],
            flights: BTreeMap::new(),
            count: 0,
            rng: Rng::new(Origin::seeded(seed).seed),
            train: Train::with_capacity(65_536),
        }
    }

    /// Sends a frame, captured now.
    pub(crate) fn send(&mut self, side: usize, mid: &str, data: &[u8]) {
        let session = &mut self.sessions[side];
        let track = session.track(mid).unwrap();
        let pts = self.now - Instant::ZERO;
        session
            .send_frame(self.now, track, Frame { pts, data })
            .unwrap();
    }

    /// Lets everything happen up to `ms`.
    pub(crate) fn run_to(&mut self, ms: u64) {
        let end = Instant::from_millis(ms);
        loop {
            self.flush();
            let timers = self.sessions.iter().filter_map(Session::poll_timeout);
            let flight = self.flights.keys().next().map(|(at, _)| *at);
            let next = timers.map(|deadline| deadline.at).chain(flight).min();
            let Some(next) = next.filter(|next| *next <= end) else {
                break;
            };
            assert!(next >= self.now || self.flights.is_empty(), "time stands");
            self.now = self.now.max(next);
            self.arrive();
            for session in &mut self.sessions {
                session.handle_timeout(self.now);
            }
        }
        self.now = end;
    }

    fn arrive(&mut self) {
        while let Some(entry) = self.flights.first_entry() {
            if entry.key().0 > self.now {
                break;
            }
            let (to, class, mut bytes) = entry.remove();
            match class {
                Class::Rtp => self.sessions[to].handle_rtp(self.now, &mut bytes),
                Class::Rtcp => self.sessions[to].handle_rtcp(self.now, &mut bytes),
            }
        }
    }

    fn flush(&mut self) {
        for side in 0..2 {
            while let Some(class) = self.sessions[side].poll_transmit(self.now, &mut self.train) {
                if class == Class::Rtp {
                    self.trains[side].push(self.train.len());
                }
                let datagrams: Vec<Vec<u8>> = self.train.segments().map(<[u8]>::to_vec).collect();
                assert!(!datagrams.is_empty());
                for datagram in datagrams {
                    assert!(datagram.len() <= 1_150);
                    assert_eq!(esp_rtp::packet::is_rtcp(&datagram), class == Class::Rtcp);
                    self.depart(side, class, datagram);
                }
            }
            while let Some(event) = self.sessions[side].poll_event() {
                self.happened[side].push((self.now, event.into()));
            }
        }
    }

    fn depart(&mut self, side: usize, class: Class, datagram: Vec<u8>) {
        let filtered = self
            .filter
            .as_mut()
            .is_some_and(|filter| filter(side, class, &datagram));
        if filtered || self.rng.chance(self.quality.loss) {
            return;
        }
        let copies = 1 + u64::from(self.rng.chance(self.quality.duplicates));
        for _ in 0..copies {
            let jitter = self.rng.below(self.quality.jitter.as_nanos() as u64 + 1);
            let at = self.now + self.quality.delay + Duration::from_nanos(jitter);
            self.count += 1;
            self.flights
                .insert((at, self.count), (1 - side, class, datagram.clone()));
        }
    }

    /// The frames that a side got on a track, with their arrival.
    pub(crate) fn frames(&self, side: usize, mid: &str) -> Vec<(Instant, Got)> {
        let id = self.sessions[side].track(mid).unwrap();
        self.happened[side]
            .iter()
            .filter_map(|(at, happened)| match happened {
                Happened::Frame {
                    track,
                    pts,
                    captured,
                    data,
                    keyframe,
                } if *track == id => Some((
                    *at,
                    Got {
                        pts: *pts,
                        captured: *captured,
                        data: data.clone(),
                        keyframe: *keyframe,
                    },
                )),
                _ => None,
            })
            .collect()
    }

    /// When a side saw an event.
    pub(crate) fn times(&self, side: usize, wanted: &Happened) -> Vec<Instant> {
        let matching = self.happened[side]
            .iter()
            .filter(|(_, what)| what == wanted);
        matching.map(|(at, _)| *at).collect()
    }
}

/// A frame that came.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Got {
    pub(crate) pts: Duration,
    pub(crate) captured: Option<Duration>,
    pub(crate) data: Vec<u8>,
    pub(crate) keyframe: bool,
}

pub(crate) fn video(payload: PayloadMap) -> MediaConfig {
    MediaConfig::new("v", Kind::Video)
        .with_codec(Direction::SendRecv, payload)
        .with_extension(4, Extension::Mid)
        .with_extension(2, Extension::AbsSendTime)
        .with_extension(3, Extension::TransportCc)
        .with_reduced_size()
}

pub(crate) fn audio(payload: PayloadMap) -> MediaConfig {
    MediaConfig::new("a", Kind::Audio)
        .with_codec(Direction::SendRecv, payload)
        .with_extension(4, Extension::Mid)
        .with_reduced_size()
}

pub(crate) fn h264() -> PayloadMap {
    PayloadMap::new(Codec::H264, 96)
}

pub(crate) fn opus() -> PayloadMap {
    PayloadMap::new(Codec::Opus, 111)
}

/// An access unit that cannot be mistaken for another one: number `index`, about `len` bytes.
pub(crate) fn picture(index: u32, len: usize, keyframe: bool) -> Vec<u8> {
    let mut unit = Vec::new();
    if keyframe {
        unit.extend_from_slice(&[0, 0, 0, 1, 0x67, 0x42, 1, 2, 0, 0, 0, 1, 0x68, 0xce, 7]);
    }
    unit.extend_from_slice(&[0, 0, 0, 1, if keyframe { 0x65 } else { 0x41 }, 0x9a]);
    unit.extend((0..5).map(|digit| ((index >> (6 * digit)) as u8 & 63) | 0x40));
    unit.extend((0..len).map(|at| (at as u8).wrapping_mul(31).wrapping_add(index as u8) | 1));
    unit
}

/// An Opus packet of 20 ms that cannot be mistaken for another one.
pub(crate) fn sound(index: u32) -> Vec<u8> {
    [&[0xfc][..], &index.to_be_bytes(), &[7; 60]].concat()
}
