//! Which TSNs have arrived, and when a SACK says so (RFC 9260 §6.2).

use esp_wire::Instant;

use crate::{chunk::sack, packet::Builder, ranges::Ranges};

/// Gaps that are kept apart; TSNs that would need more are dropped.
const MAX_RANGES: usize = 4_096;
/// How far a TSN may lie ahead; gap ack blocks have 16 bits.
const MAX_AHEAD: u64 = 65_535;
/// Duplicates that one SACK reports.
const MAX_DUPLICATES: usize = 32;

/// What a TSN is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The next one.
    Next,
    /// A new one behind a gap.
    Ahead,
    Duplicate,
    /// Too far ahead, or one gap too many.
    Refused,
}

/// The TSNs, and the SACK that is owed for them.
#[derive(Debug)]
pub(crate) struct Tracker {
    cumulative: u64,
    ahead: Ranges,
    duplicates: Vec<u32>,
    /// No packet with data has come yet.
    fresh: bool,
    /// Packets with data since the last SACK.
    packets: u32,
    owed: Owed,
    /// The window that the last SACK announced.
    announced: u32,
}

/// How urgent the SACK is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Owed {
    #[default]
    Nothing,
    Delayed,
    Now,
}

impl Tracker {
    /// Nothing has arrived; `first` is the first TSN to come.
    pub(crate) fn new(first: u64, window: u32) -> Self {
        Tracker {
            cumulative: first - 1,
            ahead: Ranges::default(),
            duplicates: Vec::new(),
            fresh: true,
            packets: 0,
            owed: Owed::Nothing,
            announced: window,
        }
    }

    /// The TSN up to which all have arrived.
    pub(crate) fn cumulative(&self) -> u64 {
        self.cumulative
    }

    /// True when later TSNs wait for a missing one.
    pub(crate) fn has_gaps(&self) -> bool {
        !self.ahead.is_empty()
    }

    /// How many groups of later TSNs wait for missing ones.
    pub(crate) fn groups(&self) -> usize {
        self.ahead.len()
    }

    /// Judges a TSN without taking it.
    pub(crate) fn judge(&self, tsn: u64) -> Verdict {
        if tsn <= self.cumulative || self.ahead.contains(tsn) {
            return Verdict::Duplicate;
        }
        if tsn == self.cumulative + 1 {
            return Verdict::Next;
        }
        let far = tsn - self.cumulative > MAX_AHEAD;
        if far || (self.ahead.len() >= MAX_RANGES && self.ahead.would_split(tsn)) {
            return Verdict::Refused;
        }
        Verdict::Ahead
    }

    /// Takes a TSN that is new.
    pub(crate) fn record(&mut self, tsn: u64) {
        if tsn != self.cumulative + 1 {
            self.ahead.add(tsn);
            // RFC 9260 §6.7: a gap is reported at once.
            self.owed = Owed::Now;
            return;
        }
        // RFC 9260 §6.7: so is the filling of one.
        if self.has_gaps() {
            self.owed = Owed::Now;
        }
        self.cumulative = tsn;
        self.absorb();
    }

    fn absorb(&mut self) {
        if let Some((first, last)) = self.ahead.first()
            && first <= self.cumulative + 1
        {
            self.cumulative = self.cumulative.max(last);
            self.ahead.pop_first();
        }
    }

    /// A TSN came again.
    pub(crate) fn note_duplicate(&mut self, tsn: u64) {
        if self.duplicates.len() < MAX_DUPLICATES {
            self.duplicates.push(tsn as u32);
        }
        self.owed = Owed::Now;
    }

    /// Gives memory back that many holes have needed.
    pub(crate) fn give_back(&mut self) {
        self.ahead.give_back(self.ahead.len());
    }

    /// The peer gave up everything up to `tsn` (RFC 3758 §3.6).
    pub(crate) fn forward(&mut self, tsn: u64) {
        self.owed = Owed::Now;
        if tsn <= self.cumulative {
            return;
        }
        self.cumulative = tsn;
        self.ahead.remove_below(tsn + 1);
        self.absorb();
    }

    /// A packet with data has ended.
    pub(crate) fn end_packet(&mut self) {
        self.packets += 1;
        // RFC 9260 §5.1: the first is acknowledged at once; §6.2: and at least every second packet.
        if std::mem::take(&mut self.fresh) || self.packets >= 2 {
            self.owed = Owed::Now;
        } else if self.owed == Owed::Nothing {
            self.owed = Owed::Delayed;
        }
    }

    /// A SACK must leave with the next packet.
    pub(crate) fn hurry(&mut self) {
        self.owed = Owed::Now;
    }

