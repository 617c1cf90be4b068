//! Requests in flight and when to send them again (RFC 8489 §6.2.1, §6.2.2).
//!
//! 1. [`Transactions::start`] takes a request; it is due at once.
//! 2. [`Transactions::poll_due`] gives each request whose time has come, to be sent.
//! 3. A response ends it: [`Transactions::complete`]. Or time does: [`Transactions::poll_expired`].

use std::fmt;
use std::time::Duration;

use esp_wire::Instant;

use crate::header::TransactionId;

/// How often and how long a request is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retransmission {
    /// Time between the first and the second transmission; it doubles each time.
    pub rto: Duration,
    /// Transmissions in total (Rc).
    pub count: u32,
    /// After the last transmission, wait this many times the RTO (Rm).
    pub last_wait: u32,
    /// How long a request on a stream waits for its response (Ti).
    pub reliable_timeout: Duration,
}

impl Default for Retransmission {
    /// RFC 8489 §6.2.1: RTO 500 ms, Rc 7, Rm 16, which is 39.5 s in all; Ti likewise.
    fn default() -> Self {
        Retransmission {
            rto: Duration::from_millis(500),
            count: 7,
            last_wait: 16,
            reliable_timeout: Duration::from_millis(39_500),
        }
    }
}

impl Retransmission {
    /// How long to wait after the transmission number `sent`, which counts from 1.
    pub fn wait_after(&self, sent: u32) -> Duration {
        match sent < self.count {
            true => self.rto.saturating_mul(1 << (sent.max(1) - 1).min(31)),
            false => self.rto.saturating_mul(self.last_wait),
        }
    }
}

/// What is known of the round-trip time to a server (RFC 6298 §2, as RFC 8489 §6.2.1 has it).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoundTrip {
    /// Smoothed round-trip time and its variation, once there was a sample.
    estimate: Option<(Duration, Duration)>,
}

impl RoundTrip {
    /// Takes a sample; only those of [`Transaction::round_trip`] are sound.
    pub fn add(&mut self, sample: Duration) {
        self.estimate = Some(match self.estimate {
            None => (sample, sample / 2),
            Some((smoothed, variation)) => {
                let error = smoothed.abs_diff(sample);
                let variation = (variation * 3 + error) / 4;
                ((smoothed * 7 + sample) / 8, variation)
            }
        });
    }

    /// The smoothed round-trip time.
    pub fn smoothed(&self) -> Option<Duration> {
        self.estimate.map(|(smoothed, _)| smoothed)
    }

    /// The RTO for the next request, `least` at the least: RFC 8489 §6.2.1 wants 500 ms or more.
    pub fn rto(&self, least: Duration) -> Duration {
        let estimate = self
            .estimate
            .map(|(smoothed, variation)| smoothed + variation * 4);
        estimate.map_or(least, |rto| rto.max(least))
    }
}

/// A request in flight.
pub struct Transaction<T> {
    /// Its ID.
    pub id: TransactionId,
    /// What the caller attached.
    pub tag: T,
    message: Vec<u8>,
    reliable: bool,
    schedule: Retransmission,
    sent: u32,
    first_sent: Instant,
    due: Instant,
    discarded: u32,
}

impl<T> Transaction<T> {
    /// The bytes of the request, the same for every transmission.
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// Whether it goes over a stream, where it is sent once.
    pub fn is_reliable(&self) -> bool {
        self.reliable
    }

    /// Number of transmissions.
    pub fn transmissions(&self) -> u32 {
        self.sent
    }

    /// When it was sent for the first time.
    pub fn first_sent(&self) -> Instant {
        self.first_sent
    }

    /// The round-trip time if the response arrives `now`; `None` after a retransmission, since it
    /// is not known which one is answered (RFC 8489 §6.2.1, Karn's rule).
    pub fn round_trip(&self, now: Instant) -> Option<Duration> {
        (self.sent == 1).then(|| now.since(self.first_sent))
    }

    /// Number of responses that were discarded because their integrity did not hold; when it ends
    /// by time with this above zero, the integrity was violated (RFC 8489 §9.2.5).
    pub fn discarded(&self) -> u32 {
        self.discarded
    }

    fn is_spent(&self) -> bool {
        self.sent
            >= if self.reliable {
                1
            } else {
                self.schedule.count
            }
    }

    fn on_sent(&mut self, now: Instant) {
        if self.sent == 0 {
            self.first_sent = now;
        }
        self.sent += 1;
        self.due = now
            + match self.reliable {
                true => self.schedule.reliable_timeout,
                false => self.schedule.wait_after(self.sent),
            };
    }
}

impl<T: fmt::Debug> fmt::Debug for Transaction<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction")
            .field("id", &self.id)
            .field("tag", &self.tag)
            .field("sent", &self.sent)
            .field("due", &self.due)
            .finish_non_exhaustive()
    }
}

/// All requests in flight of one client; few, so that a list is the fastest table.
#[derive(Debug)]
pub struct Transactions<T> {
    list: Vec<Transaction<T>>,
    /// How new requests are retransmitted.
    pub schedule: Retransmission,
}

impl<T> Default for Transactions<T> {
    fn default() -> Self {
        Transactions::new(Retransmission::default())
    }
}

impl<T> Transactions<T> {
    /// An empty table.
    pub fn new(schedule: Retransmission) -> Self {
        Transactions {
            list: Vec::new(),
            schedule,
        }
    }

