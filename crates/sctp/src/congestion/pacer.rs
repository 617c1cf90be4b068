//! Spreads packets over the round trip, in bursts that one train holds.

use std::time::Duration;

use esp_wire::Instant;

/// Below this round trip the wake-ups would cost more than the bursts.
const MIN_RTT: Duration = Duration::from_millis(2);
/// Time that one burst covers; below the resolution of most timers nothing is gained.
const BURST: Duration = Duration::from_millis(1);
/// RFC 9002 §7.7: a burst of ten packets is fine anywhere.
const MIN_BURST_PACKETS: usize = 10;

/// Below this rate, in bytes a second, a fraction of a byte is worth to be counted.
const SLOW: u64 = 100_000;

/// A token bucket filled at a multiple of the window per round trip.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pacer {
    /// Bytes that may be sent now; negative after a burst.
    tokens: i64,
    last: Instant,
    /// Bytes a second; zero for no pacing.
    rate: u64,
    burst: i64,
    /// Spent: waits until half a burst may leave at once.
    holding: bool,
}

impl Pacer {
    pub(crate) fn new(now: Instant) -> Self {
        Pacer {
            tokens: 0,
            last: now,
            rate: 0,
            burst: 0,
            holding: false,
        }
    }

    /// Follows the window and the round trip.
    pub(crate) fn update(
        &mut self,
        window: usize,
        rtt: Option<Duration>,
        slow_start: bool,
        packet: usize,
    ) {
        let Some(rtt) = rtt.filter(|rtt| *rtt >= MIN_RTT) else {
            self.rate = 0;
            return;
        };
        // Twice the window in slow start, so that it can double; a quarter more otherwise, so that
        // pacing is never the limit.
        let window = window as u64;
        let gained = if slow_start {
            window * 2
        } else {
            window + window / 4
        };
        self.rate = (gained * 1_000_000 / (rtt.as_micros() as u64).max(1)).max(1);
        let burst = self.rate * BURST.as_micros() as u64 / 1_000_000;
        self.burst = (burst as i64).max((MIN_BURST_PACKETS * packet) as i64);
    }

    /// True when a packet may leave now.
    pub(crate) fn ready(&mut self, now: Instant) -> bool {
        if self.rate == 0 {
            return true;
        }
        let elapsed = now.since(self.last).as_micros().min(10_000_000) as u64;
        let filled = (u128::from(self.rate) * u128::from(elapsed) / 1_000_000) as i64;
        // Time in which not even a byte comes together counts the next time; for fast flows it is nothing.
        if filled > 0 || (elapsed > 0 && self.rate >= SLOW) {
            self.last = now;
            self.tokens = self.tokens.saturating_add(filled).min(self.burst);
        }
        self.holding = match self.holding {
            true => self.tokens < self.burst / 2,
            false => self.tokens <= 0,
        };
        !self.holding
    }

    /// A packet left.
    pub(crate) fn spend(&mut self, bytes: usize) {
        if self.rate != 0 {
            self.tokens -= bytes as i64;
        }
    }

    /// When the next packet may leave, after `ready` was false.
    pub(crate) fn next(&self) -> Instant {
        let missing = (self.burst / 2 - self.tokens).max(1) as u64;
        let rate = self.rate.max(1);
        let wait = match rate < SLOW {
            true => missing.saturating_mul(1_000_000).div_ceil(rate),
            false => missing.saturating_mul(1_000_000) / rate,
        };
        self.last + Duration::from_micros(wait.max(200))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_kept_over_time() {
        let mut now = Instant::ZERO;
        let mut pacer = Pacer::new(now);
        pacer.update(100_000, Some(Duration::from_millis(100)), false, 1_000);
        now += Duration::from_secs(1);
        let end = now + Duration::from_secs(1);
        let mut sent = 0;
        while now < end {
            while pacer.ready(now) {
                pacer.spend(1_000);
                sent += 1_000;
            }
            now = now.max(pacer.next());
        }
        // 1.25 windows a round trip, and the first burst.
        assert!((1_240_000..1_270_000).contains(&sent), "{sent}");
    }

    #[test]
    fn short_round_trips_are_not_paced() {
        let mut pacer = Pacer::new(Instant::ZERO);
        pacer.update(100_000, Some(Duration::from_micros(80)), false, 1_000);
        for _ in 0..1_000 {
            pacer.spend(1_000);
            assert!(pacer.ready(Instant::ZERO));
        }
    }

    #[test]
    fn however_slow_the_next_packet_leaves_when_it_was_said_to() {
        for millis in [10, 400, 6_275, 60_000] {
            let mut now = Instant::ZERO;
            let mut pacer = Pacer::new(now);
            pacer.update(11_600, Some(Duration::from_millis(millis)), true, 1_160);
            for _ in 0..40 {
                now += Duration::from_micros(7);
                pacer.ready(now);
                pacer.spend(1_160);
                // Who asks in between does not delay it.
                let mut wakes = 0;
                while !pacer.ready(now) {
                    wakes += 1;
                    assert!(wakes < 3, "{millis} ms");
                    let next = pacer.next();
                    assert!(next > now, "{millis} ms");
                    let step = (next - now) / 50;
                    for _ in 0..49 {
                        now += step;
                        pacer.ready(now);
                    }
                    now = next.max(pacer.next());
                }
            }
        }
    }
}
