//! `esp_webrtc.h`: the solution over any signaling, peer connection, capture and player.

#![allow(
    missing_docs,
    non_camel_case_types,
    clippy::missing_safety_doc,
    reason = "the headers say what each does, and what its caller owes; the names are those of C"
)]

mod calls;
mod channels;
mod config;
mod inbox;
pub mod media;
mod peers;
mod signaling;
mod solution;
mod table_peer;
pub mod types;

use std::ffi::{c_int, c_void};

use self::config::Config;
use self::solution::Solution;
use crate::border::{NONE, Outcome, answer, bytes, guard, invalid, place, read};
use crate::handles::Handles;
use crate::peer::esp_peer_query;
use crate::peer::types::{c_bool, esp_peer_handle_t};
use types::*;

static SOLUTIONS: Handles<Solution> = Handles::new(9);

/// Works on a solution.
fn on(name: &str, handle: esp_webrtc_handle_t, work: impl FnOnce(&Solution) -> Outcome) -> c_int {
    guard(name, || match SOLUTIONS.get(handle) {
        Some(solution) => work(&solution),
        None => invalid("the handle is not one of an open solution"),
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn esp_webrtc_open(
    cfg: *mut esp_webrtc_cfg_t,
    rtc_handle: *mut esp_webrtc_handle_t,
) -> c_int {
    crate::log::start();
    guard("esp_webrtc_open", || {
        // SAFETY: the caller owes a place for a handle.
        unsafe { place(rtc_handle) }?;
        // SAFETY: the caller owes a configuration.
        let cfg = unsafe { read(cfg, "no configuration") }?;
        // SAFETY: and what it shows.
        let config = unsafe { Config::read(&cfg) }?;
        let handle = SOLUTIONS.insert(Solution::new(config));
        // SAFETY: it was written to before.
        unsafe { rtc_handle.write(handle) };
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn esp_webrtc_set_media_provider(
    rtc_handle: esp_webrtc_handle_t,
    provider: *mut esp_webrtc_media_provider_t,
) -> c_int {
    on("esp_webrtc_set_media_provider", rtc_handle, |solution| {
        // SAFETY: the caller owes a structure.
        let provider = unsafe { read(provider, "no media provider") }?;
        let capture = media::capture(provider.capture)?;
        solution.set_media(capture, media::player(provider.player)?);
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn esp_webrtc_set_no_auto_capture(
    rtc_handle: esp_webrtc_handle_t,
    no_auto_capture: c_bool,
) -> c_int {
    on("esp_webrtc_set_no_auto_capture", rtc_handle, |solution| {
        solution.set_no_auto_capture(no_auto_capture != 0);
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn esp_webrtc_set_event_handler(
    rtc_handle: esp_webrtc_handle_t,
    handler: esp_webrtc_event_handler_t,
    ctx: *mut c_void,
) -> c_int {
    on("esp_webrtc_set_event_handler", rtc_handle, |solution| {
        solution.calls.set_handler(handler, ctx);
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn esp_webrtc_enable_peer_connection(
    rtc_handle: esp_webrtc_handle_t,
    enable: c_bool,
) -> c_int {
    on(
        "esp_webrtc_enable_peer_connection",
        rtc_handle,
        |solution| {
            solution.enable(enable != 0);
            Ok(())
        },
    )
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn esp_webrtc_set_video_bitrate(
    rtc_handle: esp_webrtc_handle_t,
    bitrate: u32,
) -> c_int {
    on("esp_webrtc_set_video_bitrate", rtc_handle, |solution| {
        solution.set_video_bitrate(bitrate);
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn esp_webrtc_set_audio_bitrate(
    rtc_handle: esp_webrtc_handle_t,
    bitrate: u32,
) -> c_int {
    on("esp_webrtc_set_audio_bitrate", rtc_handle, |solution| {
        solution.set_audio_bitrate(bitrate);
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn esp_webrtc_start(rtc_handle: esp_webrtc_handle_t) -> c_int {
    answer("esp_webrtc_start", || match SOLUTIONS.get(rtc_handle) {
        Some(solution) => solution.start(),
        None => invalid("the handle is not one of an open solution"),
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn esp_webrtc_send_custom_data(
    rtc_handle: esp_webrtc_handle_t,
    via: c_int,
    data: *mut u8,
    size: c_int,
) -> c_int {
    on("esp_webrtc_send_custom_data", rtc_handle, |solution| {
        // SAFETY: the caller owes as many bytes.
        let data = unsafe { bytes(data, size, "the bytes of a message") }?;
        solution.send_custom_data(via, data)
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn esp_webrtc_get_peer_connection(
    rtc_handle: esp_webrtc_handle_t,
    peer_handle: *mut esp_peer_handle_t,
) -> c_int {
    on("esp_webrtc_get_peer_connection", rtc_handle, |solution| {
        // SAFETY: the caller owes a place for a handle.
        unsafe { place(peer_handle) }?;
        let handle = solution.peer_connection()?;
        // SAFETY: it was written to before.
        unsafe { peer_handle.write(handle) };
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn esp_webrtc_restart(rtc_handle: esp_webrtc_handle_t) -> c_int {
    on("esp_webrtc_restart", rtc_handle, Solution::restart)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn esp_webrtc_query(rtc_handle: esp_webrtc_handle_t) -> c_int {
    answer("esp_webrtc_query", || {
        let Some(solution) = SOLUTIONS.get(rtc_handle) else {
            return invalid("the handle is not one of an open solution");
        };
        let peer = solution.query()?;
        // SAFETY: a handle that is looked up.
        match unsafe { esp_peer_query(peer) } {
            // A table of the program's own need not have it.
            -4 => Ok(NONE),
            code => Ok(code),
        }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn esp_webrtc_stop(rtc_handle: esp_webrtc_handle_t) -> c_int {
    on("esp_webrtc_stop", rtc_handle, |solution| {
        solution.stop(true);
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn esp_webrtc_close(rtc_handle: esp_webrtc_handle_t) -> c_int {
    guard("esp_webrtc_close", || {
        let Some(solution) = SOLUTIONS.remove(rtc_handle) else {
            return invalid("the handle is not one of an open solution");
        };
        solution.calls.gate.close();
        solution.stop(false);
        Ok(())
    })
}
