//! The clients against servers of the tests' own.
#![allow(clippy::unwrap_used)] // helpers of tests

mod apprtc;
mod fake;
mod gateway;
mod janus;
mod pairs;
mod secure;
mod studio;
mod whip;
mod whip_places;

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use esp_signaling::{AppRtcConfig, IceCause, IceInfo, SignalingEvents, sdp};
use esp_wire::{Role, Signal};

/// Longer than anything takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A client that gives nobody up for being slow.
fn patient(config: AppRtcConfig) -> AppRtcConfig {
    config
        .with_request_timeout(PATIENCE)
        .with_goodbye(PATIENCE)
        .with_keepalive(Duration::from_secs(5), PATIENCE)
}

/// What an end was told.
#[derive(Clone, Debug, PartialEq)]
enum Told {
    Ice(Role, IceCause, usize),
    Connected,
    Msg(Signal<'static>),
    Reconnecting(String),
    PeerLost,
    Close(String),
}

struct Recorder(Sender<Told>);

impl SignalingEvents for Recorder {
    fn on_ice_info(&mut self, info: IceInfo) {
        let _ = self
            .0
            .send(Told::Ice(info.role, info.cause, info.servers.len()));
    }

    fn on_connected(&mut self) {
        let _ = self.0.send(Told::Connected);
    }

    fn on_msg(&mut self, msg: Signal<'_>) {
        let _ = self.0.send(Told::Msg(msg.into_owned()));
    }

    fn on_close(&mut self, reason: &str) {
        let _ = self.0.send(Told::Close(reason.to_owned()));
    }

    fn on_reconnecting(&mut self, reason: &str) {
        let _ = self.0.send(Told::Reconnecting(reason.to_owned()));
    }

    fn on_peer_lost(&mut self) {
        let _ = self.0.send(Told::PeerLost);
    }
}

/// What was told, in order.
struct Ear(Receiver<Told>);

fn recorder() -> (Box<dyn SignalingEvents>, Ear) {
    let (sender, receiver) = channel();
    (Box::new(Recorder(sender)), Ear(receiver))
}

impl Ear {
    fn next(&self) -> Told {
        self.0
            .recv_timeout(PATIENCE)
            .expect("nothing more was told")
    }

    fn expect(&self, expected: &[Told]) {
        for told in expected {
            assert_eq!(&self.next(), told);
        }
    }

    /// The words of the next reconnection, or of the close.
    fn words(&self) -> String {
        match self.next() {
            Told::Reconnecting(words) | Told::Close(words) => words,
            other => panic!("{other:?}"),
        }
    }
}

fn custom(text: &str) -> Signal<'static> {
    Signal::Customized(text.to_owned().into())
}
