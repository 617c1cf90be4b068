//! The structures of the headers and ours are the same, to the byte.

use std::fmt::Write as _;
use std::mem::offset_of;
use std::process::Command;

use esp_peer::{Error, State};

use crate::peer::types::*;
use crate::signaling::types::*;
use crate::webrtc::types::*;

/// Claims for the C compiler: sizes, and the offset of every field; `ours = theirs` where the names differ.
macro_rules! claims {
    ($claims:ident; $($ours:ident = $theirs:literal { $($field:ident = $name:literal),* })*) => {$(
        claim(&mut $claims, &format!("sizeof({}) == {}", $theirs, size_of::<$ours>()));
        $(
            let at = offset_of!($ours, $field);
            claim(&mut $claims, &format!("offsetof({}, {}) == {at}", $theirs, $name));
        )*
    )*};
    ($claims:ident, same; $($ours:ident { $($field:ident),* $(,)? })*) => {$(
        claim(&mut $claims, &format!("sizeof({}) == {}", stringify!($ours), size_of::<$ours>()));
        $(
            let at = offset_of!($ours, $field);
            let (of, field) = (stringify!($ours), stringify!($field));
            claim(&mut $claims, &format!("offsetof({of}, {field}) == {at}"));
        )*
    )*};
}

fn claim(claims: &mut String, what: &str) {
    writeln!(claims, "_Static_assert({what}, \"{what}\");").unwrap();
}

fn structures(claims: &mut String) {
    let mut text = String::new();
    claims!(text, same;
        esp_peer_ice_server_cfg_t { stun_url, user, psw }
        esp_peer_video_stream_info_t { codec, width, height, fps }
        esp_peer_audio_stream_info_t { codec, sample_rate, channel }
        esp_peer_data_channel_info_t { label, stream_id }
        esp_peer_rtp_frame_t { orig_data, orig_size, encoded_data, encoded_size, payload_type }
        esp_peer_rtp_transform_cb_t { get_encoded_size, transform }
        esp_peer_cfg_t {
            server_lists, server_num, role, ice_trans_policy, audio_info, video_info, audio_dir,
            video_dir, no_auto_reconnect, enable_data_channel, manual_ch_create, extra_cfg,
            extra_size, ctx, on_state, on_msg, on_video_info, on_audio_info, on_audio_data,
            on_video_data, on_channel_open, on_data, on_channel_close,
        }
        esp_peer_ops_t {
            open, new_connection, update_ice_info, send_msg, send_video, send_audio, send_data,
            create_data_channel, close_data_channel, main_loop, disconnect, query, close,
            set_rtp_transformer,
        }
        esp_peer_default_data_ch_cfg_t { cache_timeout, send_cache_size, recv_cache_size }
        esp_peer_default_jitter_cfg_t {
            cache_timeout, resend_delay, pli_send_interval, cache_size,
        }
        esp_peer_default_rtp_cfg_t {
            audio_recv_jitter, video_recv_jitter, send_pool_size, send_queue_num,
            max_resend_count,
        }
        esp_peer_default_cfg_t {
            agent_recv_timeout, data_ch_cfg, rtp_cfg, keep_role, ipv6_support, tcp_support,
            max_candidates, max_tcp_connections, alive_binding_retries, ice_use_lite_mode,
            insecure_skip_turn_cert_verify,
        }
    );
    claims!(text;
        esp_peer_frame_t = "esp_peer_video_frame_t" { pts = "pts", data = "data", size = "size" }
        esp_peer_frame_t = "esp_peer_audio_frame_t" { pts = "pts", data = "data", size = "size" }
        esp_peer_data_frame_t = "esp_peer_data_frame_t" {
            kind = "type", stream_id = "stream_id", data = "data", size = "size"
        }
        esp_peer_msg_t = "esp_peer_msg_t" { kind = "type", data = "data", size = "size" }
        esp_peer_data_channel_cfg_t = "esp_peer_data_channel_cfg_t" {
            kind = "type", ordered = "ordered", label = "label",
            limit = "max_retransmit_count", limit = "max_packet_lifetime"
        }
        esp_peer_addr_t = "esp_peer_addr_t" {
            family = "family", port = "port", bytes = "ipv4", bytes = "ipv6"
        }
    );
    claims.push_str(&text);
}

