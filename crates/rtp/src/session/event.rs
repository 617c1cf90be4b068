//! What a session says: events, deadlines and classes of output.

use std::time::Duration;

use esp_wire::Codec;

use super::TrackId;

/// What happened; payloads are borrowed until the next call.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The first packet of a stream or of another codec in it came in.
    TrackStarted {
        /// Its m-section.
        track: TrackId,
        /// What it carries.
        codec: Codec,
        /// Its SSRC.
        ssrc: u32,
    },
    /// A stream is over.
    TrackEnded {
        /// Its m-section.
        track: TrackId,
        /// Its SSRC.
        ssrc: u32,
        /// Why.
        reason: EndReason,
    },
    /// A frame is complete, in order.
    Frame {
        /// Its m-section.
        track: TrackId,
        /// Its SSRC.
        ssrc: u32,
        /// How it is encoded.
        codec: Codec,
        /// Presentation time since the first packet of its stream.
        pts: Duration,
        /// When it was captured by the sender's calendar (time since 1970), once a sender report
        /// told; equal for sound and pictures that belong together.
        captured: Option<Duration>,
        /// The frame: an access unit in Annex B, an Opus packet or G.711 samples.
        data: &'a [u8],
        /// Video: it can be decoded without any frame before it. Sound: always true.
        keyframe: bool,
        /// Video: clockwise rotation that the sender asks for, in degrees (0, 90, 180, 270).
        rotation: u16,
        /// Sound: level in -dBov (0 loudest, 127 silence), when the packet says (RFC 6464).
        audio_level: Option<u8>,
    },
    /// The peer needs a keyframe of what is sent on this track (PLI or FIR).
    KeyframeRequested {
        /// The m-section that sends.
        track: TrackId,
    },
    /// The peer says how much it can take in all (REMB).
    BitrateHint {
        /// Bits a second.
        bitrate: u64,
    },
    /// So much the path carries, all media together; what is encoded should keep below it.
    BitrateEstimate {
        /// Bits a second, RTP headers counted.
        bitrate: u64,
    },
    /// The peer said which packets arrived when (transport-wide feedback).
    TransportFeedback(crate::congestion::Observation),
}

/// Why a received stream is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// The peer said so (RTCP BYE).
    Bye,
    /// Nothing came for `Config::stream_timeout`.
    Timeout,
    /// The negotiation took it away.
    Removed,
}

/// Why the session wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Why {
    /// A regular report (RFC 3550 §6.2) is due.
    Report,
    /// Missing packets are to be requested.
    Nack,
    /// A gap in a stream has waited long enough.
    Gap,
    /// A keyframe is to be requested.
    Keyframe,
    /// Transport-wide feedback is due.
    TransportFeedback,
    /// The pacer lets the next packets through.
    Pacing,
    /// A stream has been silent for long.
    Silence,
    /// No feedback has come for long.
    Bandwidth,
}

/// What a train carries, and so how SRTP protects it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// RTP packets.
    Rtp,
    /// RTCP packets.
    Rtcp,
}
