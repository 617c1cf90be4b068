//! Which losses are believed, and when a belief is taken back.
//!
//! RACK (RFC 8985) in SCTP's terms: a packet counts as lost when one sent later was acknowledged
//! and either three packets have overtaken it or more time has passed than a round trip and some
//! reordering explain. Once reordering was seen, only time counts. Duplicate TSN reports (the DSACK
//! of SCTP) and acknowledgements of what was not yet sent again show that a loss was none; when all
//! losses of an episode were none, its reduction is undone.
//!
//! A SACK holds some 280 gap blocks in a packet of 1,200 bytes, the lowest ones (RFC 9260 §6.7). Where
//! more is missing, what arrived beyond the last of them is told only once holes below are repaired: it is
//! not believed lost meanwhile, nor late when it is told, and its round trip says nothing.

use std::{collections::VecDeque, time::Duration};

use esp_wire::Instant;

use super::flight::{Entry, Flight, State};

/// RFC 8985 §6.2: packets that may overtake before reordering was seen.
const OVERTAKEN: u64 = 3;
/// Resent TSNs of an episode that are remembered; larger episodes are not undone by reports.
const REMEMBERED: usize = 512;
/// Episodes after which a widened window for reordering narrows again (RFC 8985 §6.2).
const PERSISTENCE: u32 = 16;

/// The beliefs.
#[derive(Debug)]
pub(crate) struct Recovery {
    /// The newest packet that was acknowledged, and the round trip it took.
    newest: u64,
    rtt: Duration,
    /// Packets from here on were sent after the last reduction.
    epoch: u64,
    reordering: bool,
    widened: u32,
    /// The round in which it was widened last.
    widened_in: u64,
    persistence: u32,
    /// Losses of this episode that may still turn out to be true.
    suspects: u32,
    resent: VecDeque<u64>,
    undoable: bool,
    round_end: u64,
    /// The highest TSN of which the SACKs so far could tell; the largest number when they had room for all.
    reach: u64,
    /// A probe of the tail is in flight.
    pub(crate) probed: bool,
    /// A packet whose arrival somebody waits for, and one of these that has arrived.
    pub(super) watched: Option<u64>,
    pub(super) seen: Option<u64>,
}

/// What a pass over the log found.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Found {
    /// A packet sent after the last reduction was lost.
    pub(crate) congestion: bool,
    /// When the next packet counts as lost unless it is acknowledged before.
    pub(crate) reorder_at: Option<Instant>,
}

impl Recovery {
    pub(crate) fn new() -> Self {
        Recovery {
            newest: 0,
            rtt: Duration::ZERO,
            epoch: 0,
            reordering: false,
            widened: 1,
            widened_in: 0,
            persistence: 0,
            suspects: 0,
            resent: VecDeque::new(),
            undoable: false,
            round_end: 0,
            reach: u64::MAX,
            probed: false,
            watched: None,
            seen: None,
        }
    }

    /// True while packets from before the last reduction are being repaired.
    pub(crate) fn is_recovering(&self) -> bool {
        self.newest < self.epoch
    }

    /// True when the acknowledged packet ended a round trip; begins the next.
    pub(crate) fn round_ended(&mut self, next_packet: u64) -> bool {
        let ended = self.newest >= self.round_end;
        if ended {
            self.round_end = next_packet;
        }
        ended
    }

    /// True when a SACK before the one at hand could have told of a TSN.
    pub(crate) fn was_in_reach(&self, tsn: u64) -> bool {
        tsn <= self.reach
    }

    /// True when the last SACK had no room for all that arrived.
    pub(crate) fn is_cut(&self) -> bool {
        self.reach != u64::MAX
    }

    /// A SACK was processed: how far it could tell, `None` for all.
    pub(crate) fn set_reach(&mut self, reach: Option<u64>) {
        self.reach = reach.unwrap_or(u64::MAX);
    }

