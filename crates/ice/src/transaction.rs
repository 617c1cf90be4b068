//! The connectivity checks that wait for their response (RFC 8445 §7.2.4, RFC 8489 §6.2.1).

use std::net::SocketAddr;
use std::time::Duration;

use esp_stun::TransactionId;
use esp_wire::{Instant, Role, SocketId};

use crate::pair::PairId;

/// Transmissions of one request (Rc of RFC 8489 §6.2.1).
const TRANSMISSIONS: u32 = 7;
/// The interval doubles up to this, so that a lossy path is tried often enough; RFC 8489 §6.2.1
/// has no such bound, and pacing takes its place.
const MAX_INTERVAL: Duration = Duration::from_secs(1);
/// Least wait for a response to the last transmission.
const LAST_WAIT: Duration = Duration::from_secs(4);
/// How long a request on a stream waits for its response (Ti of RFC 8489 §6.2.2).
const RELIABLE_WAIT: Duration = Duration::from_millis(39_500);
/// How long a cancelled request may still be answered (RFC 8445 §7.3.1.4).
const CANCELLED_WAIT: Duration = Duration::from_secs(8);

/// A request as it was first sent; repetitions are byte-identical.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    pub(crate) id: TransactionId,
    pub(crate) pair: PairId,
    pub(crate) socket: SocketId,
    pub(crate) remote: SocketAddr,
    pub(crate) role: Role,
    pub(crate) tie_breaker: u64,
    pub(crate) priority: u32,
    pub(crate) use_candidate: bool,
}

/// A request with the times of its transmissions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Check {
    pub(crate) request: Request,
    /// When the first transmission left.
    pub(crate) sent: Option<Instant>,
    transmissions: u32,
    budget: u32,
    interval: Duration,
    next: Instant,
    cancelled: bool,
}

impl Check {
    /// The time of one round trip; `None` when a repetition makes it ambiguous (Karn).
    pub(crate) fn round_trip(&self, now: Instant) -> Option<Duration> {
        self.sent
            .filter(|_| self.transmissions == 1)
            .map(|sent| now.since(sent))
    }
}

/// What became due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Repeat(TransactionId),
    Failed(PairId),
    Forgotten,
}

/// All checks under way, a bounded number.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    list: Vec<Check>,
}

impl Checks {
    /// Starts one, whose first interval is `rto`; over a stream it is `reliable`.
    pub(crate) fn start(
        &mut self,
        now: Instant,
        request: Request,
        (rto, reliable): (Duration, bool),
        limit: usize,
    ) {
        if self.list.len() >= limit {
            let oldest = self.list.iter().position(|check| check.cancelled);
            self.list.swap_remove(oldest.unwrap_or(0));
        }
        self.list.push(Check {
            request,
            sent: None,
            transmissions: 1,
            // RFC 8489 §6.2.2, RFC 6544 §7: what a stream carries is sent once.
            budget: if reliable { 1 } else { TRANSMISSIONS },
            interval: rto,
            next: now + if reliable { RELIABLE_WAIT } else { rto },
            cancelled: false,
        });
    }

    pub(crate) fn find(&self, id: TransactionId) -> Option<&Check> {
        self.list.iter().find(|check| check.request.id == id)
    }

    pub(crate) fn on_sent(&mut self, id: TransactionId, now: Instant) {
        if let Some(check) = self.list.iter_mut().find(|check| check.request.id == id) {
            check.sent.get_or_insert(now);
        }
    }

    pub(crate) fn remove(&mut self, id: TransactionId) {
        self.list.retain(|check| check.request.id != id);
    }

    pub(crate) fn remove_pair(&mut self, pair: PairId) {
        self.list.retain(|check| check.request.pair != pair);
    }

    /// Stops repeating the checks of a pair; responses still count (RFC 8445 §7.3.1.4).
    pub(crate) fn cancel(&mut self, now: Instant, pair: PairId) {
        for check in self
            .list
            .iter_mut()
            .filter(|check| check.request.pair == pair)
        {
            if !check.cancelled {
                check.cancelled = true;
                check.next = now + CANCELLED_WAIT;
            }
        }
    }

    /// Stops repeating the checks of all pairs but those that `keep` names.
    pub(crate) fn cancel_unless(&mut self, now: Instant, keep: impl Fn(PairId) -> bool) {
        for check in &mut self.list {
            if !check.cancelled && !keep(check.request.pair) {
                check.cancelled = true;
                check.next = now + CANCELLED_WAIT;
            }
        }
    }

    /// The network doubts the destination: at most two more transmissions, since anyone can forge
    /// such a message (RFC 8445 §7.2.5.2.2).
    pub(crate) fn doubt(&mut self, pair: PairId) {
        for check in self
            .list
            .iter_mut()
            .filter(|check| check.request.pair == pair)
        {
            check.budget = check.budget.min(check.transmissions.max(1) + 2);
        }
    }

