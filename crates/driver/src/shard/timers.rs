//! The deadlines of a shard's peers.

use std::collections::BTreeSet;

use esp_wire::Instant;

/// At most one deadline for each peer, in order of time.
#[derive(Default)]
pub(super) struct Timers {
    set: BTreeSet<(Instant, usize)>,
}

impl Timers {
    /// Changes the deadline of the peer in `place`; `from` is the one that was set before.
    pub(super) fn change(&mut self, place: usize, from: Option<Instant>, to: Option<Instant>) {
        if let Some(at) = from {
            self.set.remove(&(at, place));
        }
        if let Some(at) = to {
            self.set.insert((at, place));
        }
    }

    /// When the next deadline is.
    pub(super) fn next(&self) -> Option<Instant> {
        self.set.first().map(|(at, _)| *at)
    }

    /// Takes out a deadline that has come; the place of its peer.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<usize> {
        if self.next()? > now {
            return None;
        }
        self.set.pop_first().map(|(_, place)| place)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_deadline_that_moves_with_every_packet_takes_no_memory() {
        let mut timers = Timers::default();
        let at = |millis| Some(Instant::ZERO + Duration::from_millis(millis));
        timers.change(1, None, at(7));
        let mut before = None;
        for millis in 0..10_000 {
            let next = at(if millis % 2 == 0 { 5 } else { 10_000 + millis });
            timers.change(0, before, next);
            before = next;
        }
        assert_eq!(timers.set.len(), 2);
        assert_eq!(timers.pop_due(Instant::ZERO), None);
        assert_eq!(timers.pop_due(at(7).unwrap()), Some(1));
        timers.change(0, before, None);
        assert_eq!(timers.next(), None);
    }
}
