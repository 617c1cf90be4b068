//! The header that all packets of a stream share, with places for what is stamped when they leave.

use esp_wire::Writer;

use super::Stamps;
use crate::extension::{Extension, ExtensionMap};
use crate::packet::{HEADER, Header, Packet};

/// Bytes of the largest header: a MID of 255 bytes and all stamps.
const MAX_HEADER: usize = 320;

/// A header to be copied into each packet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Template {
    bytes: Vec<u8>,
    abs_send_time: Option<usize>,
    transport_cc: Option<usize>,
}

impl Template {
    /// A header for `ssrc` that carries the extensions that were negotiated and are of use.
    pub(crate) fn new(ssrc: u32, mid: &str, extensions: &ExtensionMap) -> Self {
        let wanted: [(Extension, &[u8]); 3] = [
            (Extension::Mid, mid.as_bytes()),
            (Extension::AbsSendTime, &[0; 3]),
            (Extension::TransportCc, &[0; 2]),
        ];
        let elements: Vec<(u8, &[u8])> = wanted
            .iter()
            .filter_map(|(extension, data)| Some((extensions.id(*extension)?, *data)))
            .collect();
        let header = Header {
            ssrc,
            ..Header::default()
        };
        let mut bytes = vec![0; MAX_HEADER];
        let written = header.write(&mut Writer::new(&mut bytes), &elements);
        bytes.truncate(written.unwrap_or(HEADER));
        let place = |extension: Extension| {
            let id = extensions.id(extension)?;
            let block = Packet::parse(&bytes).ok()?.extensions?;
            let (_, data) = block.elements().find(|(found, _)| *found == id)?;
            Some(data.as_ptr().addr() - bytes.as_ptr().addr())
        };
        Template {
            abs_send_time: place(Extension::AbsSendTime),
            transport_cc: place(Extension::TransportCc),
            bytes,
        }
    }

    /// Packets carry a transport-wide number.
    pub(super) fn is_numbered(&self) -> bool {
        self.transport_cc.is_some()
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn write(
        &self,
        marker: bool,
        payload_type: u8,
        sequence: u16,
        timestamp: u32,
        out: &mut Vec<u8>,
    ) {
        out.extend_from_slice(&self.bytes);
        out[1] = (u8::from(marker) << 7) | payload_type;
        out[2..4].copy_from_slice(&sequence.to_be_bytes());
        out[4..8].copy_from_slice(&timestamp.to_be_bytes());
    }

    /// Writes what only the moment of leaving knows. Packets laid out under another template
    /// are left as they are.
    pub(super) fn stamp(&self, packet: &mut [u8], stamps: &mut Stamps<'_>) {
        let size = packet.len();
        if packet.get(HEADER..HEADER + 4) != self.bytes.get(HEADER..HEADER + 4) {
            return;
        }
        if let Some(at) = self.abs_send_time {
            // 6.18 seconds of NTP time.
            let seconds = (stamps.ntp >> 14) as u32;
            packet[at..at + 3].copy_from_slice(&seconds.to_be_bytes()[1..]);
        }
        if let Some(at) = self.transport_cc {
            let number = stamps.sent.note(stamps.now, size, stamps.burst);
            packet[at..at + 2].copy_from_slice(&number.to_be_bytes());
        }
    }
}
