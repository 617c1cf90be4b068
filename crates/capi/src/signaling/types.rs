//! The structures of `esp_peer_signaling.h`, `esp_peer_whip_signaling.h` and `esp_peer_janus_signaling.h`, field by field.

use std::ffi::{c_char, c_int, c_void};

use crate::peer::types::{Told, c_bool, esp_peer_ice_server_cfg_t};

pub type esp_peer_signaling_handle_t = *mut c_void;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct esp_peer_signaling_ice_info_t {
    pub server_info: esp_peer_ice_server_cfg_t,
    pub is_initiator: c_bool,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct esp_peer_signaling_msg_t {
    pub kind: c_int,
    pub data: *mut u8,
    pub size: c_int,
}

/// A callback that is told nothing but its context.
pub type Happened = Option<unsafe extern "C" fn(*mut c_void) -> c_int>;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct esp_peer_signaling_cfg_t {
    pub on_ice_info: Told<esp_peer_signaling_ice_info_t>,
    pub on_connected: Happened,
    pub on_msg: Told<esp_peer_signaling_msg_t>,
    pub on_close: Happened,
    pub signal_url: *mut c_char,
    pub extra_cfg: *mut c_void,
    pub extra_size: c_int,
    pub ctx: *mut c_void,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct esp_peer_signaling_impl_t {
    pub start: Option<
        unsafe extern "C" fn(
            *mut esp_peer_signaling_cfg_t,
            *mut esp_peer_signaling_handle_t,
        ) -> c_int,
    >,
    pub send_msg: Option<
        unsafe extern "C" fn(esp_peer_signaling_handle_t, *mut esp_peer_signaling_msg_t) -> c_int,
    >,
    pub stop: Option<unsafe extern "C" fn(esp_peer_signaling_handle_t) -> c_int>,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct esp_peer_signaling_whip_cfg_t {
    pub auth_type: c_int,
    pub token: *mut c_char,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct esp_peer_signaling_janus_cfg_t {
    pub room_id: u64,
    pub token: *const c_char,
    pub pin: *const c_char,
    pub display: *const c_char,
    pub api_secret: *const c_char,
}
