//! Frames and what they are made of.

use std::fmt;
use std::time::Duration;

/// Audio or video.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Sound.
    Audio,
    /// Pictures.
    Video,
}

/// How a frame is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Codec {
    /// ITU-T H.264, Annex B byte stream; 90 kHz on the wire.
    H264,
    /// Motion JPEG, one picture a frame; over the data channel only.
    Mjpeg,
    /// Opus (RFC 6716), 48 kHz on the wire.
    Opus,
    /// G.711 A-law, 8 kHz mono.
    Pcma,
    /// G.711 µ-law, 8 kHz mono.
    Pcmu,
}

impl Codec {
    /// Whether it carries sound or pictures.
    pub const fn kind(self) -> Kind {
        match self {
            Codec::H264 | Codec::Mjpeg => Kind::Video,
            Codec::Opus | Codec::Pcma | Codec::Pcmu => Kind::Audio,
        }
    }

    /// Ticks a second of its RTP timestamp.
    pub const fn clock_rate(self) -> u32 {
        match self {
            Codec::H264 | Codec::Mjpeg => 90_000,
            Codec::Opus => 48_000,
            Codec::Pcma | Codec::Pcmu => 8_000,
        }
    }

    /// Its encoding name in SDP.
    pub const fn name(self) -> &'static str {
        match self {
            Codec::H264 => "H264",
            Codec::Mjpeg => "JPEG",
            Codec::Opus => "opus",
            Codec::Pcma => "PCMA",
            Codec::Pcmu => "PCMU",
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One picture or one packet of sound, encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Presentation time since the start of its stream.
    pub pts: Duration,
    /// The encoded bytes.
    pub data: &'a [u8],
}

/// What an audio stream carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioInfo {
    /// How its frames are encoded.
    pub codec: Codec,
    /// Samples a second.
    pub sample_rate: u32,
    /// 1 or 2.
    pub channels: u8,
}

/// What a video stream carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VideoInfo {
    /// How its frames are encoded.
    pub codec: Codec,
    /// Pixels; 0 when not known yet.
    pub width: u32,
    /// Pixels; 0 when not known yet.
    pub height: u32,
    /// Frames a second; 0 when not known.
    pub fps: u32,
}

/// Which way a medium flows, seen from here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Not at all.
    #[default]
    None,
    /// From here to the peer.
    SendOnly,
    /// From the peer to here.
    RecvOnly,
    /// Both ways.
    SendRecv,
}

impl Direction {
    /// Whether something flows out.
    pub const fn sends(self) -> bool {
        matches!(self, Direction::SendOnly | Direction::SendRecv)
    }

    /// Whether something flows in.
    pub const fn receives(self) -> bool {
        matches!(self, Direction::RecvOnly | Direction::SendRecv)
    }

    /// The direction with these two halves.
    pub const fn of(sends: bool, receives: bool) -> Self {
        match (sends, receives) {
            (true, true) => Direction::SendRecv,
            (true, false) => Direction::SendOnly,
            (false, true) => Direction::RecvOnly,
            (false, false) => Direction::None,
        }
    }

    /// The same flow seen from the other side.
    pub const fn reversed(self) -> Self {
        Direction::of(self.receives(), self.sends())
    }
}

/// What a data channel message holds (RFC 8831 §8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DataKind {
    /// Bytes.
    Binary,
    /// UTF-8 text.
    Text,
}

/// Bytes of a message on their way down, to be copied or not.
#[derive(Debug)]
pub enum Bytes<'a> {
    /// To be copied.
    Lent(&'a [u8]),
    /// To be taken over: what is left in its place is empty, with memory to fill again where there is some.
    Given(&'a mut Vec<u8>),
}

impl Bytes<'_> {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Bytes::Lent(data) => data.len(),
            Bytes::Given(data) => data.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One message on a data channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataFrame<'a> {
    /// Bytes or text.
    pub kind: DataKind,
    /// The SCTP stream of the channel.
    pub stream_id: u16,
    /// The message.
    pub data: &'a [u8],
}
