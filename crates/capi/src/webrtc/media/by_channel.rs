//! Pictures over a data channel.
//!
//! Whole ones are one message each. Chunks begin with five bytes: bit 7 of the first marks the last chunk of a picture, the
//! other bits count the chunks of a picture from 0; then the bytes that follow, as a big-endian number.

use esp_wire::{DataFrame, DataKind, Frame};

use crate::peer::default::callbacks::Channels;
use crate::webrtc::config::Pictures;
use crate::webrtc::peers::Slot;

const HEADER: usize = 5;
const LAST: u8 = 0x80;
const COUNT: u8 = 0x7f;
/// Chunks of one picture at most: what the count can tell.
const MOST_CHUNKS: usize = 128;
/// Bytes of one picture at most, both ways.
const MOST_BYTES: usize = 512 * 1024;

/// Takes pictures to the first open channel.
#[derive(Clone)]
pub(in crate::webrtc) struct PictureSender {
    way: Pictures,
    slot: Slot,
    channels: Channels,
    /// Filled anew for each chunk.
    memory: Vec<u8>,
}

impl PictureSender {
    pub(in crate::webrtc) fn new(way: Pictures, slot: Slot, channels: Channels) -> Self {
        PictureSender {
            way,
            slot,
            channels,
            memory: Vec::new(),
        }
    }

    /// Sends a picture; what does not fit is dropped, as on a wire that loses.
    pub(super) fn send(&mut self, frame: Frame<'_>) {
        let (Some(peer), Some(stream_id)) = (self.slot.connection(), self.channels.first()) else {
            return;
        };
        let message = |data: &[u8]| {
            peer.send_data(DataFrame {
                kind: DataKind::Binary,
                stream_id,
                data,
            })
        };
        let sent = match self.way {
            Pictures::Whole => message(frame.data),
            Pictures::Chunks(size) => {
                chunks(frame.data, size, &mut self.memory, |chunk| message(chunk))
            }
        };
        if let Err(error) = sent {
            tracing::debug!("a picture is dropped: {error}");
        }
    }
}

/// Cuts a picture into chunks.
fn chunks(
    picture: &[u8],
    size: usize,
    memory: &mut Vec<u8>,
    mut send: impl FnMut(&[u8]) -> Result<(), esp_peer::Error>,
) -> Result<(), esp_peer::Error> {
    // A picture of more chunks than can be counted has larger ones.
    let size = size.max(picture.len().div_ceil(MOST_CHUNKS)).max(1);
    if picture.len() > MOST_BYTES {
        return Err(esp_peer::Error::OverLimit("a picture of more than 512 KiB"));
    }
    let count = picture.len().div_ceil(size);
    for (at, part) in picture.chunks(size).enumerate() {
        let last = if at + 1 == count { LAST } else { 0 };
        memory.clear();
        memory.push(last | (at as u8 & COUNT));
        memory.extend_from_slice(&(part.len() as u32).to_be_bytes());
        memory.extend_from_slice(part);
        send(memory)?;
    }
    Ok(())
}

/// Puts chunks together again, in memory that is bounded.
#[derive(Default)]
pub(in crate::webrtc) struct Assembler {
    picture: Vec<u8>,
    /// The next chunk of the picture; none while waiting for a first one.
    next: u8,
}

impl Assembler {
    /// Takes a chunk; the picture that it completes. What does not go on from the chunk before is dropped up to the
    /// next first chunk.
    pub(in crate::webrtc) fn take(&mut self, chunk: &[u8]) -> Option<&[u8]> {
        let (header, payload) = chunk.split_at_checked(HEADER)?;
        let (mark, length) = header.split_first()?;
        let length = u32::from_be_bytes(length.try_into().ok()?);
        let count = mark & COUNT;
        if count == 0 {
            self.picture.clear();
            self.next = 0;
        }
        let fits = payload.len() as u64 == u64::from(length)
            && self.picture.len() + payload.len() <= MOST_BYTES;
        if count != self.next || !fits {
            self.next = MOST_CHUNKS as u8;
            return None;
        }
        self.picture.extend_from_slice(payload);
        if mark & LAST == 0 {
            self.next += 1;
            return None;
        }
        self.next = MOST_CHUNKS as u8;
        Some(&self.picture)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(picture: &[u8], size: usize) -> Vec<Vec<u8>> {
        let mut made = Vec::new();
        let sent = chunks(picture, size, &mut Vec::new(), |chunk| {
            made.push(chunk.to_vec());
            Ok(())
        });
        assert!(sent.is_ok());
        made
    }

    #[test]
    fn what_is_cut_is_put_together_again() {
        let picture: Vec<u8> = (0..25_000_u32).map(|at| at as u8).collect();
        let made = cut(&picture, 10_000);
        assert_eq!(made.len(), 3);
        assert_eq!(made[0][..HEADER], [0, 0, 0, 0x27, 0x10]);
        assert_eq!(made[2][..HEADER], [0x82, 0, 0, 0x13, 0x88]);
        let mut assembler = Assembler::default();
        for _ in 0..2 {
            assert_eq!(assembler.take(&made[0]), None);
            assert_eq!(assembler.take(&made[1]), None);
            assert_eq!(assembler.take(&made[2]), Some(&picture[..]));
        }
        // As many as can be counted, however small they were to be.
        assert_eq!(cut(&picture, 1).len(), 128);
    }

    #[test]
    fn a_gap_costs_one_picture_and_memory_is_bounded() {
        let made = cut(&[7; 300], 100);
        let mut assembler = Assembler::default();
        for at in [0, 2, 1, 2] {
            assert_eq!(assembler.take(&made[at]), None);
        }
        assert_eq!(assembler.take(&made[0]), None);
        assert_eq!(assembler.take(&made[1]), None);
        assert!(assembler.take(&made[2]).is_some());
        // No header, or a length that is not its own.
        assert_eq!(assembler.take(&[0x80, 0, 0]), None);
        assert_eq!(assembler.take(&[0x80, 0, 0, 0, 2, 1]), None);
        let huge = vec![0; MOST_BYTES + 1];
        let mut large = vec![LAST, 0, 8, 0, 1];
        large.extend_from_slice(&huge);
        assert_eq!(assembler.take(&large), None);
        let sent = chunks(&huge, 100, &mut Vec::new(), |_| Ok(()));
        assert!(sent.is_err());
    }
}
