//! The structures of `esp_webrtc.h` and `esp_webrtc_media.h`, field by field.

use std::ffi::{c_char, c_int, c_void};

use crate::peer::types::*;
use crate::signaling::types::esp_peer_signaling_impl_t;

pub type esp_webrtc_handle_t = *mut c_void;
pub type esp_capture_handle_t = *mut c_void;
pub type av_render_handle_t = *mut c_void;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct esp_webrtc_peer_cfg_t {
    pub server_lists: *mut esp_peer_ice_server_cfg_t,
    pub server_num: u8,
    pub ice_trans_policy: c_int,
    pub audio_info: esp_peer_audio_stream_info_t,
    pub video_info: esp_peer_video_stream_info_t,
    pub audio_dir: c_int,
    pub video_dir: c_int,
    pub enable_data_channel: c_bool,
    pub manual_ch_create: c_bool,
    pub video_over_data_channel: c_bool,
    pub video_dc_chunked: c_bool,
    pub video_dc_chunk_size: u16,
    pub no_auto_reconnect: c_bool,
    pub extra_cfg: *mut c_void,
    pub extra_size: c_int,
    pub ctx: *mut c_void,
    pub on_custom_data: Option<unsafe extern "C" fn(c_int, *mut u8, c_int, *mut c_void) -> c_int>,
    pub on_channel_open: Told<esp_peer_data_channel_info_t>,
    pub on_data: Told<esp_peer_data_frame_t>,
    pub on_channel_close: Told<esp_peer_data_channel_info_t>,
    pub on_video_send: Told<esp_peer_frame_t>,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct esp_webrtc_signaling_cfg_t {
    pub signal_url: *mut c_char,
    pub extra_cfg: *mut c_void,
    pub extra_size: c_int,
    pub ctx: *mut c_void,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct esp_webrtc_cfg_t {
    pub signaling_impl: *const esp_peer_signaling_impl_t,
    pub signaling_cfg: esp_webrtc_signaling_cfg_t,
    pub peer_impl: *const esp_peer_ops_t,
    pub peer_cfg: esp_webrtc_peer_cfg_t,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct esp_webrtc_event_t {
    pub kind: c_int,
    pub body: *mut c_char,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct esp_webrtc_media_provider_t {
    pub capture: esp_capture_handle_t,
    pub player: av_render_handle_t,
}

pub type esp_webrtc_event_handler_t = Told<esp_webrtc_event_t>;

#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct esp_webrtc_test_capture_cfg_t {
    pub width: c_int,
    pub height: c_int,
    pub fps: c_int,
    pub no_video: c_bool,
    pub no_audio: c_bool,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct esp_webrtc_file_capture_cfg_t {
    pub video: *const c_char,
    pub fps: c_int,
    pub audio: *const c_char,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct esp_webrtc_capture_wanted_t {
    pub audio: esp_peer_audio_stream_info_t,
    pub video: esp_peer_video_stream_info_t,
    pub audio_bitrate: u32,
    pub video_bitrate: u32,
}

/// A callback that is asked for something without more to it.
pub type Asked = Option<unsafe extern "C" fn(*mut c_void) -> c_int>;
/// A callback that is told a number of bits a second.
pub type Bitrate = Option<unsafe extern "C" fn(u32, *mut c_void) -> c_int>;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct esp_webrtc_frame_capture_cfg_t {
    pub ctx: *mut c_void,
    pub on_start:
        Option<unsafe extern "C" fn(*const esp_webrtc_capture_wanted_t, *mut c_void) -> c_int>,
    pub on_stop: Asked,
    pub on_keyframe: Asked,
    pub on_audio_bitrate: Bitrate,
    pub on_video_bitrate: Bitrate,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct esp_webrtc_frame_player_cfg_t {
    pub ctx: *mut c_void,
    pub on_audio_info: Told<esp_peer_audio_stream_info_t>,
    pub on_audio_data: Told<esp_peer_frame_t>,
    pub on_video_info: Told<esp_peer_video_stream_info_t>,
    pub on_video_data: Told<esp_peer_frame_t>,
}
