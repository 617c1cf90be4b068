//! The operations of this implementation as C calls them.

#![allow(missing_docs, reason = "the headers say what each does")]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;
use std::sync::atomic::Ordering;

use esp_peer::{Certificate, Error};

use super::transformer::CTransformer;
use super::*;
use crate::border::read;

static TABLE: esp_peer_ops_t = esp_peer_ops_t {
    open: Some(open),
    new_connection: Some(new_connection),
    update_ice_info: Some(update_ice_info),
    send_msg: Some(send_msg),
    send_video: Some(send_video),
    send_audio: Some(send_audio),
    send_data: Some(send_data),
    create_data_channel: Some(create_data_channel),
    close_data_channel: Some(close_data_channel),
    main_loop: Some(main_loop),
    disconnect: Some(disconnect),
    query: Some(query),
    close: Some(close),
    set_rtp_transformer: Some(set_rtp_transformer),
};

/// The table.
pub(crate) fn this() -> esp_peer_ops_t {
    TABLE
}

/// Whether a table opens peers of this implementation.
pub(super) fn is_this(ops: &esp_peer_ops_t) -> bool {
    ops.open.map(|open| open as usize) == TABLE.open.map(|open| open as usize)
}

#[unsafe(no_mangle)]
pub extern "C" fn esp_peer_get_default_impl() -> *const esp_peer_ops_t {
    &raw const TABLE
}

