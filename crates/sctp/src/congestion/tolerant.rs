//! A window that tells losses of a full queue from losses by chance; CUBIC's start and reductions.
//!
//! 1. A queue that overflows was full: the round trips just before are longer than the least one.
//!    The window is then reduced to what the path holds without its queue, and somewhat below, but
//!    never by more than CUBIC does.
//! 2. A loss at a round trip near the least one is not the queue's, and nothing is reduced.
//! 3. Where a queue is too short to be felt, loss itself is the sign: when 3 % more
//!    are lost than what the path loses anyhow, the window is reduced all the same. When that
//!    changes nothing, the path simply loses so much: it is taken back, and remembered.

use std::time::Duration;

use esp_wire::Instant;

use super::{Acknowledged, Congestion, Cubic, cubic::BETA};

/// Samples whose least is the round trip of now.
const RECENT: usize = 8;
/// How long a least round trip is believed: one to two times this.
const MEMORY: Duration = Duration::from_secs(120);
/// Round trips that are so much longer than the least are near it: jitter and bursts of our own.
const NEAR: Duration = Duration::from_millis(1);
/// Windows beyond so many packets grow by half in a round of slow start instead of doubling, so that
/// the round that it takes to notice the queue does not lose thousands of packets.
const LARGE: usize = 512;
/// The least rise in delay that ends the slow start of a large window.
const RISE: Duration = Duration::from_millis(4);
/// Growth in a round while no queue is felt, as a part of the window.
const FILLING: f64 = 0.02;
/// The same after a queue overflowed: others who reduced their windows as well come back more slowly.
const MODEST: f64 = 0.002;
/// For so many rounds.
const MODESTY: u32 = 128;
/// At this round trip the window grows by a packet a round; shares become equal within the same time
/// at longer ones, since growth follows the square of the round trip.
const STEADY: Duration = Duration::from_millis(50);
/// Packets a round, at least: with reductions of 30 % that is worth the packet of RFC 9260, which halves.
const LEAST_GROWTH: f64 = 0.7;
/// Packets a round, at most.
const MOST_GROWTH: f64 = 16.0;
/// RFC 8511 §3: what a mark leaves of the window, since queues that mark are short.
const MARKED: f64 = 0.85;
/// Packets over which loss is measured.
const SPAN: u64 = 512;
/// Lost packets that are enough to measure by.
const ENOUGH: u64 = 32;
/// Loss beyond twice the background that is a sign of its own.
const EXCESS: f64 = 0.03;
/// What the background may at most be exceeded by besides.
const MORE: f64 = 0.1;
/// Rounds after a reduction before its effect is seen.
const SETTLING: u32 = 2;

/// The least round trip over the last minutes, in two halves.
#[derive(Clone, Copy, Debug, Default)]
struct Least {
    began: Option<Instant>,
    before: Option<Duration>,
    current: Option<Duration>,
}

impl Least {
    fn sample(&mut self, now: Instant, rtt: Duration) {
        let began = *self.began.get_or_insert(now);
        if now.since(began) > MEMORY {
            self.began = Some(now);
            self.before = self.current.take();
        }
        self.current = Some(self.current.map_or(rtt, |least| least.min(rtt)));
    }

    fn value(&self) -> Option<Duration> {
        self.before.into_iter().chain(self.current).min()
    }
}

/// Loss over spans of packets.
#[derive(Clone, Copy, Debug, Default)]
struct Watch {
    lost: u64,
    arrived: u64,
    /// Arrived bytes that do not make a chunk yet.
    bytes: usize,
    /// What the path loses whatever we do.
    background: f64,
    /// The loss that the window was reduced for before the span began, which may be taken back.
    on_trial: Option<f64>,
    /// Rounds until the next span begins.
    settling: u32,
}

/// What a span of packets says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Unremarkable,
    /// More is lost than before.
    Excess,
    /// The last reduction changed nothing.
    InVain,
}

