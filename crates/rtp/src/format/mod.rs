//! Payload formats: how frames become payloads, and payloads frames.

pub mod g711;
pub mod h264;
pub mod opus;

use esp_wire::Codec;

use crate::{Malformed, PayloadMap};

/// One payload of a frame that is being cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) shape: Shape,
    /// Length of the payload.
    pub(crate) len: usize,
    /// Ticks behind the frame's timestamp.
    pub(crate) ticks: u32,
}

/// Where a payload's bytes come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// These bytes of the frame.
    Bytes { start: usize },
    /// These NAL units, aggregated.
    Aggregate { first: usize, count: usize },
    /// This part of a NAL unit, behind an indicator and a header.
    Fragment {
        start: usize,
        indicator: u8,
        header: u8,
    },
}

/// How one frame is cut into payloads; kept from frame to frame, so that nothing is allocated.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) units: Vec<h264::Span>,
    pub(crate) pieces: Vec<Piece>,
}

impl Plan {
    /// Plans payloads of at most `limit` bytes for `frame`.
    pub(crate) fn make(
        &mut self,
        payload: &PayloadMap,
        frame: &[u8],
        limit: usize,
    ) -> Result<(), Malformed> {
        self.units.clear();
        self.pieces.clear();
        if frame.is_empty() {
            return Err(Malformed::Empty);
        }
        match payload.codec {
            Codec::H264 => h264::plan(self, payload.packetization_mode, frame, limit),
            Codec::Pcma | Codec::Pcmu => {
                g711::plan(self, payload.ptime, frame, limit);
                Ok(())
            }
            _ if frame.len() > limit => Err(Malformed::TooLongForPacket),
            _ => {
                self.pieces.push(Piece {
                    shape: Shape::Bytes { start: 0 },
                    len: frame.len(),
                    ticks: 0,
                });
                Ok(())
            }
        }
    }

    /// Appends payload `index` of `frame`.
    pub(crate) fn write(&self, index: usize, frame: &[u8], out: &mut Vec<u8>) {
        let piece = self.pieces[index];
        match piece.shape {
            Shape::Bytes { start } => out.extend_from_slice(&frame[start..start + piece.len]),
            Shape::Aggregate { first, count } => {
                h264::write_aggregate(&self.units[first..first + count], frame, out);
            }
            Shape::Fragment {
                start,
                indicator,
                header,
            } => {
                out.extend_from_slice(&[indicator, header]);
                out.extend_from_slice(&frame[start..start + piece.len - 2]);
            }
        }
    }
}

/// Ticks that the sound in a packet lasts, if its bytes tell.
pub(crate) fn audio_ticks(codec: Codec, packet: &[u8]) -> Option<u32> {
    match codec {
        Codec::Opus => opus::samples(packet),
        Codec::Pcma | Codec::Pcmu => u32::try_from(packet.len()).ok(),
        _ => None,
    }
}
