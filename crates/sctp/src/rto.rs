//! The retransmission timeout (RFC 9260 §6.3) and the round trip it follows.

use std::time::Duration;

/// Smoothed round trip, its variance and least value, and the timeout with its backoff.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rto {
    initial: Duration,
    min: Duration,
    max: Duration,
    smoothed: Option<Duration>,
    variance: Duration,
    least: Duration,
    backoff: u32,
}

/// RFC 9260 §6.3.1 C7: the granularity that the variance never falls below.
const GRANULARITY: Duration = Duration::from_millis(1);

impl Rto {
    pub(crate) fn new(initial: Duration, min: Duration, max: Duration) -> Self {
        Rto {
            initial,
            min,
            max,
            smoothed: None,
            variance: Duration::ZERO,
            least: Duration::MAX,
            backoff: 0,
        }
    }

    /// RFC 9260 §6.3.1 C2, C3; the backoff ends with the first sample.
    pub(crate) fn sample(&mut self, rtt: Duration) {
        self.least = self.least.min(rtt);
        self.backoff = 0;
        match self.smoothed {
            None => {
                self.variance = rtt / 2;
                self.smoothed = Some(rtt);
            }
            Some(smoothed) => {
                self.variance = (self.variance * 3 + smoothed.abs_diff(rtt)) / 4;
                self.smoothed = Some((smoothed * 7 + rtt) / 8);
            }
        }
    }

    /// RFC 9260 §6.3.3 E2: doubles the timeout.
    pub(crate) fn back_off(&mut self) {
        self.backoff = (self.backoff + 1).min(16);
    }

    /// New data was acknowledged: the path lives.
    pub(crate) fn progress(&mut self) {
        self.backoff = 0;
    }

    /// The timeout to arm now.
    pub(crate) fn timeout(&self) -> Duration {
        let base = match self.smoothed {
            None => self.initial,
            Some(smoothed) => smoothed + (self.variance * 4).max(GRANULARITY),
        };
        let base = base.clamp(self.min, self.max);
        base.saturating_mul(1 << self.backoff).min(self.max)
    }

    /// The smoothed round trip.
    pub(crate) fn smoothed(&self) -> Option<Duration> {
        self.smoothed
    }

    /// The least round trip seen, zero before the first.
    pub(crate) fn least(&self) -> Duration {
        match self.smoothed {
            Some(_) => self.least,
            None => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_timeout_follows_the_samples() {
        let mut rto = Rto::new(1_000 * MS, 100 * MS, 60_000 * MS);
        assert_eq!(rto.timeout(), 1_000 * MS);
        rto.sample(200 * MS);
        assert_eq!(rto.timeout(), 600 * MS);
        rto.back_off();
        rto.back_off();
        assert_eq!(rto.timeout(), 2_400 * MS);
        rto.sample(200 * MS);
        assert_eq!(rto.timeout(), 500 * MS);
        for _ in 0..50 {
            rto.sample(10 * MS);
        }
        assert_eq!(rto.timeout(), 100 * MS);
        assert_eq!(rto.least(), 10 * MS);
    }

    #[test]
    fn smoothing_is_by_an_eighth_and_a_quarter() {
        let mut rto = Rto::new(1_000 * MS, MS, 60_000 * MS);
        rto.sample(80 * MS);
        assert_eq!((rto.smoothed, rto.variance), (Some(80 * MS), 40 * MS));
        rto.sample(160 * MS);
        assert_eq!((rto.smoothed, rto.variance), (Some(90 * MS), 50 * MS));
        assert_eq!(rto.timeout(), 290 * MS);
        // RFC 9260 §6.3.1 C7: however steady the round trip, the timeout is more than that.
        for _ in 0..200 {
            rto.sample(90 * MS);
        }
        assert!(rto.timeout() >= 91 * MS, "{:?}", rto.timeout());
    }

    #[test]
    fn whatever_arrives_ends_the_backoff() {
        let mut rto = Rto::new(1_000 * MS, 100 * MS, 60_000 * MS);
        rto.back_off();
        assert_eq!(rto.timeout(), 2_000 * MS);
        rto.progress();
        assert_eq!(rto.timeout(), 1_000 * MS);
    }

    #[test]
    fn the_timeout_has_a_ceiling() {
        let mut rto = Rto::new(1_000 * MS, 100 * MS, 5_000 * MS);
        for _ in 0..100 {
            rto.back_off();
        }
        assert_eq!(rto.timeout(), 5_000 * MS);
    }
}
