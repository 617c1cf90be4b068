//! A window that tells losses of a full queue from losses by chance; CUBIC's start and reductions.
//!
//! 1. A queue that overflows was full: the round trips just before are longer than the least one.
//!    The window is then reduced to what the path holds without its queue, and somewhat below, but
//!    never by more than CUBIC does.
//! 2. A loss at a round trip near the least one is not the queue's, and nothing is reduced.
//! 3. Where a queue is too short to be felt, loss itself is the sign: when 3 % more
//!    are lost than what the path loses anyhow, the window is reduced all the same. When that
//!    changes nothing, the path simply loses so much: it is taken back, and remembered.
//! 4. What is felt of a queue was made by the window of a round ago. A reduction is measured against that one, so
//!    that a queue which is draining already is not answered twice.

use std::time::Duration;

use esp_wire::Instant;

use super::{
    Acknowledged, Congestion, Cubic,
    cubic::{BETA, Curve},
    watch::{Chance, Least, SETTLING, Verdict, Watch},
};

/// Samples whose least is the round trip of now.
const RECENT: usize = 8;
/// Round trips that are so much longer than the least are near it: jitter and bursts of our own.
const NEAR: Duration = Duration::from_millis(1);
/// Windows beyond so many packets are watched in slow start, since the round that it takes to notice a queue
/// would lose thousands of packets.
const LARGE: usize = 512;
/// By how much slow start of a large window is slower while the least queue is felt.
const CAUTION: usize = 4;
/// What the end of slow start leaves of what the path holds.
const SURPLUS: f64 = 1.1;
/// The least rise in delay that ends the slow start of a large window.
const RISE: Duration = Duration::from_millis(2);
/// Growth in a round while no queue is felt, as a part of the window.
const FILLING: f64 = 0.02;
/// The same after a queue overflowed: others who reduced their windows as well come back more slowly.
const MODEST: f64 = 0.002;
/// For so many rounds.
const MODESTY: u32 = 128;
/// At this round trip the window grows by a packet a round; shares become equal within the same time
/// at longer ones, since growth follows the square of the round trip.
const STEADY: Duration = Duration::from_millis(50);
/// Beyond so many times that, growth follows the round trip with its queue too, or shares would become equal
/// only after minutes.
const LONG: f64 = 1.5;
/// Packets a round, at least: with reductions of 30 % that is worth the packet of RFC 9260, which halves.
const LEAST_GROWTH: f64 = 0.7;
/// Packets a round, at most.
const MOST_GROWTH: f64 = 16.0;
/// RFC 8511 §3: what a mark leaves of the window, since queues that mark are short.
const MARKED: f64 = 0.85;
/// Reduces its window only for losses that a full queue explains, and grows by the same number of
/// packets for everybody, so that flows come to share a path evenly.
#[derive(Clone, Debug)]
pub struct Tolerant {
    cubic: Cubic,
    packet: usize,
    least: Least,
    recent: [Duration; RECENT],
    samples: usize,
    watch: Watch,
    chance: Chance,
    /// Chunks of the last loss.
    last_lost: u64,
    /// Arrived bytes that do not make a chunk yet.
    bytes: usize,
    /// The curve before a reduction that may prove to be in vain, less what queues took from it since.
    on_trial: Option<Curve>,
    /// The largest windows of the round before, whose packets are acknowledged now, and of this one.
    largest: [usize; 2],
    /// Rounds in which the window does not grow after a reduction.
    resting: u32,
    /// Rounds until the queue that slow start left is given up.
    draining: u32,
    /// Rounds in which it grows modestly after a queue overflowed.
    modest: u32,
}

impl Tolerant {
    /// A fresh window for packets of `packet_size` bytes.
    pub fn new(packet_size: usize) -> Self {
        Tolerant {
            cubic: Cubic::new(packet_size),
            packet: packet_size,
            least: Least::default(),
            recent: [Duration::ZERO; RECENT],
            samples: 0,
            watch: Watch::default(),
            chance: Chance::default(),
            last_lost: 0,
            bytes: 0,
            on_trial: None,
            largest: [0; 2],
            resting: 0,
            draining: 0,
            modest: 0,
        }
    }

