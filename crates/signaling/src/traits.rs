//! What a signaling does and what it tells.

use esp_wire::{IceServer, Role, Signal, Trickle};

use crate::Error;

/// Carries messages between two peers until they are connected, and after.
///
/// 1. `start` hands over the events and returns at once.
/// 2. [`SignalingEvents::on_ice_info`] says who offers and which servers there are, then
///    [`SignalingEvents::on_connected`] that messages can be sent.
/// 3. `send_msg` and [`SignalingEvents::on_msg`] carry messages, in order.
/// 4. `stop` leaves; [`SignalingEvents::on_close`] is the last event.
///
/// Losing the server does not end a signaling, and must not end a call: it says
/// [`SignalingEvents::on_reconnecting`] and goes on trying.
pub trait Signaling: Send {
    /// Begins; the events come on a thread of the signaling.
    ///
    /// # Errors
    /// [`Error::Misuse`] when it was started before.
    fn start(&mut self, events: Box<dyn SignalingEvents>) -> Result<(), Error>;

    /// Sends a message to the peer; it waits while the server is out of reach. After a
    /// [`Signal::Bye`] the roles are dealt anew: [`SignalingEvents::on_ice_info`] follows.
    ///
    /// # Errors
    /// [`Error::WouldBlock`] when too much is waiting, [`Error::Closed`] after the end,
    /// [`Error::Misuse`] before the start.
    fn send_msg(&mut self, msg: &Signal<'_>) -> Result<(), Error>;

    /// Leaves and ends; returns when the peer was told, after a few seconds at most. Called again, it
    /// does nothing.
    ///
    /// # Errors
    /// Those of the implementation.
    fn stop(&mut self) -> Result<(), Error>;

    /// A connection begins: what the one before said means nothing any more. Most signalings need not know.
    fn connection_begins(&mut self) {}

    /// How far it carries candidates after the first description.
    fn trickle(&self) -> Trickle {
        Trickle::Full
    }
}

/// What a signaling tells. The calls come one at a time; they may call the signaling back only
/// through another thread or a queue.
pub trait SignalingEvents: Send {
    /// Servers and role, at first and whenever they change.
    fn on_ice_info(&mut self, info: IceInfo);

    /// Messages can be sent, also after a reconnection.
    fn on_connected(&mut self);

    /// The peer says something.
    fn on_msg(&mut self, msg: Signal<'_>);

    /// It has ended, for this reason; the last event.
    fn on_close(&mut self, reason: &str);

    /// The server is out of reach or the room is full, for this reason; it goes on trying. A call in
    /// progress goes on too.
    fn on_reconnecting(&mut self, reason: &str) {
        let _ = reason;
    }

    /// The server has not heard the peer for long, but the peer may have lost its signaling alone: a
    /// call whose connection is alive goes on. An implementation that cannot tell takes it as a bye,
    /// as the default does.
    fn on_peer_lost(&mut self) {
        self.on_msg(Signal::Bye);
    }
}

/// Servers and role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IceInfo {
    /// STUN and TURN servers.
    pub servers: Vec<IceServer>,
    /// Who offers: the controlling side.
    pub role: Role,
    /// Why it is told now.
    pub cause: IceCause,
}

impl IceInfo {
    /// Whether this side makes the offer.
    pub fn is_initiator(&self) -> bool {
        self.role == Role::Controlling
    }
}

/// Why [`IceInfo`] is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IceCause {
    /// The room was entered, for the first time or after a bye of our own.
    Joined,
    /// The room was entered anew because the server had lost us; a call that lives goes on.
    Rejoined,
    /// Credentials were about to expire; only the servers are new.
    Refreshed,
    /// The peer has left; the one who stays offers from now on.
    PeerLeft,
    /// The peer was not heard for long, see [`SignalingEvents::on_peer_lost`]; only the role is new.
    PeerLost,
}
