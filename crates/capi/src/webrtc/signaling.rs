//! Signaling by a table of the program's own, and what all signalings of a solution have in common.

use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use esp_webrtc::signaling::{Error, IceCause, IceInfo, Signaling, SignalingEvents};
use esp_wire::{IceServer, Role, Signal, Trickle};

use super::config::{Config, SignalingConfig};
use crate::border::{NONE, Outcome, guard, invalid, message, read, size, text, with_zero};
use crate::gate::calling;
use crate::handles::Handles;
use crate::signaling::types::*;
use crate::signaling::words::{self, parts, signal};

/// What became of a start.
#[derive(Default)]
pub(super) struct Started {
    outcome: Mutex<Option<Outcome>>,
    known: Condvar,
    /// What a table of the program's own answered.
    code: AtomicI32,
}

impl Started {
    fn set(&self, outcome: Outcome) {
        *self.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
        self.known.notify_all();
    }

    /// Waits until it is known; the code of a table of the program's own comes through.
    pub(super) fn wait(&self) -> Outcome<c_int> {
        let mut outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(outcome) = outcome.take() {
                return match self.code.load(Ordering::Acquire) {
                    NONE => outcome.map(|()| NONE),
                    code => Ok(code),
                };
            }
            outcome = self
                .known
                .wait(outcome)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Who owes a word on a start, and says that none comes when it goes.
pub(super) struct Owed(pub(super) Arc<Started>);

impl Drop for Owed {
    fn drop(&mut self) {
        let ended = esp_peer::Error::WrongState("it was stopped before it started");
        self.0.set(Err(ended));
    }
}

/// The signaling of one start of a solution.
pub(super) fn make(config: &Arc<Config>, started: &Arc<Started>) -> Box<dyn Signaling> {
    let inner: Box<dyn Signaling> = match &config.signaling {
        SignalingConfig::Ours(maker) => maker.make(),
        SignalingConfig::Theirs(_) => Box::new(Table {
            config: Arc::clone(config),
            inner: ptr::null_mut(),
            events: None,
            started: Arc::clone(started),
        }),
    };
    Box::new(Whole {
        inner,
        servers: config.servers.clone(),
        started: Arc::clone(started),
    })
}

/// A signaling that says what became of its start, and names the program's servers where it has none.
struct Whole {
    inner: Box<dyn Signaling>,
    servers: Vec<IceServer>,
    started: Arc<Started>,
}

impl Signaling for Whole {
    fn start(&mut self, events: Box<dyn SignalingEvents>) -> Result<(), Error> {
        let servers = std::mem::take(&mut self.servers);
        let outcome = self.inner.start(Box::new(WithServers { events, servers }));
        self.started.set(outcome.clone().map_err(words::error));
        outcome
    }

    fn send_msg(&mut self, msg: &Signal<'_>) -> Result<(), Error> {
        self.inner.send_msg(msg)
    }

    fn stop(&mut self) -> Result<(), Error> {
        self.inner.stop()
    }

    fn connection_begins(&mut self) {
        self.inner.connection_begins();
    }

    fn trickle(&self) -> Trickle {
        self.inner.trickle()
    }
}

struct WithServers {
    events: Box<dyn SignalingEvents>,
    servers: Vec<IceServer>,
}

impl SignalingEvents for WithServers {
    fn on_ice_info(&mut self, mut info: IceInfo) {
        if info.servers.is_empty() {
            info.servers.clone_from(&self.servers);
        }
        self.events.on_ice_info(info);
    }

    fn on_connected(&mut self) {
        self.events.on_connected();
    }

    fn on_msg(&mut self, msg: Signal<'_>) {
        self.events.on_msg(msg);
    }

    fn on_close(&mut self, reason: &str) {
        self.events.on_close(reason);
    }

    fn on_reconnecting(&mut self, reason: &str) {
        self.events.on_reconnecting(reason);
    }

    fn on_peer_lost(&mut self) {
        self.events.on_peer_lost();
    }
}

/// Where the callbacks of a program's signaling go, by the number that is their context: one that comes too late finds
/// nothing.
static EVENTS: Handles<Mutex<Box<dyn SignalingEvents>>> = Handles::new(5);

/// Signaling by a table of the program's own.
struct Table {
    config: Arc<Config>,
    /// What the implementation calls it.
    inner: esp_peer_signaling_handle_t,
    /// Of `EVENTS`, while it is started.
    events: Option<*mut c_void>,
    started: Arc<Started>,
}

// SAFETY: the handle is only given back to the implementation, which has to expect calls of any task; the other pointer
// is a number.
unsafe impl Send for Table {}

impl Table {
    fn table(&self) -> Option<&super::config::SignalingTable> {
        match &self.config.signaling {
            SignalingConfig::Theirs(table) => Some(table),
            SignalingConfig::Ours(_) => None,
        }
    }
}

fn refused(what: &str, code: c_int) -> Error {
    match code {
        -9 => Error::WouldBlock,
        -1 => Error::Misuse(format!("`{what}` of the program's signaling: an argument")),
        code => Error::Refused(format!("`{what}` of the program's signaling: {code}")),
    }
}

impl Signaling for Table {
    fn start(&mut self, events: Box<dyn SignalingEvents>) -> Result<(), Error> {
        let config = Arc::clone(&self.config);
        let SignalingConfig::Theirs(theirs) = &config.signaling else {
            return Err(Error::Misuse("no table".into()));
        };
        let Some(start) = theirs.table.start.filter(|_| self.events.is_none()) else {
            return Err(Error::Misuse("it was started before".into()));
        };
        let ctx = EVENTS.insert(Mutex::new(events));
        self.events = Some(ctx);
        let (extra_cfg, extra_size) = theirs.extra.shown();
        let url = theirs.url.as_ref().map_or(ptr::null(), |url| url.as_ptr());
        let mut cfg = esp_peer_signaling_cfg_t {
            on_ice_info: Some(on_ice_info),
            on_connected: Some(on_connected),
            on_msg: Some(on_msg),
            on_close: Some(on_close),
            signal_url: url.cast_mut(),
            extra_cfg,
            extra_size,
            ctx,
        };
        // SAFETY: the implementation gets a configuration whose texts live as long as it does, and a place for its handle.
        let code = calling(|| unsafe { start(&raw mut cfg, &raw mut self.inner) });
        if code != NONE {
            EVENTS.remove(ctx);
            self.events = None;
            self.started.code.store(code, Ordering::Release);
            return Err(refused("start", code));
        }
        Ok(())
    }

    fn send_msg(&mut self, msg: &Signal<'_>) -> Result<(), Error> {
        let Some((kind, text)) = parts(msg).filter(|_| self.events.is_some()) else {
            return Ok(());
        };
        let Some(send) = self.table().and_then(|theirs| theirs.table.send_msg) else {
            return Err(Error::Misuse(
                "the program's signaling sends nothing".into(),
            ));
        };
        let mut data = with_zero(text.as_bytes());
        let mut shown = esp_peer_signaling_msg_t {
            kind,
            data: data.as_mut_ptr(),
            size: size(text.len()),
        };
        // SAFETY: a handle of the implementation's own, and a message that lives until the call returns.
        match calling(|| unsafe { send(self.inner, &raw mut shown) }) {
            NONE => Ok(()),
            code => Err(refused("send_msg", code)),
        }
    }

    fn stop(&mut self) -> Result<(), Error> {
        let Some(events) = self.events.take() else {
            return Ok(());
        };
        let code = match self.table().and_then(|theirs| theirs.table.stop) {
            // SAFETY: a handle of the implementation's own, that is handed over this last time.
            Some(stop) => calling(|| unsafe { stop(self.inner) }),
            None => NONE,
        };
        EVENTS.remove(events);
        match code {
            NONE => Ok(()),
            code => Err(refused("stop", code)),
        }
    }

    /// Whether the table carries candidates is not known.
    fn trickle(&self) -> Trickle {
        Trickle::Half
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

/// Hands what a program's signaling tells to the solution.
fn tell(
    name: &str,
    ctx: *mut c_void,
    tell: impl FnOnce(&mut dyn SignalingEvents) -> Outcome,
) -> c_int {
    guard(name, || {
        let Some(events) = EVENTS.get(ctx) else {
            return invalid("the context is not one of a signaling that is started");
        };
        let mut events = events.lock().unwrap_or_else(PoisonError::into_inner);
        tell(&mut **events)
    })
}

unsafe extern "C" fn on_ice_info(
    info: *mut esp_peer_signaling_ice_info_t,
    ctx: *mut c_void,
) -> c_int {
    tell("on_ice_info", ctx, |events| {
        // SAFETY: the implementation owes a structure.
        let info = unsafe { read(info, "no ICE information") }?;
        let server = info.server_info;
        // SAFETY: and its texts.
        let url = unsafe { text(server.stun_url, "the URL of a server") }?;
        // SAFETY: as above.
        let user = unsafe { text(server.user, "the user of a server") }?;
        // SAFETY: as above.
        let password = unsafe { text(server.psw, "the password of a server") }?;
        let server = url.filter(|url| !url.is_empty()).map(|url| {
            IceServer::turn(url, user.unwrap_or_default(), password.unwrap_or_default())
        });
        events.on_ice_info(IceInfo {
            servers: server.into_iter().collect(),
            role: match info.is_initiator {
                0 => Role::Controlled,
                _ => Role::Controlling,
            },
            cause: IceCause::Joined,
        });
        Ok(())
    })
}

unsafe extern "C" fn on_connected(ctx: *mut c_void) -> c_int {
    tell("on_connected", ctx, |events| {
        events.on_connected();
        Ok(())
    })
}

unsafe extern "C" fn on_msg(msg: *mut esp_peer_signaling_msg_t, ctx: *mut c_void) -> c_int {
    tell("on_msg", ctx, |events| {
        // SAFETY: the implementation owes a message.
        let msg = unsafe { read(msg, "no message") }?;
        // SAFETY: and its bytes.
        let text = unsafe { message(msg.data, msg.size) }?;
        events.on_msg(signal(msg.kind, text)?);
        Ok(())
    })
}

unsafe extern "C" fn on_close(ctx: *mut c_void) -> c_int {
    tell("on_close", ctx, |events| {
        events.on_close("the program's signaling says so");
        Ok(())
    })
}