    /// An entry was acknowledged for the first time; `before` is the newest packet before this SACK.
    pub(crate) fn on_acknowledged(
        &mut self,
        tsn: u64,
        entry: &Entry,
        before: u64,
        now: Instant,
        least_rtt: Duration,
    ) {
        if entry.state == State::Lost {
            // It was believed lost, and had not been sent again.
            self.acquit();
        }
        if self.watched == Some(entry.packet) && entry.sends == 1 {
            self.seen = self.watched.take();
        }
        let timely = self.was_in_reach(tsn);
        if entry.sends == 1 && entry.packet < before && timely {
            self.reordering = true;
        }
        let elapsed = now.since(entry.sent_at);
        // RFC 8985 §6.2: too fast for the retransmission, so it answers the original.
        if entry.sends > 1 && elapsed < least_rtt {
            return;
        }
        if entry.packet >= self.newest {
            self.newest = entry.packet;
            if timely {
                self.rtt = elapsed;
            }
        }
    }

    pub(crate) fn newest(&self) -> u64 {
        self.newest
    }

    /// The peer saw this TSN twice; true when nothing of the episode was lost after all.
    pub(crate) fn on_duplicate(&mut self, tsn: u64) {
        if let Some(index) = self.resent.iter().position(|resent| *resent == tsn) {
            self.resent.swap_remove_back(index);
            self.acquit();
        }
    }

    /// A loss was none. RFC 8985 §6.2: the window for reordering was too short then, which is mended once
    /// a round trip.
    fn acquit(&mut self) {
        if self.reordering && self.widened_in != self.round_end {
            self.widened = (self.widened + 1).min(16);
            self.widened_in = self.round_end;
        }
        self.reordering = true;
        self.suspects = self.suspects.saturating_sub(1);
        self.persistence = 0;
    }

    /// True once, when all losses of the episode turned out to be none.
    pub(crate) fn take_spurious(&mut self) -> bool {
        let spurious = self.undoable && self.suspects == 0;
        if spurious {
            self.undoable = false;
            self.epoch = 0;
        }
        spurious
    }

    /// Losses so far say nothing of the path: its window is not theirs to restore.
    pub(crate) fn forget_losses(&mut self) {
        self.undoable = false;
        self.suspects = 0;
        self.resent.clear();
    }

    /// A TSN believed lost is sent again.
    pub(crate) fn on_resent(&mut self, tsn: u64) {
        if self.resent.len() >= REMEMBERED {
            self.resent.pop_front();
        }
        self.resent.push_back(tsn);
    }

    /// Walks the logs from their oldest ends and calls `lost` for what must be believed lost.
    pub(crate) fn detect(
        &mut self,
        flight: &mut Flight,
        now: Instant,
        least_rtt: Duration,
        smoothed: Duration,
        lost: &mut Vec<u64>,
    ) -> Found {
        let window = (least_rtt / 4 * self.widened).min(smoothed);
        let mut found = Found::default();
        while let Some((tsn, packet, sent_at)) = flight.oldest(self.reach) {
            if packet >= self.newest {
                break;
            }
            let due = sent_at + self.rtt + window.max(Duration::from_millis(1));
            let overtaken = !self.reordering && self.newest - packet >= OVERTAKEN;
            if !overtaken && due > now {
                found.reorder_at = Some(due);
                break;
            }
            found.congestion |= packet >= self.epoch;
            flight.lose(tsn);
            lost.push(tsn);
        }
        found
    }

