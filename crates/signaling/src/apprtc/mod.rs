//! A client of AppRTC room servers.
//!
//! 1. `POST B/join/{room}`: a name, a role, addresses; FULL is told and tried again.
//! 2. `POST {ice_server_url}`: the ICE servers, fetched again before their credentials expire.
//! 3. WebSocket to `wss_url` with `Origin`: `register`; the answer to a ping shows that it holds.
//! 4. Messages that were waiting in the room are handled, then both directions flow: the initiator sends by
//!    `POST B/message/{room}/{client}`, the other by the WebSocket; a `bye` always goes by the WebSocket.
//! 5. A `bye` that is received makes us the initiator. After one that we send we leave and join again.
//! 6. A lost WebSocket is opened again under the same name; only when the server does not know that name
//!    any more is the room joined anew.
//! 7. Leaving: `POST B/leave/{room}/{client}`, `bye`, `DELETE {wss_post_url}/{room}/{client}`, close.

pub(crate) mod backoff;
mod config;
mod conversation;
mod message;
mod rest;
mod socket;
mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, SyncSender, TrySendError, channel, sync_channel,
};
use std::thread::ThreadId;

use esp_wire::{Signal, Trickle};
use mio::{Poll, Waker};

pub use self::config::AppRtcConfig;
use self::worker::Worker;
use crate::http::Http;
use crate::{Error, Signaling, SignalingEvents};

/// A client of an AppRTC room server; it works on one thread of its own.
pub struct AppRtc {
    config: AppRtcConfig,
    running: Option<Running>,
    stopped: bool,
}

struct Running {
    commands: SyncSender<Signal<'static>>,
    stop: Arc<AtomicBool>,
    waker: Arc<Waker>,
    /// Disconnected when the thread is done.
    done: Receiver<()>,
    thread: ThreadId,
}

impl AppRtc {
    /// A client that does nothing before [`Signaling::start`].
    pub fn new(config: AppRtcConfig) -> Self {
        AppRtc {
            config,
            running: None,
            stopped: false,
        }
    }
}

impl Signaling for AppRtc {
    fn start(&mut self, events: Box<dyn SignalingEvents>) -> Result<(), Error> {
        if self.running.is_some() || self.stopped {
            return Err(Error::Misuse("this client was started before".into()));
        }
        let system = |error: std::io::Error| {
            Error::Misuse(format!(
                "the system refuses what the signaling needs: {error}"
            ))
        };
        let tls = self.config.common.trust.client_config()?;
        let poll = Poll::new().map_err(system)?;
        let waker = Waker::new(poll.registry(), socket::WAKE).map_err(system)?;
        let (commands, inbox) = sync_channel(self.config.common.queue);
        let (finished, done) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let http = Http::new(tls.clone(), self.config.answer_size);
        let worker = Worker::new(
            self.config.clone(),
            tls,
            http,
            poll,
            inbox,
            stop.clone(),
            events,
        );
        let thread = std::thread::Builder::new()
            .name("apprtc".into())
            .spawn(move || {
                // Dropped last, when everything is over.
                let _finished = finished;
                worker.run();
            })
            .map_err(system)?;
        self.running = Some(Running {
            commands,
            stop,
            waker: Arc::new(waker),
            done,
            thread: thread.thread().id(),
        });
        Ok(())
    }

    fn send_msg(&mut self, msg: &Signal<'_>) -> Result<(), Error> {
        let Some(running) = &self.running else {
            return Err(if self.stopped {
                Error::Closed
            } else {
                Error::Misuse("start the signaling first".into())
            });
        };
        running
            .commands
            .try_send(msg.clone().into_owned())
            .map_err(|error| match error {
                TrySendError::Full(_) => Error::WouldBlock,
                TrySendError::Disconnected(_) => Error::Closed,
            })?;
        running.wake();
        Ok(())
    }

    fn stop(&mut self) -> Result<(), Error> {
        self.stopped = true;
        let Some(running) = self.running.take() else {
            return Ok(());
        };
        running.stop.store(true, Ordering::SeqCst);
        running.wake();
        if running.thread == std::thread::current().id() {
            return Ok(());
        }
        match running.done.recv_timeout(self.config.common.goodbye) {
            Err(RecvTimeoutError::Timeout) => Err(Error::Unreachable(
                "the room server took too long to say goodbye; it will find us gone".into(),
            )),
            _ => Ok(()),
        }
    }

    fn trickle(&self) -> Trickle {
        Trickle::Full
    }
}

impl Running {
    fn wake(&self) {
        if let Err(error) = self.waker.wake() {
            tracing::warn!(%error, "the signaling thread cannot be woken");
        }
    }
}

impl Drop for AppRtc {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}
