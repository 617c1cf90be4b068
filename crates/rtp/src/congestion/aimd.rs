//! The bitrate that delays allow: more by and by, less at once (draft-ietf-rmcat-gcc-02 §5.5).

use std::time::Duration;

use esp_wire::Instant;

use super::trend::Usage;

/// What is left of the measured throughput when queues grow.
const BACKOFF: f64 = 0.85;
/// What is taken away besides for each second that packets wait in queues, and at most.
const DRAIN_A_SECOND: f64 = 0.7;
const MOST_DRAIN: f64 = 0.35;
/// Growth a second, far from where queues grew before.
const GROWTH: f64 = 0.08;
/// Bits of a packet, of which half a one more is sent in each response time, near to it.
const PACKET_BITS: f64 = 9_600.0;
/// What the receiver's feedback adds to a round trip.
const RESPONSE: f64 = 0.1;
/// The estimate goes beyond what arrives by this factor at most.
const AHEAD: f64 = 1.5;
/// So long after it was lowered, what arrives may still be what was sent before.
const SETTLED: Duration = Duration::from_secs(2);
/// With packets that wait longer than this it does not grow, and falls when they wait twice as long; besides
/// the time that so many packets take.
const WAIT: Duration = Duration::from_millis(30);
const WAIT_PACKETS: f64 = 2.0;
/// So near to the known throughput, in parts of it, growth is slow in any case.
const NEAR: f64 = 0.25;

/// What was measured, for one step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    pub(super) usage: Usage,
    /// Bits a second that arrive.
    pub(super) acked: Option<u64>,
    pub(super) queue: Duration,
    pub(super) rtt: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Hold,
    Increase,
}

/// What arrived when queues grew: mean, and mean distance from it.
#[derive(Clone, Copy, Debug)]
struct Known {
    mean: f64,
    spread: f64,
}

/// The bitrate that delays allow.
#[derive(Clone, Debug)]
pub(super) struct RateControl {
    bitrate: f64,
    state: State,
    known: Option<Known>,
    stepped: Option<Instant>,
    decreased: Option<Instant>,
}

impl RateControl {
    pub(super) fn new(start: u64) -> Self {
        RateControl {
            bitrate: start as f64,
            state: State::Increase,
            known: None,
            stepped: None,
            decreased: None,
        }
    }

    pub(super) fn bitrate(&self) -> u64 {
        self.bitrate as u64
    }

    /// When it was lowered last.
    pub(super) fn decreased(&self) -> Option<Instant> {
        self.decreased
    }

    /// Sets the bitrate, as a probe or a loss told.
    pub(super) fn set(&mut self, bitrate: u64) {
        self.bitrate = bitrate as f64;
        if self.known.is_some_and(|known| self.bitrate > known.upper()) {
            self.known = None;
        }
    }

    /// Keeps the bitrate within bounds.
    pub(super) fn clamp(&mut self, least: u64, most: u64) {
        self.bitrate = self.bitrate.clamp(least as f64, most as f64);
    }

    /// Notes what arrived when the path was full.
    pub(super) fn note_full(&mut self, now: Instant, acked: u64) {
        let acked = acked as f64;
        self.decreased = Some(now);
        self.known = Some(match self.known {
            Some(known) if (known.lower()..=known.upper()).contains(&acked) => Known {
                mean: known.mean + 0.2 * (acked - known.mean),
                spread: known.spread + 0.2 * ((acked - known.mean).abs() - known.spread),
            },
            _ => Known {
                mean: acked,
                spread: 0.0,
            },
        });
    }

    /// Takes the next step.
    pub(super) fn step(&mut self, now: Instant, seen: Measured) {
        let passed = (now - self.stepped.replace(now).unwrap_or(now)).as_secs_f64();
        match seen.usage {
            Usage::Overuse => {
                self.decrease(now, seen);
                self.state = State::Hold;
                return;
            }
            Usage::Underuse => {
                self.state = State::Hold;
                return;
            }
            Usage::Normal if seen.queue > self.wait() * 2 => {
                self.decrease(now, seen);
                self.state = State::Hold;
                return;
            }
            Usage::Normal if self.state == State::Hold => {
                self.state = State::Increase;
                return;
            }
            Usage::Normal => {}
        }
        if seen.queue <= self.wait() {
            self.increase(now, seen, passed.min(1.0));
        }
    }

