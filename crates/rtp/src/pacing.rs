//! A token bucket for video and retransmissions; sound is never held.

use std::time::Duration;

use esp_wire::Instant;

/// Wake-ups of a busy pacer.
const TRAINS_A_SECOND: u64 = 200;

/// Spreads what is sent. Tokens are bytes; the bucket may go into debt by one train.
#[derive(Debug)]
pub(crate) struct Pacer {
    /// Bits a second that it never goes below.
    floor: u64,
    burst: i64,
    window: Duration,
    /// Bits a second of all encoders, as told.
    target: u64,
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
            drain: 0,
            tokens: burst,
            filled: now,
        }
    }

    /// Tells the sum of the encoders' bitrates.
    pub(crate) fn set_target(&mut self, bitrate: u64) {
        self.target = bitrate;
    }

    /// Tells that `queued` bytes wait after a frame came in.
    pub(crate) fn on_queued(&mut self, queued: usize) {
        let millis = self.window.as_millis().max(1);
        let drain = queued as u128 * 8_000 / millis;
        self.drain = self.drain.max(u64::try_from(drain).unwrap_or(u64::MAX));
    }

    /// Tells that nothing waits any more.
    pub(crate) fn on_empty(&mut self) {
        self.drain = 0;
    }

    fn rate(&self) -> u64 {
        // Two and a half times the encoders' rate lets large frames through in time.
        let encoders = self.target.saturating_mul(5) / 2;
        self.floor
            .max(encoders)
            .max(self.drain)
            .min(100_000_000_000)
    }

    fn refill(&mut self, now: Instant) {
        let nanos = (now - self.filled).as_nanos();
        let bytes = nanos * u128::from(self.rate()) / 8_000_000_000;
        if bytes > 0 {
            let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
            self.tokens = self.tokens.saturating_add(bytes).min(self.burst);
            self.filled = now;
        }
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
        let train = self.rate() / 8 / TRAINS_A_SECOND;
        let train = i64::try_from(train)
            .unwrap_or(i64::MAX)
            .clamp(1, self.burst);
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
        pacer.on_queued(500_000);
        let took = drained(&mut pacer, 500_000);
        assert!((40..=55).contains(&took.as_millis()), "{took:?}");
        pacer.on_empty();
        assert_eq!(pacer.rate(), 1_000_000);
    }
}