fn structures_of_signaling(claims: &mut String) {
    let mut text = String::new();
    claims!(text, same;
        esp_peer_signaling_ice_info_t { server_info, is_initiator }
        esp_peer_signaling_cfg_t {
            on_ice_info, on_connected, on_msg, on_close, signal_url, extra_cfg, extra_size, ctx,
        }
        esp_peer_signaling_impl_t { start, send_msg, stop }
        esp_peer_signaling_whip_cfg_t { auth_type, token }
        esp_peer_signaling_janus_cfg_t { room_id, token, pin, display, api_secret }
    );
    claims!(text;
        esp_peer_signaling_msg_t = "esp_peer_signaling_msg_t" {
            kind = "type", data = "data", size = "size"
        }
    );
    claims.push_str(&text);
}

fn structures_of_the_solution(claims: &mut String) {
    let mut text = String::new();
    claims!(text, same;
        esp_webrtc_peer_cfg_t {
            server_lists, server_num, ice_trans_policy, audio_info, video_info, audio_dir, video_dir,
            enable_data_channel, manual_ch_create, video_over_data_channel, video_dc_chunked,
            video_dc_chunk_size, no_auto_reconnect, extra_cfg, extra_size, ctx, on_custom_data,
            on_channel_open, on_data, on_channel_close, on_video_send,
        }
        esp_webrtc_signaling_cfg_t { signal_url, extra_cfg, extra_size, ctx }
        esp_webrtc_cfg_t { signaling_impl, signaling_cfg, peer_impl, peer_cfg }
        esp_webrtc_media_provider_t { capture, player }
        esp_webrtc_test_capture_cfg_t { width, height, fps, no_video, no_audio }
        esp_webrtc_file_capture_cfg_t { video, fps, audio }
        esp_webrtc_capture_wanted_t { audio, video, audio_bitrate, video_bitrate }
        esp_webrtc_frame_capture_cfg_t {
            ctx, on_start, on_stop, on_keyframe, on_audio_bitrate, on_video_bitrate,
        }
        esp_webrtc_frame_player_cfg_t {
            ctx, on_audio_info, on_audio_data, on_video_info, on_video_data,
        }
    );
    claims!(text;
        esp_webrtc_event_t = "esp_webrtc_event_t" { kind = "type", body = "body" }
    );
    claims.push_str(&text);
}

fn numbers_of_the_solution(claims: &mut String) {
    for (at, name) in [
        "NONE",
        "CONNECTING",
        "PAIRED",
        "CONNECTED",
        "CONNECT_FAILED",
        "DISCONNECTED",
        "DATA_CHANNEL_CONNECTED",
        "DATA_CHANNEL_DISCONNECTED",
        "DATA_CHANNEL_OPENED",
        "DATA_CHANNEL_CLOSED",
    ]
    .iter()
    .enumerate()
    {
        claim(claims, &format!("ESP_WEBRTC_EVENT_{name} == {at}"));
    }
    for (at, name) in ["NONE", "SDP", "CANDIDATE", "BYE", "CUSTOMIZED"]
        .iter()
        .enumerate()
    {
        claim(claims, &format!("ESP_PEER_SIGNALING_MSG_{name} == {at}"));
    }
    for (at, name) in ["NONE", "SIGNALING", "DATA_CHANNEL"].iter().enumerate() {
        claim(
            claims,
            &format!("ESP_WEBRTC_CUSTOM_DATA_VIA_{name} == {at}"),
        );
    }
    for enumeration in [
        "esp_webrtc_custom_data_via_t",
        "esp_webrtc_event_type_t",
        "esp_peer_signaling_msg_type_t",
        "esp_peer_signaling_whip_auth_type_t",
    ] {
        claim(claims, &format!("sizeof({enumeration}) == sizeof(int)"));
    }
}