impl Watch {
    fn judge(&mut self) -> Verdict {
        if self.settling > 0 {
            self.settling -= 1;
            self.lost = 0;
            self.arrived = 0;
            return Verdict::Unremarkable;
        }
        if self.lost + self.arrived < SPAN && self.lost < ENOUGH {
            return Verdict::Unremarkable;
        }
        let rate = self.lost as f64 / (self.lost + self.arrived) as f64;
        self.lost = 0;
        self.arrived = 0;
        if let Some(before) = self.on_trial.take() {
            // Midway between no effect and the effect on a link that was simply overrun; more loss
            // than before is not the path's own either, but growth that went on meanwhile.
            let overrun = (1.0 - (1.0 - before) / BETA).max(0.0);
            if ((before + overrun) / 2.0..1.5 * before + EXCESS).contains(&rate) {
                self.background = rate;
                return Verdict::InVain;
            }
            // What is still lost is not the window's, within reason.
            self.background = self.background.max(rate.min(EXCESS));
        }
        if rate > (2.0 * self.background).min(self.background + MORE) + EXCESS {
            self.on_trial = Some(rate);
            self.settling = SETTLING;
            return Verdict::Excess;
        }
        if rate < self.background {
            self.background += (rate - self.background) / 8.0;
        }
        Verdict::Unremarkable
    }
}

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
    /// Rounds in which the window does not grow after a reduction.
    resting: u32,
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
            resting: 0,
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

    /// The share of the window that a loss now leaves.
    fn factor(&self) -> f64 {
        let Some((least, recent)) = self.round_trips() else {
            return BETA;
        };
        let tolerance = NEAR.min(least / 4).max(least / 16);
        if recent <= least + tolerance {
            return 1.0;
        }
        // Below what the path holds, so that its own round trip shows again.
        let without_queue = least.as_secs_f64() / recent.as_secs_f64();
        (1.5 * without_queue - 0.5).clamp(BETA, 1.0)
    }

    /// Slow start with a large window: gentler, and over as soon as a queue is felt.
    fn start_gently(&mut self, acknowledged: &mut Acknowledged) {
        if !self.in_slow_start() || self.window() < LARGE * self.packet {
            return;
        }
        acknowledged.bytes /= 2;
        if let Some((least, recent)) = self.round_trips()
            && recent > least + RISE.max(least / 8)
        {
            // A little more than half of the last round's growth was too much.
            self.cubic.reduce(0.9);
        }
    }

    /// Growth after slow start: the same number of packets a round for everybody, so that shares become
    /// equal; and while no queue is felt a part of the window besides, since the path is not full, and
    /// nobody is harmed by taking what is left.
    fn grow(&mut self, acknowledged: &Acknowledged) {
        let Some((least, _)) = self.round_trips() else {
            return;
        };
        if !acknowledged.window_limited || acknowledged.in_recovery {
            return;
        }
        let stretch = least.as_secs_f64() / STEADY.as_secs_f64();
        let packets = (stretch * stretch).clamp(LEAST_GROWTH, MOST_GROWTH);
        let share = acknowledged.bytes as f64 / self.window() as f64;
        let mut bytes = packets * self.packet as f64 * share;
        if self.factor() >= 1.0 {
            let filling = if self.modest > 0 { MODEST } else { FILLING };
            bytes += acknowledged.bytes as f64 * filling;
        }
        self.cubic.widen(bytes);
    }

    fn reduce(&mut self, factor: f64) {
        self.cubic.keep();
        self.cubic.reduce(factor);
        self.resting = SETTLING;
    }

    fn end_round(&mut self) {
        self.resting = self.resting.saturating_sub(1);
        self.modest = self.modest.saturating_sub(1);
        match self.watch.judge() {
            Verdict::Unremarkable => {}
            Verdict::Excess => self.reduce(BETA),
            Verdict::InVain => self.cubic.restore(),
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
        if let Some(rtt) = acknowledged.rtt {
            self.least.sample(now, rtt);
            self.recent[self.samples % RECENT] = rtt;
            self.samples += 1;
        }
        // Chunks of full packets; a SACK for small ones says more of loss than of its rate.
        self.watch.bytes += acknowledged.bytes;
        let chunks = self.watch.bytes / self.chunk();
        self.watch.bytes -= chunks * self.chunk();
        self.watch.arrived += chunks as u64;
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
    }

    fn on_congestion(&mut self, _now: Instant) {
        let factor = self.factor();
        if factor < 1.0 {
            self.modest = MODESTY;
            self.reduce(factor);
        }
    }

    fn on_marked(&mut self, _now: Instant) {
        self.modest = MODESTY;
        self.reduce(MARKED);
    }

    fn on_timeout(&mut self, _now: Instant) {
        let factor = self.factor();
        self.resting = 0;
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
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn ack(packets: usize, rtt: Duration, round_ended: bool) -> Acknowledged {
        Acknowledged {
            bytes: packets * 1_000,
            rtt: Some(rtt),
            window_limited: true,
            in_recovery: false,
            round_ended,
        }
    }

    /// Rounds of 64 packets, of which some are lost, at a round trip of 50 ms and `queue` more.
    fn rounds(
        tolerant: &mut Tolerant,
        now: &mut Instant,
        count: u32,
        lost: usize,
        queue: Duration,
    ) {
        for _ in 0..count {
            for packet in 0..64 - lost {
                let ended = packet == 0;
                tolerant.on_acknowledged(*now, ack(1, 50 * MS + queue, ended));
            }
            if lost > 0 {
                tolerant.on_lost(lost);
                tolerant.on_congestion(*now);
            }
            *now += 50 * MS;
        }
    }

    #[test]
    fn only_a_queue_explains_a_loss() {
        let (mut tolerant, mut now) = (Tolerant::new(1_000), Instant::ZERO);
        rounds(&mut tolerant, &mut now, 1, 0, Duration::ZERO);
        let window = tolerant.window();
        tolerant.on_congestion(now);
        assert_eq!(tolerant.window(), window);
        rounds(&mut tolerant, &mut now, 1, 0, 5 * MS);
        let window = tolerant.window() as f64;
        tolerant.on_congestion(now);
        let kept = tolerant.window() as f64 / window;
        assert!((0.85..0.88).contains(&kept), "{kept}");
        rounds(&mut tolerant, &mut now, 1, 0, 500 * MS);
        let window = tolerant.window() as f64;
        tolerant.on_congestion(now);
        let kept = tolerant.window() as f64 / window;
        assert!((0.69..0.71).contains(&kept), "{kept}");
    }

    #[test]
    fn much_loss_reduces_until_it_proves_to_be_the_path() {
        let (mut tolerant, mut now) = (Tolerant::new(1_000), Instant::ZERO);
        rounds(&mut tolerant, &mut now, 2, 0, Duration::ZERO);
        let mut reduced = false;
        let mut window = tolerant.window();
        for _ in 0..12 {
            rounds(&mut tolerant, &mut now, 1, 6, Duration::ZERO);
            reduced |= tolerant.window() < window;
            window = tolerant.window();
        }
        assert!(reduced);
        let grown = window;
        rounds(&mut tolerant, &mut now, 20, 6, Duration::ZERO);
        assert!(tolerant.window() > grown, "{}", tolerant.window());
    }

    #[test]
    fn a_queue_too_short_to_be_felt_is_respected() {
        let (mut tolerant, mut now) = (Tolerant::new(1_000), Instant::ZERO);
        // Whatever is sent beyond 40 packets a round is lost at once.
        let mut largest = 0;
        for _ in 0..400 {
            let sent = tolerant.window() / 1_000;
            for packet in 0..sent.min(40) {
                tolerant.on_acknowledged(now, ack(1, 50 * MS, packet == 0));
            }
            if sent > 40 {
                tolerant.on_lost(sent - 40);
                tolerant.on_congestion(now);
            }
            now += 50 * MS;
            largest = largest.max(sent);
        }
        let window = tolerant.window() / 1_000;
        assert!(window <= 60, "{window}, {largest} at most");
    }
}
