//! Two associations and a seeded link between them, in virtual time.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use esp_sctp::{Association, ChannelHandle, CloseReason, Config, Event};
use esp_wire::{DataKind, Ecn, Instant, Origin, Rng, Room, Train};

/// What the link does to packets, each way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    pub(crate) delay: Duration,
    /// Up to this much more, at random, which reorders.
    pub(crate) jitter: Duration,
    pub(crate) loss: f64,
    pub(crate) duplication: f64,
    /// Bits a second; zero for no limit.
    pub(crate) rate: u64,
    /// Longest queue before the link, as time.
    pub(crate) queue: Duration,
}

impl Default for Link {
    fn default() -> Self {
        Link {
            delay: Duration::from_millis(10),
            jitter: Duration::ZERO,
            loss: 0.0,
            duplication: 0.0,
            rate: 0,
            queue: Duration::from_millis(100),
        }
    }
}

impl Link {
    pub(crate) fn lossy(loss: f64) -> Self {
        Link {
            loss,
            ..Link::default()
        }
    }
}

/// What one side saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Connected,
    Restarted,
    Open {
        channel: ChannelHandle,
        stream: u16,
        label: String,
        by_peer: bool,
    },
    Message {
        channel: ChannelHandle,
        kind: DataKind,
        data: Vec<u8>,
    },
    Part {
        channel: ChannelHandle,
        len: usize,
        first: bool,
        last: bool,
    },
    Aborted,
    Writable(ChannelHandle),
    Low(ChannelHandle),
    Closing(ChannelHandle),
    Closed(ChannelHandle),
    Ended(CloseReason),
}

impl Seen {
    fn of(event: &Event<'_>) -> Seen {
        match *event {
            Event::Connected => Seen::Connected,
            Event::Restarted => Seen::Restarted,
            Event::ChannelOpen {
                channel,
                stream_id,
                config,
                by_peer,
            } => Seen::Open {
                channel,
                stream: stream_id,
                label: config.label.clone(),
                by_peer,
            },
            Event::Message {
                channel,
                kind,
                data,
                ..
            } => Seen::Message {
                channel,
                kind,
                data: data.to_vec(),
            },
            Event::MessagePart {
                channel,
                data,
                first,
                last,
                ..
            } => Seen::Part {
                channel,
                len: data.len(),
                first,
                last,
            },
            Event::MessageAborted { .. } => Seen::Aborted,
            Event::Writable { channel } => Seen::Writable(channel),
            Event::BufferedAmountLow { channel } => Seen::Low(channel),
            Event::ChannelClosing { channel } => Seen::Closing(channel),
            Event::ChannelClosed { channel, .. } => Seen::Closed(channel),
            Event::Closed { reason } => Seen::Ended(reason.clone()),
        }
    }
}

/// A packet on its way: arrival, order, receiver, bytes.
type Flying = (Instant, u64, usize, Vec<u8>);
type Filter = Box<dyn FnMut(usize, &[u8]) -> bool>;

/// Two associations.
pub(crate) struct Net {
    pub(crate) now: Instant,
    pub(crate) sides: [Association; 2],
    pub(crate) seen: [Vec<Seen>; 2],
    pub(crate) link: Link,
    /// Packets on their way: arrival, order, receiver, bytes.
    flying: BinaryHeap<Reverse<Flying>>,
    order: u64,
    busy: [Instant; 2],
    rng: Rng,
    train: Train,
    pub(crate) packets: [u64; 2],
    pub(crate) largest: usize,
    /// Drops packets that it says yes to: sender, bytes.
    pub(crate) filter: Option<Filter>,
    /// Poll events as they come.
    pub(crate) polling: [bool; 2],
    /// The link loses what is marked as ECN-capable.
    pub(crate) swallows_marks: bool,
    /// Packets that left marked.
    pub(crate) marked: [usize; 2],
    /// Keep what leaves: when, from which side, and its bytes.
    pub(crate) recording: bool,
    pub(crate) left: Vec<(Instant, usize, Vec<u8>)>,
}

pub(crate) const ROOM: Room = Room { head: 13, tail: 16 };

impl Net {
    pub(crate) fn new(seed: u64, configs: [Config; 2], link: Link) -> Net {
        let mut index = 0;
        let sides = configs.map(|config| {
            index += 1;
            let mut side = Association::new(config, Origin::seeded(seed * 2 + index))
                .expect("a call that must succeed");
            side.set_path(ROOM, 1_160);
            side.set_dtls_role(index == 1);
            side.set_remote_max_message_size(0);
            side
        });
        Net {
            now: Instant::from_millis(1_000),
            sides,
            seen: [Vec::new(), Vec::new()],
            link,
            flying: BinaryHeap::new(),
            order: 0,
            busy: [Instant::ZERO; 2],
            rng: Rng::new([seed as u8; 32]),
            train: Train::with_capacity(65_536),
            packets: [0; 2],
            largest: 0,
            filter: None,
            polling: [true; 2],
            swallows_marks: false,
            marked: [0; 2],
            recording: false,
            left: Vec::new(),
        }
    }

    pub(crate) fn pair(seed: u64, link: Link) -> Net {
        Net::new(seed, [Config::default(), Config::default()], link)
    }

    /// A pair that has shaken hands.
    pub(crate) fn connected(seed: u64, configs: [Config; 2], link: Link) -> Net {
        let mut net = Net::new(seed, configs, link);
        net.connect();
        net
    }

    pub(crate) fn connect(&mut self) {
        let now = self.now;
        self.sides[0]
            .connect(now)
            .expect("a call that must succeed");
        self.sides[1]
            .connect(now)
            .expect("a call that must succeed");
        self.run_until(Duration::from_secs(60), |net| {
            net.sides.iter().all(Association::is_connected)
        });
    }

