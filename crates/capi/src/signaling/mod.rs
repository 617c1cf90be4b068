//! `esp_peer_signaling.h`: signaling over any table of operations.

#![allow(
    missing_docs,
    non_camel_case_types,
    clippy::missing_safety_doc,
    reason = "the headers say what each does, and what its caller owes; the names are those of C"
)]

pub mod clients;
pub(crate) mod maker;
pub mod types;
pub(crate) mod words;

use std::ffi::c_int;
use std::ptr;

use esp_peer::Error;

use crate::border::{NONE, answer, invalid, place, read};
use crate::handles::Handles;
use types::*;

/// A signaling over the table that it was started with.
struct Signaling {
    table: esp_peer_signaling_impl_t,
    /// What the implementation calls it.
    inner: esp_peer_signaling_handle_t,
}

// SAFETY: the pointers to functions are the implementation's, which has to expect calls of any task; `inner` is only
// handed back to it.
unsafe impl Send for Signaling {}
// SAFETY: as above; nothing here is ever written.
unsafe impl Sync for Signaling {}

static SIGNALINGS: Handles<Signaling> = Handles::new(3);

#[unsafe(no_mangle)]
pub unsafe extern "C" fn esp_peer_signaling_start(
    cfg: *mut esp_peer_signaling_cfg_t,
    table: *const esp_peer_signaling_impl_t,
    sig: *mut esp_peer_signaling_handle_t,
) -> c_int {
    crate::log::start();
    answer("esp_peer_signaling_start", || {
        // SAFETY: the caller owes a place for a handle.
        unsafe { place(sig) }?;
        if cfg.is_null() {
            return invalid("no configuration");
        }
        // SAFETY: the caller owes a table.
        let table = unsafe { read(table, "no table of operations") }?;
        let Some(start) = table.start else {
            return invalid("the table of operations has no `start`");
        };
        let mut inner = ptr::null_mut();
        // SAFETY: the implementation gets what the caller gave, and a place for its handle.
        let code = unsafe { start(cfg, &raw mut inner) };
        if code == NONE {
            let handle = SIGNALINGS.insert(Signaling { table, inner });
            // SAFETY: it was written to before.
            unsafe { sig.write(handle) };
        }
        Ok(code)
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn esp_peer_signaling_send_msg(
    sig: esp_peer_signaling_handle_t,
    msg: *mut esp_peer_signaling_msg_t,
) -> c_int {
    answer("esp_peer_signaling_send_msg", || {
        let Some(signaling) = SIGNALINGS.get(sig) else {
            return invalid("the handle is not one of a started signaling");
        };
        let send = signaling.table.send_msg;
        let send = send.ok_or(Error::NotSupported("the implementation has none"))?;
        // SAFETY: a handle of the implementation's own, and what the caller gave.
        Ok(unsafe { send(signaling.inner, msg) })
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn esp_peer_signaling_stop(sig: esp_peer_signaling_handle_t) -> c_int {
    answer("esp_peer_signaling_stop", || {
        let Some(signaling) = SIGNALINGS.remove(sig) else {
            return invalid("the handle is not one of a started signaling");
        };
        let stop = signaling.table.stop;
        let stop = stop.ok_or(Error::NotSupported("the implementation has none"))?;
        // SAFETY: a handle of the implementation's own, that is handed over this last time.
        Ok(unsafe { stop(signaling.inner) })
    })
}