    /// Starts a request, which is due at once. `reliable`: it goes over a stream.
    pub fn start(
        &mut self,
        now: Instant,
        id: TransactionId,
        reliable: bool,
        message: Vec<u8>,
        tag: T,
    ) {
        self.list.push(Transaction {
            id,
            tag,
            message,
            reliable,
            schedule: self.schedule,
            sent: 0,
            first_sent: now,
            due: now,
            discarded: 0,
        });
    }

    /// The next request that is to be sent now; it counts as sent.
    pub fn poll_due(&mut self, now: Instant) -> Option<&Transaction<T>> {
        let due = |one: &&mut Transaction<T>| one.due <= now && !one.is_spent();
        let found = self.list.iter_mut().find(due)?;
        found.on_sent(now);
        Some(found)
    }

    /// Whether a request is to be sent now.
    pub fn has_due(&self, now: Instant) -> bool {
        let due = |one: &Transaction<T>| one.due <= now && !one.is_spent();
        self.list.iter().any(due)
    }

    /// Takes out the next request that was not answered in time.
    pub fn poll_expired(&mut self, now: Instant) -> Option<Transaction<T>> {
        let expired = |one: &Transaction<T>| one.due <= now && one.is_spent();
        let index = self.list.iter().position(expired)?;
        Some(self.list.remove(index))
    }

    /// When something is to be sent or has expired.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.list.iter().map(|one| one.due).min()
    }

    /// The request with this ID.
    pub fn find(&self, id: TransactionId) -> Option<&Transaction<T>> {
        self.list.iter().find(|one| one.id == id)
    }

    /// Takes out the request that a response answers.
    pub fn complete(&mut self, id: TransactionId) -> Option<Transaction<T>> {
        let index = self.list.iter().position(|one| one.id == id)?;
        Some(self.list.remove(index))
    }

    /// Counts a response that was discarded for its integrity; the request goes on.
    pub fn on_discarded(&mut self, id: TransactionId) {
        if let Some(one) = self.list.iter_mut().find(|one| one.id == id) {
            one.discarded += 1;
        }
    }

    /// Drops the requests that `keep` does not want.
    pub fn retain(&mut self, keep: impl FnMut(&Transaction<T>) -> bool) {
        self.list.retain(keep);
    }

    /// The requests in flight, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Transaction<T>> {
        self.list.iter()
    }

    /// Number of requests in flight.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether none is in flight.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: TransactionId = TransactionId([1; 12]);

    /// Runs a lone transaction to its end: when it was sent, and when it expired, in ms.
    fn timeline(table: &mut Transactions<()>) -> (Vec<u64>, u64) {
        let mut sent = Vec::new();
        loop {
            let now = table.poll_timeout().unwrap();
            while table.poll_due(now).is_some() {
                sent.push(now.as_nanos() / 1_000_000);
            }
            if let Some(expired) = table.poll_expired(now) {
                assert_eq!(expired.id, ID);
                return (sent, now.as_nanos() / 1_000_000);
            }
        }
    }

    #[test]
    fn the_schedule_of_the_rfc() {
        // RFC 8489 §6.2.1: 0, 500, 1500, 3500, 7500, 15500 and 31500 ms, timed out at 39500 ms.
        let mut table = Transactions::default();
        table.start(Instant::ZERO, ID, false, vec![0], ());
        let (sent, expired) = timeline(&mut table);
        assert_eq!(sent, [0, 500, 1_500, 3_500, 7_500, 15_500, 31_500]);
        assert_eq!(expired, 39_500);
        assert!(table.is_empty());
    }

    #[test]
    fn the_rto_follows_the_round_trips() {
        let (mut path, least) = (RoundTrip::default(), Duration::from_millis(500));
        assert_eq!(path.rto(least), least);
        path.add(Duration::from_millis(800));
        assert_eq!(path.rto(least), Duration::from_millis(2_400));
        for _ in 0..50 {
            path.add(Duration::from_millis(800));
        }
        let settled = path.rto(least).as_millis();
        assert!((800..810).contains(&settled), "{settled}");
        for _ in 0..80 {
            path.add(Duration::from_millis(30));
        }
        assert_eq!(path.rto(least), least);
    }

    #[test]
    fn a_stream_carries_it_once() {
        let mut table = Transactions::default();
        table.start(Instant::ZERO, ID, true, vec![0], ());
        assert_eq!(timeline(&mut table), (vec![0], 39_500));
    }

    #[test]
    fn the_round_trip_is_known_only_without_retransmission() {
        let mut table = Transactions::default();
        table.start(Instant::ZERO, ID, false, vec![0], ());
        assert!(table.poll_due(Instant::ZERO).is_some());
        assert!(!table.has_due(Instant::from_millis(499)));
        let now = Instant::from_millis(40);
        let rtt = table.find(ID).unwrap().round_trip(now);
        assert_eq!(rtt, Some(Duration::from_millis(40)));
        assert!(table.poll_due(Instant::from_millis(500)).is_some());
        assert!(table.poll_due(Instant::from_millis(500)).is_none());
        let done = table.complete(ID).unwrap();
        assert_eq!(done.round_trip(Instant::from_millis(540)), None);
        assert_eq!(done.transmissions(), 2);
        assert!(table.complete(ID).is_none());
    }
}
