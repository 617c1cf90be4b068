//! SACK (RFC 9260 §3.3.4).

use super::kind;
use crate::{Malformed, packet::Builder};

/// Bytes of a SACK without blocks and duplicates, chunk header included.
pub(crate) const SACK_HEADER: usize = 16;

/// A received SACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sack<'a> {
    pub(crate) cumulative: u32,
    pub(crate) window: u32,
    blocks: &'a [u8],
    duplicates: &'a [u8],
    /// What it does not name is missing; so it is but for the acknowledgement in a SHUTDOWN (RFC 9260 §3.3.8).
    pub(crate) complete: bool,
}

impl<'a> Sack<'a> {
    pub(crate) fn parse(value: &'a [u8]) -> Result<Self, Malformed> {
        let (head, rest) = value.split_at_checked(12).ok_or(Malformed::Short)?;
        let blocks = usize::from(u16::from_be_bytes([head[8], head[9]])) * 4;
        let duplicates = usize::from(u16::from_be_bytes([head[10], head[11]])) * 4;
        let (blocks, rest) = rest.split_at_checked(blocks).ok_or(Malformed::Short)?;
        let duplicates = rest.get(..duplicates).ok_or(Malformed::Short)?;
        Ok(Sack {
            cumulative: u32::from_be_bytes([head[0], head[1], head[2], head[3]]),
            window: u32::from_be_bytes([head[4], head[5], head[6], head[7]]),
            blocks,
            duplicates,
            complete: true,
        })
    }

    /// What a SHUTDOWN acknowledges, with the window that was announced before.
    pub(crate) fn plain(cumulative: u32, window: u32) -> Self {
        Sack {
            cumulative,
            window,
            blocks: &[],
            duplicates: &[],
            complete: false,
        }
    }

    /// Gap ack blocks that it has.
    pub(crate) fn block_count(&self) -> usize {
        self.blocks.len() / 4
    }

    /// Gap ack blocks: first and last offset from the cumulative TSN.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = (u16, u16)> + use<'a> {
        self.blocks.chunks_exact(4).map(|block| {
            (
                u16::from_be_bytes([block[0], block[1]]),
                u16::from_be_bytes([block[2], block[3]]),
            )
        })
    }

    /// TSNs that arrived more than once.
    pub(crate) fn duplicates(&self) -> impl Iterator<Item = u32> + use<'a> {
        self.duplicates
            .chunks_exact(4)
            .map(|tsn| u32::from_be_bytes([tsn[0], tsn[1], tsn[2], tsn[3]]))
    }
}

/// Gap ack blocks that a SACK alone in a packet of so many bytes holds.
pub(crate) fn capacity(packet_size: usize) -> usize {
    packet_size.saturating_sub(crate::packet::HEADER + SACK_HEADER) / 4
}

/// Writes a SACK with as many blocks and duplicates as fit; `false` when not even the head does.
pub(crate) fn emit(
    packet: &mut Builder<'_>,
    cumulative: u32,
    window: u32,
    blocks: impl ExactSizeIterator<Item = (u16, u16)>,
    duplicates: &[u32],
) -> bool {
    let fits = packet.room().saturating_sub(SACK_HEADER) / 4;
    let block_count = blocks.len().min(fits);
    let duplicate_count = duplicates.len().min(fits - block_count);
    let len = SACK_HEADER + 4 * (block_count + duplicate_count);
    let Some(value) = packet.chunk(kind::SACK, 0, len) else {
        return false;
    };
    value[..4].copy_from_slice(&cumulative.to_be_bytes());
    value[4..8].copy_from_slice(&window.to_be_bytes());
    value[8..10].copy_from_slice(&(block_count as u16).to_be_bytes());
    value[10..12].copy_from_slice(&(duplicate_count as u16).to_be_bytes());
    let (head, tail) = value[12..].split_at_mut(4 * block_count);
    for (place, (start, end)) in head.chunks_exact_mut(4).zip(blocks) {
        place[..2].copy_from_slice(&start.to_be_bytes());
        place[2..].copy_from_slice(&end.to_be_bytes());
    }
    for (place, tsn) in tail.chunks_exact_mut(4).zip(duplicates) {
        place.copy_from_slice(&tsn.to_be_bytes());
    }
    true
}