    /// Sends everything that wants to leave, and takes all events.
    pub(crate) fn flush(&mut self) {
        for side in 0..2 {
            let mut rounds = 0;
            loop {
                while self.sides[side].poll_transmit(self.now, &mut self.train) {
                    self.depart(side);
                    rounds += 1;
                    assert!(rounds < 100_000, "endless transmission");
                }
                if self.polling[side] && self.drain(side) {
                    continue;
                }
                break;
            }
        }
    }

    fn drain(&mut self, side: usize) -> bool {
        let before = self.seen[side].len();
        while let Some(event) = self.sides[side].poll_event() {
            self.seen[side].push(Seen::of(&event));
        }
        self.seen[side].len() > before
    }

    fn depart(&mut self, from: usize) {
        assert!(!self.train.is_empty());
        let packets: Vec<Vec<u8>> = self.train.segments().map(<[u8]>::to_vec).collect();
        let marked = self.train.ecn() != Ecn::NotEct;
        if marked {
            self.marked[from] += packets.len();
        }
        for packet in packets {
            self.packets[from] += 1;
            self.largest = self.largest.max(packet.len());
            assert!(packet.len().is_multiple_of(4));
            if self.recording {
                self.left.push((self.now, from, packet.clone()));
            }
            if self
                .filter
                .as_mut()
                .is_some_and(|filter| filter(from, &packet))
            {
                continue;
            }
            let mut at = self.now;
            if self.link.rate > 0 {
                let start = self.busy[from].max(self.now);
                if start - self.now > self.link.queue {
                    continue;
                }
                let bits = (packet.len() + 57) as f64 * 8.0;
                at = start + Duration::from_secs_f64(bits / self.link.rate as f64);
                self.busy[from] = at;
            }
            if (marked && self.swallows_marks) || self.rng.chance(self.link.loss) {
                continue;
            }
            let copies = 1 + usize::from(self.rng.chance(self.link.duplication));
            for _ in 0..copies {
                let jitter = self.rng.below(self.link.jitter.as_nanos() as u64 + 1);
                let arrival = at + self.link.delay + Duration::from_nanos(jitter);
                self.order += 1;
                self.flying
                    .push(Reverse((arrival, self.order, 1 - from, packet.clone())));
            }
        }
    }

    /// Hands a packet to a side as if it had come over the link now.
    pub(crate) fn inject(&mut self, to: usize, mut packet: Vec<u8>) {
        let _ = self.sides[to].handle_input(self.now, &mut packet);
    }

    /// Goes on to the next packet or timer; false when nothing will ever happen before `end`.
    pub(crate) fn step(&mut self, end: Instant) -> bool {
        self.flush();
        let timers = self.sides.iter().filter_map(|side| side.poll_timeout());
        let timer = timers.map(|deadline| deadline.at).min();
        let packet = self.flying.peek().map(|Reverse((at, ..))| *at);
        let Some(next) = [timer, packet].into_iter().flatten().min() else {
            self.now = end;
            return false;
        };
        if next > end {
            self.now = end;
            return false;
        }
        self.now = self.now.max(next);
        while let Some(Reverse((at, ..))) = self.flying.peek()
            && *at <= self.now
        {
            let Some(Reverse((_, _, to, mut packet))) = self.flying.pop() else {
                break;
            };
            let _ = self.sides[to].handle_input(self.now, &mut packet);
        }
        for side in &mut self.sides {
            if side
                .poll_timeout()
                .is_some_and(|deadline| deadline.at <= self.now)
            {
                side.handle_timeout(self.now);
            }
        }
        true
    }

    /// Runs for a time.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.step(end) {}
        self.flush();
    }

    /// Runs until something is so; panics when it is not within `time`.
    pub(crate) fn run_until(&mut self, time: Duration, mut done: impl FnMut(&mut Net) -> bool) {
        let end = self.now + time;
        loop {
            self.flush();
            if done(self) {
                return;
            }
            if !self.step(end) {
                panic!(
                    "it never happened; {:#?} {:#?}",
                    self.sides[0].stats(),
                    self.sides[1].stats()
                );
            }
        }
    }

    pub(crate) fn open(&mut self, side: usize, config: esp_sctp::ChannelConfig) -> ChannelHandle {
        let now = self.now;
        self.sides[side]
            .open_channel(now, config)
            .expect("a call that must succeed")
    }

    pub(crate) fn send(&mut self, side: usize, channel: ChannelHandle, data: &[u8]) {
        let now = self.now;
        self.sides[side]
            .send(now, channel, DataKind::Binary, data)
            .expect("a call that must succeed");
    }

    /// The peer's handle for a stream of ours.
    pub(crate) fn far(&self, side: usize, channel: ChannelHandle) -> Option<ChannelHandle> {
        let stream = self.sides[side].stream_id(channel)?;
        self.sides[1 - side].channel_on(stream)
    }

    /// Messages that a side received, in order.
    pub(crate) fn messages(&self, side: usize) -> Vec<&[u8]> {
        self.seen[side]
            .iter()
            .filter_map(|seen| match seen {
                Seen::Message { data, .. } => Some(&data[..]),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn count(&self, side: usize, is: impl Fn(&Seen) -> bool) -> usize {
        self.seen[side].iter().filter(|seen| is(seen)).count()
    }
}

/// Bytes that tell where they belong.
pub(crate) fn pattern(seed: usize, len: usize) -> Vec<u8> {
    (0..len)
        .map(|index| (index.wrapping_mul(31) ^ (index >> 8) ^ seed.wrapping_mul(97)) as u8)
        .collect()
}
