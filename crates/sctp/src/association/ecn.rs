//! Explicit congestion notification (RFC 4960 appendix A, whose numbers RFC 9260 reserves).
//!
//! 1. Both sides say in INIT and INIT ACK that they are capable
//! 2. Trains with data leave as ECT(0)
//! 3. A queue marks a packet CE; the receiver echoes its lowest TSN by an ECNE with every SACK
//! 4. The sender reduces its window, once a round trip, and says so by a CWR, which ends the echo

use esp_wire::{Ecn, Instant};

use super::Association;
use crate::{Error, chunk::kind, packet::Builder, serial};

/// What is known of marks.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// Both sides are capable.
    pub(super) active: bool,
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

impl Marks {
    /// Nothing is known of a fresh association.
    pub(super) fn new(active: bool) -> Self {
        Marks {
            active,
            ..Marks::default()
        }
    }
}

/// Room of an ECNE or CWR.
const CHUNK: usize = 8;

impl Association {
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
