//! Boxes: a size, a four-character code, a payload.

use std::io::{Read, Seek, SeekFrom};

use esp_wire::Reader;

use super::FourCc;
use crate::Error;

/// A box of a file: where its payload lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) kind: FourCc,
    /// Where the box itself begins.
    pub(super) start: u64,
    /// Where its payload begins.
    pub(super) payload: u64,
    /// Where it ends, possibly after the end of the file.
    pub(super) end: u64,
}

/// Reads the header of the box at `start`; `None` at the end of the file or within a cut header.
pub(super) fn read_header<R: Read + Seek>(
    file: &mut R,
    start: u64,
    length: u64,
) -> Result<Option<Header>, Error> {
    let left = length.saturating_sub(start);
    if left < 8 {
        return Ok(None);
    }
    file.seek(SeekFrom::Start(start))?;
    let mut head = [0; 16];
    file.read_exact(&mut head[..8])?;
    let size = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
    let kind = [head[4], head[5], head[6], head[7]];
    let (size, payload) = match size {
        // The last box of a file may leave its size open.
        0 => (left, 8),
        1 => {
            if left < 16 {
                return Ok(None);
            }
            file.read_exact(&mut head[8..])?;
            let large: [u8; 8] = head[8..].try_into().expect("eight bytes");
            (u64::from_be_bytes(large), 16)
        }
        size => (u64::from(size), 8),
    };
    if size < payload {
        return Err(Error::malformed(
            "a box of the MP4 file is smaller than its head",
        ));
    }
    Ok(Some(Header {
        kind,
        start,
        payload: start + payload,
        end: start.saturating_add(size),
    }))
}

/// Reads the payload of a box of at most `limit` bytes.
pub(super) fn read_payload<R: Read + Seek>(
    file: &mut R,
    header: Header,
    limit: u64,
) -> Result<Vec<u8>, Error> {
    let size = header.end - header.payload;
    if size > limit {
        return Err(Error::malformed("a box of the MP4 file is too large"));
    }
    file.seek(SeekFrom::Start(header.payload))?;
    let mut payload = vec![0; size as usize];
    file.read_exact(&mut payload)?;
    Ok(payload)
}

/// The boxes within a payload.
pub(super) struct Boxes<'a> {
    reader: Reader<'a>,
}

impl<'a> Boxes<'a> {
    pub(super) fn new(payload: &'a [u8]) -> Self {
        Boxes {
            reader: Reader::new(payload),
        }
    }

    /// The payload of the first box of this kind.
    pub(super) fn find(payload: &'a [u8], kind: &FourCc) -> Option<&'a [u8]> {
        Boxes::new(payload).find_map(|(found, payload)| (found == *kind).then_some(payload))
    }

    /// The payload of the first box of this kind, which must be there.
    pub(super) fn need(payload: &'a [u8], kind: &FourCc) -> Result<&'a [u8], Error> {
        Boxes::find(payload, kind).ok_or_else(|| {
            Error::malformed(format!(
                "the MP4 file has no {} box",
                String::from_utf8_lossy(kind)
            ))
        })
    }
}

impl<'a> Iterator for Boxes<'a> {
    type Item = (FourCc, &'a [u8]);

    /// The next box; what does not fit ends the list.
    fn next(&mut self) -> Option<Self::Item> {
        let size = self.reader.u32().ok()?;
        let kind = self.reader.array().ok()?;
        let payload = match size {
            0 => self.reader.remaining(),
            1 => usize::try_from(self.reader.u64().ok()?)
                .ok()?
                .checked_sub(16)?,
            size => (size as usize).checked_sub(8)?,
        };
        Some((kind, self.reader.take(payload).ok()?))
    }
}

/// Reads the version and flags that begin a full box.
pub(super) fn version_and_flags(reader: &mut Reader<'_>) -> Result<(u8, u32), Error> {
    let word = reader.u32().map_err(short)?;
    Ok(((word >> 24) as u8, word & 0xff_ffff))
}

pub(super) fn short(_: esp_wire::ShortRead) -> Error {
    Error::malformed("a box of the MP4 file ends too early")
}