    /// The least round trip of the path, and the one of now.
    fn round_trips(&self) -> Option<(Duration, Duration)> {
        let known = self.samples.min(RECENT);
        let recent = self.recent[..known].iter().copied().min()?;
        Some((self.least.value()?, recent))
    }

    /// Bytes of a chunk that fills a packet, with its header.
    fn chunk(&self) -> usize {
        self.packet - crate::packet::HEADER
    }

    /// True when the round trip is longer than the least one by more than `share` of it, and than jitter.
    fn feels_queue(&self, least: Duration, recent: Duration, share: u32) -> bool {
        recent > least + NEAR.min(least / 4).max(least / share)
    }

    /// The share of the window that a loss now leaves.
    fn factor(&self) -> f64 {
        let Some((least, recent)) = self.round_trips() else {
            return BETA;
        };
        if !self.feels_queue(least, recent, 16) {
            return 1.0;
        }
        // Below what the path holds, so that its own round trip shows again.
        let without_queue = least.as_secs_f64() / recent.as_secs_f64();
        (1.5 * without_queue - 0.5).clamp(BETA, 1.0)
    }

    /// Slow start with a large window: it doubles while no queue is felt, goes on gently at the first sign of
    /// one, and is over when there is one.
    fn start_gently(&mut self, acknowledged: &mut Acknowledged) {
        if !self.in_slow_start() || self.window() < LARGE * self.packet {
            return;
        }
        let Some((least, recent)) = self.round_trips() else {
            return;
        };
        if recent > least + RISE.max(least / 8) {
            // Some of the last round's growth was too much; how much, shows once the window has been the same for a
            // round.
            self.cubic.reduce(0.9);
            self.draining = SETTLING;
        } else if self.feels_queue(least, recent, 32) {
            acknowledged.bytes /= CAUTION;
        }
    }

    /// Leaves what the path holds and a little more of the window with which slow start ended, lest those who come
    /// later take its queue for the path.
    fn drain(&mut self) {
        let Some((least, recent)) = self.round_trips() else {
            return;
        };
        let causing = self.largest[0].max(self.largest[1]) as f64;
        let target = SURPLUS * causing * least.as_secs_f64() / recent.as_secs_f64();
        let share = target / self.window() as f64;
        if share < 1.0 {
            self.cubic.reduce(share.max(BETA));
        }
    }

    /// Growth after slow start: the same number of packets a round for everybody, so that shares become
    /// equal; and while no queue is felt a part of the window besides, since the path is not full, and
    /// nobody is harmed by taking what is left.
    fn grow(&mut self, acknowledged: &Acknowledged) {
        let Some((least, recent)) = self.round_trips() else {
            return;
        };
        // What a reduction does is seen only while nothing else changes.
        let still = self.watch.is_trying() || self.draining > 0;
        if !acknowledged.window_limited || acknowledged.in_recovery || still {
            return;
        }
        let [least, recent, steady] = [least, recent, STEADY].map(|it| it.as_secs_f64());
        let round = match least > LONG * steady {
            true => recent.min(2.0 * least),
            false => least,
        };
        let packets = (least * round / (steady * steady)).clamp(LEAST_GROWTH, MOST_GROWTH);
        let share = acknowledged.bytes as f64 / self.window() as f64;
        let mut bytes = packets * self.packet as f64 * share;
        if self.factor() >= 1.0 {
            // Nobody who takes each loss for a full queue comes back at all where the path loses by itself.
            let modest = self.modest > 0 && !self.chance.is_usual();
            let filling = if modest { MODEST } else { FILLING };
            bytes += acknowledged.bytes as f64 * filling;
        }
        self.cubic.widen(bytes);
    }

    /// A queue was full, or marked.
    fn yield_to_queue(&mut self, factor: f64) {
        self.modest = MODESTY;
        self.cubic.keep();
        self.cubic.reduce(factor);
        if let Some(before) = &mut self.on_trial {
            before.reduce(factor, self.packet as f64);
        }
        self.resting = SETTLING;
    }

