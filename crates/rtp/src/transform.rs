//! A hook that rewrites whole encoded frames: before packetization, or after depacketization.

use esp_wire::Codec;

use crate::TrackId;

/// Which frames a transformer sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// Frames on their way out, before they are cut into packets.
    Sender,
    /// Frames that came in, after they were put together.
    Receiver,
}

/// What is known about a frame that is being transformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameInfo {
    /// Its track.
    pub track: TrackId,
    /// How it is encoded.
    pub codec: Codec,
    /// Its RTP payload type.
    pub payload_type: u8,
}

/// How large a frame becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncodedSize {
    /// Bytes at most after the transformation.
    pub size: usize,
    /// True to transform within one buffer, false for two.
    pub in_place: bool,
}

/// The buffers of one transformation.
#[derive(Debug)]
pub enum Buffers<'a> {
    /// One buffer that begins with the frame; as long as the longer of both lengths.
    InPlace {
        /// The frame, and room behind it if it grows.
        data: &'a mut [u8],
        /// Length of the frame before.
        original: usize,
    },
    /// Two buffers.
    Apart {
        /// The frame before.
        original: &'a [u8],
        /// Where it goes; as long as [`EncodedSize::size`].
        encoded: &'a mut [u8],
    },
}

/// The transformer gave up on a frame; it is dropped and counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransformError;

/// Rewrites encoded frames, for example to encrypt them end to end.
pub trait Transformer: Send {
    /// How large the frame becomes and whether one buffer is enough.
    fn encoded_size(&mut self, info: FrameInfo, frame: &[u8]) -> EncodedSize;

    /// Transforms a frame and returns its new length.
    fn transform(&mut self, info: FrameInfo, buffers: Buffers<'_>)
    -> Result<usize, TransformError>;
}

/// Runs `transformer` over `frame` into `scratch`; `None` when it refused or overshot `most`.
pub(crate) fn run<'s>(
    transformer: &mut dyn Transformer,
    info: FrameInfo,
    frame: &[u8],
    scratch: &'s mut Vec<u8>,
    most: usize,
) -> Option<&'s [u8]> {
    let EncodedSize { size, in_place } = transformer.encoded_size(info, frame);
    if size > most {
        return None;
    }
    scratch.clear();
    let buffers = if in_place {
        scratch.extend_from_slice(frame);
        scratch.resize(size.max(frame.len()), 0);
        Buffers::InPlace {
            data: scratch,
            original: frame.len(),
        }
    } else {
        scratch.resize(size, 0);
        Buffers::Apart {
            original: frame,
            encoded: scratch,
        }
    };
    let len = transformer.transform(info, buffers).ok()?;
    scratch.get(..len)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Xor {
        in_place: bool,
    }

    impl Transformer for Xor {
        fn encoded_size(&mut self, _: FrameInfo, frame: &[u8]) -> EncodedSize {
            EncodedSize {
                size: frame.len() + 1,
                in_place: self.in_place,
            }
        }

        fn transform(
            &mut self,
            _: FrameInfo,
            buffers: Buffers<'_>,
        ) -> Result<usize, TransformError> {
            match buffers {
                Buffers::InPlace { data, original } => {
                    data[..original].iter_mut().for_each(|byte| *byte ^= 1);
                    data[original] = b'!';
                    Ok(original + 1)
                }
                Buffers::Apart { original, encoded } => {
                    for (to, from) in encoded.iter_mut().zip(original) {
                        *to = from ^ 1;
                    }
                    encoded[original.len()] = b'!';
                    Ok(encoded.len())
                }
            }
        }
    }

    #[test]
    fn both_kinds_of_buffers_give_the_same_frame() {
        let info = FrameInfo {
            track: TrackId(0),
            codec: Codec::Opus,
            payload_type: 111,
        };
        for in_place in [false, true] {
            let mut scratch = vec![9; 3];
            let frame = run(&mut Xor { in_place }, info, b"abc", &mut scratch, 10);
            assert_eq!(frame, Some(&b"`cb!"[..]));
            assert_eq!(
                run(&mut Xor { in_place }, info, b"abc", &mut scratch, 3),
                None
            );
        }
    }
}