    fn wait(&self) -> Duration {
        WAIT + Duration::from_secs_f64(WAIT_PACKETS * PACKET_BITS / self.bitrate.max(10_000.0))
    }

    fn increase(&mut self, now: Instant, seen: Measured, passed: f64) {
        let acked = seen.acked.map(|acked| acked as f64);
        if let (Some(known), Some(acked)) = (self.known, acked)
            && acked > known.upper()
        {
            self.known = None;
        }
        let fast = self.bitrate * GROWTH * passed;
        let slow = PACKET_BITS / 2.0 / (seen.rtt.as_secs_f64() + RESPONSE) * passed;
        let grown = match self.known {
            // The same for all that share the path, whatever their part.
            Some(known) if self.bitrate > known.lower() => self.bitrate + slow,
            _ => self.bitrate + fast.max(slow),
        };
        // More than what is used is not known to be there; what arrived without a queue is.
        let Some(acked) = acked else {
            return;
        };
        self.bitrate = self.bitrate.max(grown.min(AHEAD * acked + 10_000.0));
        if self.known.is_none() && self.decreased.is_none_or(|at| now - at > SETTLED) {
            self.bitrate = self.bitrate.max(acked);
        }
    }

    fn decrease(&mut self, now: Instant, seen: Measured) {
        let pause = (seen.rtt + seen.queue).max(Duration::from_millis(200));
        let acked = seen.acked.map_or(self.bitrate, |acked| acked as f64);
        let recent = self.decreased.is_some_and(|at| now - at < pause);
        if recent && acked > self.bitrate / 2.0 {
            return;
        }
        // A long queue takes long to empty at little less than the throughput.
        let drain = (seen.queue.as_secs_f64() * DRAIN_A_SECOND).min(MOST_DRAIN);
        let lowered = acked * (BACKOFF - drain);
        self.note_full(now, acked as u64);
        self.bitrate = self.bitrate.min(lowered);
    }
}

impl Known {
    fn margin(self) -> f64 {
        (3.0 * self.spread).max(NEAR * self.mean)
    }

    fn lower(self) -> f64 {
        self.mean - self.margin()
    }

    fn upper(self) -> f64 {
        self.mean + self.margin()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(usage: Usage, acked: u64) -> Measured {
        Measured {
            usage,
            acked: Some(acked),
            queue: Duration::ZERO,
            rtt: Duration::from_millis(50),
        }
    }

    /// A second in steps of 100 ms.
    fn second(rate: &mut RateControl, from: u64, usage: Usage, acked: u64) {
        for step in 0..10 {
            rate.step(Instant::from_millis(from + step * 100), seen(usage, acked));
        }
    }

    #[test]
    fn it_grows_by_a_share_and_near_the_known_by_packets() {
        let mut rate = RateControl::new(1_000_000);
        second(&mut rate, 0, Usage::Normal, 990_000);
        assert!((1_070_000..1_090_000).contains(&rate.bitrate()), "{rate:?}");
        rate.step(Instant::from_millis(1_000), seen(Usage::Overuse, 1_000_000));
        assert_eq!(rate.bitrate(), 850_000);
        second(&mut rate, 1_100, Usage::Normal, 850_000);
        assert!(rate.bitrate() < 925_000);
        for second_of in 2..5 {
            let used = rate.bitrate();
            second(&mut rate, second_of * 1_000, Usage::Normal, used);
        }
        let near = rate.bitrate();
        second(&mut rate, 5_000, Usage::Normal, near);
        let growth = rate.bitrate() - near;
        assert!((29_000..=32_000).contains(&growth), "{growth}");
    }

    #[test]
    fn it_does_not_run_ahead_of_what_is_used() {
        let mut rate = RateControl::new(500_000);
        for second_of in 0..60 {
            second(&mut rate, second_of * 1_000, Usage::Normal, 400_000);
        }
        assert_eq!(rate.bitrate(), 610_000);
    }

    #[test]
    fn a_long_queue_is_emptied() {
        let mut rate = RateControl::new(3_000_000);
        let long = Measured {
            queue: Duration::from_millis(400),
            ..seen(Usage::Overuse, 1_000_000)
        };
        rate.step(Instant::ZERO, long);
        assert_eq!(rate.bitrate(), 570_000);
        let waits = Measured {
            usage: Usage::Normal,
            ..long
        };
        for ms in [100, 200, 300] {
            rate.step(Instant::from_millis(ms), waits);
        }
        assert_eq!(rate.bitrate(), 570_000);
    }
}