fn numbers(claims: &mut String) {
    for (name, state) in [
        ("CLOSED", State::Closed),
        ("DISCONNECTED", State::Disconnected),
        ("NEW_CONNECTION", State::NewConnection),
        ("CANDIDATE_GATHERING", State::CandidateGathering),
        ("PAIRING", State::Pairing),
        ("PAIRED", State::Paired),
        ("CONNECTING", State::Connecting),
        ("CONNECTED", State::Connected),
        ("CONNECT_FAILED", State::ConnectFailed),
        ("DATA_CHANNEL_CONNECTED", State::DataChannelConnected),
        ("DATA_CHANNEL_OPENED", State::DataChannelOpened),
        ("DATA_CHANNEL_CLOSED", State::DataChannelClosed),
        ("DATA_CHANNEL_DISCONNECTED", State::DataChannelDisconnected),
        ("REMOTE_AUDIO_TRACK_ADDED", State::RemoteAudioTrackAdded),
        ("REMOTE_AUDIO_TRACK_REMOVED", State::RemoteAudioTrackRemoved),
        ("REMOTE_VIDEO_TRACK_ADDED", State::RemoteVideoTrackAdded),
        ("REMOTE_VIDEO_TRACK_REMOVED", State::RemoteVideoTrackRemoved),
        ("VIDEO_PLI_RECEIVED", State::VideoPliReceived),
    ] {
        claim(claims, &format!("ESP_PEER_STATE_{name} == {}", state as u8));
    }
    for (name, error) in [
        ("INVALID_ARG", Error::InvalidArgument(String::new())),
        ("NO_MEM", Error::NoMemory("")),
        ("WRONG_STATE", Error::WrongState("")),
        ("NOT_SUPPORT", Error::NotSupported("")),
        ("NOT_EXISTS", Error::NotExists("")),
        ("FAIL", Error::Failed(String::new())),
        ("OVER_LIMITED", Error::OverLimit("")),
        ("BAD_DATA", Error::BadData(String::new())),
        ("WOULD_BLOCK", Error::WouldBlock),
    ] {
        claim(claims, &format!("ESP_PEER_ERR_{name} == {}", error.code()));
    }
    for enumeration in [
        "err",
        "state",
        "ice_trans_policy",
        "role",
        "video_codec",
        "audio_codec",
        "media_dir",
        "data_channel_type",
        "msg_type",
        "data_channel_reliable_type",
        "rtp_transform_role",
        "dtls_cipher_pref",
    ] {
        claim(
            claims,
            &format!("sizeof(esp_peer_{enumeration}_t) == sizeof(int)"),
        );
    }
}

#[test]
fn the_headers_and_the_library_agree_on_every_byte() {
    let mut claims = String::from("#include <stddef.h>\n#include \"esp_webrtc.h\"\n");
    claims.push_str("#include \"esp_webrtc_defaults.h\"\n");
    structures(&mut claims);
    structures_of_signaling(&mut claims);
    structures_of_the_solution(&mut claims);
    numbers(&mut claims);
    numbers_of_the_solution(&mut claims);
    assert!(claims.lines().count() > 200, "{claims}");
    compile(&claims, true);
    // And the compiler looks at them.
    compile("_Static_assert(sizeof(char) == 2, \"no\");", false);
}

fn compile(source: &str, good: bool) {
    use std::io::Write as _;
    use std::process::Stdio;
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let mut child = Command::new(compiler)
        .args([
            "-std=c11",
            "-Wall",
            "-Werror",
            "-fsyntax-only",
            "-x",
            "c",
            "-I",
        ])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/include"))
        .arg("-")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("this test needs a C compiler");
    child
        .stdin
        .take()
        .unwrap()
        .write_all(source.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.success(), good, "{said}");
}
