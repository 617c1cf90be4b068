//! The thread that calls the events.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;

use esp_rooms::Heard;
use esp_signaling::json::{self, Incoming};
use esp_signaling::{IceCause, IceInfo, SignalingEvents};
use esp_wire::{IceServer, Role, Signal};

/// What there is to tell.
pub(crate) enum Item {
    Heard(Heard),
    /// The device has said bye.
    SaidBye,
    Stop,
}

pub(crate) struct Worker {
    pub(crate) inbox: Receiver<Item>,
    pub(crate) events: Box<dyn SignalingEvents>,
    pub(crate) servers: Vec<IceServer>,
    pub(crate) stop: Arc<AtomicBool>,
}

impl Worker {
    pub(crate) fn run(mut self) {
        self.tell_ice_info(IceCause::Joined);
        self.events.on_connected();
        while let Ok(item) = self.inbox.recv() {
            if self.stop.load(Ordering::SeqCst) {
                break;
            }
            match item {
                Item::Heard(Heard::Message(text)) => self.on_message(&text),
                Item::Heard(_) => {
                    self.events.on_peer_lost();
                    self.tell_ice_info(IceCause::PeerLost);
                }
                Item::SaidBye => self.tell_ice_info(IceCause::Joined),
                Item::Stop => break,
            }
        }
        self.events.on_close("stopped");
    }

    fn on_message(&mut self, text: &str) {
        match json::read(text) {
            // A page knows no other bye than its own.
            Some(Incoming::Signal(Signal::Bye) | Incoming::PeerLost) => {
                self.events.on_msg(Signal::Bye);
                self.tell_ice_info(IceCause::PeerLeft);
            }
            Some(Incoming::Signal(signal)) => self.events.on_msg(signal),
            _ => tracing::debug!("the page says what makes no sense"),
        }
    }

    /// The device offers, whoever comes.
    fn tell_ice_info(&mut self, cause: IceCause) {
        self.events.on_ice_info(IceInfo {
            servers: self.servers.clone(),
            role: Role::Controlling,
            cause,
        });
    }
}
