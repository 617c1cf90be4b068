//! CUBIC (RFC 9438) with the delay-based exit from slow start of HyStart++ (RFC 9406).

use std::time::Duration;

use esp_wire::Instant;

use super::{Acknowledged, Congestion, initial_window};

/// RFC 9438 §5: C, in packets per second cubed.
const C: f64 = 0.4;
/// RFC 9438 §5: the factor of reduction.
pub(super) const BETA: f64 = 0.7;
/// RFC 8511 §3: the same after a mark, since queues that mark are short.
const MARKED: f64 = 0.85;
/// RFC 9406 §4.3: bounds of the rise in delay that ends slow start.
const MIN_RISE: Duration = Duration::from_millis(4);
const MAX_RISE: Duration = Duration::from_millis(16);
/// RFC 9406 §4.3: samples of a round before its minimum counts.
const ROUND_SAMPLES: u32 = 8;

/// The window and what it remembers of the last reduction.
#[derive(Clone, Debug)]
pub struct Cubic {
    packet: f64,
    now: Curve,
    /// The curve before the last reductions, for their undoing.
    before: Option<Curve>,
    rtt: Duration,
    round: Round,
    caution: Option<Caution>,
}

/// The window, and how it grows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Curve {
    window: f64,
    threshold: f64,
    /// The window at the last reduction.
    plateau: f64,
    epoch: Option<Epoch>,
}

#[derive(Clone, Copy, Debug)]
struct Epoch {
    began: Instant,
    /// Seconds until the plateau is reached again.
    rise: f64,
    /// What a Reno flow would have by now.
    reno: f64,
}

/// RFC 9406 §4.3: rounds of slower growth before slow start ends for good.
const CAUTIOUS_ROUNDS: u32 = 5;
/// RFC 9406 §4.3: by how much growth is slower meanwhile.
const CAUTION: f64 = 4.0;

/// Slower growth after the delay rose, to see whether it falls again.
#[derive(Clone, Copy, Debug)]
struct Caution {
    baseline: Duration,
    rounds: u32,
}

/// Delay over the rounds of slow start.
#[derive(Clone, Copy, Debug, Default)]
struct Round {
    last: Option<Duration>,
    current: Option<Duration>,
    samples: u32,
}

impl Cubic {
    /// A fresh window for packets of `packet_size` bytes.
    pub fn new(packet_size: usize) -> Self {
        Cubic {
            packet: packet_size as f64,
            now: Curve {
                window: initial_window(packet_size) as f64,
                threshold: f64::INFINITY,
                plateau: 0.0,
                epoch: None,
            },
            before: None,
            rtt: Duration::from_millis(100),
            round: Round::default(),
            caution: None,
        }
    }

    /// RFC 9406 §4.2: a round whose least delay rose ends slow start before the queue overflows.
    fn watch_delay(&mut self, acknowledged: &Acknowledged) {
        if let Some(rtt) = acknowledged.rtt {
            self.round.samples += 1;
            self.round.current = Some(self.round.current.map_or(rtt, |least| least.min(rtt)));
        }
        if self.round.samples >= ROUND_SAMPLES
            && let (Some(last), Some(current)) = (self.round.last, self.round.current)
        {
            self.judge_delay(last, current);
        }
        if acknowledged.round_ended {
            self.end_round();
        }
    }

    fn judge_delay(&mut self, last: Duration, current: Duration) {
        match self.caution {
            None if current >= last + (last / 8).clamp(MIN_RISE, MAX_RISE) => {
                self.caution = Some(Caution {
                    baseline: current,
                    rounds: 0,
                });
            }
            // The rise was noise.
            Some(caution) if current < caution.baseline => self.caution = None,
            _ => {}
        }
    }

    fn end_round(&mut self) {
        self.round = Round {
            last: self.round.current.or(self.round.last),
            current: None,
            samples: 0,
        };
        if let Some(caution) = &mut self.caution {
            caution.rounds += 1;
            if caution.rounds >= CAUTIOUS_ROUNDS {
                self.now.threshold = self.now.window;
                self.caution = None;
            }
        }
    }

    fn avoid_congestion(&mut self, now: Instant, bytes: usize) {
        let curve = &mut self.now;
        let (packet, window) = (self.packet, curve.window);
        let epoch = curve.epoch.get_or_insert_with(|| {
            let missing = ((curve.plateau - window) / packet).max(0.0);
            if curve.plateau < window {
                curve.plateau = window;
            }
            Epoch {
                began: now,
                rise: cube_root(missing / C),
                reno: window,
            }
        });
        let elapsed = (now.since(epoch.began) + self.rtt).as_secs_f64();
        let from_plateau = elapsed - epoch.rise;
        let cube = from_plateau * from_plateau * from_plateau;
        // RFC 9438 §4.2: where the curve is one round trip ahead, at most half as much again.
        let target = (curve.plateau + C * cube * packet).clamp(window, window * 1.5);
        let share = bytes as f64 / window;
        // RFC 9438 §4.3: never slower than Reno with the same reductions.
        let alpha = match epoch.reno < curve.plateau {
            true => 3.0 * (1.0 - BETA) / (1.0 + BETA),
            false => 1.0,
        };
        epoch.reno += alpha * packet * share;
        curve.window = (window + (target - window) * share).max(epoch.reno);
    }

