//! DATA (RFC 9260 §3.3.1) and I-DATA (RFC 8260 §2.1).

use super::kind;
use crate::{Malformed, packet::Builder};

/// Bytes before the user data of a DATA chunk.
pub(crate) const DATA_HEADER: usize = 16;
/// Bytes before the user data of an I-DATA chunk.
pub(crate) const I_DATA_HEADER: usize = 20;

/// Flag bits.
pub(crate) mod flag {
    /// Last fragment.
    pub(crate) const END: u8 = 1;
    /// First fragment.
    pub(crate) const BEGIN: u8 = 2;
    /// Unordered.
    pub(crate) const UNORDERED: u8 = 4;
    /// SACK at once (RFC 7053).
    pub(crate) const IMMEDIATE: u8 = 8;
}

/// One fragment of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Data<'a> {
    pub(crate) flags: u8,
    pub(crate) tsn: u32,
    pub(crate) stream: u16,
    /// SSN of DATA, MID of I-DATA.
    pub(crate) message: u32,
    /// Only in a first fragment when it is I-DATA.
    pub(crate) ppid: u32,
    /// Only in I-DATA.
    pub(crate) fragment: u32,
    pub(crate) payload: &'a [u8],
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

impl<'a> Data<'a> {
    /// Reads the value of a DATA or, when `interleaved`, an I-DATA chunk.
    pub(crate) fn parse(flags: u8, value: &'a [u8], interleaved: bool) -> Result<Self, Malformed> {
        let fixed = match interleaved {
            true => I_DATA_HEADER - 4,
            false => DATA_HEADER - 4,
        };
        let (head, payload) = value.split_at_checked(fixed).ok_or(Malformed::Short)?;
        let begins = flags & flag::BEGIN != 0;
        let (message, ppid, fragment) = match interleaved {
            false => (
                u32::from(u16::from_be_bytes([head[6], head[7]])),
                word(head, 8),
                0,
            ),
            // RFC 8260 §2.1: one field is the PPID in the first fragment, the FSN in others.
            true if begins => (word(head, 8), word(head, 12), 0),
            true => (word(head, 8), 0, word(head, 12)),
        };
        Ok(Data {
            flags: flags & 0x0f,
            tsn: word(head, 0),
            stream: u16::from_be_bytes([head[4], head[5]]),
            message,
            ppid,
            fragment,
            payload,
        })
    }

    /// True for the first fragment.
    pub(crate) fn begins(&self) -> bool {
        self.flags & flag::BEGIN != 0
    }

    /// True for the last fragment.
    pub(crate) fn ends(&self) -> bool {
        self.flags & flag::END != 0
    }

    /// True for an unordered message.
    pub(crate) fn unordered(&self) -> bool {
        self.flags & flag::UNORDERED != 0
    }

    /// Writes the chunk; `false` when it does not fit.
    pub(crate) fn emit(&self, packet: &mut Builder<'_>, interleaved: bool) -> bool {
        let (kind, header) = match interleaved {
            true => (kind::I_DATA, I_DATA_HEADER),
            false => (kind::DATA, DATA_HEADER),
        };
        let Some(value) = packet.chunk(kind, self.flags, header + self.payload.len()) else {
            return false;
        };
        value[..4].copy_from_slice(&self.tsn.to_be_bytes());
        value[4..6].copy_from_slice(&self.stream.to_be_bytes());
        if interleaved {
            let last = match self.begins() {
                true => self.ppid,
                false => self.fragment,
            };
            value[6..8].fill(0);
            value[8..12].copy_from_slice(&self.message.to_be_bytes());
            value[12..16].copy_from_slice(&last.to_be_bytes());
        } else {
            value[6..8].copy_from_slice(&(self.message as u16).to_be_bytes());
            value[8..12].copy_from_slice(&self.ppid.to_be_bytes());
        }
        value[header - 4..].copy_from_slice(self.payload);
        true
    }
}
