//! The buffer in which packets wait behind a gap: a ring of reused slots with a bound on bytes.

use std::time::Duration;

use esp_wire::{Codec, Instant};

/// Payload bytes that a waiting packet may have.
pub(crate) const MAX_PAYLOAD: usize = 1_500;

/// A packet of a stream, in whatever buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Incoming<'a> {
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    /// How it is encoded; `None` for packets that only take a number: padding, and payload
    /// types that nobody asked for.
    pub(crate) content: Option<(Codec, u8)>,
    pub(crate) rotation: Option<u16>,
    pub(crate) audio_level: Option<u8>,
    pub(crate) payload: &'a [u8],
}

#[derive(Debug)]
struct Slot {
    number: u64,
    arrived: Instant,
    timestamp: u32,
    marker: bool,
    content: Option<(Codec, u8)>,
    rotation: Option<u16>,
    audio_level: Option<u8>,
    payload: Vec<u8>,
}

/// Packets that came before their time, by unwrapped sequence number.
#[derive(Debug)]
pub(crate) struct JitterBuffer {
    slots: Vec<Slot>,
    window: usize,
    held: usize,
}

impl JitterBuffer {
    /// A buffer of at most `bytes` bytes.
    pub(crate) fn new(bytes: usize) -> Self {
        JitterBuffer {
            slots: Vec::new(),
            window: (bytes / MAX_PAYLOAD).max(8),
            held: 0,
        }
    }

    /// How far ahead of the next packet in order a packet may be.
    pub(crate) fn window(&self) -> u64 {
        self.window as u64
    }

    /// Packets that wait.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// Takes a packet within the window; `false` when it was here already.
    pub(crate) fn insert(&mut self, now: Instant, number: u64, packet: &Incoming<'_>) -> bool {
        while self.slots.len() < self.window {
            self.slots.push(Slot {
                number: u64::MAX,
                arrived: Instant::ZERO,
                timestamp: 0,
                marker: false,
                content: None,
                rotation: None,
                audio_level: None,
                payload: Vec::new(),
            });
        }
        let index = self.index(number);
        let slot = &mut self.slots[index];
        if slot.number == number {
            return false;
        }
        debug_assert_eq!(slot.number, u64::MAX, "the window keeps slots apart");
        slot.number = number;
        slot.arrived = now;
        slot.timestamp = packet.timestamp;
        slot.marker = packet.marker;
        slot.content = packet.content;
        slot.rotation = packet.rotation;
        slot.audio_level = packet.audio_level;
        slot.payload.clear();
        slot.payload.extend_from_slice(packet.payload);
        self.held += 1;
        true
    }

    /// Whether packet `number` waits here.
    pub(crate) fn contains(&self, number: u64) -> bool {
        self.slots
            .get(self.index(number))
            .is_some_and(|slot| slot.number == number)
    }

    /// Takes packet `number` out.
    pub(crate) fn take(&mut self, number: u64) -> Option<Incoming<'_>> {
        let index = self.index(number);
        let slot = self.slots.get_mut(index)?;
        if slot.number != number {
            return None;
        }
        slot.number = u64::MAX;
        self.held -= 1;
        Some(Incoming {
            timestamp: slot.timestamp,
            marker: slot.marker,
            content: slot.content,
            rotation: slot.rotation,
            audio_level: slot.audio_level,
            payload: &slot.payload,
        })
    }

    /// The first packet that waits at or behind `from`, and when it has waited for `timeout`.
    pub(crate) fn first(&self, from: u64, timeout: Duration) -> Option<(u64, Instant)> {
        if self.held == 0 {
            return None;
        }
        (from..from + self.window as u64).find_map(|number| {
            let slot = &self.slots[self.index(number)];
            (slot.number == number).then(|| (number, slot.arrived + timeout))
        })
    }

    /// Forgets all packets.
    pub(crate) fn clear(&mut self) {
        for slot in &mut self.slots {
            slot.number = u64::MAX;
        }
        self.held = 0;
    }

    fn index(&self, number: u64) -> usize {
        (number % self.window as u64) as usize
    }
}