    /// Remembers the curve, in case that the next reduction is unfounded.
    pub(super) fn keep(&mut self) {
        self.before = Some(self.now);
    }

    /// Nothing is left to take back.
    pub(super) fn forget(&mut self) {
        self.before = None;
    }

    /// The curve as it is.
    pub(super) fn curve(&self) -> Curve {
        self.now
    }

    /// Takes up an earlier curve where it was higher.
    pub(super) fn resume(&mut self, before: Curve) {
        if before.window > self.now.window {
            self.now = before;
            self.now.epoch = None;
        }
    }

    /// Adds to the window.
    pub(super) fn widen(&mut self, bytes: f64) {
        self.now.window += bytes;
    }

    /// Takes the last reductions back.
    pub(super) fn restore(&mut self) {
        if let Some(before) = self.before.take() {
            self.resume(before);
        }
    }

    /// The timeout, after which `factor` of the window is where slow start ends.
    pub(super) fn on_timeout_with(&mut self, factor: f64) {
        self.before.get_or_insert(self.now);
        self.reduce(factor);
        self.now.window = self.packet;
    }

    /// Leaves `factor` of the window.
    pub(super) fn reduce(&mut self, factor: f64) {
        self.caution = None;
        self.now.reduce(factor, self.packet);
    }
}

impl Curve {
    /// Leaves `factor` of the window, and ends slow start.
    pub(super) fn reduce(&mut self, factor: f64, packet: f64) {
        // RFC 9438 §4.7: fast convergence gives room to newcomers.
        self.plateau = match self.window < self.plateau {
            true => self.window * (1.0 + BETA) / 2.0,
            false => self.window,
        };
        self.threshold = (self.window * factor).max(4.0 * packet);
        self.window = self.threshold;
        self.epoch = None;
    }
}

impl Congestion for Cubic {
    fn window(&self) -> usize {
        self.now.window as usize
    }

    fn in_slow_start(&self) -> bool {
        self.now.window < self.now.threshold
    }

    fn on_acknowledged(&mut self, now: Instant, acknowledged: Acknowledged) {
        if let Some(rtt) = acknowledged.rtt {
            self.rtt = rtt;
        }
        if self.in_slow_start() {
            self.watch_delay(&acknowledged);
        }
        if acknowledged.in_recovery {
            return;
        }
        if !acknowledged.window_limited {
            // RFC 9438 §5.8: the curve stands still while the application is the limit.
            self.now.epoch = None;
            return;
        }
        if self.in_slow_start() {
            let caution = if self.caution.is_some() { CAUTION } else { 1.0 };
            self.now.window += acknowledged.bytes as f64 / caution;
        } else {
            self.avoid_congestion(now, acknowledged.bytes);
        }
    }

    fn on_congestion(&mut self, _now: Instant) {
        self.keep();
        self.reduce(BETA);
    }

    fn on_marked(&mut self, _now: Instant) {
        self.keep();
        self.reduce(MARKED);
    }

    fn on_timeout(&mut self, _now: Instant) {
        self.on_timeout_with(BETA);
    }

    fn on_spurious(&mut self, _now: Instant) {
        self.restore();
    }

    fn set_packet_size(&mut self, bytes: usize) {
        self.packet = bytes as f64;
    }
}

