//! Delays that double, with jitter, so that many clients do not come back at once.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use crate::Retry;

pub(crate) struct Backoff {
    retry: Retry,
    failures: u32,
}

impl Backoff {
    pub(crate) fn new(retry: Retry) -> Self {
        Backoff { retry, failures: 0 }
    }

    /// The delay after one more failure; none when it is time to give up.
    pub(crate) fn next(&mut self) -> Option<Duration> {
        self.failures = self.failures.saturating_add(1);
        if self.retry.attempts.is_some_and(|most| self.failures > most) {
            return None;
        }
        let doubled = 1_u32 << (self.failures - 1).min(16);
        let full = self.retry.first.saturating_mul(doubled);
        Some(jittered(full.min(self.retry.most)))
    }

    /// The delay after a full room, which is no failure.
    pub(crate) fn full(&self) -> Duration {
        jittered(self.retry.full)
    }

    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

/// Something from half of `delay` to all of it.
fn jittered(delay: Duration) -> Duration {
    // The standard library's only random source: every RandomState has other keys.
    let random = RandomState::new().build_hasher().finish() >> 32;
    let part = random as f64 / f64::from(u32::MAX);
    delay.mul_f64(0.5 + part / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_a_bound() {
        let retry = Retry {
            first: Duration::from_millis(100),
            most: Duration::from_millis(1_000),
            attempts: Some(40),
            ..Retry::default()
        };
        let mut backoff = Backoff::new(retry);
        for full in [100, 200, 400, 800, 1_000, 1_000] {
            let delay = backoff.next().unwrap().as_millis();
            assert!((full / 2..=full).contains(&delay), "{delay} of {full}");
        }
        assert_eq!((0..34).filter_map(|_| backoff.next()).count(), 34);
        assert_eq!(backoff.next(), None);
        backoff.reset();
        assert!(backoff.next().unwrap() <= Duration::from_millis(100));
    }
}