    fn note_window(&mut self) {
        self.largest[1] = self.largest[1].max(self.window());
    }

    fn end_round(&mut self) {
        self.largest = [self.largest[1], self.window()];
        self.resting = self.resting.saturating_sub(1);
        self.modest = self.modest.saturating_sub(1);
        if self.draining > 0 {
            self.draining -= 1;
            if self.draining == 0 {
                self.drain();
            }
        }
        match self.watch.judge() {
            Verdict::Unremarkable => {}
            Verdict::Excess => {
                self.on_trial = Some(self.cubic.curve());
                self.cubic.reduce(BETA);
                self.resting = SETTLING;
            }
            Verdict::InVain => {
                if let Some(before) = self.on_trial.take() {
                    self.cubic.resume(before);
                }
            }
        }
        if !self.watch.is_trying() {
            self.on_trial = None;
        }
    }
}

impl Congestion for Tolerant {
    fn window(&self) -> usize {
        self.cubic.window()
    }

    fn in_slow_start(&self) -> bool {
        self.cubic.in_slow_start()
    }

    fn on_acknowledged(&mut self, now: Instant, acknowledged: Acknowledged) {
        self.note_window();
        if let Some(rtt) = acknowledged.rtt {
            self.least.sample(now, rtt);
            self.recent[self.samples % RECENT] = rtt;
            self.samples += 1;
        }
        // Chunks of full packets; a SACK for small ones says more of loss than of its rate.
        self.bytes += acknowledged.bytes;
        let chunks = self.bytes / self.chunk();
        self.bytes -= chunks * self.chunk();
        self.watch.arrived += chunks as u64;
        self.chance.note_arrived(chunks as u64);
        if acknowledged.round_ended {
            self.end_round();
        }
        // Where every round has a loss, repairs never end; the window must grow nevertheless.
        let mut acknowledged = Acknowledged {
            in_recovery: acknowledged.in_recovery && self.resting > 0,
            ..acknowledged
        };
        self.start_gently(&mut acknowledged);
        match self.in_slow_start() {
            true => self.cubic.on_acknowledged(now, acknowledged),
            false => self.grow(&acknowledged),
        }
    }

    fn on_lost(&mut self, chunks: usize) {
        self.watch.lost += chunks as u64;
        self.last_lost = chunks as u64;
        // A timeout gives up all that is in flight, which says nothing of a rate.
        if self.factor() >= 1.0 && 2 * chunks * self.chunk() < self.window() {
            self.chance.note_lost(chunks);
        }
    }

    fn on_congestion(&mut self, _now: Instant) {
        // The queue that is felt was made by the window of a round ago, from which something may have been taken
        // already.
        self.note_window();
        let window = self.window();
        let causing = self.largest[0].max(self.largest[1]);
        let target = self.factor() * causing as f64;
        match target < window as f64 {
            true => self.yield_to_queue((target / window as f64).max(BETA)),
            // Nothing is taken that could be taken back.
            false => self.cubic.forget(),
        }
    }

    fn on_marked(&mut self, _now: Instant) {
        self.yield_to_queue(MARKED);
    }

    fn on_timeout(&mut self, _now: Instant) {
        // All that was in flight is given up, whatever became of it: no sign that more is lost than before, which would
        // end the slow start that follows with its first round. Where the path loses by itself, that is better ended early.
        if !self.chance.is_usual() {
            self.watch.lost = self.watch.lost.saturating_sub(self.last_lost);
        }
        let factor = self.factor();
        self.resting = 0;
        self.on_trial = None;
        self.cubic.on_timeout_with(factor);
    }

    fn on_spurious(&mut self, now: Instant) {
        self.cubic.on_spurious(now);
    }

    fn set_packet_size(&mut self, bytes: usize) {
        self.packet = bytes;
        self.cubic.set_packet_size(bytes);
    }
}

#[cfg(test)]
mod tests;
