//! Two ends in one process, for tests and examples.
//!
//! The first end is the initiator. What one end sends waits until the other has started; each end has
//! one thread that calls its events. A bye makes the end that hears it the initiator.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use esp_wire::{IceServer, Role, Signal, Trickle};

use crate::{Error, IceCause, IceInfo, Signaling, SignalingEvents};

/// Messages that may wait in each direction.
const QUEUE: usize = 256;

enum Item {
    Signal(Signal<'static>),
    /// From the end itself: it has said bye.
    SaidBye,
    Stop,
}

/// One end of a [`pair`].
pub struct Pair {
    role: Role,
    servers: Vec<IceServer>,
    trickle: Trickle,
    other: SyncSender<Item>,
    own: SyncSender<Item>,
    inbox: Option<Receiver<Item>>,
    thread: Option<JoinHandle<()>>,
    stopped: bool,
}

/// Two ends that hear each other; the first is the initiator.
pub fn pair() -> (Pair, Pair) {
    let (to_first, first) = sync_channel(QUEUE);
    let (to_second, second) = sync_channel(QUEUE);
    let end = |role, own: &SyncSender<Item>, other: &SyncSender<Item>, inbox| Pair {
        role,
        servers: Vec::new(),
        trickle: Trickle::Full,
        own: own.clone(),
        other: other.clone(),
        inbox: Some(inbox),
        thread: None,
        stopped: false,
    };
    (
        end(Role::Controlling, &to_first, &to_second, first),
        end(Role::Controlled, &to_second, &to_first, second),
    )
}

impl Pair {
    /// With these servers in its [`IceInfo`].
    pub fn with_servers(mut self, servers: Vec<IceServer>) -> Self {
        self.servers = servers;
        self
    }

    /// With this kind of trickling.
    pub fn with_trickle(mut self, trickle: Trickle) -> Self {
        self.trickle = trickle;
        self
    }
}

fn full(error: &TrySendError<Item>) -> Error {
    match error {
        TrySendError::Full(_) => Error::WouldBlock,
        TrySendError::Disconnected(_) => Error::Closed,
    }
}

impl Signaling for Pair {
    fn start(&mut self, events: Box<dyn SignalingEvents>) -> Result<(), Error> {
        let inbox = self
            .inbox
            .take()
            .ok_or_else(|| Error::Misuse("this end was started before".into()))?;
        let (servers, role) = (self.servers.clone(), self.role);
        let thread = std::thread::Builder::new()
            .name("signaling pair".into())
            .spawn(move || deliver(&inbox, events, servers, role))
            .map_err(|error| Error::Misuse(format!("no thread for the signaling: {error}")))?;
        self.thread = Some(thread);
        Ok(())
    }

    fn send_msg(&mut self, msg: &Signal<'_>) -> Result<(), Error> {
        if self.thread.is_none() {
            return Err(Error::Misuse("start the signaling first".into()));
        }
        if self.stopped {
            return Err(Error::Closed);
        }
        let bye = *msg == Signal::Bye;
        let item = Item::Signal(msg.clone().into_owned());
        self.other.try_send(item).map_err(|error| full(&error))?;
        if bye {
            self.own
                .try_send(Item::SaidBye)
                .map_err(|error| full(&error))?;
        }
        Ok(())
    }

    fn stop(&mut self) -> Result<(), Error> {
        if std::mem::replace(&mut self.stopped, true) {
            return Ok(());
        }
        let Some(thread) = self.thread.take() else {
            return Ok(());
        };
        let _ = self.other.try_send(Item::Signal(Signal::Bye));
        // The thread drains its queue, so a full one is no reason not to wait.
        let _ = self.own.send(Item::Stop);
        if thread.thread().id() != std::thread::current().id() {
            let _ = thread.join();
        }
        Ok(())
    }

    fn trickle(&self) -> Trickle {
        self.trickle
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

fn deliver(
    inbox: &Receiver<Item>,
    mut events: Box<dyn SignalingEvents>,
    servers: Vec<IceServer>,
    role: Role,
) {
    let info = |role, cause| IceInfo {
        servers: servers.clone(),
        role,
        cause,
    };
    events.on_ice_info(info(role, IceCause::Joined));
    events.on_connected();
    loop {
        match inbox.recv() {
            Ok(Item::Signal(Signal::Bye)) => {
                events.on_msg(Signal::Bye);
                events.on_ice_info(info(Role::Controlling, IceCause::PeerLeft));
            }
            Ok(Item::Signal(signal)) => events.on_msg(signal),
            Ok(Item::SaidBye) => events.on_ice_info(info(Role::Controlled, IceCause::Joined)),
            Ok(Item::Stop) | Err(_) => break,
        }
    }
    events.on_close("stopped");
}
