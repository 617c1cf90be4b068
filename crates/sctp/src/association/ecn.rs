//! Explicit congestion notification (RFC 4960 appendix A, whose numbers RFC 9260 reserves).
//!
//! 1. Both sides say in INIT and INIT ACK that they are capable
//! 2. Trains with data leave as ECT(0)
//! 3. A queue marks a packet CE; the receiver echoes its lowest TSN by an ECNE with every SACK
//! 4. The sender reduces its window, once a round trip, and says so by a CWR, which ends the echo
//!
//! Some networks swallow what is marked. So a timeout before any marked packet got through ends the marking on
//! that path, and a later one interrupts it until something gets through without marks (as RFC 9000 §13.4.2
//! does it for QUIC). When the peer then reports something twice, the timeout came too early: what was marked had
//! got through as well. The path may also just have lost everything for a while. So a single packet amid others is marked
//! now and then, at ever longer distances (RFC 9000 §13.4.2.2 allows to try again at any time): where it gets through
//! all are marked again, and where it does not, one packet is repaired and nothing waits for it.

use esp_wire::{Ecn, Instant, Train};

use super::Association;
use crate::{Error, chunk::kind, packet::Builder, serial};

/// Whether marked packets get through. Packets with data are known by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trial {
    /// Not known; the first packet that left marked.
    Open(Option<u64>),
    /// They do.
    Passed,
    /// There was a timeout: none is marked until one that leaves after this one has arrived.
    Paused(u64),
    /// They do not, as it seems.
    Failed {
        /// Up to this TSN everything left marked before it was repeated.
        last: u64,
        /// One packet more is tried when this one has arrived.
        next: u64,
        /// The packet that was tried last.
        tried: Option<u64>,
    },
}

/// Packets from a failure to the next trial; twice as many from there to the one after it, and so on.
const FIRST_TRIAL: u64 = 64;
/// The longest distance between two trials.
const LAST_TRIAL: u64 = 1 << 20;

/// What is known of marks.
#[derive(Debug)]
pub(super) struct Marks {
    /// Both sides are capable.
    active: bool,
    /// The layers below keep the marks of this path.
    carried: bool,
    trial: Trial,
    /// Packets that go without a mark before the next trial.
    distance: u64,
    /// The packet that is read came marked.
    marked: bool,
    /// Its lowest TSN so far.
    lowest: Option<u64>,
    /// What every SACK echoes until the peer has reduced its window.
    echo: Option<u64>,
    /// What our CWR is to answer.
    reduced: Option<u32>,
    /// Packets up to this TSN were sent before the last reduction.
    before: u64,
}

impl Default for Marks {
    fn default() -> Self {
        Marks {
            active: false,
            carried: true,
            trial: Trial::Open(None),
            distance: FIRST_TRIAL,
            marked: false,
            lowest: None,
            echo: None,
            reduced: None,
            before: 0,
        }
    }
}

impl Marks {
    /// A fresh association begins; of the path is known what was known before.
    pub(super) fn begin(&mut self, active: bool) {
        *self = Marks {
            active,
            carried: self.carried,
            ..Marks::default()
        };
    }

    /// Trains with data leave marked.
    pub(super) fn are_sent(&self) -> bool {
        self.active && self.carried && matches!(self.trial, Trial::Open(_) | Trial::Passed)
    }

    /// A marked train left whose first packet has this number.
    fn on_sent(&mut self, first: u64) {
        if self.trial == Trial::Open(None) {
            self.trial = Trial::Open(Some(first));
        }
    }

    /// This packet arrived, none later is known to have; `watched` is one that is known to have arrived itself.
    pub(super) fn on_arrived(&mut self, newest: u64, watched: Option<u64>) {
        match self.trial {
            Trial::Open(Some(first)) if newest >= first => self.trial = Trial::Passed,
            Trial::Paused(last) if newest > last => self.trial = Trial::Open(None),
            Trial::Failed { tried, .. } if tried.is_some() && tried == watched => {
                self.trial = Trial::Passed;
            }
            _ => {}
        }
    }

    /// Nothing arrives any more of what left up to the packet with this number, and with this TSN.
    pub(super) fn on_timeout(&mut self, packet: u64, last: u64) {
        match self.trial {
            Trial::Open(Some(_)) => {
                let next = packet + self.distance;
                let tried = None;
                self.trial = Trial::Failed { last, next, tried };
            }
            Trial::Passed => self.trial = Trial::Paused(packet),
            _ => {}
        }
    }

    /// The peer has got this TSN twice.
    pub(super) fn on_duplicate(&mut self, tsn: u64) {
        if matches!(self.trial, Trial::Failed { last, .. } if tsn <= last) {
            self.trial = Trial::Passed;
        }
    }