/// The cube root of what is not negative. That of the standard library may differ from machine to machine, and what is
/// sent must not.
fn cube_root(of: f64) -> f64 {
    if of <= 0.0 {
        return 0.0;
    }
    // A third of the exponent; each step of Newton's doubles the digits that are right.
    let mut root = f64::from_bits(of.to_bits() / 3 + ((1023 / 3 * 2) << 52));
    for _ in 0..6 {
        root = (2.0 * root + of / (root * root)) / 3.0;
    }
    root
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ack(bytes: usize, rtt: u64, round_ended: bool) -> Acknowledged {
        Acknowledged {
            bytes,
            rtt: Some(Duration::from_millis(rtt)),
            window_limited: true,
            in_recovery: false,
            round_ended,
        }
    }

    #[test]
    fn cube_roots_are_right() {
        assert_eq!(cube_root(0.0), 0.0);
        for exponent in -30..30 {
            for step in 0..100 {
                let root = f64::from(exponent).exp2() * (1.0 + f64::from(step) / 100.0);
                let found = cube_root(root * root * root);
                assert!((found / root - 1.0).abs() < 1e-14, "{root}: {found}");
            }
        }
    }

    #[test]
    fn the_window_returns_to_its_plateau() {
        let mut cubic = Cubic::new(1_000);
        cubic.now.window = 1_000_000.0;
        cubic.on_congestion(Instant::ZERO);
        assert_eq!(cubic.window(), 700_000);
        // K = cbrt(300 / 0.4) = 9.09 s.
        let mut now = Instant::ZERO;
        for _ in 0..91 {
            now += Duration::from_millis(100);
            cubic.on_acknowledged(now, ack(cubic.window(), 100, true));
        }
        let window = cubic.window();
        assert!((950_000..1_060_000).contains(&window), "{window}");
    }

    /// A window after `seconds` at a round trip of 100 ms, from a reduction of `plateau` packets on.
    fn regained(plateau: f64, seconds: u64) -> f64 {
        let mut cubic = Cubic::new(1_000);
        cubic.now.window = plateau * 1_000.0;
        cubic.on_congestion(Instant::ZERO);
        let mut now = Instant::ZERO;
        for _ in 0..seconds * 10 {
            now += Duration::from_millis(100);
            cubic.on_acknowledged(now, ack(cubic.window(), 100, true));
        }
        cubic.now.window / 1_000.0
    }

    #[test]
    fn the_curve_is_that_of_the_rfc() {
        // RFC 9438 §4.2: W(t) = C (t - K)^3 + W_max, a round trip ahead; K = 9.09 s.
        for (seconds, expected) in [(3, 912.2), (6, 989.8), (12, 1_011.0), (20, 1_545.0)] {
            let window = regained(1_000.0, seconds);
            let off = (window - expected).abs() / expected;
            assert!(off < 0.03, "{window} after {seconds} s");
        }
        // RFC 9438 §4.3: a small window grows as Reno's does, by 0.53 packets a round trip and then by one.
        let window = regained(20.0, 2);
        assert!((26.0..31.0).contains(&window), "{window}");
    }

    #[test]
    fn reductions_follow_one_another_as_the_rfc_says() {
        let mut cubic = Cubic::new(1_000);
        cubic.now.window = 100_000.0;
        cubic.on_congestion(Instant::ZERO);
        assert_eq!(cubic.now.plateau, 100_000.0);
        // RFC 9438 §4.7: below the last plateau, room is made for others.
        cubic.on_congestion(Instant::ZERO);
        assert_eq!((cubic.window(), cubic.now.plateau), (49_000, 59_500.0));
        cubic.now.window = 100_000.0;
        cubic.on_marked(Instant::ZERO);
        assert_eq!(cubic.window(), 85_000);
        cubic.on_timeout(Instant::ZERO);
        assert_eq!(
            (cubic.window(), cubic.now.threshold.round()),
            (1_000, 59_500.0)
        );
        cubic.on_congestion(Instant::ZERO);
        assert_eq!(cubic.window(), 4_000);
    }

    #[test]
    fn growth_is_for_who_uses_the_window() {
        for recovery in [false, true] {
            let mut cubic = Cubic::new(1_000);
            for round in 0..20 {
                let now = Instant::from_millis(100 * round);
                let useless = Acknowledged {
                    window_limited: recovery,
                    in_recovery: recovery,
                    ..ack(10_000, 100, true)
                };
                cubic.on_acknowledged(now, useless);
            }
            assert_eq!(cubic.window(), 10_000);
        }
        // RFC 9438 §4.2: however far the curve has run ahead, by half as much again in a round trip.
        let mut cubic = Cubic::new(1_000);
        cubic.on_congestion(Instant::ZERO);
        let window = cubic.window();
        cubic.on_acknowledged(Instant::from_millis(1), ack(1, 100, false));
        cubic.on_acknowledged(Instant::from_millis(100_000), ack(window, 100, true));
        let grown = cubic.window();
        assert!(
            (window * 14 / 10..=window * 15 / 10 + 1).contains(&grown),
            "{grown}"
        );
    }

    #[test]
    fn rising_delay_ends_slow_start() {
        let mut cubic = Cubic::new(1_000);
        for round in 0..9 {
            for sample in 0..8 {
                cubic.on_acknowledged(Instant::ZERO, ack(1_000, 50 + 10 * round, sample == 7));
            }
        }
        assert!(!cubic.in_slow_start());
    }

    #[test]
    fn an_unfounded_reduction_is_undone() {
        let mut cubic = Cubic::new(1_000);
        cubic.on_congestion(Instant::ZERO);
        cubic.on_timeout(Instant::ZERO);
        cubic.on_spurious(Instant::ZERO);
        assert_eq!(cubic.window(), 10_000);
    }
}
