//! Senders of sound and pictures that share one link, whose encoders follow what is estimated.

use std::collections::BTreeMap;
use std::time::Duration;

use esp_netsim::{Fate, Link, Pipe};
use esp_rtp::{Class, Config, Event, Extension, MediaConfig, PayloadMap, Session};
use esp_wire::{Codec, Direction, Ecn, Frame, Instant, Kind, Origin, Rng, Room, Train};

/// IP and UDP headers.
const HEADERS: usize = 28;
/// What SRTP adds.
const ROOM: Room = Room { head: 0, tail: 10 };
/// Bytes of a packet of sound, of which there are 50 a second.
const SOUND: usize = 80;
/// Pictures a second.
const PICTURES: u64 = 25;
/// What an encoder makes of a keyframe, in ordinary pictures.
const KEYFRAME: u64 = 4;

/// An encoder of the bitrate that it is told, with pictures that differ in size.
struct Encoder {
    bitrate: u64,
    ceiling: u64,
    keyframe: bool,
    /// Bytes that keyframes took too much.
    debt: u64,
    rng: Rng,
    picture: Vec<u8>,
}

impl Encoder {
    fn next(&mut self) -> &[u8] {
        let mean = self.bitrate / 8 / PICTURES;
        let keyframe = std::mem::take(&mut self.keyframe);
        let size = match keyframe {
            true => {
                self.debt += mean * (KEYFRAME - 1);
                mean * KEYFRAME
            }
            false => {
                // What a keyframe took is saved by those that follow.
                let saved = self.debt.min(mean / 2);
                self.debt -= saved;
                mean * (70 + self.rng.below(61)) / 100 - saved
            }
        };
        self.picture.clear();
        if keyframe {
            let sets = [0, 0, 0, 1, 0x67, 0x42, 1, 2, 0, 0, 0, 1, 0x68, 0xce, 7];
            self.picture.extend(sets);
        }
        let kind = if keyframe { 0x65 } else { 0x41 };
        self.picture.extend([0, 0, 0, 1, kind, 0x9a]);
        self.picture.resize(size.max(100) as usize, 0x55);
        &self.picture
    }
}

/// One sender, its receiver, and the way back.
struct Flow {
    ends: [Session; 2],
    back: Pipe,
    encoder: Encoder,
    begins: Instant,
    shown: u64,
    made: u64,
}

/// What was seen of the link and of each flow, every 50 ms.
#[derive(Clone, Debug)]
pub struct Sample {
    /// When.
    pub at: Instant,
    /// What would wait longest in the queue.
    pub queue: Duration,
    /// What each flow estimates, bits a second; 0 before it does.
    pub estimates: Vec<u64>,
}

/// A packet under way: of which flow, to which end, and what it is.
type Flight = (usize, usize, Class, Vec<u8>);

/// Senders and receivers, and the link between them.
pub struct Path {
    now: Instant,
    /// What all packets of senders cross.
    pub link: Pipe,
    flows: Vec<Flow>,
    flights: BTreeMap<(Instant, u64), Flight>,
    count: u64,
    rng: Rng,
    train: Train,
    /// All samples.
    pub samples: Vec<Sample>,
}

fn media() -> [MediaConfig; 2] {
    let mut opus = PayloadMap::new(Codec::Opus, 111);
    opus.twcc = true;
    let h264 = PayloadMap::new(Codec::H264, 96)
        .with_rtx(97)
        .with_feedback()
        .with_twcc();
    [("a", Kind::Audio, opus), ("v", Kind::Video, h264)].map(|(mid, kind, payload)| {
        MediaConfig::new(mid, kind)
            .with_codec(Direction::SendRecv, payload)
            .with_extension(4, Extension::Mid)
            .with_extension(3, Extension::TransportCc)
            .with_reduced_size()
    })
}

impl Path {
    /// A link with a flow for each of these starts; encoders make `ceiling` bits a second at most.
    pub fn new(seed: u64, link: Link, ceiling: u64, starts: &[Duration]) -> Self {
        let rng = Rng::new(Origin::seeded(seed).seed).fork("bandwidth");
        let delay = link.delay;
        let flow = |(index, start): (usize, &Duration)| {
            let ends = ["sender", "receiver"].map(|name| {
                let origin = Origin::seeded(seed).fork(&format!("{name} {index}"));
                let mut session = Session::new(Config::default(), origin).expect("the default");
                session.set_path(ROOM, 1_150);
                session
                    .set_media(Instant::ZERO, &media())
                    .expect("two m-sections");
                session
            });
            Flow {
                ends,
                back: Pipe::new(Link::delayed(delay)),
                encoder: Encoder {
                    bitrate: ceiling.min(768_000),
                    ceiling,
                    keyframe: true,
                    debt: 0,
                    rng: rng.fork(&format!("encoder {index}")),
                    picture: Vec::new(),
                },
                begins: Instant::ZERO + *start,
                shown: 0,
                made: 0,
            }
        };
        Path {
            now: Instant::ZERO,
            link: Pipe::new(link),
            flows: starts.iter().enumerate().map(flow).collect(),
            flights: BTreeMap::new(),
            count: 0,
            rng,
            train: Train::with_capacity(65_536),
            samples: Vec::new(),
        }
    }

