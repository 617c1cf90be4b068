//! What a session is told: limits for its life, and what each negotiation agreed on.

use std::time::Duration;

use esp_wire::{Codec, Direction, Kind};

use crate::congestion::BitrateLimits;
use crate::extension::Extension;
use crate::{Error, Misuse};

/// Names one m-section of the session, stable over renegotiations; `mid` is its name on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrackId(pub u16);

/// How received packets wait for lost ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JitterConfig {
    /// How long a gap holds back what follows it, default 100 ms.
    pub cache_timeout: Duration,
    /// Time between two requests for the same packet, at least; default 20 ms. The first request
    /// goes out after a quarter of it, so that reordered packets are not requested.
    pub resend_delay: Duration,
    /// Time between unconditional keyframe requests, zero (the default) for none. Losses that
    /// cannot be repaired request a keyframe in any case.
    pub pli_send_interval: Duration,
    /// Bytes that one stream's packets may occupy, default 100 kB for audio, 400 kB for video.
    pub cache_size: usize,
}

/// Limits and habits of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// For audio streams received.
    pub audio: JitterConfig,
    /// For video streams received.
    pub video: JitterConfig,
    /// Bytes of packets that each stream sent keeps for transmission and retransmission,
    /// default 400 kB.
    pub send_pool_size: usize,
    /// Packets that each stream sent keeps, default 256.
    pub send_queue_num: usize,
    /// How often one packet is sent again at most, default 3.
    pub max_resend_count: u16,
    /// Streams received at the same time (SSRCs, RTX not counted), default 16.
    pub max_streams: usize,
    /// m-sections, default 32.
    pub max_tracks: usize,
    /// The largest frame that is put together, default 1 MB.
    pub max_frame_size: usize,
    /// Bytes of finished frames that wait for `poll_event`, default 2 MB; older ones are dropped
    /// first.
    pub max_event_bytes: usize,
    /// Average time between two regular reports, default 1 s.
    pub report_interval: Duration,
    /// Time between two requests for a keyframe, at least; default 500 ms.
    pub keyframe_request_interval: Duration,
    /// Time between two `KeyframeRequested` events of one track, at least; default 250 ms.
    pub keyframe_answer_interval: Duration,
    /// Time between two transport-wide feedback messages, default 100 ms.
    pub twcc_interval: Duration,
    /// After this silence (no RTP, no sender report) a received stream has ended, default 30 s.
    pub stream_timeout: Duration,
    /// Within what the estimate of the path stays, and where it begins.
    pub bitrate: BitrateLimits,
    /// Bits a second that the pacer never goes below while nothing is known of the path, default 10 Mbit/s.
    pub pace_floor: u64,
    /// Bytes that the pacer lets through at once, default 15 kB.
    pub pace_burst: usize,
    /// The pacer sends all that waits within about this time, default 50 ms.
    pub pace_window: Duration,
    /// Bits a second that the peer is asked not to exceed by REMB, if negotiated; default none.
    pub max_receive_bitrate: Option<u64>,
    /// After an unrepaired loss, hold video back until the next keyframe, default true.
    pub wait_for_keyframe: bool,
}

impl Default for JitterConfig {
    fn default() -> Self {
        JitterConfig {
            cache_timeout: Duration::from_millis(100),
            resend_delay: Duration::from_millis(20),
            pli_send_interval: Duration::ZERO,
            cache_size: 100_000,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Config {
            audio: JitterConfig::default(),
            video: JitterConfig {
                cache_size: 400_000,
                ..JitterConfig::default()
            },
            send_pool_size: 400_000,
            send_queue_num: 256,
            max_resend_count: 3,
            max_streams: 16,
            max_tracks: 32,
            max_frame_size: 1_000_000,
            max_event_bytes: 2_000_000,
            report_interval: Duration::from_secs(1),
            keyframe_request_interval: Duration::from_millis(500),
            keyframe_answer_interval: Duration::from_millis(250),
            twcc_interval: Duration::from_millis(100),
            stream_timeout: Duration::from_secs(30),
            bitrate: BitrateLimits::default(),
            pace_floor: 10_000_000,
            pace_burst: 15_000,
            pace_window: Duration::from_millis(50),
            max_receive_bitrate: None,
            wait_for_keyframe: true,
        }
    }
}

impl Config {
    /// The same with other settings for received audio.
    pub fn with_audio(mut self, audio: JitterConfig) -> Self {
        self.audio = audio;
        self
    }

    /// The same with other settings for received video.
    pub fn with_video(mut self, video: JitterConfig) -> Self {
        self.video = video;
        self
    }

    /// The same with another send pool: bytes, packets, retransmissions of a packet.
    pub fn with_send_pool(mut self, bytes: usize, packets: usize, resends: u16) -> Self {
        self.send_pool_size = bytes;
        self.send_queue_num = packets;
        self.max_resend_count = resends;
        self
    }

    /// The same with another pacer: lowest rate in bits a second and burst in bytes.
    pub fn with_pacing(mut self, floor: u64, burst: usize) -> Self {
        self.pace_floor = floor;
        self.pace_burst = burst;
        self
    }