#[unsafe(no_mangle)]
pub extern "C" fn esp_peer_pre_generate_cert() -> c_int {
    crate::log::start();
    guard("esp_peer_pre_generate_cert", || {
        if locked(&CERTIFICATE).is_some() {
            return Ok(());
        }
        let made = Certificate::generate().map_err(|error| Error::Failed(error.to_string()))?;
        *locked(&CERTIFICATE) = Some(made);
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn esp_peer_set_dtls_cipher_pref(pref: c_int) -> c_int {
    guard("esp_peer_set_dtls_cipher_pref", || match pref {
        0 | 1 => Ok(()),
        2 => Err(Error::NotSupported(
            "the order of ciphers is not to be changed",
        )),
        _ => invalid("a preference that is not known"),
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn esp_peer_set_loopback(on: c_bool) -> c_int {
    LOOPBACK.store(on != 0, Ordering::Relaxed);
    NONE
}

unsafe extern "C" fn open(cfg: *mut esp_peer_cfg_t, peer: *mut esp_peer_handle_t) -> c_int {
    crate::log::start();
    guard("open", || {
        if peer.is_null() || !peer.is_aligned() {
            return invalid("no place for the handle");
        }
        // SAFETY: it is not NULL and aligned; the caller owes a place for a handle.
        unsafe { peer.write(ptr::null_mut()) };
        // SAFETY: the caller owes a configuration.
        let cfg = unsafe { read(cfg, "no configuration") }?;
        // SAFETY: and what it shows.
        let opened = unsafe { Peer::open(&cfg) }?;
        // SAFETY: as above.
        unsafe { peer.write(PEERS.insert(opened)) };
        Ok(())
    })
}

unsafe extern "C" fn new_connection(peer: esp_peer_handle_t) -> c_int {
    work("new_connection", peer, Peer::new_connection)
}

unsafe extern "C" fn update_ice_info(
    peer: esp_peer_handle_t,
    role: c_int,
    server: *mut esp_peer_ice_server_cfg_t,
    server_num: c_int,
) -> c_int {
    work("update_ice_info", peer, |peer| {
        // SAFETY: the caller owes as many servers.
        let servers = unsafe { settings::servers(server, server_num) }?;
        peer.update_ice_info(settings::role(role)?, servers)
    })
}

unsafe extern "C" fn send_msg(peer: esp_peer_handle_t, msg: *mut esp_peer_msg_t) -> c_int {
    work("send_msg", peer, |peer| {
        // SAFETY: the caller owes a message.
        let msg = unsafe { read(msg, "no message") }?;
        // SAFETY: and its bytes.
        let data = unsafe { bytes(msg.data, msg.size, "the bytes of a message") }?;
        peer.send_msg(msg.kind, data)
    })
}

unsafe extern "C" fn send_video(peer: esp_peer_handle_t, frame: *mut esp_peer_frame_t) -> c_int {
    work("send_video", peer, |peer| {
        // SAFETY: the caller owes a frame.
        let frame = unsafe { read(frame, "no frame") }?;
        // SAFETY: and its bytes.
        let data = unsafe { bytes(frame.data, frame.size, "the bytes of a frame") }?;
        let clock = &peer.video_clock;
        peer.send_media(&frame, data, clock, |it, frame| it.send_video(frame))
    })
}

unsafe extern "C" fn send_audio(peer: esp_peer_handle_t, frame: *mut esp_peer_frame_t) -> c_int {
    work("send_audio", peer, |peer| {
        // SAFETY: the caller owes a frame.
        let frame = unsafe { read(frame, "no frame") }?;
        // SAFETY: and its bytes.
        let data = unsafe { bytes(frame.data, frame.size, "the bytes of a frame") }?;
        let clock = &peer.audio_clock;
        peer.send_media(&frame, data, clock, |it, frame| it.send_audio(frame))
    })
}

unsafe extern "C" fn send_data(
    peer: esp_peer_handle_t,
    frame: *mut esp_peer_data_frame_t,
) -> c_int {
    work("send_data", peer, |peer| {
        // SAFETY: the caller owes a frame.
        let frame = unsafe { read(frame, "no data frame") }?;
        // SAFETY: and its bytes.
        let data = unsafe { bytes(frame.data, frame.size, "the bytes of a data frame") }?;
        peer.send_data(&frame, data)
    })
}

unsafe extern "C" fn create_data_channel(
    peer: esp_peer_handle_t,
    channel: *mut esp_peer_data_channel_cfg_t,
) -> c_int {
    work("create_data_channel", peer, |peer| {
        // SAFETY: the caller owes a configuration.
        let channel = unsafe { read(channel, "no channel") }?;
        // SAFETY: and its label.
        let label = unsafe { text(channel.label, "a label that is not UTF-8") }?;
        peer.create_data_channel(&channel, &label.unwrap_or_default())
    })
}

unsafe extern "C" fn close_data_channel(peer: esp_peer_handle_t, label: *const c_char) -> c_int {
    work("close_data_channel", peer, |peer| {
        if label.is_null() {
            return invalid("no label");
        }
        // SAFETY: it is not NULL; the caller owes a text that ends with a zero.
        peer.close_data_channel(unsafe { CStr::from_ptr(label) })
    })
}

unsafe extern "C" fn main_loop(peer: esp_peer_handle_t) -> c_int {
    work("main_loop", peer, Peer::main_loop)
}

unsafe extern "C" fn disconnect(peer: esp_peer_handle_t) -> c_int {
    work("disconnect", peer, |peer| peer.connection.disconnect())
}

unsafe extern "C" fn query(peer: esp_peer_handle_t) -> c_int {
    work("query", peer, Peer::query)
}

unsafe extern "C" fn close(peer: esp_peer_handle_t) -> c_int {
    guard("close", || {
        let Some(peer) = PEERS.remove(peer) else {
            return invalid("the handle is not one of an open peer");
        };
        peer.close();
        Ok(())
    })
}

unsafe extern "C" fn set_rtp_transformer(
    peer: esp_peer_handle_t,
    role: c_int,
    transform_cb: *mut esp_peer_rtp_transform_cb_t,
    ctx: *mut c_void,
) -> c_int {
    work("set_rtp_transformer", peer, |peer| {
        if transform_cb.is_null() {
            return peer.set_rtp_transformer(role, None);
        }
        // SAFETY: the caller owes a pair of functions.
        let callbacks = unsafe { read(transform_cb, "no transformer") }?;
        peer.set_rtp_transformer(role, Some(CTransformer::boxed(&callbacks, ctx)?))
    })
}
