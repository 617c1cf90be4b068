//! What is in flight: one small entry a TSN, in a ring keyed by the distance from the cumulative
//! acknowledgement, and two logs of transmissions in the order of their sending: first ones, whose TSNs
//! ascend, and repeated ones.
//!
//! Nothing is sorted and nothing is searched: a SACK pops entries off the front, visits only TSNs
//! that it newly acknowledges, and losses are found by walking both logs from their oldest ends.

use std::collections::VecDeque;

use esp_wire::Instant;

use crate::{ranges::Ranges, surplus};

/// No segment: a TSN that only stands for the end of a message that was given up.
pub(crate) const NO_SEGMENT: u32 = u32::MAX;

/// Where a TSN stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    InFlight,
    /// Counted as lost, to be sent again.
    Lost,
    /// Acknowledged by a gap block; the peer may still take it back.
    Acked,
    /// Its message was given up.
    Abandoned,
}

/// One TSN.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) segment: u32,
    pub(crate) message: u32,
    pub(crate) offset: u32,
    pub(crate) len: u16,
    pub(crate) flags: u8,
    pub(crate) state: State,
    pub(crate) sends: u16,
    pub(crate) fragment: u32,
    /// The packet that carried it last.
    pub(crate) packet: u64,
    pub(crate) sent_at: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    tsn: u64,
    packet: u64,
}

/// The ring and its sums.
#[derive(Debug)]
pub(crate) struct Flight {
    ring: VecDeque<Entry>,
    /// TSN of the ring's front: the cumulative acknowledgement plus one.
    base: u64,
    first: VecDeque<Sent>,
    again: VecDeque<Sent>,
    /// TSNs above `base` that gap blocks acknowledged.
    acked: Ranges,
    /// Bytes in flight with chunk headers, for the congestion window.
    bytes: usize,
    /// Bytes of user data in flight, for the peer's window.
    data: usize,
    /// Lost entries, and a TSN below which there is none.
    lost: usize,
    lost_hint: u64,
    header: usize,
    /// The most TSNs since the last look.
    peak: usize,
}

/// TSNs that a SACK can span; its offsets have 16 bits.
const SPAN: usize = 65_000;

impl Flight {
    /// An empty ring; the first TSN is `base`, chunk headers have `header` bytes.
    pub(crate) fn new(base: u64, header: usize) -> Self {
        Flight {
            ring: VecDeque::new(),
            base,
            first: VecDeque::new(),
            again: VecDeque::new(),
            acked: Ranges::default(),
            bytes: 0,
            data: 0,
            lost: 0,
            lost_hint: base,
            header,
            peak: 0,
        }
    }

    /// The next TSN to be used.
    pub(crate) fn next_tsn(&self) -> u64 {
        self.base + self.ring.len() as u64
    }

