//! The order of things: what the solution does on every word of the application, of signaling and of the peer.
//!
//! A machine without I/O. The three flows:
//!
//! 1. Build: start signaling; on ICE info open the peer; on connected begin a connection; carry messages both
//!    ways until the peer is connected.
//! 2. Stop: disconnect and close the peer, then stop signaling.
//! 3. The peer leaves: on its bye disconnect and begin anew, signaling stays.

#[cfg(test)]
mod tests;
#[cfg(test)]
mod trace;

use std::collections::VecDeque;
use std::time::Duration;

use esp_peer::State;
use esp_wire::{IceServer, Role, Signal};

use crate::Event;

/// Messages of the peer that wait until the peer connection is enabled.
const MAX_WAITING: usize = 128;
/// The first pause before a lost connection is begun anew, doubled up to the last.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(30);

/// What happened.
#[derive(Debug)]
pub(crate) enum Input {
    Start,
    Stop,
    Restart,
    Enable(bool),
    HangUp,
    /// The peer asks for the offer once more.
    RepeatOffer,
    IceInfo {
        role: Role,
        servers: Vec<IceServer>,
        /// The room was lost and entered anew.
        rejoined: bool,
    },
    SignalingConnected,
    SignalingInterrupted {
        reason: String,
    },
    SignalingMessage(Signal<'static>),
    SignalingClosed {
        reason: String,
    },
    /// The room has lost the peer, which may still be there.
    PeerLost,
    PeerNotOpened,
    PeerState(State),
    /// This offer of the peer belongs to another session than the connection there is.
    PeerBeganAnew(Signal<'static>),
    PeerMessage(Signal<'static>),
    /// The connection that this message came for has ended already, which [`Input::PeerState`] is about to tell.
    PeerEndedBefore(Signal<'static>),
    /// The pause of [`Step::Pause`] is over.
    PauseOver,
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    StartSignaling,
    StopSignaling,
    SendSignal(Signal<'static>),
    OpenPeer {
        role: Role,
        servers: Vec<IceServer>,
    },
    UpdateIceInfo {
        role: Role,
        servers: Vec<IceServer>,
    },
    NewConnection,
    PeerMessage(Signal<'static>),
    /// What the peer had to say meanwhile may be lost.
    SignalingRestored,
    Disconnect,
    ClosePeer,
    StartMedia,
    StopMedia,
    /// Come back with [`Input::PauseOver`] after this time.
    Pause(Duration),
    Tell(Event),
}

/// Where the flow stands.
#[derive(Debug)]
pub(crate) struct Flow {
    steps: VecDeque<Step>,
    reconnects: bool,
    enabled: bool,
    enabled_at_start: bool,
    started: bool,
    peer_open: bool,
    role: Option<Role>,
    signaling_up: bool,
    /// Signaling was lost and is not back yet.
    signaling_away: bool,
    /// A connection was begun and has not ended.
    connection: bool,
    connected: bool,
    /// A connection was asked for, and what the peer says still belongs to the one before.
    stale: bool,
    waiting: VecDeque<Signal<'static>>,
    pause: Duration,
    pausing: bool,
}

impl Flow {
    /// A flow that has not started. With `reconnects` a lost connection is begun anew; without `enabled` the
    /// first connection waits for [`Input::Enable`].
    pub(crate) fn new(reconnects: bool, enabled: bool) -> Self {
        Flow {
            steps: VecDeque::new(),
            reconnects,
            enabled,
            enabled_at_start: enabled,
            started: false,
            peer_open: false,
            role: None,
            signaling_up: false,
            signaling_away: false,
            connection: false,
            connected: false,
            stale: false,
            waiting: VecDeque::new(),
            pause: FIRST_PAUSE,
            pausing: false,
        }
    }

    /// The next thing to do.
    pub(crate) fn next(&mut self) -> Option<Step> {
        self.steps.pop_front()
    }

    fn step(&mut self, step: Step) {
        self.steps.push_back(step);
    }

    fn tell(&mut self, event: Event) {
        self.step(Step::Tell(event));
    }

    /// Takes what happened; the steps that follow come from [`Flow::next`].
    pub(crate) fn handle(&mut self, input: Input) {
        match input {
            Input::Start if !self.started => {
                self.started = true;
                self.enabled = self.enabled_at_start;
                self.tell(Event::Connecting);
                self.step(Step::StartSignaling);
            }
            Input::Start => {}
            _ if !self.started => {}
            Input::Stop => self.stop(),
            Input::Restart => {
                self.end_connection();
                self.begin();
            }
            Input::Enable(enabled) => self.enable(enabled),
            Input::HangUp => {
                self.enable(false);
                self.step(Step::SendSignal(Signal::Bye));
            }
            Input::RepeatOffer => self.repeat_offer(),
            Input::IceInfo {
                role,
                servers,
                rejoined,
            } => self.on_ice_info(role, servers, rejoined),
            // A call that lives goes on: it notices itself when the peer is gone.
            Input::PeerLost if self.connected => {}
            Input::PeerLost => self.on_message(Signal::Bye),
            Input::PeerNotOpened => self.peer_open = false,
            Input::SignalingConnected => self.on_signaling_connected(),
            // The call goes on: signaling is needed for the next one, and when the path is lost.
            Input::SignalingInterrupted { reason } => {
                self.signaling_away = true;
                self.tell(Event::SignalingInterrupted { reason });
            }
            Input::SignalingClosed { reason } => {
                self.signaling_up = false;
                self.tell(Event::SignalingClosed { reason });
            }
            Input::SignalingMessage(message) => self.on_message(message),
            Input::PeerMessage(_) if self.stale => {}
            Input::PeerMessage(message) => self.step(Step::SendSignal(message)),
            Input::PeerState(state) => self.on_state(state),
            Input::PeerBeganAnew(offer) => {
                self.end_connection();
                self.rest();
                self.tell(Event::PeerLeft);
                self.on_message(offer);
            }
            Input::PeerEndedBefore(message) => self.keep(message),
            Input::PauseOver => {
                self.pausing = false;
                self.begin();
            }
        }
    }

    fn stop(&mut self) {
        self.end_connection();
        if std::mem::take(&mut self.peer_open) {
            self.step(Step::ClosePeer);
        }
        self.step(Step::StopSignaling);
        self.started = false;
        self.signaling_up = false;
        self.signaling_away = false;
        self.waiting.clear();
        self.tell(Event::Stopped);
    }

    fn enable(&mut self, enabled: bool) {
        self.enabled = enabled;
        if enabled {
            self.begin();
        } else {
            self.end_connection();
            self.waiting.clear();
        }
    }

    /// Who asks for an offer that was made has not heard it. Who is to offer itself does not wait for one.
    fn repeat_offer(&mut self) {
        let offers = self.role == Some(Role::Controlling);
        if offers && self.signaling_up && self.connection && !self.connected {
            self.step(Step::SignalingRestored);
        }
    }

    fn on_signaling_connected(&mut self) {
        self.signaling_up = true;
        self.tell(Event::SignalingConnected);
        if std::mem::take(&mut self.signaling_away) && self.connection {
            self.step(Step::SignalingRestored);
        }
        self.begin();
    }

    fn on_ice_info(&mut self, role: Role, servers: Vec<IceServer>, rejoined: bool) {
        // What was said in the old room is lost: an attempt under way has to begin anew.
        if rejoined && !self.connected {
            self.end_connection();
        }
        // So is an attempt in which this side had the other part: nobody would offer, or both.
        let other_part = self.role.replace(role).is_some_and(|before| before != role);
        let anew = other_part && self.connection && !self.connected;
        if anew {
            self.end_connection();
        }
        if std::mem::replace(&mut self.peer_open, true) {
            self.step(Step::UpdateIceInfo { role, servers });
        } else {
            self.step(Step::OpenPeer { role, servers });
        }
        if anew {
            self.begin();
        }
    }

    /// Without reconnection, what follows an end waits as the first connection did.
    fn rest(&mut self) {
        if !self.reconnects {
            self.enabled = self.enabled_at_start;
        }
    }

    /// Begins a connection if everything is there and none is under way.
    fn begin(&mut self) {
        if !self.enabled || !self.peer_open || !self.signaling_up || self.connection || self.pausing
        {
            return;
        }
        self.connection = true;
        self.stale = true;
        self.tell(Event::Connecting);
        self.step(Step::NewConnection);
        while let Some(message) = self.waiting.pop_front() {
            self.step(Step::PeerMessage(message));
        }
    }

    fn end_connection(&mut self) {
        self.lose_media();
        if std::mem::take(&mut self.connection) {
            self.step(Step::Disconnect);
        }
    }

    fn lose_media(&mut self) {
        if std::mem::take(&mut self.connected) {
            self.step(Step::StopMedia);
        }
    }

    fn on_message(&mut self, message: Signal<'static>) {
        match message {
            Signal::Bye => {
                self.waiting.clear();
                // What was paused for is over.
                self.pausing = false;
                self.end_connection();
                self.rest();
                self.tell(Event::PeerLeft);
                if self.reconnects {
                    self.begin();
                }
            }
            Signal::Customized(text) => self.tell(Event::Custom(text.into_owned())),
            message if self.connection => self.step(Step::PeerMessage(message)),
            message => {
                if !self.enabled && matches!(message, Signal::Sdp(_)) {
                    self.tell(Event::Called);
                }
                self.wait_with(message);
                self.begin();
            }
        }
    }

    /// Lets a message wait for the next connection.
    fn wait_with(&mut self, message: Signal<'static>) {
        if self.waiting.len() < MAX_WAITING {
            self.waiting.push_back(message);
        }
    }

    /// Who offers anew speaks of the next connection; an answer to an offer of ours is of no use to it.
    fn keep(&mut self, message: Signal<'static>) {
        if self.role == Some(Role::Controlled) && self.connection {
            self.wait_with(message);
        }
    }

    fn on_state(&mut self, state: State) {
        match state {
            State::NewConnection => self.stale = false,
            State::Disconnected if self.stale => self.tell(Event::Disconnected),
            _ if self.stale => {}
            State::Paired => self.tell(Event::Paired),
            State::Connected => {
                self.connected = true;
                self.pause = FIRST_PAUSE;
                self.step(Step::StartMedia);
                self.tell(Event::Connected);
            }
            State::ConnectFailed | State::Disconnected if self.connection => {
                self.connection = false;
                self.lose_media();
                self.rest();
                self.tell(match state {
                    State::ConnectFailed => Event::ConnectFailed,
                    _ => Event::Disconnected,
                });
                if self.reconnects && self.enabled {
                    self.pausing = true;
                    self.step(Step::Pause(self.pause));
                    self.pause = (self.pause * 2).min(LAST_PAUSE);
                }
            }
            State::Disconnected => self.tell(Event::Disconnected),
            State::DataChannelConnected => self.tell(Event::DataChannelConnected),
            State::DataChannelDisconnected => self.tell(Event::DataChannelDisconnected),
            State::DataChannelOpened => self.tell(Event::DataChannelOpened),
            State::DataChannelClosed => self.tell(Event::DataChannelClosed),
            _ => {}
        }
    }
}
