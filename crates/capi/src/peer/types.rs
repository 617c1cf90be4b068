//! The structures of `include/*.h`, field by field; what they mean is said there.
//!
//! Enumerations are `int`s here, and `bool`s are bytes: a C program can put anything into them.

#![allow(missing_docs, reason = "documented in the headers")]
#![allow(non_camel_case_types, reason = "the names of the C interface")]

use std::ffi::{c_char, c_int, c_void};

pub type esp_peer_handle_t = *mut c_void;

/// A `bool` of C, whatever it holds.
pub type c_bool = u8;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct esp_peer_ice_server_cfg_t {
    pub stun_url: *mut c_char,
    pub user: *mut c_char,
    pub psw: *mut c_char,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct esp_peer_video_stream_info_t {
    pub codec: c_int,
    pub width: c_int,
    pub height: c_int,
    pub fps: c_int,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct esp_peer_audio_stream_info_t {
    pub codec: c_int,
    pub sample_rate: u32,
    pub channel: u8,
}

/// `esp_peer_video_frame_t` and `esp_peer_audio_frame_t`, which are alike.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct esp_peer_frame_t {
    pub pts: u32,
    pub data: *mut u8,
    pub size: c_int,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct esp_peer_data_frame_t {
    pub kind: c_int,
    pub stream_id: u16,
    pub data: *mut u8,
    pub size: c_int,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct esp_peer_msg_t {
    pub kind: c_int,
    pub data: *mut u8,
    pub size: c_int,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct esp_peer_data_channel_cfg_t {
    pub kind: c_int,
    pub ordered: c_bool,
    pub label: *mut c_char,
    /// `max_retransmit_count` or `max_packet_lifetime`.
    pub limit: u16,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct esp_peer_data_channel_info_t {
    pub label: *const c_char,
    pub stream_id: u16,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct esp_peer_addr_t {
    pub family: u8,
    pub port: u16,
    /// `ipv6`, or `ipv4` in the first four.
    pub bytes: [u8; 16],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct esp_peer_rtp_frame_t {
    pub orig_data: *mut u8,
    pub orig_size: u32,
    pub encoded_data: *mut u8,
    pub encoded_size: u32,
    pub payload_type: u8,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct esp_peer_rtp_transform_cb_t {
    pub get_encoded_size:
        Option<unsafe extern "C" fn(*mut esp_peer_rtp_frame_t, *mut c_bool, *mut c_void) -> c_int>,
    pub transform: Option<unsafe extern "C" fn(*mut esp_peer_rtp_frame_t, *mut c_void) -> c_int>,
}

/// A callback that is told of a `T`.
pub type Told<T> = Option<unsafe extern "C" fn(*mut T, *mut c_void) -> c_int>;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct esp_peer_cfg_t {
    pub server_lists: *mut esp_peer_ice_server_cfg_t,
    pub server_num: u8,
    pub role: c_int,
    pub ice_trans_policy: c_int,
    pub audio_info: esp_peer_audio_stream_info_t,
    pub video_info: esp_peer_video_stream_info_t,
    pub audio_dir: c_int,
    pub video_dir: c_int,
    pub no_auto_reconnect: c_bool,
    pub enable_data_channel: c_bool,
    pub manual_ch_create: c_bool,
    pub extra_cfg: *mut c_void,
    pub extra_size: c_int,
    pub ctx: *mut c_void,
    pub on_state: Option<unsafe extern "C" fn(c_int, *mut c_void) -> c_int>,
    pub on_msg: Told<esp_peer_msg_t>,
    pub on_video_info: Told<esp_peer_video_stream_info_t>,
    pub on_audio_info: Told<esp_peer_audio_stream_info_t>,
    pub on_audio_data: Told<esp_peer_frame_t>,
    pub on_video_data: Told<esp_peer_frame_t>,
    pub on_channel_open: Told<esp_peer_data_channel_info_t>,
    pub on_data: Told<esp_peer_data_frame_t>,
    pub on_channel_close: Told<esp_peer_data_channel_info_t>,
}

/// An operation on a handle.
pub type Op = Option<unsafe extern "C" fn(esp_peer_handle_t) -> c_int>;
/// An operation on a handle and a `T`.
pub type OpOn<T> = Option<unsafe extern "C" fn(esp_peer_handle_t, *mut T) -> c_int>;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct esp_peer_ops_t {
    pub open: Option<unsafe extern "C" fn(*mut esp_peer_cfg_t, *mut esp_peer_handle_t) -> c_int>,
    pub new_connection: Op,
    pub update_ice_info: Option<
        unsafe extern "C" fn(
            esp_peer_handle_t,
            c_int,
            *mut esp_peer_ice_server_cfg_t,
            c_int,
        ) -> c_int,
    >,
    pub send_msg: OpOn<esp_peer_msg_t>,
    pub send_video: OpOn<esp_peer_frame_t>,
    pub send_audio: OpOn<esp_peer_frame_t>,
    pub send_data: OpOn<esp_peer_data_frame_t>,
    pub create_data_channel: OpOn<esp_peer_data_channel_cfg_t>,
    pub close_data_channel: Option<unsafe extern "C" fn(esp_peer_handle_t, *const c_char) -> c_int>,
    pub main_loop: Op,
    pub disconnect: Op,
    pub query: Op,
    pub close: Op,
    pub set_rtp_transformer: Option<
        unsafe extern "C" fn(
            esp_peer_handle_t,
            c_int,
            *mut esp_peer_rtp_transform_cb_t,
            *mut c_void,
        ) -> c_int,
    >,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct esp_peer_default_data_ch_cfg_t {
    pub cache_timeout: u16,
    pub send_cache_size: u32,
    pub recv_cache_size: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct esp_peer_default_jitter_cfg_t {
    pub cache_timeout: u16,
    pub resend_delay: u16,
    pub pli_send_interval: u16,
    pub cache_size: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct esp_peer_default_rtp_cfg_t {
    pub audio_recv_jitter: esp_peer_default_jitter_cfg_t,
    pub video_recv_jitter: esp_peer_default_jitter_cfg_t,
    pub send_pool_size: u32,
    pub send_queue_num: u32,
    pub max_resend_count: u16,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct esp_peer_default_cfg_t {
    pub agent_recv_timeout: u16,
    pub data_ch_cfg: esp_peer_default_data_ch_cfg_t,
    pub rtp_cfg: esp_peer_default_rtp_cfg_t,
    pub keep_role: c_bool,
    pub ipv6_support: c_bool,
    pub tcp_support: c_bool,
    pub max_candidates: u8,
    pub max_tcp_connections: u8,
    pub alive_binding_retries: u8,
    pub ice_use_lite_mode: c_bool,
    pub insecure_skip_turn_cert_verify: c_bool,
}
