//! `esp_webrtc_defaults.h`: the tables of operations over our own signalings.

use std::ffi::c_int;
use std::sync::{Arc, Mutex, PoisonError};

use esp_peer::Error;
use esp_webrtc::signaling::{self, IceInfo, Signaling, SignalingEvents};
use esp_wire::Signal;

use super::maker::{Kind, Maker};
use super::types::*;
use super::words::{CServer, best, error, parts, signal};
use crate::border::{Outcome, guard, invalid, message, place, read, size, with_zero};
use crate::gate::Gate;
use crate::handles::Handles;
use crate::peer::types::{Told, c_bool};

static APPRTC: esp_peer_signaling_impl_t = esp_peer_signaling_impl_t {
    start: Some(start_apprtc),
    send_msg: Some(send_msg),
    stop: Some(stop),
};

static WHIP: esp_peer_signaling_impl_t = esp_peer_signaling_impl_t {
    start: Some(start_whip),
    ..APPRTC
};

static JANUS: esp_peer_signaling_impl_t = esp_peer_signaling_impl_t {
    start: Some(start_janus),
    ..APPRTC
};

/// A signaling that a program started itself.
struct Client {
    /// None once it is being stopped.
    signaling: Mutex<Option<Box<dyn Signaling>>>,
    gate: Arc<Gate>,
}

static CLIENTS: Handles<Client> = Handles::new(4);

#[unsafe(no_mangle)]
pub extern "C" fn esp_signaling_get_apprtc_impl() -> *const esp_peer_signaling_impl_t {
    &raw const APPRTC
}

#[unsafe(no_mangle)]
pub extern "C" fn esp_signaling_get_whip_impl() -> *const esp_peer_signaling_impl_t {
    &raw const WHIP
}

#[unsafe(no_mangle)]
pub extern "C" fn esp_signaling_get_janus_impl() -> *const esp_peer_signaling_impl_t {
    &raw const JANUS
}

impl Kind {
    /// Whether a table is one of ours.
    pub(crate) fn of(table: &esp_peer_signaling_impl_t) -> Option<Self> {
        let is = |ours: &esp_peer_signaling_impl_t| {
            table.start.map(|start| start as usize) == ours.start.map(|start| start as usize)
        };
        match () {
            () if is(&APPRTC) => Some(Kind::AppRtc),
            () if is(&WHIP) => Some(Kind::Whip),
            () if is(&JANUS) => Some(Kind::Janus),
            () => None,
        }
    }
}

/// Tells a program what a signaling reports.
struct Teller {
    cfg: esp_peer_signaling_cfg_t,
    gate: Arc<Gate>,
}

// SAFETY: the program owes callbacks that may be called in any task, and `ctx` is only handed back to them; no other
// pointer of the configuration is looked at after the start.
unsafe impl Send for Teller {}

impl Teller {
    fn tell<T>(&self, callback: Told<T>, mut what: T) {
        if let Some(callback) = callback {
            // SAFETY: the program owes callbacks of these types; `what` lives until the call returns.
            self.gate
                .call(|| unsafe { callback(&raw mut what, self.cfg.ctx) });
        }
    }

    fn happened(&self, callback: Happened) {
        if let Some(callback) = callback {
            // SAFETY: the program owes callbacks of this type.
            self.gate.call(|| unsafe { callback(self.cfg.ctx) });
        }
    }
}

impl SignalingEvents for Teller {
    fn on_ice_info(&mut self, info: IceInfo) {
        let server = CServer::of(best(&info.servers));
        let info = esp_peer_signaling_ice_info_t {
            server_info: server.shown(),
            is_initiator: c_bool::from(info.is_initiator()),
        };
        self.tell(self.cfg.on_ice_info, info);
    }

    fn on_connected(&mut self) {
        self.happened(self.cfg.on_connected);
    }

    fn on_msg(&mut self, msg: Signal<'_>) {
        let Some((kind, text)) = parts(&msg) else {
            return;
        };
        let mut data = with_zero(text.as_bytes());
        let shown = esp_peer_signaling_msg_t {
            kind,
            data: data.as_mut_ptr(),
            size: size(text.len()),
        };
        self.tell(self.cfg.on_msg, shown);
    }

    fn on_close(&mut self, reason: &str) {
        tracing::info!("signaling ended: {reason}");
        self.happened(self.cfg.on_close);
    }