    /// Whether an uncancelled check of this pair is under way.
    pub(crate) fn is_under_way(&self, pair: PairId) -> bool {
        self.list
            .iter()
            .any(|check| check.request.pair == pair && !check.cancelled)
    }

    /// The next thing that is due; repetitions only when `may_repeat`.
    pub(crate) fn poll(&mut self, now: Instant, may_repeat: bool) -> Option<Due> {
        let ends = |check: &Check| check.cancelled || check.transmissions >= check.budget;
        let due = (self.list.iter().enumerate())
            .filter(|(_, check)| check.next <= now && (may_repeat || ends(check)))
            .min_by_key(|(_, check)| check.next)
            .map(|(at, _)| at)?;
        if ends(&self.list[due]) {
            let check = self.list.swap_remove(due);
            let replaced = self
                .list
                .iter()
                .any(|other| other.request.pair == check.request.pair);
            return Some(if check.cancelled || replaced {
                Due::Forgotten
            } else {
                Due::Failed(check.request.pair)
            });
        }
        let check = &mut self.list[due];
        check.transmissions += 1;
        check.interval = (check.interval * 2).min(MAX_INTERVAL.max(check.interval));
        let wait = match check.transmissions < check.budget {
            true => check.interval,
            false => LAST_WAIT.max(check.interval),
        };
        check.next = now + wait;
        Some(Due::Repeat(check.request.id))
    }

    /// When [`Checks::poll`] has something, given the next slot for repetitions, if there is one.
    pub(crate) fn next(&self, repeat_slot: Option<Instant>) -> Option<Instant> {
        let at = |check: &Check| match check.cancelled || check.transmissions >= check.budget {
            true => Some(check.next),
            false => repeat_slot.map(|slot| check.next.max(slot)),
        };
        self.list.iter().filter_map(at).min()
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(checks: &mut Checks, id: u8, pair: u32) -> TransactionId {
        start_over(checks, id, pair, false)
    }

    fn start_over(checks: &mut Checks, id: u8, pair: u32, reliable: bool) -> TransactionId {
        let id = TransactionId([id; 12]);
        let request = Request {
            id,
            pair: PairId(pair),
            socket: SocketId(0),
            remote: "192.0.2.1:1".parse().unwrap(),
            role: Role::Controlling,
            tie_breaker: 0,
            priority: 1,
            use_candidate: false,
        };
        let rto = Duration::from_millis(250);
        checks.start(Instant::ZERO, request, (rto, reliable), 4);
        id
    }

    #[test]
    fn a_stream_carries_a_check_once() {
        let mut checks = Checks::default();
        start_over(&mut checks, 1, 1, true);
        let end = checks.next(Some(Instant::ZERO)).unwrap();
        assert_eq!(end, Instant::from_millis(39_500));
        assert_eq!(checks.poll(end, true), Some(Due::Failed(PairId(1))));
    }

    #[test]
    fn a_check_is_sent_seven_times_and_then_fails() {
        let mut checks = Checks::default();
        let id = start(&mut checks, 1, 1);
        let mut times = vec![0];
        let failed = loop {
            let now = checks.next(Some(Instant::ZERO)).unwrap();
            match checks.poll(now, true).unwrap() {
                Due::Repeat(again) => {
                    assert_eq!(again, id);
                    times.push(now.as_nanos() / 1_000_000);
                }
                Due::Failed(pair) => break (pair, now),
                Due::Forgotten => unreachable!(),
            }
        };
        assert_eq!(times, [0, 250, 750, 1_750, 2_750, 3_750, 4_750]);
        assert_eq!(failed, (PairId(1), Instant::from_millis(8_750)));
    }

    #[test]
    fn a_cancelled_check_waits_but_does_not_fail() {
        let mut checks = Checks::default();
        let id = start(&mut checks, 1, 1);
        checks.cancel(Instant::ZERO, PairId(1));
        assert!(checks.find(id).is_some() && !checks.is_under_way(PairId(1)));
        let end = checks.next(Some(Instant::ZERO)).unwrap();
        assert_eq!(checks.poll(end, false), Some(Due::Forgotten));
    }

    #[test]
    fn doubt_shortens_and_the_number_is_bounded() {
        let mut checks = Checks::default();
        start(&mut checks, 1, 1);
        checks.doubt(PairId(1));
        let mut repeats = 0;
        while let Some(at) = checks.next(Some(Instant::ZERO)) {
            repeats += u32::from(matches!(checks.poll(at, true), Some(Due::Repeat(_))));
        }
        assert_eq!(repeats, 2);
        for id in 0..20 {
            start(&mut checks, id, u32::from(id));
        }
        assert_eq!(checks.len(), 4);
    }
}
