//! A token bucket for video and retransmissions; sound is never held.

use std::time::Duration;

use esp_wire::Instant;

/// Wake-ups of a busy pacer.
const TRAINS_A_SECOND: u64 = 200;
/// A send pool that is full is emptied so much faster than one that is almost empty.
const MOST_HASTE: usize = 16;
/// The pace in halves of the estimate.
const PACE_HALVES: u64 = 3;
/// With an estimate, what waits may take so many windows, while less than half of the pool is used.
const PATIENCE: u128 = 8;

/// Spreads what is sent. Tokens are bytes; the bucket may go into debt by one train.
#[derive(Debug)]
pub(crate) struct Pacer {
    /// Bits a second that it never goes below.
    floor: u64,
    burst: i64,
    window: Duration,
    /// Bits a second of all encoders, as told.
    target: u64,
    /// Bits a second that the path carries, once known.
    estimate: Option<u64>,
    /// Bits a second of a burst that leaves.
    probe: u64,
    /// Bits a second that empty the queue within the window; raised when a frame comes in.
    drain: u64,
    tokens: i64,
    /// Time up to which tokens were given, and bit-nanoseconds not yet given as bytes.
    filled: Instant,
}

impl Pacer {
    pub(crate) fn new(now: Instant, floor: u64, burst: usize, window: Duration) -> Self {
        let burst = i64::try_from(burst).unwrap_or(i64::MAX);
        Pacer {
            floor,
            burst,
            window,
            target: 0,
            estimate: None,
            probe: 0,
            drain: 0,
            tokens: burst,
            filled: now,
        }
    }

    /// Tells the sum of the encoders' bitrates.
    pub(crate) fn set_target(&mut self, bitrate: u64) {
        self.target = bitrate;
    }

    /// Tells how much the path carries, as far as is known: that takes the place of the floor.
    pub(crate) fn set_estimate(&mut self, now: Instant, estimate: Option<u64>) {
        self.refill(now);
        self.estimate = estimate;
    }

    /// Begins a burst at this rate, out of turn, or ends it.
    pub(crate) fn set_burst(&mut self, now: Instant, bitrate: Option<u64>) {
        self.refill(now);
        self.probe = bitrate.unwrap_or(0);
        self.tokens = 1;
    }

    /// Tells that `queued` bytes wait after a frame came in, in `used` of the `places` that the
    /// send pool has.
    ///
    /// The window is cut by the share of the pool that is used. Else the pool, which holds fewer
    /// bytes than a fast sender has in a window, would bound the rate, and refuse frames that the
    /// network could well take.
    pub(crate) fn on_queued(&mut self, now: Instant, queued: usize, used: usize, places: usize) {
        // What passed until now earned tokens at the rate of before.
        self.refill(now);
        let millis = self.window.as_millis().max(1);
        let free = places.saturating_sub(used).max(places / MOST_HASTE).max(1);
        let haste = match self.estimate {
            Some(_) if used * 2 < places => PATIENCE,
            _ => 1,
        };
        let drain =
            queued as u128 * 8_000 / (millis * haste) * places.max(1) as u128 / free as u128;
        self.drain = self.drain.max(u64::try_from(drain).unwrap_or(u64::MAX));
    }

    /// Tells that nothing waits any more.
    pub(crate) fn on_empty(&mut self) {
        self.drain = 0;
    }

    fn rate(&self) -> u64 {
        // Some more than the encoders' rate lets large frames through in time.
        let least = match self.estimate {
            Some(estimate) => estimate.saturating_mul(PACE_HALVES) / 2,
            None => self.floor.max(self.target.saturating_mul(5) / 2),
        };
        least.max(self.drain).max(self.probe).min(100_000_000_000)
    }

    fn refill(&mut self, now: Instant) {
        let nanos = (now - self.filled).as_nanos();
        let bytes = nanos * u128::from(self.rate()) / 8_000_000_000;
        if bytes > 0 {
            let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
            // While a queue is drained, a wake-up that comes late must not cost what it earned.
            let most = match self.drain {
                0 => self.burst,
                _ => self.burst.max(2 * self.train()),
            };
            self.tokens = self.tokens.saturating_add(bytes).min(most);
            self.filled = now;
        }
    }

    /// Bytes between two wake-ups.
    fn train(&self) -> i64 {
        i64::try_from(self.rate() / 8 / TRAINS_A_SECOND).unwrap_or(i64::MAX / 2)
    }

    /// Bytes that may leave now, none while the bucket is in debt.
    pub(crate) fn budget(&mut self, now: Instant) -> usize {
        self.refill(now);
        usize::try_from(self.tokens).unwrap_or(0)
    }

