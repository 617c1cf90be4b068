//! ChannelData and the framing of streams (RFC 8656 §3.7, §12.4 to §12.6).

use std::ops::RangeInclusive;

use crate::message::Message;
use crate::turn::TurnError;

/// Bytes before the data of a ChannelData message.
pub(crate) const CHANNEL_HEADER: usize = 4;
/// The numbers that channels may have (RFC 8656 §12).
pub(crate) const CHANNELS: RangeInclusive<u16> = 0x4000..=0x4FFF;
/// The longest frame on a stream, header and padding included.
pub const MAX_FRAME: usize = 65_535 + CHANNEL_HEADER + 17;

/// Whether a datagram from a TURN server is ChannelData: its first byte is 64 to 79 (RFC 7983 §7).
pub fn is_channel_data(bytes: &[u8]) -> bool {
    bytes.len() >= CHANNEL_HEADER && (0x40..=0x4F).contains(&bytes[0])
}

/// The header of ChannelData with `len` bytes of data.
pub(crate) fn channel_header(number: u16, len: usize) -> [u8; CHANNEL_HEADER] {
    let [high, low] = number.to_be_bytes();
    let [len_high, len_low] = (len as u16).to_be_bytes();
    [high, low, len_high, len_low]
}

/// Number and data length of ChannelData whose data is all there; padding may follow.
pub(crate) fn split_channel_data(bytes: &[u8]) -> Option<(u16, usize)> {
    let [high, low, len_high, len_low] = *bytes.first_chunk::<CHANNEL_HEADER>()?;
    let len = usize::from(u16::from_be_bytes([len_high, len_low]));
    // RFC 8656 §12.6: what is shorter than its length says is discarded.
    (bytes.len() >= CHANNEL_HEADER + len).then_some((u16::from_be_bytes([high, low]), len))
}

/// Cuts a stream from a TURN server into STUN and ChannelData messages.
///
/// It holds one frame at most, plus what came with it.
#[derive(Debug, Default)]
pub struct Framer {
    buffer: Vec<u8>,
    /// Bytes at the front that were handed out already.
    taken: usize,
}

impl Framer {
    /// An empty one.
    pub fn new() -> Self {
        Framer::default()
    }

    /// Appends bytes of the stream, after which [`Framer::next_frame`] is called until it has none.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// What has not been cut yet, for a stream that speaks another protocol from here on (RFC 6062).
    pub fn rest(&self) -> &[u8] {
        &self.buffer[self.taken..]
    }

    /// The next whole message, padding included; an error means that the stream must be closed.
    pub fn next_frame(&mut self) -> Result<Option<&mut [u8]>, TurnError> {
        let rest = &self.buffer[self.taken..];
        let Some(len) = frame_len(rest)?.filter(|len| *len <= rest.len()) else {
            return Ok(None);
        };
        let start = self.taken;
        self.taken += len;
        Ok(Some(&mut self.buffer[start..start + len]))
    }
}

/// Length of the frame at the start of a stream, once it is known.
fn frame_len(bytes: &[u8]) -> Result<Option<usize>, TurnError> {
    match bytes.first() {
        None => Ok(None),
        Some(0x40..=0x4F) => Ok(bytes.first_chunk::<CHANNEL_HEADER>().map(|header| {
            // RFC 8656 §12.5: over a stream, ChannelData is padded to a multiple of four.
            let len = usize::from(u16::from_be_bytes([header[2], header[3]]));
            CHANNEL_HEADER + len.next_multiple_of(4)
        })),
        Some(_) => Message::frame_len(bytes).map_err(|_| TurnError::OutOfStep),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MessageBuilder, Method, TransactionId};

    fn stream() -> (Vec<u8>, Vec<Vec<u8>>) {
        let mut buffer = [0; 64];
        let id = TransactionId([1; 12]);
        let mut builder = MessageBuilder::request(&mut buffer, Method::BINDING, id);
        let len = builder.username("abc").finish().unwrap();
        let mut channel = channel_header(0x4001, 5).to_vec();
        channel.extend(b"hello\0\0\0");
        let empty = channel_header(0x4FFF, 0).to_vec();
        let frames = vec![buffer[..len].to_vec(), channel.clone(), empty, channel];
        (frames.concat(), frames)
    }

    #[test]
    fn frames_come_out_however_the_stream_is_cut() {
        let (bytes, expected) = stream();
        for size in 1..=bytes.len() {
            let mut framer = Framer::new();
            let mut frames = Vec::new();
            for part in bytes.chunks(size) {
                framer.push(part);
                while let Some(frame) = framer.next_frame().unwrap() {
                    frames.push(frame.to_vec());
                }
            }
            assert_eq!(frames, expected);
        }
    }

    #[test]
    fn another_protocol_is_out_of_step() {
        let mut framer = Framer::new();
        framer.push(b"\x16\x03\x03\x00\x40\x02\x00\x00");
        assert_eq!(framer.next_frame(), Err(TurnError::OutOfStep));
    }
}
