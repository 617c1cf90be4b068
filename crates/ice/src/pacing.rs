//! When the next transaction may start (RFC 8445 §14.2) and when to repeat one (§14.3).
//!
//! New transactions and repetitions each have a slot every Ta, so the rate of all checks is bounded
//! by two packets in Ta whatever the retransmission times are. Requests to servers, which the peer's Ta
//! does not concern, have a slot every 5 ms. A [`SharedPacer`] holds all agents of a host together to one new
//! transaction in 5 ms. That takes the place of the formula of
//! RFC 8445 §14.3, which makes retransmissions wait for as long as there are other pairs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use esp_wire::Instant;

use crate::config::Config;

/// Longest first retransmission time that a measured round trip may ask for.
const MAX_RTO: Duration = Duration::from_secs(4);

/// A smoothed round-trip time (RFC 6298 §2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rtt {
    smoothed: Option<Duration>,
    variation: Duration,
}

impl Rtt {
    pub(crate) fn sample(&mut self, rtt: Duration) {
        match self.smoothed {
            None => {
                self.smoothed = Some(rtt);
                self.variation = rtt / 2;
            }
            Some(smoothed) => {
                self.variation = (self.variation * 3 + smoothed.abs_diff(rtt)) / 4;
                self.smoothed = Some((smoothed * 7 + rtt) / 8);
            }
        }
    }

    pub(crate) fn smoothed(&self) -> Option<Duration> {
        self.smoothed
    }

    fn rto(&self) -> Option<Duration> {
        Some(self.smoothed? + self.variation * 4)
    }
}

/// The first retransmission time of a check: fitted to the pair when it was measured, else to what
/// was measured elsewhere when that is slower than the default.
pub(crate) fn first_rto(config: &Config, pair: &Rtt, elsewhere: &[&Rtt]) -> Duration {
    if let Some(rto) = pair.rto() {
        return rto.clamp(config.min_rto, MAX_RTO.max(config.min_rto));
    }
    let slowest = elsewhere.iter().filter_map(|rtt| rtt.rto()).max();
    slowest
        .unwrap_or_default()
        .min(MAX_RTO)
        .max(config.initial_rto)
}

/// Least time between two new transactions (RFC 8445 §14.2).
const FLOOR: Duration = Duration::from_millis(5);

/// The slots that all agents of a host share: one in 5 ms (RFC 8445 §14.2). Clones are the same pacer.
///
/// Its users must tell the time by the same clock. Who waits for a slot has one of its own, in the order of
/// the asking, so that nobody starves and nobody wakes in vain.
#[derive(Clone, Debug, Default)]
pub struct SharedPacer {
    /// When the next slot begins, in ns.
    next: Arc<AtomicU64>,
}

impl SharedPacer {
    /// A pacer whose first slot is free at once.
    pub fn new() -> Self {
        SharedPacer::default()
    }

    /// Takes the next free slot, at `now` or later.
    fn reserve(&self, now: Instant) -> Instant {
        let (now_ns, floor) = (now.as_nanos(), FLOOR.as_nanos() as u64);
        let slot = |next: u64| next.max(now_ns);
        let took = |next| Some(slot(next).saturating_add(floor));
        let relaxed = Ordering::Relaxed;
        let next = self.next.fetch_update(relaxed, relaxed, took);
        let wait = slot(next.unwrap_or_else(|next| next)) - now_ns;
        now + Duration::from_nanos(wait)
    }
}

impl PartialEq for SharedPacer {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.next, &other.next)
    }
}

/// When one kind of packet may leave next.
#[derive(Clone, Copy, Debug)]
struct Slot {
    /// Not before.
    next: Instant,
    /// The slot of the shared pacer, once it was asked for.
    shared: Option<Instant>,
}

impl Slot {
    fn at(&self) -> Instant {
        self.shared.unwrap_or(self.next)
    }

    fn has_come(&mut self, now: Instant, shared: Option<&SharedPacer>) -> bool {
        if self.next > now {
            return false;
        }
        let Some(pacer) = shared else {
            return true;
        };
        *self.shared.get_or_insert_with(|| pacer.reserve(now)) <= now
    }

    fn take(&mut self, next: Instant) {
        *self = Slot { next, shared: None };
    }
}

/// The two slots that recur every Ta, and the one for servers.
#[derive(Clone, Debug)]
pub(crate) struct Pacer {
    interval: Duration,
    shared: Option<SharedPacer>,
    new: Slot,
    server: Slot,
    next_repeat: Instant,
}

impl Pacer {
    pub(crate) fn new(interval: Duration, now: Instant, shared: Option<SharedPacer>) -> Self {
        let slot = Slot {
            next: now,
            shared: None,
        };
        Pacer {
            interval,
            shared,
            new: slot,
            server: slot,
            next_repeat: now,
        }
    }

    pub(crate) fn set_interval(&mut self, interval: Duration) {
        // RFC 8445 §14.2: never more often than every 5 ms.
        self.interval = interval.max(FLOOR);
    }

    pub(crate) fn next_new(&self) -> Instant {
        self.new.at()
    }

    pub(crate) fn next_repeat(&self) -> Instant {
        self.next_repeat
    }

    pub(crate) fn next_server(&self) -> Instant {
        self.server.at()
    }

    /// Whether a check that is `wanted` may start now. What is not wanted any more leaves its place in the
    /// line.
    pub(crate) fn may_start(&mut self, now: Instant, wanted: bool) -> bool {
        if !wanted {
            self.new.shared = None;
            return false;
        }
        self.new.has_come(now, self.shared.as_ref())
    }

    /// The same for a request to a server.
    pub(crate) fn may_ask(&mut self, now: Instant, wanted: bool) -> bool {
        if !wanted {
            self.server.shared = None;
            return false;
        }
        self.server.has_come(now, self.shared.as_ref())
    }

    pub(crate) fn take_server(&mut self, now: Instant) {
        self.server.take(now + FLOOR);
    }

    pub(crate) fn take_new(&mut self, now: Instant) {
        self.new.take(now + self.interval);
    }

    pub(crate) fn take_repeat(&mut self, now: Instant) {
        self.next_repeat = now + self.interval;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn slots_are_given_in_order_and_no_more_often_than_every_5_ms() {
        let pacer = SharedPacer::new();
        let clone = pacer.clone();
        assert_eq!(
            pacer.reserve(Instant::from_millis(7)),
            Instant::from_millis(7)
        );
        assert_eq!(
            clone.reserve(Instant::from_millis(7)),
            Instant::from_millis(12)
        );
        assert_eq!(
            pacer.reserve(Instant::from_millis(9)),
            Instant::from_millis(17)
        );
        assert_eq!(
            pacer.reserve(Instant::from_millis(90)),
            Instant::from_millis(90)
        );
        assert!(pacer == clone && pacer != SharedPacer::new());
    }

    #[test]
    fn the_first_retransmission_fits_the_round_trip() {
        let config = Config::default();
        let (mut slow, mut fast) = (Rtt::default(), Rtt::default());
        assert_eq!(first_rto(&config, &slow, &[&fast]), ms(250));
        slow.sample(ms(2_000));
        fast.sample(ms(10));
        assert_eq!(first_rto(&config, &slow, &[]), MAX_RTO);
        assert_eq!(first_rto(&config, &fast, &[&slow]), ms(100));
        assert_eq!(
            first_rto(&config, &Rtt::default(), &[&fast, &slow]),
            MAX_RTO
        );
        assert_eq!(first_rto(&config, &Rtt::default(), &[&fast]), ms(250));
    }
}
