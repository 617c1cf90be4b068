//! Where the callbacks of a program's peer connection go.

use std::cell::Cell;
use std::collections::VecDeque;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use esp_peer::{ChannelInfo, Handler, NegotiatedMedia, State};
use esp_wire::{DataFrame, DataKind, Frame, Signal};

use crate::border::{Outcome, bytes, guard, invalid, message, read};
use crate::handles::Handles;
use crate::peer::default::settings;
use crate::peer::types::*;
use crate::signaling::words::signal;

/// By the number that is their context: a callback that comes too late finds nothing.
static INBOXES: Handles<Inbox> = Handles::new(6);

thread_local! {
    /// Which inbox this thread tells something of just now.
    static TELLING: Cell<usize> = const { Cell::new(0) };
}

/// The handler of a peer connection. A program may make callbacks in any task, and from within its own functions that a
/// callback has led to; what cannot be told then is told right after.
pub(super) struct Inbox {
    handler: Mutex<Box<dyn Handler>>,
    late: Mutex<VecDeque<Late>>,
    negotiated: NegotiatedMedia,
}

enum Late {
    State(State),
    Msg(Signal<'static>),
    Closed(ChannelInfo),
}

/// Takes an inbox in; callbacks with this context find it.
pub(super) fn register(inbox: Inbox) -> *mut c_void {
    INBOXES.insert(inbox)
}

/// Lets callbacks find it no more.
pub(super) fn forget(ctx: *mut c_void) {
    INBOXES.remove(ctx);
}

/// The configuration with callbacks that find an inbox by their context.
pub(super) fn with_callbacks(cfg: esp_peer_cfg_t) -> esp_peer_cfg_t {
    esp_peer_cfg_t {
        on_state: Some(on_state),
        on_msg: Some(on_msg),
        on_video_info: Some(on_video_info),
        on_audio_info: Some(on_audio_info),
        on_audio_data: Some(on_audio_data),
        on_video_data: Some(on_video_data),
        on_channel_open: Some(on_channel_open),
        on_data: Some(on_data),
        on_channel_close: Some(on_channel_close),
        ..cfg
    }
}

impl Inbox {
    pub(super) fn new(handler: Box<dyn Handler>, negotiated: NegotiatedMedia) -> Self {
        Inbox {
            handler: Mutex::new(handler),
            late: Mutex::default(),
            negotiated,
        }
    }

    fn tell(&self, late: Option<Late>, now: impl FnOnce(&mut dyn Handler)) {
        struct Leave(usize);
        impl Drop for Leave {
            fn drop(&mut self) {
                TELLING.set(self.0);
            }
        }
        let me = std::ptr::from_ref(self).addr();
        if TELLING.get() == me {
            match late {
                Some(late) => self
                    .late
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push_back(late),
                None => tracing::warn!("a callback from within a callback is dropped"),
            }
            return;
        }
        let mut handler = self.handler.lock().unwrap_or_else(PoisonError::into_inner);
        let _leave = Leave(TELLING.replace(me));
        now(&mut **handler);
        while let Some(late) = self.next_late() {
            match late {
                Late::State(state) => self.tell_state(&mut **handler, state),
                Late::Msg(msg) => handler.on_msg(msg),
                Late::Closed(channel) => handler.on_channel_close(&channel),
            }
        }
    }

    fn next_late(&self) -> Option<Late> {
        self.late
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front()
    }