    /// The highest TSN acknowledged with all before it.
    pub(crate) fn cumulative(&self) -> u64 {
        self.base - 1
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn data(&self) -> usize {
        self.data
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.ring.len() >= SPAN
    }

    pub(crate) fn has_lost(&self) -> bool {
        self.lost > 0
    }

    fn cost(&self, len: u16) -> usize {
        (self.header + usize::from(len)).next_multiple_of(4)
    }

    pub(crate) fn entry(&self, tsn: u64) -> Option<&Entry> {
        self.ring
            .get(usize::try_from(tsn.checked_sub(self.base)?).ok()?)
    }

    fn entry_mut(&mut self, tsn: u64) -> Option<&mut Entry> {
        self.ring
            .get_mut(usize::try_from(tsn.checked_sub(self.base)?).ok()?)
    }

    /// Adds the next TSN, which was just sent or, when abandoned, never will be.
    pub(crate) fn push(&mut self, entry: Entry) {
        let tsn = self.next_tsn();
        if entry.state == State::InFlight {
            self.bytes += self.cost(entry.len);
            self.data += usize::from(entry.len);
            self.first.push_back(Sent {
                tsn,
                packet: entry.packet,
            });
        }
        self.ring.push_back(entry);
        self.peak = self.peak.max(self.ring.len());
    }

    /// The lowest lost TSN.
    pub(crate) fn first_lost(&mut self) -> Option<u64> {
        if self.lost == 0 {
            return None;
        }
        let mut tsn = self.lost_hint.max(self.base);
        while let Some(entry) = self.entry(tsn) {
            if entry.state == State::Lost {
                self.lost_hint = tsn;
                return Some(tsn);
            }
            tsn += 1;
        }
        debug_assert!(false, "the count of lost TSNs is off");
        self.lost = 0;
        None
    }

    /// A lost or still outstanding TSN leaves again.
    pub(crate) fn resend(&mut self, tsn: u64, packet: u64, now: Instant) {
        let Some(entry) = self.entry_mut(tsn) else {
            return;
        };
        let was = entry.state;
        entry.state = State::InFlight;
        entry.sends = entry.sends.saturating_add(1);
        entry.packet = packet;
        entry.sent_at = now;
        let len = entry.len;
        self.again.push_back(Sent { tsn, packet });
        if was == State::Lost {
            self.lost -= 1;
            self.bytes += self.cost(len);
            self.data += usize::from(len);
        }
    }

    fn leave(&mut self, state: State, len: u16) {
        match state {
            State::InFlight => {
                self.bytes -= self.cost(len);
                self.data -= usize::from(len);
            }
            State::Lost => self.lost -= 1,
            State::Acked | State::Abandoned => {}
        }
    }

    /// Takes the front entry off when the cumulative acknowledgement covers it.
    pub(crate) fn pop_acknowledged(&mut self, cumulative: u64) -> Option<Entry> {
        if self.base > cumulative {
            return None;
        }
        let entry = self.ring.pop_front()?;
        self.base += 1;
        self.leave(entry.state, entry.len);
        Some(entry)
    }

    /// Ends the processing of a SACK's cumulative part.
    pub(crate) fn trim(&mut self) {
        self.acked.remove_below(self.base);
        if self.ring.is_empty() {
            self.first.clear();
            self.again.clear();
        }
    }

    /// Gives memory back that was not needed since the last call; tells how many TSNs there were at most.
    pub(crate) fn give_back(&mut self) -> usize {
        let lately = std::mem::replace(&mut self.peak, self.ring.len());
        surplus::shrink(&mut self.ring, lately);
        surplus::shrink(&mut self.first, lately);
        surplus::shrink(&mut self.again, lately);
        self.acked.give_back(lately);
        lately
    }

    /// The parts of `first..=last` that no gap block has covered before; they count as covered now.
    pub(crate) fn cover(&mut self, first: u64, last: u64, fresh: &mut Vec<(u64, u64)>) {
        self.acked.add_with(first, last, |a, b| fresh.push((a, b)));
    }

    /// What gap blocks have covered and this SACK does not: the peer took it back.
    pub(crate) fn uncover(&mut self, seen: &Ranges) -> usize {
        if self.acked == *seen {
            return 0;
        }
        let mut reneged = Vec::new();
        self.acked.difference(seen, |a, b| reneged.push((a, b)));
        let mut count = 0;
        for (first, last) in reneged {
            for tsn in first..=last {
                if self
                    .entry(tsn)
                    .is_some_and(|entry| entry.state == State::Acked)
                {
                    self.set_lost(tsn);
                    count += 1;
                }
            }
        }
        self.acked.clone_from(seen);
        count
    }

    fn set_lost(&mut self, tsn: u64) {
        if let Some(entry) = self.entry_mut(tsn) {
            entry.state = State::Lost;
            self.lost += 1;
            self.lost_hint = self.lost_hint.min(tsn);
        }
    }

    /// A gap block covers this TSN for the first time; returns its entry as it was.
    pub(crate) fn acknowledge(&mut self, tsn: u64) -> Option<Entry> {
        let entry = self.entry_mut(tsn)?;
        let before = *entry;
        if matches!(before.state, State::InFlight | State::Lost) {
            entry.state = State::Acked;
            self.leave(before.state, before.len);
        }
        Some(before)
    }

    /// Counts a TSN as lost; returns its entry as it was, `None` when it was not in flight.
    pub(crate) fn lose(&mut self, tsn: u64) -> Option<Entry> {
        let entry = *self.entry(tsn)?;
        if entry.state != State::InFlight {
            return None;
        }
        self.leave(entry.state, entry.len);
        self.set_lost(tsn);
        Some(entry)
    }

    /// Gives a TSN up; what has arrived of a message counts as given up, too (RFC 3758 §3.5 A3), so that the peer is told
    /// to forget it.
    pub(crate) fn abandon(&mut self, tsn: u64) {
        let Some(entry) = self.entry_mut(tsn) else {
            return;
        };
        let (state, len) = (entry.state, entry.len);
        entry.state = State::Abandoned;
        self.leave(state, len);
    }

    /// The oldest transmission that still matters, and of which a SACK could have told: TSN, packet, time.
    /// Of first transmissions beyond `reach` none has told yet.
    pub(crate) fn oldest(&mut self, reach: u64) -> Option<(u64, u64, Instant)> {
        let first = oldest_of(&mut self.first, &self.ring, self.base);
        let first = first.filter(|(tsn, ..)| *tsn <= reach);
        let again = oldest_of(&mut self.again, &self.ring, self.base);
        first
            .into_iter()
            .chain(again)
            .min_by_key(|(_, packet, _)| *packet)
    }

    /// The highest TSN that a SACK has told of.
    pub(crate) fn highest_acknowledged(&self) -> u64 {
        let gaps = self.acked.last().map_or(0, |(_, last)| last);
        gaps.max(self.cumulative())
    }

    /// The highest TSN in flight, for a probe of the tail.
    pub(crate) fn tail(&self) -> Option<u64> {
        self.ring
            .iter()
            .enumerate()
            .rev()
            .find(|(_, entry)| entry.state == State::InFlight)
            .map(|(index, _)| self.base + index as u64)
    }

    /// The highest TSN up to which everything behind `from` is acknowledged or given up, and the highest of these that
    /// is given up.
    pub(crate) fn settled(&self, from: u64) -> (u64, Option<u64>) {
        let (mut tsn, mut abandoned) = (from.max(self.cumulative()), None);
        while let Some(entry) = self.entry(tsn + 1) {
            match entry.state {
                State::Abandoned => abandoned = Some(tsn + 1),
                State::Acked => {}
                State::InFlight | State::Lost => break,
            }
            tsn += 1;
        }
        (tsn, abandoned)
    }
}

/// The oldest transmission of a log that still matters; those before it are taken off.
fn oldest_of(
    log: &mut VecDeque<Sent>,
    ring: &VecDeque<Entry>,
    base: u64,
) -> Option<(u64, u64, Instant)> {
    loop {
        let sent = *log.front()?;
        let index = sent.tsn.checked_sub(base).map(usize::try_from);
        let entry = index.and_then(|index| ring.get(index.ok()?));
        match entry {
            Some(entry) if entry.state == State::InFlight && entry.packet == sent.packet => {
                return Some((sent.tsn, sent.packet, entry.sent_at));
            }
            _ => log.pop_front(),
        };
    }
}