    /// Lets everything happen up to `end`.
    pub fn run_to(&mut self, end: Duration) {
        let end = Instant::ZERO + end;
        let mut tick = self.now;
        while tick < end {
            // Sound and samples come in multiples of 10 ms, and so do pictures.
            tick += Duration::from_millis(10);
            self.run_events(tick);
            self.make_frames();
            if tick.as_nanos().is_multiple_of(50_000_000) {
                self.sample();
            }
        }
    }

    fn make_frames(&mut self) {
        let millis = self.now.as_nanos() / 1_000_000;
        for flow in &mut self.flows {
            if self.now < flow.begins {
                continue;
            }
            let pts = self.now - Instant::ZERO;
            let sender = &mut flow.ends[0];
            if millis.is_multiple_of(20)
                && let Some(track) = sender.track("a")
            {
                let data = &[0xfc; SOUND];
                let _ = sender.send_frame(self.now, track, Frame { pts, data });
            }
            if millis.is_multiple_of(1_000 / PICTURES)
                && let Some(track) = sender.track("v")
            {
                flow.made += 1;
                let data = flow.encoder.next();
                if sender
                    .send_frame(self.now, track, Frame { pts, data })
                    .is_err()
                {
                    // As the solution does: what builds on a dropped picture is of no use.
                    flow.encoder.keyframe = true;
                }
            }
        }
    }

    fn sample(&mut self) {
        let rate = self.link.link.rate.unwrap_or(u64::MAX);
        let wait = self.link.backlog(self.now) as u64 * 8_000_000 / rate;
        let estimate = |flow: &Flow| flow.ends[0].estimate().map_or(0, |it| it.bitrate);
        self.samples.push(Sample {
            at: self.now,
            queue: Duration::from_micros(wait),
            estimates: self.flows.iter().map(estimate).collect(),
        });
    }

    fn run_events(&mut self, end: Instant) {
        loop {
            self.flush();
            let sessions = self.flows.iter().flat_map(|flow| &flow.ends);
            let timers = sessions.filter_map(|session| Some(session.poll_timeout()?.at));
            let flight = self.flights.keys().next().map(|(at, _)| *at);
            let Some(next) = timers.chain(flight).min().filter(|next| *next <= end) else {
                break;
            };
            self.now = self.now.max(next);
            self.arrive();
            let sessions = self.flows.iter_mut().flat_map(|flow| &mut flow.ends);
            sessions.for_each(|session| session.handle_timeout(self.now));
        }
        self.now = end;
    }

    fn arrive(&mut self) {
        while let Some(entry) = self.flights.first_entry() {
            if entry.key().0 > self.now {
                break;
            }
            let (flow, to, class, mut bytes) = entry.remove();
            let session = &mut self.flows[flow].ends[to];
            match class {
                Class::Rtp => session.handle_rtp(self.now, &mut bytes),
                Class::Rtcp => session.handle_rtcp(self.now, &mut bytes),
            }
        }
    }

    fn flush(&mut self) {
        for index in 0..self.flows.len() {
            for side in 0..2 {
                self.transmit(index, side);
                let flow = &mut self.flows[index];
                while let Some(event) = flow.ends[side].poll_event() {
                    match event {
                        Event::BitrateEstimate { bitrate } => {
                            let sound = (SOUND as u64 + 30) * 8 * 50;
                            let left = bitrate.saturating_sub(sound);
                            flow.encoder.bitrate = left.clamp(50_000, flow.encoder.ceiling);
                        }
                        Event::KeyframeRequested { .. } => flow.encoder.keyframe = true,
                        Event::Frame {
                            codec: Codec::H264, ..
                        } => flow.shown += 1,
                        _ => {}
                    }
                }
            }
        }
    }

    fn transmit(&mut self, index: usize, side: usize) {
        let flow = &mut self.flows[index];
        while let Some(class) = flow.ends[side].poll_transmit(self.now, &mut self.train) {
            for segment in self.train.segments() {
                let len = segment.len() + ROOM.tail + HEADERS;
                let pipe = match side {
                    0 => &mut self.link,
                    _ => &mut flow.back,
                };
                let fate = pipe.admit(self.now, len, &mut Ecn::NotEct, &mut self.rng);
                let (Fate::Arrives(at) | Fate::Twice(at, _)) = fate else {
                    continue;
                };
                self.count += 1;
                let flight = (index, 1 - side, class, segment.to_vec());
                self.flights.insert((at, self.count), flight);
            }
        }
    }

    /// Pictures that were shown, of those that were made, over all flows.
    pub fn shown(&self) -> f64 {
        let (shown, made) = self.flows.iter().fold((0, 0), |(shown, made), flow| {
            (shown + flow.shown, made + flow.made)
        });
        shown as f64 / made.max(1) as f64
    }

    /// The state of a flow's sender, for those who look for a reason.
    pub fn sender(&self, flow: usize) -> &Session {
        &self.flows[flow].ends[0]
    }
}