    /// The same with these bounds of what is estimated, in bits a second.
    pub fn with_bitrate(mut self, min: u64, start: u64, max: u64) -> Self {
        self.bitrate = BitrateLimits { min, start, max };
        self
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let rules = [
            (self.max_streams > 0, "max_streams is zero"),
            (self.max_tracks > 0, "max_tracks is zero"),
            (self.max_tracks < 1_000, "max_tracks is above 999"),
            (
                self.send_queue_num >= 8,
                "send_queue_num is below 8 packets",
            ),
            (
                self.send_queue_num <= 16_384,
                "send_queue_num is above 16384",
            ),
            (
                self.send_pool_size >= 16_000,
                "send_pool_size is below 16000 bytes",
            ),
            (
                self.audio.cache_size >= 16_000 && self.video.cache_size >= 16_000,
                "cache_size is below 16000 bytes",
            ),
            (
                self.audio.cache_size <= 16_000_000 && self.video.cache_size <= 16_000_000,
                "cache_size is above 16 MB",
            ),
            (
                self.report_interval >= Duration::from_millis(10),
                "report_interval is below 10 ms",
            ),
            (
                self.report_interval <= Duration::from_secs(3_600),
                "report_interval is above an hour",
            ),
            (
                self.twcc_interval >= Duration::from_millis(10),
                "twcc_interval is below 10 ms",
            ),
            (self.pace_floor >= 8_000, "pace_floor is below 8 kbit/s"),
            (self.pace_burst >= 1_500, "pace_burst is below 1500 bytes"),
            (
                self.pace_window >= Duration::from_millis(1),
                "pace_window is below 1 ms",
            ),
            (
                self.max_frame_size >= 1_500,
                "max_frame_size is below 1500 bytes",
            ),
        ];
        let mut rules = rules.into_iter().chain(self.bitrate.rules());
        match rules.find(|(holds, _)| !holds) {
            Some((_, rule)) => Err(Misuse::Config(rule).into()),
            None => Ok(()),
        }
    }

    pub(crate) fn jitter(&self, kind: Kind) -> JitterConfig {
        match kind {
            Kind::Audio => self.audio,
            Kind::Video => self.video,
        }
    }
}

/// One codec under one payload type, as negotiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PayloadMap {
    /// The codec.
    pub codec: Codec,
    /// Its payload type, 0 to 127.
    pub pt: u8,
    /// H.264 only: 0 (one NAL unit a packet) or 1 (aggregates and fragments), RFC 6184 §8.1.
    pub packetization_mode: u8,
    /// G.711 only: sound in one packet.
    pub ptime: Duration,
    /// The payload type of its retransmissions (RFC 4588), if negotiated.
    pub rtx_pt: Option<u8>,
    /// `rtcp-fb nack` was negotiated.
    pub nack: bool,
    /// `rtcp-fb nack pli` was negotiated.
    pub pli: bool,
    /// `rtcp-fb ccm fir` was negotiated.
    pub fir: bool,
    /// `rtcp-fb goog-remb` was negotiated.
    pub remb: bool,
    /// `rtcp-fb transport-cc` was negotiated.
    pub twcc: bool,
}

impl PayloadMap {
    /// A codec without any feedback; H.264 in packetization-mode 1, 20 ms of sound in a packet.
    pub fn new(codec: Codec, pt: u8) -> Self {
        PayloadMap {
            codec,
            pt,
            packetization_mode: 1,
            ptime: Duration::from_millis(20),
            rtx_pt: None,
            nack: false,
            pli: false,
            fir: false,
            remb: false,
            twcc: false,
        }
    }

    /// The same with retransmissions under payload type `rtx_pt`.
    pub fn with_rtx(mut self, rtx_pt: u8) -> Self {
        self.rtx_pt = Some(rtx_pt);
        self
    }

    /// The same with NACK, PLI and FIR.
    pub fn with_feedback(mut self) -> Self {
        self.nack = true;
        self.pli = true;
        self.fir = true;
        self
    }

    /// The same with transport-wide feedback.
    pub fn with_twcc(mut self) -> Self {
        self.twcc = true;
        self
    }
}

/// One m-section of the BUNDLE group, as negotiated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaConfig {
    /// Its identification tag (`a=mid`).
    pub mid: String,
    /// Audio or video.
    pub kind: Kind,
    /// Which way it flows, seen from here.
    pub direction: Direction,
    /// What is sent; ignored when the direction does not send.
    pub send: Option<PayloadMap>,
    /// What is accepted; ignored when the direction does not receive.
    pub recv: Vec<PayloadMap>,
    /// Header extensions and their ids (`a=extmap`).
    pub extensions: Vec<(u8, Extension)>,
    /// SSRCs that the peer announced, RTX included.
    pub remote_ssrcs: Vec<u32>,
    /// Pairs of a stream's SSRC and that of its retransmissions (`a=ssrc-group:FID`).
    pub remote_rtx: Vec<(u32, u32)>,
    /// Reduced-size RTCP was negotiated (`a=rtcp-rsize`, RFC 5506).
    pub reduced_size: bool,
}

impl MediaConfig {
    /// An m-section that flows nowhere yet.
    pub fn new(mid: &str, kind: Kind) -> Self {
        MediaConfig {
            mid: mid.to_owned(),
            kind,
            direction: Direction::None,
            send: None,
            recv: Vec::new(),
            extensions: Vec::new(),
            remote_ssrcs: Vec::new(),
            remote_rtx: Vec::new(),
            reduced_size: false,
        }
    }

    /// The same with one codec that is both sent and accepted.
    pub fn with_codec(mut self, direction: Direction, payload: PayloadMap) -> Self {
        self.direction = direction;
        self.send = direction.sends().then_some(payload);
        self.recv.push(payload);
        self
    }

    /// The same with one more header extension.
    pub fn with_extension(mut self, id: u8, extension: Extension) -> Self {
        self.extensions.push((id, extension));
        self
    }

    /// The same with reduced-size RTCP.
    pub fn with_reduced_size(mut self) -> Self {
        self.reduced_size = true;
        self
    }
}

/// The SSRCs under which an m-section sends, for `a=ssrc` and `a=ssrc-group:FID`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalSsrcs {
    /// Of its stream.
    pub ssrc: u32,
    /// Of its retransmissions.
    pub rtx: u32,
}
