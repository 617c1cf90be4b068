//! Two ends in one process, for tests and examples.
//!
//! The first end is the initiator. What one end sends waits until the other has started; each end has
//! one thread that calls its events. A bye makes the end that hears it the initiator.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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
    stop: Arc<AtomicBool>,
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
        stop: Arc::default(),
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
        let delivery = Delivery {
            inbox,
            stop: self.stop.clone(),
            servers: self.servers.clone(),
            role: self.role,
        };
        let thread = std::thread::Builder::new()
            .name("signaling pair".into())
            .spawn(move || delivery.run(events))
            .map_err(|error| Error::Misuse(format!("no thread for the signaling: {error}")))?;
        self.thread = Some(thread);
        Ok(())
    }

    fn send_msg(&mut self, msg: &Signal<'_>) -> Result<(), Error> {
        if self.stopped {
            return Err(Error::Closed);
        }
        if self.thread.is_none() {
            return Err(Error::Misuse("start the signaling first".into()));
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
        self.stop.store(true, Ordering::SeqCst);
        // A full queue wakes the thread as well.
        let _ = self.own.try_send(Item::Stop);
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

/// What the thread of an end works with.
struct Delivery {
    inbox: Receiver<Item>,
    stop: Arc<AtomicBool>,
    servers: Vec<IceServer>,
    role: Role,
}

impl Delivery {
    fn info(&self, role: Role, cause: IceCause) -> IceInfo {
        IceInfo {
            servers: self.servers.clone(),
            role,
            cause,
        }
    }

    fn run(self, mut events: Box<dyn SignalingEvents>) {
        events.on_ice_info(self.info(self.role, IceCause::Joined));
        events.on_connected();
        while !self.stop.load(Ordering::SeqCst) {
            match self.inbox.recv() {
                Ok(Item::Signal(Signal::Bye)) => {
                    events.on_msg(Signal::Bye);
                    events.on_ice_info(self.info(Role::Controlling, IceCause::PeerLeft));
                }
                Ok(Item::Signal(signal)) => events.on_msg(signal),
                Ok(Item::SaidBye) => {
                    events.on_ice_info(self.info(Role::Controlled, IceCause::Joined));
                }
                Ok(Item::Stop) | Err(_) => break,
            }
        }
        events.on_close("stopped");
    }
}