    /// Losses were believed; `began` when the window was reduced for them.
    pub(crate) fn on_losses(&mut self, count: usize, began: bool, next_packet: u64) {
        if began {
            self.suspects = 0;
            self.resent.clear();
            self.undoable = true;
            self.epoch = next_packet;
            self.persistence += 1;
            if self.persistence > PERSISTENCE {
                self.widened = 1;
                self.persistence = 0;
            }
        }
        self.suspects = self.suspects.saturating_add(count as u32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    /// The least round trip of the path.
    const LEAST: Duration = Duration::from_millis(20);

    /// One chunk a packet, a packet each millisecond; TSNs and packets count from 1.
    fn flight(count: u64) -> Flight {
        let mut flight = Flight::new(1, 16);
        for packet in 1..=count {
            flight.push(Entry {
                segment: 0,
                message: 0,
                offset: 0,
                len: 1_000,
                flags: 0,
                state: State::InFlight,
                sends: 1,
                fragment: 0,
                packet,
                sent_at: Instant::ZERO + MS * packet as u32,
            });
        }
        flight
    }

    /// A SACK for this TSN alone.
    fn acknowledge(recovery: &mut Recovery, flight: &mut Flight, tsn: u64, now: Instant) {
        let before = recovery.newest();
        let entry = flight.acknowledge(tsn).expect("it is in flight");
        recovery.on_acknowledged(tsn, &entry, before, now, LEAST);
    }

    /// What is believed lost, and whether for the first time in this round.
    fn detect(recovery: &mut Recovery, flight: &mut Flight, now: Instant) -> (Vec<u64>, Found) {
        let mut lost = Vec::new();
        let found = recovery.detect(flight, now, LEAST, LEAST, &mut lost);
        (lost, found)
    }

    #[test]
    fn three_packets_overtake_or_a_quarter_of_a_round_trip_passes() {
        let (mut recovery, mut flight) = (Recovery::new(), flight(6));
        let at = |ms: u32| Instant::ZERO + MS * ms;
        acknowledge(&mut recovery, &mut flight, 3, at(23));
        let (lost, found) = detect(&mut recovery, &mut flight, at(23));
        // RFC 8985 §6.2: the first was sent at 1; a round trip of 20, and a quarter.
        assert_eq!((lost, found.reorder_at), (vec![], Some(at(26))));
        acknowledge(&mut recovery, &mut flight, 4, at(24));
        assert_eq!(detect(&mut recovery, &mut flight, at(24)).0, [1]);
        // Two have overtaken the second; then its time is over.
        let (lost, found) = detect(&mut recovery, &mut flight, at(26));
        assert_eq!((lost, found.reorder_at), (vec![], Some(at(27))));
        assert_eq!(detect(&mut recovery, &mut flight, at(27)).0, [2]);
        // What was sent after the newest that arrived is nobody's loss.
        assert_eq!(detect(&mut recovery, &mut flight, at(900)).0, []);
    }

    #[test]
    fn a_round_trip_has_one_reduction_that_late_arrivals_undo() {
        let (mut recovery, mut flight) = (Recovery::new(), flight(10));
        let now = Instant::ZERO + MS * 30;
        let later = now + MS * 10;
        acknowledge(&mut recovery, &mut flight, 5, now);
        let (lost, found) = detect(&mut recovery, &mut flight, later);
        assert_eq!((lost, found.congestion), (vec![1, 2, 3, 4], true));
        recovery.on_losses(4, true, 11);
        assert!(recovery.is_recovering());
        // The sixth and seventh left before the reduction, too.
        acknowledge(&mut recovery, &mut flight, 10, now);
        let (lost, found) = detect(&mut recovery, &mut flight, later);
        assert_eq!((lost, found.congestion), (vec![6, 7, 8, 9], false));
        recovery.on_losses(4, false, 11);
        // Four had not been sent again, four had and are reported twice.
        for tsn in 1..=4 {
            assert!(!recovery.take_spurious());
            acknowledge(&mut recovery, &mut flight, tsn, now);
        }
        for tsn in 6..=9 {
            flight.resend(tsn, 5 + tsn, now);
            recovery.on_resent(tsn);
            assert!(!recovery.take_spurious());
            recovery.on_duplicate(tsn);
            // Once each.
            recovery.on_duplicate(tsn);
        }
        assert!(recovery.take_spurious());
        assert!(!recovery.take_spurious() && !recovery.is_recovering());
    }

    #[test]
    fn an_answer_too_fast_for_the_repetition_answers_the_original() {
        let (mut recovery, mut flight) = (Recovery::new(), flight(3));
        let now = Instant::ZERO + MS * 400;
        flight.resend(1, 4, now);
        acknowledge(&mut recovery, &mut flight, 1, now + MS);
        assert_eq!(recovery.newest(), 0);
        flight.resend(2, 5, now);
        acknowledge(&mut recovery, &mut flight, 2, now + LEAST);
        assert_eq!(recovery.newest(), 5);
    }
}
