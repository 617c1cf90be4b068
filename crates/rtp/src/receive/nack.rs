//! Which packets are missing, and when to ask for them.

use std::collections::VecDeque;
use std::time::Duration;

use esp_wire::Instant;

/// Requests for one packet.
const MAX_TRIES: u8 = 10;

#[derive(Clone, Copy, Debug)]
struct Missing {
    number: u64,
    /// When to ask next.
    next: Instant,
    /// When it was last asked for.
    asked: Instant,
    tries: u8,
}

/// The missing packets of one stream, in order, at most as many as its buffer spans.
#[derive(Debug)]
pub(crate) struct NackList {
    missing: VecDeque<Missing>,
    most: usize,
    delay: Duration,
    /// Smoothed time from a request to its answer.
    rtt: Option<Duration>,
    due: bool,
}

impl NackList {
    pub(crate) fn new(most: u64, delay: Duration) -> Self {
        NackList {
            missing: VecDeque::new(),
            most: most as usize,
            delay,
            rtt: None,
            due: false,
        }
    }

    /// Notes that the packets `from..to` did not come though later ones did.
    pub(crate) fn note_gap(&mut self, now: Instant, from: u64, to: u64) {
        let next = now + self.delay / 4;
        for number in from..to {
            if self.missing.len() >= self.most {
                break;
            }
            self.missing.push_back(Missing {
                number,
                next,
                asked: now,
                tries: 0,
            });
        }
    }

    /// Notes that a packet came after all.
    pub(crate) fn note_arrival(&mut self, now: Instant, number: u64) {
        let Ok(index) = self
            .missing
            .binary_search_by_key(&number, |missing| missing.number)
        else {
            return;
        };
        if let Some(found) = self.missing.remove(index)
            && found.tries == 1
        {
            let sample = now - found.asked;
            self.rtt = Some(match self.rtt {
                Some(rtt) => (rtt * 7 + sample) / 8,
                None => sample,
            });
        }
        self.due &= !self.missing.is_empty();
    }

    /// Gives up on everything before `number`.
    pub(crate) fn forget_before(&mut self, number: u64) {
        while self.missing.front().is_some_and(|m| m.number < number) {
            self.missing.pop_front();
        }
        self.due &= !self.missing.is_empty();
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.missing.clear();
        self.due = false;
    }

    /// Tells the round-trip time that reports gave, until an answer was seen here.
    pub(crate) fn hint(&mut self, rtt: Duration) {
        self.rtt.get_or_insert(rtt);
    }

    /// Time from a request to its answer, if it was ever seen.
    pub(crate) fn rtt(&self) -> Option<Duration> {
        self.rtt
    }

    /// When to look again; `None` while requests wait to leave.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        if self.due {
            return None;
        }
        self.missing.iter().map(|missing| missing.next).min()
    }

    /// Looks whether requests are due.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.missing.iter().any(|missing| missing.next <= now) {
            self.missing.retain(|missing| missing.tries < MAX_TRIES);
            self.due = self.missing.iter().any(|missing| missing.next <= now);
        }
    }

    /// Whether requests wait to leave.
    pub(crate) fn is_due(&self) -> bool {
        self.due
    }

    /// Collects the packets to ask for.
    pub(crate) fn collect(&self, now: Instant, sequences: &mut Vec<u16>) {
        sequences.clear();
        let due = self.missing.iter().filter(|missing| missing.next <= now);
        sequences.extend(due.map(|missing| missing.number as u16));
    }

    /// Notes that the first `count` of the collected packets were asked for.
    pub(crate) fn note_asked(&mut self, now: Instant, count: usize) {
        let again = self
            .delay
            .max(self.rtt.map_or(Duration::ZERO, |rtt| rtt * 5 / 4));
        let due = self
            .missing
            .iter_mut()
            .filter(|missing| missing.next <= now);
        for missing in due.take(count) {
            missing.tries += 1;
            missing.asked = now;
            missing.next = now + again;
        }
        self.due = self.missing.iter().any(|missing| missing.next <= now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(nacks: &mut NackList, now: Instant) -> Vec<u16> {
        nacks.handle_timeout(now);
        let mut sequences = Vec::new();
        if nacks.is_due() {
            nacks.collect(now, &mut sequences);
            nacks.note_asked(now, sequences.len());
        }
        sequences
    }

    #[test]
    fn requests_wait_for_reordering_and_repeat_until_the_packet_comes() {
        let mut nacks = NackList::new(100, Duration::from_millis(20));
        let at = Instant::from_millis;
        nacks.note_gap(at(0), 65_535, 65_538);
        assert_eq!(nacks.next_at(), Some(at(5)));
        nacks.note_arrival(at(3), 65_536);
        assert_eq!(asked(&mut nacks, at(4)), []);
        assert_eq!(asked(&mut nacks, at(5)), [65_535, 1]);
        assert_eq!(nacks.next_at(), Some(at(25)));
        nacks.note_arrival(at(20), 65_535);
        assert_eq!(nacks.rtt(), Some(Duration::from_millis(15)));
        assert_eq!(asked(&mut nacks, at(25)), [1]);
        nacks.forget_before(65_538);
        assert_eq!(nacks.next_at(), None);
    }

    #[test]
    fn a_packet_is_not_asked_for_for_ever() {
        let mut nacks = NackList::new(100, Duration::from_millis(20));
        nacks.note_gap(Instant::ZERO, 1, 2);
        let total: usize = (0..100)
            .map(|step| asked(&mut nacks, Instant::from_millis(step * 20)).len())
            .sum();
        assert_eq!(total, usize::from(MAX_TRIES));
        assert_eq!(nacks.next_at(), None);
    }
}