    /// Takes the tokens of what left.
    pub(crate) fn spend(&mut self, bytes: usize) {
        self.tokens = self.tokens.saturating_sub(bytes as i64);
    }

    /// When the next bytes may leave: enough of them for a train, so that wake-ups are few.
    pub(crate) fn ready_at(&self) -> Instant {
        let train = self.train().clamp(1, self.burst);
        let missing = u128::from((train - self.tokens).max(0).unsigned_abs());
        let nanos = (missing * 8_000_000_000).div_ceil(u128::from(self.rate().max(1)));
        self.filled + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drained(pacer: &mut Pacer, mut bytes: usize) -> Duration {
        let mut now = Instant::ZERO;
        while bytes > 0 {
            let budget = pacer.budget(now);
            if budget == 0 {
                now = pacer.ready_at();
                assert!(pacer.budget(now) > 0, "it is ready when it says so");
                continue;
            }
            let sent = budget.min(1_200).min(bytes);
            pacer.spend(sent);
            bytes -= sent;
        }
        now - Instant::ZERO
    }

    #[test]
    fn a_burst_goes_at_once_and_the_rest_at_the_rate() {
        let mut pacer = Pacer::new(Instant::ZERO, 8_000_000, 10_000, Duration::from_millis(50));
        assert_eq!(drained(&mut pacer, 10_000), Duration::ZERO);
        let took = drained(&mut pacer, 10_000);
        assert!((9..=14).contains(&took.as_millis()), "{took:?}");
    }

    #[test]
    fn a_large_frame_leaves_within_the_window() {
        let mut pacer = Pacer::new(Instant::ZERO, 1_000_000, 10_000, Duration::from_millis(50));
        pacer.on_queued(Instant::ZERO, 500_000, 0, 256);
        let took = drained(&mut pacer, 500_000);
        assert!((40..=55).contains(&took.as_millis()), "{took:?}");
        pacer.on_empty();
        assert_eq!(pacer.rate(), 1_000_000);
    }

    #[test]
    fn a_fuller_pool_is_drained_faster() {
        let window = Duration::from_millis(50);
        let mut pacer = Pacer::new(Instant::ZERO, 1_000_000, 10_000, window);
        pacer.on_queued(Instant::ZERO, 200_000, 192, 256);
        let took = drained(&mut pacer, 200_000);
        assert!((9..=14).contains(&took.as_millis()), "{took:?}");
    }

    #[test]
    fn a_steady_load_beyond_the_pool_in_a_window_is_not_refused() {
        let window = Duration::from_millis(50);
        let mut pacer = Pacer::new(Instant::ZERO, 10_000_000, 15_000, window);
        let (mut waiting, mut held) = (0, 0);
        // Twenty packets a millisecond: 176 Mbit/s, and wake-ups each millisecond.
        for millis in 0..2_000 {
            let now = Instant::from_millis(millis);
            waiting += 20;
            assert!(waiting <= 256, "the pool is full after {millis} ms");
            pacer.on_queued(now, waiting * 1_100, waiting, 256);
            while waiting > 0 && pacer.budget(now) > 0 {
                pacer.spend(1_100);
                waiting -= 1;
            }
            match waiting {
                0 => pacer.on_empty(),
                _ => held += 1,
            }
        }
        assert!(held > 0, "it is paced all the same");
    }

    #[test]
    fn with_an_estimate_it_keeps_near_it_and_a_burst_exceeds_it() {
        let window = Duration::from_millis(50);
        let mut pacer = Pacer::new(Instant::ZERO, 10_000_000, 10_000, window);
        pacer.set_estimate(Instant::ZERO, Some(800_000));
        pacer.set_burst(Instant::ZERO, Some(4_000_000));
        let took = drained(&mut pacer, 5_000);
        assert!((9..=14).contains(&took.as_millis()), "{took:?}");
        let after = Instant::ZERO + took;
        pacer.set_burst(after, None);
        pacer.on_queued(after, 12_000, 10, 256);
        assert_eq!(pacer.rate(), 1_200_000);
        // What waits leaves in time in any case, the sooner the less room is left.
        pacer.on_queued(after, 150_000, 150, 256);
        assert!(pacer.rate() > 24_000_000);
    }

    #[test]
    fn an_idle_pacer_earns_one_burst_and_no_more() {
        let window = Duration::from_millis(50);
        let mut pacer = Pacer::new(Instant::ZERO, 1_000_000, 10_000, window);
        let later = Instant::from_millis(10_000);
        pacer.on_queued(later, 5_000_000, 0, 256);
        assert_eq!(pacer.budget(later), 10_000);
    }
}
