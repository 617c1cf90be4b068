//! Bits a second that arrive, by the receiver's clock.

/// Microseconds of one bucket.
const BUCKET: i64 = 25_000;
/// Buckets of the window: half a second.
const BUCKETS: usize = 20;
/// A shorter time says nothing about a rate.
const LEAST_SPAN: i64 = 100_000;

/// Counts bytes over half a second of arrivals.
#[derive(Clone, Debug)]
pub(super) struct Throughput {
    buckets: [u64; BUCKETS],
    current: i64,
    first: Option<i64>,
    last: i64,
}

impl Throughput {
    pub(super) fn new() -> Self {
        Throughput {
            buckets: [0; BUCKETS],
            current: 0,
            first: None,
            last: 0,
        }
    }

    /// Counts a packet.
    pub(super) fn add(&mut self, arrived: i64, bytes: usize) {
        let bucket = arrived.div_euclid(BUCKET);
        let first = *self.first.get_or_insert_with(|| {
            self.current = bucket;
            self.last = arrived;
            arrived
        });
        let passed = bucket - self.current;
        // A pause, or another clock: what was before is of no use.
        if passed.unsigned_abs() >= BUCKETS as u64 || arrived < first {
            *self = Throughput::new();
            return self.add(arrived, bytes);
        }
        for step in 1..=passed {
            self.buckets[slot(self.current + step)] = 0;
        }
        self.current = self.current.max(bucket);
        self.last = self.last.max(arrived);
        self.buckets[slot(bucket)] += bytes as u64;
    }

    /// Bits a second, once enough time was seen.
    pub(super) fn bits(&self) -> Option<u64> {
        let oldest = (self.current - BUCKETS as i64 + 1) * BUCKET;
        let span = self.last - self.first?.max(oldest);
        if span < LEAST_SPAN {
            return None;
        }
        let bits = u128::from(self.buckets.iter().sum::<u64>()) * 8_000_000;
        u64::try_from(bits / u128::from(span.unsigned_abs())).ok()
    }
}

fn slot(bucket: i64) -> usize {
    bucket.rem_euclid(BUCKETS as i64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_the_rate_within_half_a_second() {
        let mut seen = Throughput::new();
        for step in 0..1_000 {
            // 1,000 bytes in 8 ms are 1 Mbit/s; below zero, as clocks of others may be.
            seen.add(step * 8_000 - 3_000_000, 1_000);
            match seen.bits() {
                Some(bits) => assert!((950_000..=1_100_000).contains(&bits), "{bits}"),
                None => assert!(step < 14),
            }
        }
        let then = 1_000 * 8_000 - 3_000_000;
        for step in 0..70 {
            seen.add(then + step * 8_000, 250);
        }
        let bits = seen.bits().unwrap();
        assert!((240_000..=275_000).contains(&bits), "{bits}");
    }

    #[test]
    fn a_pause_begins_anew() {
        let mut seen = Throughput::new();
        for step in 0..100 {
            seen.add(step * 8_000, 1_000);
        }
        seen.add(5_000_000, 1_000);
        assert_eq!(seen.bits(), None);
    }
}