    /// True when one packet is to leave marked although the last ones did not get through.
    pub(super) fn tries_again(&self, newest: u64) -> bool {
        let due = matches!(self.trial, Trial::Failed { next, .. } if newest >= next);
        due && self.active && self.carried
    }

    /// The packet with this number leaves marked for that.
    fn on_tried(&mut self, packet: u64) {
        self.distance = (self.distance * 2).min(LAST_TRIAL);
        if let Trial::Failed { next, tried, .. } = &mut self.trial {
            *next = packet + self.distance;
            *tried = Some(packet);
        }
    }

    /// Of another path nothing is known.
    pub(super) fn on_path(&mut self) {
        self.trial = Trial::Open(None);
        self.distance = FIRST_TRIAL;
    }
}

/// Room of an ECNE or CWR.
const CHUNK: usize = 8;

impl Association {
    /// Tells whether the path keeps the ECN marks of datagrams, as a relay or a stream does not; it does unless
    /// told otherwise. Without, trains leave unmarked ([`Config::ecn`](crate::Config)).
    pub fn set_marks_carried(&mut self, carried: bool) {
        self.marks.carried = carried;
    }

    /// Marks a train with data, whose first packet has this number.
    pub(super) fn mark(&mut self, train: &mut Train, first: u64) {
        if self.marks.are_sent() {
            train.set_ecn(Ecn::Ect0);
            self.marks.on_sent(first);
        }
    }

    /// Marks a train of one packet, with this number, where marked ones did not get through.
    pub(super) fn mark_lone(&mut self, train: &mut Train, packet: u64) {
        train.set_ecn(Ecn::Ect0);
        self.marks.on_tried(packet);
        self.out.watch(packet);
    }

    /// Takes one packet out of DTLS whose datagram came with this ECN mark; else as
    /// [`Association::handle_input`].
    pub fn handle_marked_input(
        &mut self,
        now: Instant,
        ecn: Ecn,
        packet: &mut [u8],
    ) -> Result<(), Error> {
        self.marks.marked = self.marks.active && ecn == Ecn::Ce;
        let done = self.handle_input(now, packet);
        self.marks.marked = false;
        if let Some(lowest) = self.marks.lowest.take() {
            self.stats.marks_received += 1;
            self.marks.echo.get_or_insert(lowest);
            self.inc.tracker.hurry();
        }
        done
    }

    /// The packet that is read holds this TSN.
    pub(super) fn note_marked(&mut self, tsn: u32) {
        if self.marks.marked {
            let tsn = serial::unwrap32(self.inc.tracker.cumulative(), tsn);
            let lowest = self.marks.lowest.map_or(tsn, |lowest| lowest.min(tsn));
            self.marks.lowest = Some(lowest);
        }
    }

    /// ECNE: a packet of ours met a long queue.
    pub(super) fn on_echo(&mut self, now: Instant, value: &[u8]) {
        let Some(tsn) = value.first_chunk::<4>().filter(|_| self.marks.active) else {
            return;
        };
        let tsn = u32::from_be_bytes(*tsn);
        let last = self.out.last_tsn();
        let full = serial::unwrap32(last, tsn);
        if full > last {
            return;
        }
        if full > self.marks.before {
            self.marks.before = last;
            self.out.on_marked(now);
        }
        self.marks.reduced = Some(tsn);
    }

    /// CWR: the peer has reduced its window.
    pub(super) fn on_reduced(&mut self, value: &[u8]) {
        if let (Some(tsn), Some(echo)) = (value.first_chunk::<4>(), self.marks.echo)
            && serial::unwrap32(echo, u32::from_be_bytes(*tsn)) >= echo
        {
            self.marks.echo = None;
        }
    }

    /// True when a CWR waits.
    pub(super) fn mark_is_due(&self) -> bool {
        self.marks.reduced.is_some()
    }

    /// Writes the CWR that is due.
    pub(super) fn fill_reduced(&mut self, packet: &mut Builder<'_>) {
        if let Some(tsn) = self.marks.reduced
            && let Some(value) = packet.chunk(kind::CWR, 0, CHUNK)
        {
            value.copy_from_slice(&tsn.to_be_bytes());
            self.marks.reduced = None;
        }
    }

    /// Writes the echo that goes before a SACK.
    pub(super) fn fill_echo(&self, packet: &mut Builder<'_>) {
        if let Some(echo) = self.marks.echo
            && let Some(value) = packet.chunk(kind::ECNE, 0, CHUNK)
        {
            value.copy_from_slice(&(echo as u32).to_be_bytes());
        }
    }
}
