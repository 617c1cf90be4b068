//! FORWARD-TSN (RFC 3758 §3.2) and I-FORWARD-TSN (RFC 8260 §2.3.1).

use super::kind;
use crate::{Malformed, packet::Builder};

/// The last message of a stream that is skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Skip {
    pub(crate) stream: u16,
    pub(crate) unordered: bool,
    /// SSN or MID.
    pub(crate) message: u32,
}

/// A received chunk of either kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Forward<'a> {
    pub(crate) cumulative: u32,
    entries: &'a [u8],
    interleaved: bool,
}

fn entry_size(interleaved: bool) -> usize {
    if interleaved { 8 } else { 4 }
}

impl<'a> Forward<'a> {
    pub(crate) fn parse(value: &'a [u8], interleaved: bool) -> Result<Self, Malformed> {
        let (head, entries) = value.split_first_chunk::<4>().ok_or(Malformed::Short)?;
        if !entries.len().is_multiple_of(entry_size(interleaved)) {
            return Err(Malformed::Field);
        }
        Ok(Forward {
            cumulative: u32::from_be_bytes(*head),
            entries,
            interleaved,
        })
    }

    pub(crate) fn skips(&self) -> impl Iterator<Item = Skip> + use<'a> {
        let interleaved = self.interleaved;
        self.entries
            .chunks_exact(entry_size(interleaved))
            .map(move |entry| {
                let stream = u16::from_be_bytes([entry[0], entry[1]]);
                match interleaved {
                    true => Skip {
                        stream,
                        unordered: entry[3] & 1 != 0,
                        message: u32::from_be_bytes([entry[4], entry[5], entry[6], entry[7]]),
                    },
                    false => Skip {
                        stream,
                        unordered: false,
                        message: u32::from(u16::from_be_bytes([entry[2], entry[3]])),
                    },
                }
            })
    }
}

/// How many skips fit into `room` bytes.
pub(crate) fn capacity(room: usize, interleaved: bool) -> usize {
    room.saturating_sub(8) / entry_size(interleaved)
}

/// Writes the chunk; `false` when it does not fit.
pub(crate) fn emit(
    packet: &mut Builder<'_>,
    cumulative: u32,
    skips: &[Skip],
    interleaved: bool,
) -> bool {
    let kind = match interleaved {
        true => kind::I_FORWARD_TSN,
        false => kind::FORWARD_TSN,
    };
    let size = entry_size(interleaved);
    let Some(value) = packet.chunk(kind, 0, 8 + size * skips.len()) else {
        return false;
    };
    value[..4].copy_from_slice(&cumulative.to_be_bytes());
    for (place, skip) in value[4..].chunks_exact_mut(size).zip(skips) {
        place[..2].copy_from_slice(&skip.stream.to_be_bytes());
        if interleaved {
            place[2..4].copy_from_slice(&u16::from(skip.unordered).to_be_bytes());
            place[4..].copy_from_slice(&skip.message.to_be_bytes());
        } else {
            place[2..].copy_from_slice(&(skip.message as u16).to_be_bytes());
        }
    }
    true
}