    fn tell_state(&self, handler: &mut dyn Handler, state: State) {
        if state == State::Connected {
            handler.on_negotiated(self.negotiated);
        }
        handler.on_state(state);
    }
}

/// The states by their numbers.
const STATES: [State; 18] = [
    State::Closed,
    State::Disconnected,
    State::NewConnection,
    State::CandidateGathering,
    State::Pairing,
    State::Paired,
    State::Connecting,
    State::Connected,
    State::ConnectFailed,
    State::DataChannelConnected,
    State::DataChannelOpened,
    State::DataChannelClosed,
    State::DataChannelDisconnected,
    State::RemoteAudioTrackAdded,
    State::RemoteAudioTrackRemoved,
    State::RemoteVideoTrackAdded,
    State::RemoteVideoTrackRemoved,
    State::VideoPliReceived,
];

/// Hands what a program's peer connection tells to its inbox.
fn tell(name: &str, ctx: *mut c_void, tell: impl FnOnce(&Inbox) -> Outcome) -> c_int {
    guard(name, || match INBOXES.get(ctx) {
        Some(inbox) => tell(&inbox),
        None => invalid("the context is not one of an open peer connection"),
    })
}

unsafe extern "C" fn on_state(state: c_int, ctx: *mut c_void) -> c_int {
    tell("on_state", ctx, |inbox| {
        let state = usize::try_from(state)
            .ok()
            .and_then(|state| STATES.get(state));
        let Some(&state) = state else {
            return invalid("a state that is not known");
        };
        inbox.tell(Some(Late::State(state)), |handler| {
            inbox.tell_state(handler, state);
        });
        Ok(())
    })
}

unsafe extern "C" fn on_msg(msg: *mut esp_peer_msg_t, ctx: *mut c_void) -> c_int {
    tell("on_msg", ctx, |inbox| {
        // SAFETY: the implementation owes a message.
        let msg = unsafe { read(msg, "no message") }?;
        // SAFETY: and its bytes.
        let text = unsafe { message(msg.data, msg.size) }?;
        let msg = match msg.kind {
            1 | 2 => signal(msg.kind, text)?.into_owned(),
            _ => return invalid("the type of a message"),
        };
        inbox.tell(Some(Late::Msg(msg.clone())), |handler| handler.on_msg(msg));
        Ok(())
    })
}

unsafe extern "C" fn on_audio_info(
    info: *mut esp_peer_audio_stream_info_t,
    ctx: *mut c_void,
) -> c_int {
    tell("on_audio_info", ctx, |inbox| {
        // SAFETY: the implementation owes a structure.
        let info = unsafe { read(info, "no format of sound") }?;
        if let Some(info) = settings::audio(&info)? {
            inbox.tell(None, |handler| handler.on_audio_info(info));
        }
        Ok(())
    })
}

unsafe extern "C" fn on_video_info(
    info: *mut esp_peer_video_stream_info_t,
    ctx: *mut c_void,
) -> c_int {
    tell("on_video_info", ctx, |inbox| {
        // SAFETY: the implementation owes a structure.
        let info = unsafe { read(info, "no format of pictures") }?;
        if let Some(info) = settings::video(&info, esp_wire::Direction::RecvOnly)? {
            inbox.tell(None, |handler| handler.on_video_info(info));
        }
        Ok(())
    })
}

/// A frame of the program's.
///
/// # Safety
/// The pointer is NULL, or shows a frame whose bytes live during `'a`.
unsafe fn frame<'a>(frame: *mut esp_peer_frame_t) -> Outcome<Frame<'a>> {
    // SAFETY: the caller vouches for the frame.
    let frame = unsafe { read(frame, "no frame") }?;
    Ok(Frame {
        pts: Duration::from_millis(frame.pts.into()),
        // SAFETY: and for its bytes.
        data: unsafe { bytes(frame.data, frame.size, "the bytes of a frame") }?,
    })
}

unsafe extern "C" fn on_audio_data(shown: *mut esp_peer_frame_t, ctx: *mut c_void) -> c_int {
    tell("on_audio_data", ctx, |inbox| {
        // SAFETY: the implementation owes a frame.
        let frame = unsafe { frame(shown) }?;
        inbox.tell(None, |handler| handler.on_audio_data(frame));
        Ok(())
    })
}

unsafe extern "C" fn on_video_data(shown: *mut esp_peer_frame_t, ctx: *mut c_void) -> c_int {
    tell("on_video_data", ctx, |inbox| {
        // SAFETY: the implementation owes a frame.
        let frame = unsafe { frame(shown) }?;
        inbox.tell(None, |handler| handler.on_video_data(frame));
        Ok(())
    })
}

/// A channel of the program's.
///
/// # Safety
/// The pointer is NULL, or shows a structure with a label that ends with a zero.
unsafe fn channel(info: *mut esp_peer_data_channel_info_t) -> Outcome<ChannelInfo> {
    // SAFETY: the caller vouches for the structure.
    let info = unsafe { read(info, "no channel") }?;
    let label: *const c_char = info.label;
    let label = match label.is_null() {
        true => String::new(),
        // SAFETY: it is not NULL; the caller vouches for the zero.
        false => unsafe { CStr::from_ptr(label) }
            .to_string_lossy()
            .into_owned(),
    };
    Ok(ChannelInfo {
        stream_id: info.stream_id,
        label,
        protocol: String::new(),
    })
}

unsafe extern "C" fn on_channel_open(
    info: *mut esp_peer_data_channel_info_t,
    ctx: *mut c_void,
) -> c_int {
    tell("on_channel_open", ctx, |inbox| {
        // SAFETY: the implementation owes a structure.
        let channel = unsafe { channel(info) }?;
        inbox.tell(None, |handler| handler.on_channel_open(&channel));
        Ok(())
    })
}

unsafe extern "C" fn on_channel_close(
    info: *mut esp_peer_data_channel_info_t,
    ctx: *mut c_void,
) -> c_int {
    tell("on_channel_close", ctx, |inbox| {
        // SAFETY: the implementation owes a structure.
        let channel = unsafe { channel(info) }?;
        let late = Late::Closed(channel.clone());
        inbox.tell(Some(late), |handler| handler.on_channel_close(&channel));
        Ok(())
    })
}

unsafe extern "C" fn on_data(frame: *mut esp_peer_data_frame_t, ctx: *mut c_void) -> c_int {
    tell("on_data", ctx, |inbox| {
        // SAFETY: the implementation owes a frame.
        let frame = unsafe { read(frame, "no data frame") }?;
        // SAFETY: and its bytes.
        let data = unsafe { bytes(frame.data, frame.size, "the bytes of a data frame") }?;
        let kind = match frame.kind {
            1 => DataKind::Binary,
            2 => DataKind::Text,
            _ => return invalid("the type of a data frame"),
        };
        let frame = DataFrame {
            kind,
            stream_id: frame.stream_id,
            data,
        };
        inbox.tell(None, |handler| handler.on_data(frame));
        Ok(())
    })
}
