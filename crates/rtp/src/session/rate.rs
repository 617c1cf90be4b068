//! Bits a second over the last second.

use esp_wire::Instant;

const BUCKETS: usize = 10;
const BUCKET_NANOS: u64 = 1_000_000_000 / BUCKETS as u64;

/// Counts bytes in tenths of a second.
#[derive(Clone, Debug, Default)]
pub(crate) struct RateMeter {
    buckets: [u64; BUCKETS],
    current: u64,
}

impl RateMeter {
    /// Counts bytes that passed at `now`.
    pub(crate) fn add(&mut self, now: Instant, bytes: usize) {
        let bucket = now.as_nanos() / BUCKET_NANOS;
        let passed = bucket.saturating_sub(self.current).min(BUCKETS as u64);
        for step in 1..=passed {
            self.buckets[((bucket + BUCKETS as u64 - passed + step) % BUCKETS as u64) as usize] = 0;
        }
        self.current = self.current.max(bucket);
        self.buckets[(self.current % BUCKETS as u64) as usize] += bytes as u64;
    }

    /// Bits in the second before `now`.
    pub(crate) fn bits(&self, now: Instant) -> u64 {
        let passed = (now.as_nanos() / BUCKET_NANOS).saturating_sub(self.current);
        let live = (BUCKETS as u64).saturating_sub(passed);
        // Buckets are found backwards from the current one.
        let sum: u64 = (0..live)
            .map(|age| (self.current + BUCKETS as u64 - age) % BUCKETS as u64)
            .map(|index| self.buckets[index as usize])
            .sum();
        sum * 8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_second_counts() {
        let mut rate = RateMeter::default();
        for ms in (0..3_000).step_by(10) {
            rate.add(Instant::from_millis(ms), 100);
        }
        assert_eq!(rate.bits(Instant::from_millis(2_999)), 80_000);
        assert_eq!(rate.bits(Instant::from_millis(3_499)), 40_000);
        assert_eq!(rate.bits(Instant::from_millis(5_000)), 0);
        rate.add(Instant::from_millis(9_000), 1);
        assert_eq!(rate.bits(Instant::from_millis(9_000)), 8);
    }
}
