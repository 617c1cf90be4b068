//! The ring of packets: those that wait to leave, and behind them those that can be sent again.

use esp_wire::Instant;

/// A packet in the ring.
#[derive(Debug)]
pub(super) struct Slot {
    number: u64,
    /// The whole packet.
    pub(super) bytes: Vec<u8>,
    /// Length of its header.
    pub(super) header: usize,
    /// When it left last.
    pub(super) sent_at: Option<Instant>,
    /// How often it was sent again.
    pub(super) resends: u16,
    /// It waits to be sent again.
    pub(super) queued: bool,
}

/// Packets by their unwrapped sequence number; a new one takes the place of the oldest.
#[derive(Debug)]
pub(super) struct History {
    slots: Vec<Slot>,
    capacity: usize,
}

impl History {
    pub(super) fn new(capacity: usize) -> Self {
        History {
            slots: Vec::new(),
            capacity,
        }
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// The emptied buffer for packet `number`, with room for `reserve` bytes.
    pub(super) fn occupy(&mut self, number: u64, reserve: usize, header: usize) -> &mut Vec<u8> {
        let index = self.index(number);
        // The ring is filled for the first time as packets come, then its buffers are reused.
        while self.slots.len() < self.capacity {
            self.slots.push(Slot {
                number: u64::MAX,
                bytes: Vec::new(),
                header: 0,
                sent_at: None,
                resends: 0,
                queued: false,
            });
        }
        let slot = &mut self.slots[index];
        slot.number = number;
        slot.header = header;
        slot.sent_at = None;
        slot.resends = 0;
        slot.queued = false;
        slot.bytes.clear();
        slot.bytes.reserve_exact(reserve);
        &mut slot.bytes
    }

    pub(super) fn slot(&self, number: u64) -> Option<&Slot> {
        let slot = self.slots.get(self.index(number))?;
        (slot.number == number).then_some(slot)
    }

    pub(super) fn slot_mut(&mut self, number: u64) -> Option<&mut Slot> {
        let index = self.index(number);
        let slot = self.slots.get_mut(index)?;
        (slot.number == number).then_some(slot)
    }

    fn index(&self, number: u64) -> usize {
        (number % self.capacity as u64) as usize
    }
}
