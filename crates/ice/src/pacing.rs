//! When the next transaction may start (RFC 8445 §14.2) and when to repeat one (§14.3).
//!
//! New transactions and repetitions each have a slot every Ta, so the rate of all checks is bounded
//! by two packets in Ta whatever the retransmission times are. Requests to servers, which the peer's Ta
//! does not concern, have a slot every 5 ms. That takes the place of the formula of
//! RFC 8445 §14.3, which makes retransmissions wait for as long as there are other pairs.

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

/// The two slots that recur every Ta, and the one for servers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pacer {
    interval: Duration,
    next_new: Instant,
    next_repeat: Instant,
    next_server: Instant,
}

impl Pacer {
    pub(crate) fn new(interval: Duration, now: Instant) -> Self {
        Pacer {
            interval,
            next_new: now,
            next_repeat: now,
            next_server: now,
        }
    }

    pub(crate) fn set_interval(&mut self, interval: Duration) {
        // RFC 8445 §14.2: never more often than every 5 ms.
        self.interval = interval.max(FLOOR);
    }

    pub(crate) fn next_new(&self) -> Instant {
        self.next_new
    }

    pub(crate) fn next_repeat(&self) -> Instant {
        self.next_repeat
    }

    pub(crate) fn next_server(&self) -> Instant {
        self.next_server
    }

    pub(crate) fn take_server(&mut self, now: Instant) {
        self.next_server = now + FLOOR;
    }

    pub(crate) fn take_new(&mut self, now: Instant) {
        self.next_new = now + self.interval;
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
