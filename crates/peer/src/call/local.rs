//! What this peer offers and accepts, and what was agreed, in the terms of SDP and of RTP.

use std::time::Duration;

use esp_rtp::{LocalSsrcs, MediaConfig, PayloadMap};
use esp_sdp::{
    CodecSpec, Feedback, MediaLocal, Msid, NegotiatedCodec, NegotiatedMedia, OpusParams, Params,
    ProfileLevelId,
};
use esp_wire::{AudioInfo, Codec, Kind};

use crate::{NegotiatedMedia as Agreed, PeerConfig};

/// Payload types of our offers, in the dynamic range of RFC 3551 §3.
const OPUS: u8 = 111;
const H264_MODE_1: (u8, u8) = (102, 103);
const H264_MODE_0: (u8, u8) = (104, 105);

/// The name that groups our two media for the peer (RFC 8830).
const STREAM: &str = "esp-webrtc";

/// The longest message that we take, in bytes: any where messages come in parts.
pub(super) fn max_message_size(config: &esp_sctp::Config) -> u64 {
    match config.delivery {
        esp_sctp::Delivery::Whole => config.max_message_size as u64,
        esp_sctp::Delivery::Parts => u64::MAX,
    }
}

/// Sound as we offer it; `None` when there is none.
pub(super) fn audio(config: &PeerConfig, ssrcs: LocalSsrcs, cname: &str) -> Option<MediaLocal> {
    let codecs: Vec<CodecSpec> = config.audio.iter().filter_map(audio_codec).collect();
    if codecs.is_empty() {
        return None;
    }
    let mut local = MediaLocal::new(config.audio_direction, codecs, ssrcs.ssrc, cname);
    local.extensions = extensions();
    local.feedback = vec![Feedback::Nack, Feedback::TransportCc];
    local.msid = Some(msid("audio"));
    Some(local)
}

fn audio_codec(info: &AudioInfo) -> Option<CodecSpec> {
    match info.codec {
        Codec::Opus => Some(CodecSpec::opus(OPUS).with_params(Params::Opus(OpusParams {
            min_ptime: Some(10),
            in_band_fec: true,
            stereo: info.channels == 2,
            sends_stereo: info.channels == 2,
            ..OpusParams::default()
        }))),
        Codec::Pcmu => Some(CodecSpec::pcmu()),
        Codec::Pcma => Some(CodecSpec::pcma()),
        _ => None,
    }
}

/// Pictures as we offer them; `None` when there are none.
pub(super) fn video(config: &PeerConfig, ssrcs: LocalSsrcs, cname: &str) -> Option<MediaLocal> {
    if !config.video.iter().any(|info| info.codec == Codec::H264) {
        return None;
    }
    let profile_level = ProfileLevelId(config.h264_profile_level);
    let codecs = vec![
        CodecSpec::h264(H264_MODE_1.0, profile_level, 1).with_rtx(H264_MODE_1.1),
        CodecSpec::h264(H264_MODE_0.0, profile_level, 0).with_rtx(H264_MODE_0.1),
    ];
    let mut local = MediaLocal::new(config.video_direction, codecs, ssrcs.ssrc, cname);
    local.rtx_ssrc = Some(ssrcs.rtx);
    local.extensions = extensions();
    local.feedback = vec![
        Feedback::Nack,
        Feedback::Pli,
        Feedback::Fir,
        Feedback::Remb,
        Feedback::TransportCc,
    ];
    local.msid = Some(msid("video"));
    Some(local)
}

fn extensions() -> Vec<esp_sdp::Extension> {
    vec![
        esp_sdp::Extension::Mid,
        esp_sdp::Extension::AbsSendTime,
        esp_sdp::Extension::TransportCc,
    ]
}

fn msid(track: &str) -> Msid {
    Msid {
        stream: STREAM.into(),
        track: track.into(),
    }
}

/// An agreed m-section as RTP wants to see it.
pub(super) fn media_config(media: &NegotiatedMedia) -> MediaConfig {
    let mut config = MediaConfig::new(&media.mid, media.kind);
    config.direction = media.direction;
    config.send = media.send_codec().map(|codec| payload_map(codec, media));
    config.recv = media
        .receive
        .iter()
        .map(|codec| payload_map(codec, media))
        .collect();
    config.extensions = media
        .extensions
        .iter()
        .filter_map(|(id, extension)| {
            esp_rtp::Extension::from_uri(extension.uri()).map(|extension| (*id, extension))
        })
        .collect();
    config.remote_ssrcs = media.remote_ssrcs.clone();
    config.remote_rtx = media.remote_rtx.clone();
    config.reduced_size = media.rtcp_rsize;
    config
}

fn payload_map(codec: &NegotiatedCodec, media: &NegotiatedMedia) -> PayloadMap {
    let mut map = PayloadMap::new(codec.codec, codec.payload_type);
    if let Params::H264(params) = &codec.params {
        map.packetization_mode = params.packetization_mode;
    }
    if let Some(ptime) = media.ptime.filter(|ptime| (10..=60).contains(ptime)) {
        map.ptime = Duration::from_millis(u64::from(ptime));
    }
    map.rtx_pt = codec.rtx_payload_type;
    map.nack = codec.has(Feedback::Nack);
    map.pli = codec.has(Feedback::Pli);
    map.fir = codec.has(Feedback::Fir);
    map.remb = codec.has(Feedback::Remb);
    map.twcc = codec.has(Feedback::TransportCc);
    map
}

/// What is to be sent, for the application.
pub(super) fn agreed(config: &PeerConfig, media: &[NegotiatedMedia]) -> Agreed {
    let sending = |kind| {
        media
            .iter()
            .find(|media| media.kind == kind)
            .and_then(NegotiatedMedia::send_codec)
    };
    let mut agreed = Agreed::default();
    if let Some(codec) = sending(Kind::Audio) {
        agreed.audio = config
            .audio
            .iter()
            .find(|info| info.codec == codec.codec)
            .copied();
    }
    if let Some(codec) = sending(Kind::Video) {
        agreed.video = Some(codec.codec);
        if let Params::H264(params) = &codec.params {
            agreed.h264_profile_level = Some(params.profile_level_id.0);
            agreed.h264_mode = params.packetization_mode;
        }
    }
    agreed
}
