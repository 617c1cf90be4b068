//! What a solution tells its program.

use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use esp_webrtc::Event;
use esp_wire::{DataFrame, DataKind};

use super::types::*;
use crate::border::{size, with_zero};
use crate::gate::Gate;
use crate::peer::types::*;

/// By which way a message came.
pub(super) const VIA_SIGNALING: c_int = 1;
pub(super) const VIA_DATA_CHANNEL: c_int = 2;

const CONNECTING: c_int = 1;
const CONNECTED: c_int = 3;
const DISCONNECTED: c_int = 5;

/// The callbacks of a program, as long as its solution is open.
pub(super) struct Calls {
    given: esp_webrtc_peer_cfg_t,
    handler: Mutex<(esp_webrtc_event_handler_t, *mut c_void)>,
    pub(super) gate: Gate,
}

// SAFETY: the program owes callbacks that may be called in any task, and contexts are only handed back to them; no other
// pointer of the configuration is looked at.
unsafe impl Send for Calls {}
// SAFETY: as above.
unsafe impl Sync for Calls {}

impl Calls {
    pub(super) fn new(given: &esp_webrtc_peer_cfg_t) -> Self {
        Calls {
            given: *given,
            handler: Mutex::new((None, ptr::null_mut())),
            gate: Gate::default(),
        }
    }

    pub(super) fn set_handler(&self, handler: esp_webrtc_event_handler_t, ctx: *mut c_void) {
        *self.handler.lock().unwrap_or_else(PoisonError::into_inner) = (handler, ctx);
    }

    fn event(&self, kind: c_int) {
        let (handler, ctx) = *self.handler.lock().unwrap_or_else(PoisonError::into_inner);
        let body = ptr::null_mut();
        self.told(handler, ctx, esp_webrtc_event_t { kind, body });
    }

    fn told<T>(&self, callback: Told<T>, ctx: *mut c_void, mut what: T) -> Option<c_int> {
        let callback = callback?;
        // SAFETY: the program owes callbacks of these types; `what` lives until the call returns.
        self.gate.call(|| unsafe { callback(&raw mut what, ctx) })
    }

    /// A message of the peer's application; `data` ends with a zero that is not counted.
    fn custom(&self, via: c_int, data: &mut [u8]) {
        if let Some(callback) = self.given.on_custom_data {
            let size = size(data.len().saturating_sub(1));
            // SAFETY: the program owes a callback of this type; the bytes live until it returns.
            let call = || unsafe { callback(via, data.as_mut_ptr(), size, self.given.ctx) };
            self.gate.call(call);
        }
    }

    pub(super) fn channel_opened(&self, channel: esp_peer_data_channel_info_t) {
        self.told(self.given.on_channel_open, self.given.ctx, channel);
    }

    pub(super) fn channel_closed(&self, channel: esp_peer_data_channel_info_t) {
        self.told(self.given.on_channel_close, self.given.ctx, channel);
    }

    /// A message on a data channel; `memory` is filled anew for each.
    pub(super) fn data(&self, frame: DataFrame<'_>, memory: &mut Vec<u8>) {
        memory.clear();
        memory.extend_from_slice(frame.data);
        memory.push(0);
        let shown = esp_peer_data_frame_t {
            kind: match frame.kind {
                DataKind::Binary => 1,
                DataKind::Text => 2,
            },
            stream_id: frame.stream_id,
            data: memory.as_mut_ptr(),
            size: size(frame.data.len()),
        };
        self.told(self.given.on_data, self.given.ctx, shown);
        self.custom(VIA_DATA_CHANNEL, memory);
    }

    /// Whether a picture is to be sent, and what of it: what the program shows in its place.
    pub(super) fn video_send(&self, shown: &mut esp_peer_frame_t) -> bool {
        let Some(callback) = self.given.on_video_send else {
            return true;
        };
        // SAFETY: the program owes a callback of this type.
        let call = || unsafe { callback(shown, self.given.ctx) };
        self.gate.call(call) == Some(0)
    }
}

/// What one start of a solution tells.
#[derive(Default)]
pub(super) struct Progress {
    /// Signaling was begun, which is an event of Rust, but none of C.
    begun: AtomicBool,
    connected: AtomicBool,
}

impl Progress {
    pub(super) fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Acquire)
    }

    pub(super) fn on_event(&self, calls: &Calls, event: Event) {
        let kind = match event {
            Event::Connecting if !self.begun.swap(true, Ordering::AcqRel) => return,
            Event::Connecting => CONNECTING,
            Event::Paired => 2,
            Event::Connected => CONNECTED,
            Event::ConnectFailed => 4,
            Event::Disconnected => DISCONNECTED,
            Event::DataChannelConnected => 6,
            Event::DataChannelDisconnected => 7,
            Event::DataChannelOpened => 8,
            Event::DataChannelClosed => 9,
            Event::Custom(text) => {
                let mut data = with_zero(text.as_bytes());
                return calls.custom(VIA_SIGNALING, &mut data);
            }
            other => return tracing::info!("{other}"),
        };
        match kind {
            CONNECTED => self.connected.store(true, Ordering::Release),
            DISCONNECTED => self.connected.store(false, Ordering::Release),
            _ => {}
        }
        calls.event(kind);
    }

    /// Tells the end of a connection that the program has ended itself.
    pub(super) fn on_stopped(&self, calls: &Calls) {
        if self.connected.swap(false, Ordering::AcqRel) {
            calls.event(DISCONNECTED);
        }
    }
}
