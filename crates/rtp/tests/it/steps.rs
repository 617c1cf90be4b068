//! Random operations in any order: nothing panics, nothing grows without bound, and what comes
//! out is what went in.

use std::collections::HashSet;
use std::time::Duration;

use esp_rtp::{Class, Config, Event, Session};
use esp_wire::{Frame, Instant, Origin, Room, Train};
use proptest::prelude::*;

use crate::link::{audio, h264, opus, picture, sound, video};

#[derive(Clone, Debug)]
enum Step {
    Picture(u16, bool),
    Sound,
    Deliver(u8),
    Lose(u8),
    Swap,
    Twice,
    Flip(u16, u8),
    Noise(Vec<u8>, bool),
    Advance(u8),
    Timeout,
    Path(u16),
    Renegotiate(bool),
    Drain,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0u16..6_000, prop::bool::weighted(0.2)).prop_map(|(len, key)| Step::Picture(len, key)),
        3 => Just(Step::Sound),
        8 => (1u8..20).prop_map(Step::Deliver),
        1 => (1u8..4).prop_map(Step::Lose),
        1 => Just(Step::Swap),
        1 => Just(Step::Twice),
        1 => (any::<u16>(), 1u8..=255).prop_map(|(at, bits)| Step::Flip(at, bits)),
        1 => (prop::collection::vec(any::<u8>(), 0..60), any::<bool>()).prop_map(|(bytes, rtcp)| Step::Noise(bytes, rtcp)),
        4 => (1u8..50).prop_map(Step::Advance),
        4 => Just(Step::Timeout),
        1 => (0u16..2_000).prop_map(Step::Path),
        1 => any::<bool>().prop_map(Step::Renegotiate),
        4 => Just(Step::Drain),
    ]
}

struct World {
    now: Instant,
    sessions: [Session; 2],
    flight: Vec<(usize, Class, Vec<u8>)>,
    train: Train,
    sent: HashSet<Vec<u8>>,
    index: u32,
    flipped: bool,
}

impl World {
    fn new() -> Self {
        let media = media(true);
        let sessions = [1, 2].map(|seed| {
            let mut session = Session::new(Config::default(), Origin::seeded(seed)).unwrap();
            session.set_media(Instant::ZERO, &media).unwrap();
            session
        });
        World {
            now: Instant::ZERO,
            sessions,
            flight: Vec::new(),
            train: Train::with_capacity(20_000),
            sent: HashSet::new(),
            index: 0,
            flipped: false,
        }
    }

    fn send(&mut self, mid: &str, data: Vec<u8>) {
        self.index += 1;
        let frame = Frame {
            pts: self.now - Instant::ZERO,
            data: &data,
        };
        if let Some(track) = self.sessions[0].track(mid) {
            let _ = self.sessions[0].send_frame(self.now, track, frame);
        }
        self.sent.insert(data);
    }

    fn deliver(&mut self) {
        if self.flight.is_empty() {
            return;
        }
        let (to, class, mut bytes) = self.flight.remove(0);
        match class {
            Class::Rtp => self.sessions[to].handle_rtp(self.now, &mut bytes),
            Class::Rtcp => self.sessions[to].handle_rtcp(self.now, &mut bytes),
        }
    }

    fn drain(&mut self) {
        for side in 0..2 {
            let mut trains = 0;
            while let Some(class) = self.sessions[side].poll_transmit(self.now, &mut self.train) {
                trains += 1;
                assert!(trains < 2_000, "output without end");
                for segment in self.train.segments() {
                    self.flight.push((1 - side, class, segment.to_vec()));
                }
            }
            while let Some(event) = self.sessions[side].poll_event() {
                if let Event::Frame { data, .. } = event {
                    assert!(
                        self.flipped || self.sent.contains(data),
                        "a frame nobody sent"
                    );
                }
            }
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Picture(len, key) => {
                self.send("v", picture(self.index, usize::from(len), key));
            }
            Step::Sound => self.send("a", sound(self.index)),
            Step::Deliver(count) => (0..count).for_each(|_| self.deliver()),
            Step::Lose(count) => {
                let count = usize::from(count).min(self.flight.len());
                self.flight.drain(..count);
            }
            Step::Swap if self.flight.len() > 1 => self.flight.swap(0, 1),
            Step::Twice => self.flight.extend(self.flight.first().cloned()),
            Step::Flip(at, bits) => {
                if let Some((_, _, bytes)) = self.flight.first_mut() {
                    let at = usize::from(at) % bytes.len();
                    bytes[at] ^= bits;
                    self.flipped = true;
                }
            }
            Step::Noise(mut bytes, true) => {
                self.sessions[1].handle_rtcp(self.now, &mut bytes);
            }
            Step::Noise(mut bytes, false) => {
                self.flipped |= bytes.len() > 12;
                self.sessions[1].handle_rtp(self.now, &mut bytes);
            }
            Step::Advance(ms) => self.now += Duration::from_millis(u64::from(ms)),
            Step::Timeout => {
                for session in &mut self.sessions {
                    session.handle_timeout(self.now);
                    let next = session.poll_timeout();
                    assert!(next.is_none_or(|next| next.at > self.now), "{next:?}");
                }
            }
            Step::Path(size) => {
                let room = Room { head: 36, tail: 20 };
                self.sessions[0].set_path(room, usize::from(size));
            }
            Step::Renegotiate(both) => {
                for session in &mut self.sessions {
                    session.set_media(self.now, &media(both)).unwrap();
                }
            }
            Step::Drain => self.drain(),
            Step::Swap => {}
        }
    }
}

fn media(both: bool) -> Vec<esp_rtp::MediaConfig> {
    let video = video(h264().with_rtx(97).with_feedback().with_twcc());
    match both {
        true => vec![audio(opus()), video],
        false => vec![video],
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_order_of_operations_is_fine(steps in prop::collection::vec(step(), 1..200)) {
        let mut world = World::new();
        for step in steps {
            world.take(step);
        }
        world.drain();
        let stats = world.sessions[1].stats();
        for stream in stats.tracks.iter().flat_map(|track| &track.received) {
            prop_assert!(stream.buffered <= 267);
        }
    }
}
