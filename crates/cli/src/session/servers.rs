//! Servers of the user, beside those that signaling tells.

use esp_webrtc::Signaling;
use esp_webrtc::signaling::{Error, IceInfo, SignalingEvents};
use esp_webrtc::wire::{IceServer, Signal, Trickle};

/// A signaling that also tells servers of its user.
pub(super) struct WithServers {
    pub(super) inner: Box<dyn Signaling>,
    pub(super) servers: Vec<IceServer>,
}

impl Signaling for WithServers {
    fn start(&mut self, events: Box<dyn SignalingEvents>) -> Result<(), Error> {
        self.inner.start(Box::new(Adding {
            inner: events,
            servers: self.servers.clone(),
        }))
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

struct Adding {
    inner: Box<dyn SignalingEvents>,
    servers: Vec<IceServer>,
}

impl SignalingEvents for Adding {
    fn on_ice_info(&mut self, mut info: IceInfo) {
        info.servers.extend(self.servers.iter().cloned());
        self.inner.on_ice_info(info);
    }

    fn on_connected(&mut self) {
        self.inner.on_connected();
    }

    fn on_msg(&mut self, msg: Signal<'_>) {
        self.inner.on_msg(msg);
    }

    fn on_close(&mut self, reason: &str) {
        self.inner.on_close(reason);
    }

    fn on_reconnecting(&mut self, reason: &str) {
        self.inner.on_reconnecting(reason);
    }

    fn on_peer_lost(&mut self) {
        self.inner.on_peer_lost();
    }
}
