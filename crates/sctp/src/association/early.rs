//! SACKs that are written while more packets are taken in (RFC 9260 §6.2).
//!
//! 1. Packets that came as one train are answered by one SACK, with the next train that leaves.
//! 2. A peer that sends one packet at a time may let each SACK release a few packets only
//!    (RFC 9260 §6.1 D: four). If all that has come meanwhile were answered by one SACK, less and less would
//!    be in flight. So before the next packet is taken in, the SACK that is due by then is written down, and what
//!    was written leaves in trains of its own.

use esp_wire::{Instant, Train};

use super::Association;
use crate::packet::Builder;

/// SACKs that wait; those behind them say what these would have said.
const MOST: usize = 64;
/// Bytes of a packet with one.
const LARGEST: usize = 128;
/// Gap blocks that it surely holds.
const GAPS: usize = 20;

/// Packets with SACKs, oldest first.
#[derive(Debug, Default)]
pub(super) struct Early {
    packets: Vec<u8>,
    sizes: Vec<usize>,
    /// Those that have left.
    sent: usize,
}

impl Early {
    pub(super) fn clear(&mut self) {
        self.packets.clear();
        self.sizes.clear();
        self.sent = 0;
    }

    /// Gives its memory back.
    pub(super) fn release(&mut self) {
        *self = Early::default();
    }
}

impl Association {
    /// Writes the SACK down that is due for what has come so far, if there is one, so that what comes now is
    /// acknowledged by another: to be called before each packet that did not come in a train.
    ///
    /// Without it, all packets between two calls of [`Association::poll_transmit`] are answered by one SACK.
    pub fn acknowledge(&mut self, now: Instant) {
        if !self.inc.tracker.is_due()
            || !self.phase.is_connected()
            || self.early.sizes.len() >= MOST
            // RFC 9260 §6.7: a SACK must tell of as many gaps as a full packet holds, which the last one does.
            || self.inc.tracker.groups() > GAPS
        {
            return;
        }
        let mut slot = [0; LARGEST];
        let address = self.address(self.peer.tag);
        let mut packet = Builder::new(&mut slot, address);
        self.fill_sack(now, &mut packet);
        let len = packet.finish(self.seal());
        self.early.packets.extend_from_slice(&slot[..len]);
        self.early.sizes.push(len);
    }

    /// Lays a train of those that wait, as many as have the same size.
    pub(super) fn transmit_early(&mut self, train: &mut Train) -> bool {
        let Some(&size) = self.early.sizes.get(self.early.sent) else {
            return false;
        };
        train.begin(self.room, size);
        let begun = self.early.sizes[..self.early.sent].iter().sum();
        let mut rest = &self.early.packets[begun..];
        while self.early.sizes.get(self.early.sent) == Some(&size) && train.vacancy() > 0 {
            let (packet, others) = rest.split_at(size);
            if !train.push(packet) {
                break;
            }
            rest = others;
            self.early.sent += 1;
            self.stats.packets_sent += 1;
        }
        if self.early.sent == self.early.sizes.len() {
            self.early.clear();
        }
        !train.is_empty()
    }
}
