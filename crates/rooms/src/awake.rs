//! The time by which clients are found silent: it stands still while the server itself does.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Counts time only while somebody looks at it often enough. A server that was stopped, that slept, or that got no
/// processor, heard nobody meanwhile, and that is no silence of its clients.
pub(crate) struct Awake {
    /// The longest time between two looks that counts.
    most: Duration,
    state: Mutex<State>,
}

struct State {
    looked: Instant,
    /// What did not count.
    lost: Duration,
}

impl Awake {
    pub(crate) fn new(now: Instant, most: Duration) -> Self {
        let lost = Duration::ZERO;
        let state = Mutex::new(State { looked: now, lost });
        Awake { most, state }
    }

    /// The moment by this clock; `now` is that of the system.
    pub(crate) fn at(&self, now: Instant) -> Instant {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have looked since.
        let now = now.max(state.looked);
        let unseen = now - state.looked;
        state.lost += unseen.saturating_sub(self.most);
        state.looked = now;
        now.checked_sub(state.lost).unwrap_or(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_counts_while_somebody_looks() {
        let start = Instant::now();
        let awake = Awake::new(start, Duration::from_secs(2));
        for second in 0..100 {
            let now = start + Duration::from_secs(second);
            assert_eq!(awake.at(now), now);
        }
    }

    #[test]
    fn a_server_that_stood_still_has_missed_nobody() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let awake = Awake::new(start, 2 * second);
        // Heard just before the server stood still for an hour.
        let heard = awake.at(start + second);
        let woken = start + 3_600 * second;
        assert_eq!(awake.at(woken) - heard, 2 * second);
        assert_eq!(awake.at(woken + second) - heard, 3 * second);
        // A moment that was taken before another thread looked.
        assert_eq!(awake.at(woken) - heard, 3 * second);
    }
}
