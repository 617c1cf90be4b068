//! `esp_peer.h`: a peer connection over any table of operations.

#![allow(
    missing_docs,
    clippy::missing_safety_doc,
    reason = "the headers say what each does, and what its caller owes"
)]

pub mod default;
pub mod types;

use std::ffi::{c_char, c_int, c_void};
use std::ptr;

use esp_peer::Error;

use crate::border::{NONE, Outcome, answer, guard, invalid, place, read};
use crate::handles::Handles;
use types::*;

/// A peer over the table that it was opened with.
struct Peer {
    ops: esp_peer_ops_t,
    /// What the implementation calls it.
    inner: esp_peer_handle_t,
    /// Somebody else runs its main loop and closes it.
    lent: bool,
}

// SAFETY: the pointers to functions are the implementation's, which has to expect calls of any task; `inner` is only
// handed back to it.
unsafe impl Send for Peer {}
// SAFETY: as above; nothing here is ever written.
unsafe impl Sync for Peer {}

static PEERS: Handles<Peer> = Handles::new(1);

/// A handle for a peer that somebody else runs and closes.
pub(crate) fn lend(ops: esp_peer_ops_t, inner: esp_peer_handle_t) -> esp_peer_handle_t {
    PEERS.insert(Peer {
        ops,
        inner,
        lent: true,
    })
}

/// Takes such a handle back.
pub(crate) fn take_back(handle: esp_peer_handle_t) {
    PEERS.remove(handle);
}

/// Refuses what only the owner of a peer may do.
fn owned(handle: esp_peer_handle_t) -> Outcome {
    match PEERS.get(handle) {
        Some(peer) if peer.lent => Err(Error::WrongState("the solution does that itself")),
        _ => Ok(()),
    }
}

/// Calls an operation of the peer's table; its result is the caller's.
fn dispatch(
    name: &str,
    handle: esp_peer_handle_t,
    call: impl FnOnce(&esp_peer_ops_t, esp_peer_handle_t) -> Option<c_int>,
) -> c_int {
    answer(name, || {
        let Some(peer) = PEERS.get(handle) else {
            return invalid("the handle is not one of an open peer");
        };
        let code = call(&peer.ops, peer.inner);
        code.ok_or(Error::NotSupported("the implementation has none"))
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn esp_peer_open(
    cfg: *mut esp_peer_cfg_t,
    ops: *const esp_peer_ops_t,
    peer: *mut esp_peer_handle_t,
) -> c_int {
    crate::log::start();
    answer("esp_peer_open", || {
        // SAFETY: the caller owes a place for a handle.
        unsafe { place(peer) }?;
        if cfg.is_null() {
            return invalid("no configuration");
        }
        // SAFETY: the caller owes a table.
        let ops = unsafe { read(ops, "no table of operations") }?;
        let Some(open) = ops.open else {
            return invalid("the table of operations has no `open`");
        };
        let mut inner = ptr::null_mut();
        // SAFETY: the implementation gets what the caller gave, and a place for its handle.
        let code = unsafe { open(cfg, &raw mut inner) };
        if code == NONE {
            let handle = PEERS.insert(Peer {
                ops,
                inner,
                lent: false,
            });
            // SAFETY: it was written to before.
            unsafe { peer.write(handle) };
        }
        Ok(code)
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn esp_peer_new_connection(peer: esp_peer_handle_t) -> c_int {
    dispatch("esp_peer_new_connection", peer, |ops, inner| {
        // SAFETY: a handle of the implementation's own.
        ops.new_connection.map(|op| unsafe { op(inner) })
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn esp_peer_update_ice_info(
    peer: esp_peer_handle_t,
    role: c_int,
    server: *mut esp_peer_ice_server_cfg_t,
    server_num: c_int,
) -> c_int {
    dispatch("esp_peer_update_ice_info", peer, |ops, inner| {
        let op = ops.update_ice_info?;
        // SAFETY: a handle of the implementation's own, and what the caller gave.
        Some(unsafe { op(inner, role, server, server_num) })
    })
}

/// Exports an operation on a handle and one thing more.
macro_rules! operation {
    ($name:ident, $op:ident, $what:ty) => {
        #[doc = concat!("`", stringify!($op), "` of the peer's table.")]
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(peer: esp_peer_handle_t, what: $what) -> c_int {
            dispatch(stringify!($name), peer, |ops, inner| {
                // SAFETY: a handle of the implementation's own, and what the caller gave.
                ops.$op.map(|op| unsafe { op(inner, what) })
            })
        }
    };
}

operation!(esp_peer_send_msg, send_msg, *mut esp_peer_msg_t);
operation!(esp_peer_send_video, send_video, *mut esp_peer_frame_t);
operation!(esp_peer_send_audio, send_audio, *mut esp_peer_frame_t);
operation!(esp_peer_send_data, send_data, *mut esp_peer_data_frame_t);
operation!(
    esp_peer_create_data_channel,
    create_data_channel,
    *mut esp_peer_data_channel_cfg_t
);
operation!(
    esp_peer_close_data_channel,
    close_data_channel,
    *const c_char
);

#[unsafe(no_mangle)]
pub unsafe extern "C" fn esp_peer_main_loop(peer: esp_peer_handle_t) -> c_int {
    if let refused @ ..NONE = guard("esp_peer_main_loop", || owned(peer)) {
        return refused;
    }
    dispatch("esp_peer_main_loop", peer, |ops, inner| {
        // SAFETY: a handle of the implementation's own.
        ops.main_loop.map(|op| unsafe { op(inner) })
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn esp_peer_disconnect(peer: esp_peer_handle_t) -> c_int {
    dispatch("esp_peer_disconnect", peer, |ops, inner| {
        // SAFETY: a handle of the implementation's own.
        ops.disconnect.map(|op| unsafe { op(inner) })
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn esp_peer_query(peer: esp_peer_handle_t) -> c_int {
    dispatch("esp_peer_query", peer, |ops, inner| {
        // SAFETY: a handle of the implementation's own.
        ops.query.map(|op| unsafe { op(inner) })
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn esp_peer_set_rtp_transformer(
    peer: esp_peer_handle_t,
    role: c_int,
    transform_cb: *mut esp_peer_rtp_transform_cb_t,
    ctx: *mut c_void,
) -> c_int {
    dispatch("esp_peer_set_rtp_transformer", peer, |ops, inner| {
        let op = ops.set_rtp_transformer?;
        // SAFETY: a handle of the implementation's own, and what the caller gave.
        Some(unsafe { op(inner, role, transform_cb, ctx) })
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn esp_peer_close(peer: esp_peer_handle_t) -> c_int {
    answer("esp_peer_close", || {
        owned(peer)?;
        let Some(peer) = PEERS.remove(peer) else {
            return invalid("the handle is not one of an open peer");
        };
        let close = peer.ops.close;
        let close = close.ok_or(Error::NotSupported("the implementation has none"))?;
        // SAFETY: a handle of the implementation's own, that is handed over this last time.
        Ok(unsafe { close(peer.inner) })
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn esp_peer_get_paired_addr(
    peer: esp_peer_handle_t,
    addr: *mut esp_peer_addr_t,
) -> c_int {
    guard("esp_peer_get_paired_addr", || {
        let Some(peer) = PEERS.get(peer) else {
            return invalid("the handle is not one of an open peer");
        };
        if addr.is_null() || !addr.is_aligned() {
            return invalid("no place for the address");
        }
        let paired = default::paired_addr(peer.inner)?;
        // SAFETY: it is not NULL and aligned; the caller owes a place for an address.
        unsafe { addr.write(paired) };
        Ok(())
    })
}