    /// A SACK must leave now.
    pub(crate) fn is_due(&self) -> bool {
        self.owed == Owed::Now
    }

    /// A SACK may wait for the timer, or go along with data.
    pub(crate) fn is_delayed(&self) -> bool {
        self.owed == Owed::Delayed
    }

    /// True when the window has opened so much that the peer should hear of it: by a quarter of
    /// all, when it was below half (RFC 9260 §6.2).
    pub(crate) fn window_opened(&self, window: u32, full: u32) -> bool {
        self.announced < full / 2 && window.saturating_sub(self.announced) >= full / 4
    }

    /// Writes the SACK; `false` when it does not fit.
    pub(crate) fn emit(&mut self, packet: &mut Builder<'_>, window: u32, _now: Instant) -> bool {
        let cumulative = self.cumulative;
        let blocks = BlockIter {
            inner: self.ahead.iter(),
            cumulative,
        };
        let written = sack::emit(packet, cumulative as u32, window, blocks, &self.duplicates);
        if written {
            self.announced = window;
            self.owed = Owed::Nothing;
            self.packets = 0;
            self.duplicates.clear();
        }
        written
    }
}

struct BlockIter<I> {
    inner: I,
    cumulative: u64,
}

impl<I: ExactSizeIterator<Item = (u64, u64)>> Iterator for BlockIter<I> {
    type Item = (u16, u16);

    fn next(&mut self) -> Option<(u16, u16)> {
        // Offsets fit: nothing farther ahead is ever taken.
        let (first, last) = self.inner.next()?;
        Some((
            (first - self.cumulative) as u16,
            (last - self.cumulative) as u16,
        ))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.size_hint()
    }
}

impl<I: ExactSizeIterator<Item = (u64, u64)>> ExactSizeIterator for BlockIter<I> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_close_and_duplicates_are_seen() {
        let mut tracker = Tracker::new(100, 1_000);
        assert_eq!(tracker.judge(100), Verdict::Next);
        tracker.record(100);
        assert!(!tracker.is_due());
        assert_eq!(tracker.judge(100), Verdict::Duplicate);
        tracker.record(102);
        assert!(tracker.is_due());
        assert_eq!(tracker.judge(102), Verdict::Duplicate);
        tracker.record(101);
        assert_eq!(tracker.cumulative(), 102);
        assert!(!tracker.has_gaps());
        assert_eq!(tracker.judge(102 + 65_536), Verdict::Refused);
    }

    #[test]
    fn holes_are_bounded() {
        let mut tracker = Tracker::new(1, 1_000);
        for index in 0..MAX_RANGES as u64 {
            tracker.record(3 + 2 * index);
        }
        assert_eq!(tracker.judge(3 + 2 * MAX_RANGES as u64), Verdict::Refused);
        assert_eq!(tracker.judge(4), Verdict::Ahead);
        tracker.forward(5);
        assert_eq!(tracker.cumulative(), 5);
        tracker.forward(6);
        assert_eq!(tracker.cumulative(), 7);
    }

    /// Writes the SACK that is owed.
    fn answer(tracker: &mut Tracker) {
        let mut slot = [0; 64];
        let address = crate::packet::Address {
            source: 1,
            destination: 1,
            tag: 1,
        };
        let mut packet = Builder::new(&mut slot, address);
        assert!(tracker.emit(&mut packet, 1_000, Instant::ZERO));
        assert!(!tracker.is_due() && !tracker.is_delayed());
    }

    #[test]
    fn a_gap_its_filling_and_what_comes_twice_are_told_at_once() {
        let mut tracker = Tracker::new(1, 1_000);
        for tsn in [2, 4, 1, 3] {
            assert!(!tracker.is_due());
            tracker.record(tsn);
            assert!(tracker.is_due(), "{tsn}");
            answer(&mut tracker);
        }
        assert_eq!(tracker.cumulative(), 4);
        tracker.note_duplicate(3);
        assert!(tracker.is_due());
        answer(&mut tracker);
    }

    #[test]
    fn every_second_packet_is_acknowledged() {
        let mut tracker = Tracker::new(1, 1_000);
        // RFC 9260 §5.1: and the first at once.
        tracker.record(1);
        tracker.end_packet();
        assert!(tracker.is_due());
        answer(&mut tracker);
        for tsn in [2, 4] {
            tracker.record(tsn);
            tracker.end_packet();
            assert!(tracker.is_delayed() && !tracker.is_due());
            tracker.record(tsn + 1);
            tracker.end_packet();
            assert!(tracker.is_due());
            answer(&mut tracker);
        }
    }
}
