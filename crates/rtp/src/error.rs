//! What a command of the session can refuse.

use std::fmt;

/// Why a command was refused; nothing that the network sends leads here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The caller did something that the state does not allow.
    Misuse(Misuse),
    /// The caller's bytes are not what their codec says.
    Malformed(Malformed),
    /// The send pool holds no room for this frame now; try again after the next transmissions.
    WouldBlock,
}

/// A mistake of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misuse {
    /// No such track.
    UnknownTrack,
    /// The track does not send, or no codec was negotiated for it.
    NotSending,
    /// A limit in the configuration is zero or contradicts another one.
    Config(&'static str),
    /// More m-sections than the configuration allows.
    TooManyTracks,
    /// Two m-sections have the same identifier, or an identifier is empty or longer than 255 bytes.
    BadMid,
    /// A payload type is above 127, or used twice in one m-section, or means RTCP under
    /// multiplexing (RFC 5761 §4).
    BadPayloadType(u8),
    /// The codec cannot be carried in RTP by this crate, or is of the other kind.
    BadCodec,
    /// The frame would need more packets than the send pool has.
    FrameTooLarge,
}

/// A frame that is not what its codec says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// No bytes.
    Empty,
    /// No Annex B start code.
    NoStartCode,
    /// A NAL unit longer than a packet, and packetization-mode 0 allows no fragments
    /// (RFC 6184 §6.2); or an Opus packet that is longer than a packet.
    TooLongForPacket,
    /// The transformer refused the frame.
    Transform,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::WouldBlock => f.write_str("the send pool is full"),
            Error::Misuse(misuse) => match misuse {
                Misuse::UnknownTrack => f.write_str("no such track"),
                Misuse::NotSending => f.write_str("the track does not send"),
                Misuse::Config(what) => write!(f, "configuration: {what}"),
                Misuse::TooManyTracks => f.write_str("too many m-sections"),
                Misuse::BadMid => f.write_str("an m-section's identifier is not usable"),
                Misuse::BadPayloadType(pt) => write!(f, "payload type {pt} is not usable"),
                Misuse::BadCodec => f.write_str("the codec does not fit the m-section"),
                Misuse::FrameTooLarge => f.write_str("the frame is larger than the send pool"),
            },
            Error::Malformed(malformed) => f.write_str(match malformed {
                Malformed::Empty => "the frame is empty",
                Malformed::NoStartCode => "the frame has no Annex B start code",
                Malformed::TooLongForPacket => "the frame does not fit a packet",
                Malformed::Transform => "the transformer refused the frame",
            }),
        }
    }
}

impl std::error::Error for Error {}

impl From<Misuse> for Error {
    fn from(misuse: Misuse) -> Self {
        Error::Misuse(misuse)
    }
}

impl From<Malformed> for Error {
    fn from(malformed: Malformed) -> Self {
        Error::Malformed(malformed)
    }
}
