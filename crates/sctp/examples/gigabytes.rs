//! Moves many gigabytes through one association in memory and checks every byte.
//!
//! `cargo run --release -p esp-sctp --example gigabytes -- [GIGABYTES] [MESSAGE BYTES] [LOSE EVERY]`;
//! 0 message bytes make it one single message, sent and received in parts.

use std::time::{Duration, Instant as Clock};

use esp_sctp::{Association, ChannelConfig, ChannelHandle, Config, Delivery, Error, Event};
use esp_wire::{DataKind, Instant, Origin, Room, Train};

/// Bytes of a part.
const PART: usize = 256 << 10;

/// Bytes of which each eight tell where in the flow they belong.
struct Pattern(u64);

impl Pattern {
    fn next(&mut self) -> [u8; 8] {
        self.0 += 1;
        self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        for word in bytes.chunks_exact_mut(8) {
            word.copy_from_slice(&self.next());
        }
    }

    /// Checks that a run of bytes goes on where the last one ended.
    fn check(&mut self, at: u64, bytes: &[u8]) -> bool {
        let mut offset = (at % 8) as usize;
        let mut rest = bytes;
        self.0 = at / 8;
        while !rest.is_empty() {
            let word = self.next();
            let len = rest.len().min(8 - offset);
            if rest[..len] != word[offset..offset + len] {
                return false;
            }
            rest = &rest[len..];
            offset = 0;
        }
        true
    }
}

struct Pair {
    sides: [Association; 2],
    train: Train,
    now: Instant,
    packets: u64,
    lose_every: u64,
}

impl Pair {
    fn new(config: &Config, lose_every: u64) -> Result<Pair, Error> {
        let now = Instant::from_millis(1);
        let side = |index: u64| -> Result<Association, Error> {
            let mut side = Association::new(config.clone(), Origin::seeded(index))?;
            side.set_path(Room { head: 21, tail: 16 }, 1_160);
            side.set_dtls_role(index == 0);
            side.set_remote_max_message_size(0);
            side.connect(now)?;
            Ok(side)
        };
        Ok(Pair {
            sides: [side(0)?, side(1)?],
            train: Train::with_capacity(70_000),
            now,
            packets: 0,
            lose_every,
        })
    }

    /// What one side has to send arrives at the other, unless it is lost.
    fn shuttle(&mut self, from: usize) -> Result<bool, Error> {
        let mut trains = 0;
        while trains < 4 && self.sides[from].poll_transmit(self.now, &mut self.train) {
            trains += 1;
            self.now += Duration::from_nanos(400 * self.train.len() as u64 + 10_000);
            for packet in self.train.segments_mut() {
                self.packets += 1;
                if self.lose_every > 0 && self.packets.is_multiple_of(self.lose_every) {
                    continue;
                }
                self.sides[1 - from].handle_input(self.now, packet)?;
            }
        }
        Ok(trains > 0)
    }

    fn pass_time(&mut self, idle: bool) {
        if idle {
            let next = self.sides.iter().filter_map(|side| side.poll_timeout());
            if let Some(at) = next.map(|deadline| deadline.at).min() {
                self.now = self.now.max(at);
            }
        }
        for side in &mut self.sides {
            let due = side.poll_timeout();
            if due.is_some_and(|deadline| deadline.at <= self.now) {
                side.handle_timeout(self.now);
            }
        }
    }
}

/// What is sent: messages of one size, or one message in parts.
struct Source {
    total: u64,
    sent: u64,
    pattern: Pattern,
    buffer: Vec<u8>,
    filled: bool,
    single: bool,
}

impl Source {
    fn pour(&mut self, pair: &mut Pair, channel: ChannelHandle) -> Result<(), Error> {
        while self.sent < self.total {
            if !std::mem::replace(&mut self.filled, true) {
                let rest = (self.total - self.sent).min(self.buffer.len() as u64);
                self.buffer.truncate(rest as usize);
                self.pattern.fill(&mut self.buffer);
            }
            let (side, now) = (&mut pair.sides[0], pair.now);
            let last = self.sent + self.buffer.len() as u64 == self.total;
            let result = match self.single {
                true => side.send_part(now, channel, DataKind::Binary, &self.buffer, last),
                false => side.send(now, channel, DataKind::Binary, &self.buffer),
            };
            match result {
                Ok(()) => {
                    self.sent += self.buffer.len() as u64;
                    self.filled = false;
                }
                Err(Error::WouldBlock) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[derive(Default)]
struct Sink {
    received: u64,
    messages: u64,
    wrong: u64,
}

impl Sink {
    fn take(&mut self, side: &mut Association) {
        while let Some(event) = side.poll_event() {
            let (data, last) = match event {
                Event::Message { data, .. } => (data, true),
                Event::MessagePart { data, last, .. } => (data, last),
                _ => continue,
            };
            let right = Pattern(0).check(self.received, data);
            self.wrong += u64::from(!right);
            self.received += data.len() as u64;
            self.messages += u64::from(last);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a measurement needs the clock")]
fn run(total: u64, size: usize, lose_every: u64) -> Result<Sink, Error> {
    let single = size == 0;
    let config = match single {
        true => Config::default().with_delivery(Delivery::Parts),
        false => Config::default(),
    };
    let mut pair = Pair::new(&config, lose_every)?;
    let channel = pair.sides[0].open_channel(pair.now, ChannelConfig::new("volume"))?;
    let mut source = Source {
        total: total / 8 * 8,
        sent: 0,
        pattern: Pattern(0),
        buffer: vec![
            0;
            if single {
                PART
            } else {
                size.next_multiple_of(8)
            }
        ],
        filled: false,
        single,
    };
    let mut sink = Sink::default();
    let start = Clock::now();
    while sink.received < source.total && !pair.sides.iter().any(Association::has_ended) {
        source.pour(&mut pair, channel)?;
        let moved = pair.shuttle(0)?;
        sink.take(&mut pair.sides[1]);
        let answered = pair.shuttle(1)?;
        while pair.sides[0].poll_event().is_some() {}
        pair.pass_time(!moved && !answered);
    }
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{} bytes in {} messages, {} wrong, {} packets, {} chunks sent again, {} timeouts; {seconds:.1} s, {:.0} MB/s",
        sink.received,
        sink.messages,
        sink.wrong,
        pair.packets,
        pair.sides[0].stats().chunks_retransmitted,
        pair.sides[0].stats().timeouts,
        sink.received as f64 / 1e6 / seconds,
    );
    Ok(sink)
}

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize, default: f64| -> f64 {
        let text = arguments.get(index);
        text.and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let total = (number(0, 10.0) * 1e9) as u64;
    let sink = run(total, number(1, 65_536.0) as usize, number(2, 0.0) as u64)?;
    assert_eq!(sink.wrong, 0, "bytes were changed");
    Ok(())
}