    fn on_reconnecting(&mut self, reason: &str) {
        tracing::info!("signaling lost: {reason}");
    }
}

/// Starts a client.
///
/// # Safety
/// The pointers are NULL, or show what the headers say.
unsafe fn start(
    kind: Kind,
    cfg: *mut esp_peer_signaling_cfg_t,
    sig: *mut esp_peer_signaling_handle_t,
) -> Outcome {
    // SAFETY: the caller owes a place for a handle.
    unsafe { place(sig) }?;
    // SAFETY: the caller owes a configuration.
    let cfg = unsafe { read(cfg, "no configuration") }?;
    // SAFETY: and what it shows.
    let maker = unsafe { Maker::read(kind, cfg.signal_url, cfg.extra_cfg, cfg.extra_size) }?;
    let gate = Arc::new(Gate::default());
    let handle = CLIENTS.insert(Client {
        signaling: Mutex::new(None),
        gate: Arc::clone(&gate),
    });
    // The callbacks may want it before this returns.
    // SAFETY: it was written to before.
    unsafe { sig.write(handle) };
    let Some(client) = CLIENTS.get(handle) else {
        return invalid("it was stopped already");
    };
    // Callbacks that send a message wait here until it can be sent.
    let mut signaling = client
        .signaling
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let made = signaling.insert(maker.make());
    let started = made.start(Box::new(Teller { cfg, gate }));
    if started.is_err() {
        CLIENTS.remove(handle);
        // SAFETY: as above.
        unsafe { sig.write(std::ptr::null_mut()) };
    }
    started.map_err(error)
}

unsafe extern "C" fn start_apprtc(
    cfg: *mut esp_peer_signaling_cfg_t,
    sig: *mut esp_peer_signaling_handle_t,
) -> c_int {
    crate::log::start();
    // SAFETY: the caller owes what the headers say.
    guard("start", || unsafe { start(Kind::AppRtc, cfg, sig) })
}

unsafe extern "C" fn start_whip(
    cfg: *mut esp_peer_signaling_cfg_t,
    sig: *mut esp_peer_signaling_handle_t,
) -> c_int {
    crate::log::start();
    // SAFETY: the caller owes what the headers say.
    guard("start", || unsafe { start(Kind::Whip, cfg, sig) })
}

unsafe extern "C" fn start_janus(
    cfg: *mut esp_peer_signaling_cfg_t,
    sig: *mut esp_peer_signaling_handle_t,
) -> c_int {
    crate::log::start();
    // SAFETY: the caller owes what the headers say.
    guard("start", || unsafe { start(Kind::Janus, cfg, sig) })
}

unsafe extern "C" fn send_msg(
    sig: esp_peer_signaling_handle_t,
    msg: *mut esp_peer_signaling_msg_t,
) -> c_int {
    guard("send_msg", || {
        let Some(client) = CLIENTS.get(sig) else {
            return invalid("the handle is not one of a started signaling");
        };
        // SAFETY: the caller owes a message.
        let msg = unsafe { read(msg, "no message") }?;
        // SAFETY: and its bytes.
        let signal = signal(msg.kind, unsafe { message(msg.data, msg.size) }?)?;
        let mut signaling = client
            .signaling
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match (signaling.as_mut(), &signal) {
            (None, _) => Err(Error::WrongState("the signaling has ended")),
            (Some(signaling), signal) => match signaling.send_msg(signal) {
                Err(signaling::Error::Misuse(_)) => {
                    Err(Error::NotSupported("this signaling does not carry that"))
                }
                sent => sent.map_err(error),
            },
        }
    })
}

unsafe extern "C" fn stop(sig: esp_peer_signaling_handle_t) -> c_int {
    guard("stop", || {
        let Some(client) = CLIENTS.remove(sig) else {
            return invalid("the handle is not one of a started signaling");
        };
        let signaling = client
            .signaling
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let stopped = match signaling {
            Some(mut signaling) => signaling.stop(),
            None => Ok(()),
        };
        client.gate.close();
        stopped.map_err(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_known_again() {
        assert_eq!(Kind::of(&APPRTC), Some(Kind::AppRtc));
        assert_eq!(Kind::of(&WHIP), Some(Kind::Whip));
        assert_eq!(Kind::of(&JANUS), Some(Kind::Janus));
        let other = esp_peer_signaling_impl_t {
            start: None,
            ..APPRTC
        };
        assert_eq!(Kind::of(&other), None);
    }
}
