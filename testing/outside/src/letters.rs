//! A signaling in memory.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use esp_webrtc::signaling::{Error, IceCause, IceInfo, Signaling, SignalingEvents};
use esp_webrtc::wire::{Role, Signal};

enum Item {
    FromPeer(Signal<'static>),
    RoleIs(Role),
    Stop,
}

/// One end of [`letters`].
pub struct Letters {
    role: Role,
    other: Sender<Item>,
    own: Sender<Item>,
    inbox: Option<Receiver<Item>>,
    thread: Option<JoinHandle<()>>,
}

/// Two ends that write to each other; the first is the initiator.
pub fn letters() -> (Letters, Letters) {
    let (to_first, first) = channel();
    let (to_second, second) = channel();
    let end = |role, own: &Sender<Item>, other: &Sender<Item>, inbox| Letters {
        role,
        other: other.clone(),
        own: own.clone(),
        inbox: Some(inbox),
        thread: None,
    };
    (
        end(Role::Controlling, &to_first, &to_second, first),
        end(Role::Controlled, &to_second, &to_first, second),
    )
}

impl Signaling for Letters {
    fn start(&mut self, events: Box<dyn SignalingEvents>) -> Result<(), Error> {
        let inbox = self
            .inbox
            .take()
            .ok_or_else(|| Error::Misuse("started before".into()))?;
        let role = self.role;
        self.thread = Some(thread::spawn(move || read(role, &inbox, events)));
        Ok(())
    }

    fn send_msg(&mut self, msg: &Signal<'_>) -> Result<(), Error> {
        let letter = Item::FromPeer(msg.clone().into_owned());
        self.other.send(letter).map_err(|_| Error::Closed)?;
        if *msg == Signal::Bye {
            self.own
                .send(Item::RoleIs(Role::Controlled))
                .map_err(|_| Error::Closed)?;
        }
        Ok(())
    }

    fn stop(&mut self) -> Result<(), Error> {
        let Some(thread) = self.thread.take() else {
            return Ok(());
        };
        // The other end may be gone.
        let _ = self.other.send(Item::FromPeer(Signal::Bye));
        self.own.send(Item::Stop).map_err(|_| Error::Closed)?;
        let _ = thread.join();
        Ok(())
    }
}

fn read(role: Role, inbox: &Receiver<Item>, mut events: Box<dyn SignalingEvents>) {
    let info = |role, cause| IceInfo {
        servers: Vec::new(),
        role,
        cause,
    };
    events.on_ice_info(info(role, IceCause::Joined));
    events.on_connected();
    for item in inbox {
        match item {
            Item::FromPeer(Signal::Bye) => {
                events.on_msg(Signal::Bye);
                events.on_ice_info(info(Role::Controlling, IceCause::PeerLeft));
            }
            Item::FromPeer(signal) => events.on_msg(signal),
            Item::RoleIs(role) => events.on_ice_info(info(role, IceCause::Joined)),
            Item::Stop => break,
        }
    }
    events.on_close("stopped");
}
