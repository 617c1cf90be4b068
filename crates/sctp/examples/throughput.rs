//! Pushes messages through two associations in memory and prints what a packet costs.
//!
//! `cargo run --release -p esp-sctp --example throughput -- [GIGABYTES] [MESSAGE BYTES] [CHANNELS]
//! [plain|reno|data]`

use std::time::{Duration, Instant as Clock};

use esp_sctp::{Association, ChannelConfig, ChannelHandle, Config, Error, Event, congestion};
use esp_wire::{DataKind, Instant, Origin, Room, Train};

struct Pair {
    sides: [Association; 2],
    train: Train,
    now: Instant,
    packets: u64,
    trains: u64,
}

impl Pair {
    fn new(config: &Config) -> Result<Pair, Error> {
        let side = |index: u64| -> Result<Association, Error> {
            let mut side = Association::new(config.clone(), Origin::seeded(index))?;
            side.set_path(Room { head: 13, tail: 16 }, 1_160);
            side.set_dtls_role(index == 0);
            side.set_remote_max_message_size(0);
            Ok(side)
        };
        Ok(Pair {
            sides: [side(0)?, side(1)?],
            train: Train::with_capacity(70_000),
            now: Instant::from_millis(1),
            packets: 0,
            trains: 0,
        })
    }

    /// Everything that one side has to send arrives at the other; time goes on by what a fast
    /// network would take.
    fn shuttle(&mut self, from: usize) -> Result<bool, Error> {
        let mut any = false;
        while self.sides[from].poll_transmit(self.now, &mut self.train) {
            any = true;
            self.trains += 1;
            self.now += Duration::from_nanos(400 * self.train.len() as u64 + 10_000);
            for packet in self.train.segments_mut() {
                self.packets += 1;
                self.sides[1 - from].handle_input(self.now, packet)?;
            }
            if self.trains.is_multiple_of(4) {
                break;
            }
        }
        Ok(any)
    }

    fn timers(&mut self) {
        for side in &mut self.sides {
            if side
                .poll_timeout()
                .is_some_and(|deadline| deadline.at <= self.now)
            {
                side.handle_timeout(self.now);
            }
        }
    }
}

fn send(
    pair: &mut Pair,
    channels: &[ChannelHandle],
    message: &[u8],
    next: &mut usize,
    left: &mut u64,
) -> Result<(), Error> {
    while *left > 0 {
        let channel = channels[*next % channels.len()];
        match pair.sides[0].send(pair.now, channel, DataKind::Binary, message) {
            Ok(()) => {
                *next += 1;
                *left = left.saturating_sub(message.len() as u64);
            }
            Err(Error::WouldBlock) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a measurement needs the clock")]
fn run(total: u64, size: usize, count: usize, config: &Config) -> Result<(), Error> {
    let mut pair = Pair::new(config)?;
    for side in &mut pair.sides {
        side.connect(pair.now)?;
    }
    let channels = (0..count)
        .map(|index| pair.sides[0].open_channel(pair.now, ChannelConfig::new(index.to_string())))
        .collect::<Result<Vec<_>, _>>()?;
    let message = vec![0x5a; size];
    let (mut next, mut left, mut received) = (0, total, 0u64);
    let start = Clock::now();
    while received < total {
        send(&mut pair, &channels, &message, &mut next, &mut left)?;
        let moved = pair.shuttle(0)?;
        while let Some(event) = pair.sides[1].poll_event() {
            if let Event::Message { data, .. } = event {
                received += data.len() as u64;
            }
        }
        let answered = pair.shuttle(1)?;
        while pair.sides[0].poll_event().is_some() {}
        if !moved && !answered {
            let next = pair.sides.iter().filter_map(|side| side.poll_timeout());
            if let Some(at) = next.map(|deadline| deadline.at).min() {
                pair.now = pair.now.max(at);
            }
        }
        pair.timers();
    }
    let time = start.elapsed();
    let stats = pair.sides[0].stats();
    println!(
        "{} MB in messages of {size} bytes on {count} channels: {:.2} s, {:.0} MB/s, {:.0} ns a packet, {:.1} packets a train",
        total / 1_000_000,
        time.as_secs_f64(),
        total as f64 / 1e6 / time.as_secs_f64(),
        time.as_nanos() as f64 / pair.packets as f64,
        pair.packets as f64 / pair.trains as f64,
    );
    println!(
        "sacks {}, resent {}, timeouts {}, window {}, rtt {:?}",
        stats.sacks_received,
        stats.chunks_retransmitted,
        stats.timeouts,
        stats.congestion_window,
        stats.rtt
    );
    Ok(())
}

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize, default: u64| -> u64 {
        arguments
            .get(index)
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    };
    let config = match arguments.get(3).map(String::as_str) {
        Some("plain") => Config::default().with_zero_checksum(false),
        Some("reno") => Config::default().with_congestion(congestion::Algorithm::Reno),
        Some("data") => Config::default().with_interleaving(false),
        _ => Config::default(),
    };
    run(
        number(0, 1) * 1_000_000_000,
        number(1, 65_536) as usize,
        number(2, 1) as usize,
        &config,
    )
}
