//! The deadlines of a shard's peers.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use esp_wire::Instant;

/// A heap of deadlines. An entry that its slot no longer agrees with is skipped when it comes up.
#[derive(Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(Instant, usize, u64)>>,
}

impl Timers {
    /// Adds a deadline of the peer in `place` with this serial number.
    pub(super) fn set(&mut self, at: Instant, place: usize, serial: u64) {
        self.heap.push(Reverse((at, place, serial)));
    }

    /// When the next deadline is.
    pub(super) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, ..))| *at)
    }

    /// Takes out a deadline that has come.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<(usize, u64)> {
        if self.next()? > now {
            return None;
        }
        self.heap
            .pop()
            .map(|Reverse((_, place, serial))| (place, serial))
    }
}
