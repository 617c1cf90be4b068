//! Packets of the RTX stream (RFC 4588): retransmissions, and what fills a burst that has nothing else to send.

use esp_wire::{Room, Train};

use super::{Sender, Stamps, Template};

/// Of so many packets that left last, the largest fills a burst.
const LATEST: u64 = 16;

/// How one packet of the RTX stream is told from its original.
pub(super) struct Rtx {
    pub(super) payload_type: u8,
    pub(super) ssrc: u32,
    pub(super) sequence: u16,
}

impl Rtx {
    /// Lays the packet that carries `original`, its header and its payload, into `train`.
    pub(super) fn push(
        &self,
        train: &mut Train,
        (header, payload): (&[u8], &[u8]),
        template: &Template,
        stamps: &mut Stamps<'_>,
    ) {
        let len = header.len() + 2 + payload.len();
        train.push_with(|out| {
            // RFC 4588 §4: the original sequence number goes before the payload.
            let (head, rest) = out[..len].split_at_mut(header.len());
            head.copy_from_slice(header);
            head[1] = (header[1] & 0x80) | self.payload_type;
            head[2..4].copy_from_slice(&self.sequence.to_be_bytes());
            head[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
            rest[..2].copy_from_slice(&header[2..4]);
            rest[2..].copy_from_slice(payload);
            template.stamp(&mut out[..len], stamps);
            len
        });
    }
}

impl Sender {
    /// Whether packets carry a transport-wide number.
    pub(crate) fn is_numbered(&self) -> bool {
        self.template.is_numbered()
    }

    /// Whether [`Sender::fill_padding`] has something to send.
    pub(crate) fn can_pad(&self) -> bool {
        self.map.is_some_and(|map| map.rtx_pt.is_some()) && self.has_sent()
    }

    /// Fills `train` with a packet that was sent already and returns its bytes; zero when there is none.
    ///
    /// The receiver knows such packets as retransmissions that it has no need of.
    pub(crate) fn fill_padding(
        &mut self,
        stamps: &mut Stamps<'_>,
        train: &mut Train,
        room: Room,
    ) -> usize {
        let Some(payload_type) = self.map.and_then(|map| map.rtx_pt) else {
            return 0;
        };
        let latest = self.unsent.saturating_sub(LATEST)..self.unsent;
        let slots = latest.filter_map(|number| self.history.slot(number));
        let Some(slot) = slots.max_by_key(|slot| slot.bytes.len()) else {
            return 0;
        };
        let len = slot.bytes.len() + 2;
        train.begin(room, len);
        if train.payload_size() < len {
            return 0;
        }
        let rtx = Rtx {
            payload_type,
            ssrc: self.ssrcs.rtx,
            sequence: self.rtx_sequence,
        };
        self.rtx_sequence = self.rtx_sequence.wrapping_add(1);
        let original = slot.bytes.split_at(slot.header);
        rtx.push(train, original, &self.template, stamps);
        self.stats.padding += 1;
        len
    }
}
