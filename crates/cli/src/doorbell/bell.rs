//! The bell itself: what follows on each event.

use std::time::{Duration, Instant};

use esp_webrtc::Event;
use esp_webrtc::peer::State;

use crate::inputs::{Input, Inputs};
use crate::print::clean;
use crate::session::{Session, Wish};

/// How long a peer whose connection has gone may take to say bye, or to call anew.
const GRACE: Duration = Duration::from_secs(1);

pub(super) struct Bell {
    session: Session,
    /// To be rung once the room is joined.
    to_ring: bool,
    /// Whether connections begin and begin again by themselves.
    eager: bool,
    /// A call was accepted and has not ended.
    calling: bool,
    hang_up_at: Option<Instant>,
}

impl Bell {
    pub(super) fn new(session: Session, ring: bool, eager: bool) -> Self {
        Bell {
            session,
            to_ring: ring,
            eager,
            calling: eager,
            hang_up_at: None,
        }
    }

    /// Works until told to stop.
    pub(super) fn run(mut self, inputs: &Inputs) -> Session {
        loop {
            let until = self
                .session
                .wake_at()
                .into_iter()
                .chain(self.hang_up_at)
                .min();
            match inputs.next(until) {
                Some(Input::Stop) => break,
                Some(Input::Event(event)) => self.on_event(event),
                Some(Input::Channel(said)) => self.session.on_channel(&said),
                Some(Input::Line(line)) => match self.session.on_line(&line) {
                    Wish::Ring => self.ring(),
                    Wish::HangUp => self.hang_up(),
                    Wish::Quit => break,
                    Wish::Done => {}
                },
                None => {}
            }
            self.session.tick();
            self.look_after();
        }
        self.session
    }

    fn on_event(&mut self, event: Event) {
        self.session.on_event(&event);
        match event {
            Event::SignalingConnected if std::mem::take(&mut self.to_ring) => self.ring(),
            Event::Custom(command) => self.on_command(&command),
            Event::Called if !self.calling => self.accept("an offer"),
            Event::Connected => self.hang_up_at = None,
            Event::ConnectFailed | Event::Disconnected if self.calling && !self.eager => {
                self.hang_up_at
                    .get_or_insert_with(|| Instant::now() + GRACE);
            }
            Event::PeerLeft => {
                self.calling = self.eager;
                self.hang_up_at = None;
            }
            _ => {}
        }
    }

    fn on_command(&mut self, command: &str) {
        let printer = self.session.printer;
        match command {
            "ACCEPT_CALL" => self.accept("ACCEPT_CALL"),
            "DENY_CALL" => printer.plain("denied", "the call was declined"),
            "OPEN_DOOR" => {
                self.session.webrtc.post_custom_data("DOOR_OPENED");
                printer.plain("door_opened", "the door was opened");
            }
            other => self
                .session
                .notice(&format!("the peer says {:?}", clean(other, 200))),
        }
    }

    fn ring(&mut self) {
        self.session.webrtc.post_custom_data("RING");
        self.session.printer.plain("ringing", "ringing");
    }

    fn accept(&mut self, by: &str) {
        let printer = self.session.printer;
        printer.event(
            "accepted",
            &format!("the call was accepted by {by}"),
            serde_json::json!({ "by": by }),
        );
        self.hang_up_at = None;
        let again = std::mem::replace(&mut self.calling, true);
        if self.session.connected || (again && self.is_answered()) {
            self.session.ended();
            self.session.webrtc.restart();
        } else {
            // Does nothing while one is under way. Who accepts again has heard nothing of that one.
            self.session.webrtc.enable_peer_connection(true);
            if again {
                self.session.webrtc.repeat_offer();
            }
        }
    }

    /// Whether a connection is under way whose peer knows of it: who accepts once more has begun anew.
    fn is_answered(&self) -> bool {
        let state = self.session.webrtc.query().peer.map(|peer| peer.state);
        matches!(
            state,
            Some(State::Pairing | State::Paired | State::Connecting)
        )
    }

    fn hang_up(&mut self) {
        self.calling = self.eager;
        self.hang_up_at = None;
        self.session.webrtc.hang_up();
        self.session.printer.plain("hung_up", "hung up");
        self.session.ended();
    }

    /// A connection that failed, and whose peer has said nothing since, is given up.
    fn look_after(&mut self) {
        if self.hang_up_at.is_none_or(|at| Instant::now() < at) {
            return;
        }
        self.hang_up_at = None;
        let state = self.session.webrtc.query().peer.map(|peer| peer.state);
        // Else another one has begun meanwhile.
        if let None | Some(State::Disconnected | State::ConnectFailed | State::Closed) = state {
            self.hang_up();
        }
    }
}
