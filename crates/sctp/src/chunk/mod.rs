//! Chunks and their parameters (RFC 9260 §3.2, §3.3): one module a family.

pub(crate) mod control;
pub(crate) mod data;
pub(crate) mod forward;
pub(crate) mod init;
pub(crate) mod reconfig;
pub(crate) mod sack;

#[cfg(test)]
mod tests;

use crate::Malformed;

/// Chunk types.
pub(crate) mod kind {
    pub(crate) const DATA: u8 = 0;
    pub(crate) const INIT: u8 = 1;
    pub(crate) const INIT_ACK: u8 = 2;
    pub(crate) const SACK: u8 = 3;
    pub(crate) const HEARTBEAT: u8 = 4;
    pub(crate) const HEARTBEAT_ACK: u8 = 5;
    pub(crate) const ABORT: u8 = 6;
    pub(crate) const SHUTDOWN: u8 = 7;
    pub(crate) const SHUTDOWN_ACK: u8 = 8;
    pub(crate) const ERROR: u8 = 9;
    pub(crate) const COOKIE_ECHO: u8 = 10;
    pub(crate) const COOKIE_ACK: u8 = 11;
    /// RFC 4960 appendix A.
    pub(crate) const ECNE: u8 = 12;
    pub(crate) const CWR: u8 = 13;
    pub(crate) const SHUTDOWN_COMPLETE: u8 = 14;
    /// RFC 8260 §2.1.
    pub(crate) const I_DATA: u8 = 64;
    /// RFC 6525 §3.1.
    pub(crate) const RE_CONFIG: u8 = 130;
    /// RFC 4820 §3.
    pub(crate) const PAD: u8 = 132;
    /// RFC 3758 §3.2.
    pub(crate) const FORWARD_TSN: u8 = 192;
    /// RFC 8260 §2.3.1.
    pub(crate) const I_FORWARD_TSN: u8 = 194;
}

/// A type, flags or code, a length, and a value: a chunk or a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chunk<'a> {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    /// The value, without padding.
    pub(crate) value: &'a [u8],
    /// The whole chunk with its header, without padding.
    pub(crate) whole: &'a [u8],
}

/// Walks over the chunks of a packet; ends after the first that does not fit.
#[derive(Clone, Debug)]
pub(crate) struct Chunks<'a> {
    rest: &'a [u8],
}

impl<'a> Chunks<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Chunks { rest: bytes }
    }
}

/// Splits a type-length-value off; the last one's padding may be missing.
fn split(rest: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let [_, _, high, low, ..] = *rest else {
        return Err(Malformed::Short);
    };
    let len = usize::from(u16::from_be_bytes([high, low]));
    if len < 4 || len > rest.len() {
        return Err(Malformed::Short);
    }
    let end = len.next_multiple_of(4).min(rest.len());
    Ok((&rest[..len], &rest[end..]))
}

impl<'a> Iterator for Chunks<'a> {
    type Item = Result<Chunk<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let (whole, rest) = match split(self.rest) {
            Ok(parts) => parts,
            Err(malformed) => {
                self.rest = &[];
                return Some(Err(malformed));
            }
        };
        self.rest = rest;
        Some(Ok(Chunk {
            kind: whole[0],
            flags: whole[1],
            value: &whole[4..],
            whole,
        }))
    }
}

/// A parameter of a chunk or a cause of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parameter<'a> {
    pub(crate) kind: u16,
    pub(crate) value: &'a [u8],
    pub(crate) whole: &'a [u8],
}

/// Walks over parameters; ends after the first that does not fit.
#[derive(Clone, Debug)]
pub(crate) struct Parameters<'a> {
    rest: &'a [u8],
}

impl<'a> Parameters<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Parameters { rest: bytes }
    }
}

impl<'a> Iterator for Parameters<'a> {
    type Item = Result<Parameter<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        // RFC 9260 §3.2: the chunk's length may count the padding of its last parameter.
        if self.rest.len() < 4 {
            return None;
        }
        let (whole, rest) = match split(self.rest) {
            Ok(parts) => parts,
            Err(malformed) => {
                self.rest = &[];
                return Some(Err(malformed));
            }
        };
        self.rest = rest;
        Some(Ok(Parameter {
            kind: u16::from_be_bytes([whole[0], whole[1]]),
            value: &whole[4..],
            whole,
        }))
    }
}

/// What the two upper bits of an unknown type ask for (RFC 9260 §3.2, §3.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unknown {
    /// Go on with the next chunk or parameter.
    pub(crate) skip: bool,
    /// Tell the peer.
    pub(crate) report: bool,
}

impl Unknown {
    pub(crate) fn chunk(kind: u8) -> Self {
        Unknown {
            skip: kind & 0x80 != 0,
            report: kind & 0x40 != 0,
        }
    }

    pub(crate) fn parameter(kind: u16) -> Self {
        Unknown {
            skip: kind & 0x8000 != 0,
            report: kind & 0x4000 != 0,
        }
    }
}

/// Appends a parameter to a chunk under construction, behind the padding of the one before; the
/// last one's padding is the chunk's and does not count in its length (RFC 9260 §3.2).
pub(crate) fn put_parameter(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    out.resize(out.len().next_multiple_of(4), 0);
    // Every caller bounds its value well below 64 KiB.
    let len = (value.len() + 4).min(0xffff) as u16;
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(&value[..usize::from(len) - 4]);
}

/// Encodes a whole chunk, padded.
pub(crate) fn encode(kind: u8, flags: u8, value: &[u8]) -> Vec<u8> {
    let len = (value.len() + 4).min(0xffff) as u16;
    let mut out = Vec::with_capacity(usize::from(len).next_multiple_of(4));
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(&value[..usize::from(len) - 4]);
    out.resize(out.len().next_multiple_of(4), 0);
    out
}
