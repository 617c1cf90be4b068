//! Figures of a session.

use std::time::Duration;

use esp_wire::Codec;

use super::TrackId;

/// Figures of a whole session.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stats {
    /// One entry for each m-section.
    pub tracks: Vec<TrackStats>,
    /// What was dropped.
    pub dropped: Dropped,
    /// RTCP packets (datagrams) received.
    pub rtcp_received: u64,
    /// RTCP packets (datagrams) sent.
    pub rtcp_sent: u64,
    /// Transport-wide feedback messages sent, about packets that came with a number.
    pub feedback_sent: u64,
    /// The last bitrate that the peer named by REMB, bits a second.
    pub remb: Option<u64>,
    /// Bits a second that arrived by the last transport-wide feedback.
    pub acked_bitrate: Option<u64>,
    /// How much the path carries, and what speaks for it; `None` until the peer has told anything.
    pub estimate: Option<crate::congestion::Estimate>,
}

/// What came in and was dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Not RTP at all.
    pub malformed_rtp: u64,
    /// Not RTCP at all, or broken inside.
    pub malformed_rtcp: u64,
    /// Belongs to no m-section, or to one that does not receive (RFC 8843 §9.2).
    pub unrouted: u64,
    /// Would be one stream more than allowed.
    pub too_many_streams: u64,
    /// Longer than a packet slot.
    pub oversized: u64,
    /// A retransmission that belongs to no stream.
    pub stray_rtx: u64,
    /// Finished frames that nobody polled.
    pub unread_frames: u64,
    /// Events other than frames that nobody polled.
    pub unread_events: u64,
}

/// Figures of one m-section.
#[derive(Clone, Debug, PartialEq)]
pub struct TrackStats {
    /// Which.
    pub track: TrackId,
    /// Its name.
    pub mid: String,
    /// What is sent.
    pub sent: SendStats,
    /// What is received, one entry for each live stream.
    pub received: Vec<ReceiveStats>,
}

/// Figures of a stream sent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SendStats {
    /// Its SSRC.
    pub ssrc: u32,
    /// Frames taken by `send_frame`.
    pub frames: u64,
    /// Packets sent, retransmissions not counted.
    pub packets: u64,
    /// Payload bytes sent, retransmissions not counted.
    pub bytes: u64,
    /// Packets that the peer asked for again.
    pub nacked: u64,
    /// Packets sent again.
    pub retransmitted: u64,
    /// Packets sent once more, unasked, in bursts that see what the path carries.
    pub padding: u64,
    /// Packets that the peer asked for in vain: too old, or sent too often.
    pub not_resent: u64,
    /// Keyframe requests received (PLI and FIR).
    pub keyframe_requests: u64,
    /// Packets that the peer lost so far, as it reports.
    pub remote_lost: i32,
    /// Share of packets lost since its report before, 0.0 to 1.0.
    pub remote_fraction_lost: f64,
    /// Interarrival jitter that the peer sees.
    pub remote_jitter: Duration,
    /// Round-trip time by the last report.
    pub rtt: Option<Duration>,
    /// Bits a second of payload over the last second.
    pub bitrate: u64,
    /// Packets that wait for the pacer.
    pub queued: usize,
}

/// Figures of a stream received.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReceiveStats {
    /// Its SSRC.
    pub ssrc: u32,
    /// What it carries.
    pub codec: Option<Codec>,
    /// Packets received, retransmissions and duplicates counted.
    pub packets: u64,
    /// Payload bytes received.
    pub bytes: u64,
    /// Packets lost by RFC 3550 §6.4.1: expected less received.
    pub lost: i64,
    /// Packets never seen before their gap was skipped.
    pub skipped: u64,
    /// Packets that came too late or twice.
    pub late: u64,
    /// Packets requested again, each request counted.
    pub nacked: u64,
    /// Packets that a retransmission brought.
    pub recovered: u64,
    /// Frames given out.
    pub frames: u64,
    /// Of them keyframes.
    pub keyframes: u64,
    /// Frames dropped since a part was lost or broken.
    pub broken_frames: u64,
    /// Frames dropped while waiting for a keyframe.
    pub skipped_frames: u64,
    /// Keyframe requests sent.
    pub keyframe_requests: u64,
    /// Interarrival jitter (RFC 3550 §6.4.1).
    pub jitter: Duration,
    /// Round-trip time as far as known.
    pub rtt: Option<Duration>,
    /// Bits a second of payload over the last second.
    pub bitrate: u64,
    /// Packets that wait behind a gap.
    pub buffered: usize,
}
