//! The thread of a client: it enters the room, says what there is to say, and hears what comes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use esp_wire::{Role, Signal};

use super::JanusConfig;
use super::api::{Api, Session, Trouble};
use super::config::Way;
use super::event::{self, Event};
use super::poll::Polled;
use super::room::{NotIn, Room, refused};
use crate::apprtc::backoff::Backoff;
use crate::mailbox::Mailbox;
use crate::{IceCause, IceInfo, SignalingEvents};

/// What the thread works through.
#[derive(Debug, PartialEq)]
pub(super) enum Item {
    Signal(Signal<'static>),
    /// A connection begins.
    Begins,
    Polled(Session, Polled),
}

pub(super) struct Worker {
    pub(super) config: JanusConfig,
    pub(super) api: Arc<Api>,
    pub(super) mailbox: Arc<Mailbox<Item>>,
    pub(super) events: Box<dyn SignalingEvents>,
    pub(super) backoff: Backoff,
    pub(super) session: Option<Session>,
    pub(super) room: Option<Room>,
    /// Whether the room is to be joined.
    pub(super) wanted: bool,
    /// What waits until it was.
    pub(super) outgoing: VecDeque<Signal<'static>>,
    /// Nothing is sent before.
    pub(super) hold: Option<Instant>,
    pub(super) keepalive_at: Instant,
    /// The room has taken us in, once.
    pub(super) was_in: bool,
    /// It was told that the server cannot be had.
    pub(super) away: bool,
    /// Why the next word of the role is said.
    pub(super) cause: IceCause,
}

/// Why it is over.
pub(super) type Over = String;

impl Worker {
    pub(super) fn new(
        config: JanusConfig,
        api: Api,
        mailbox: Arc<Mailbox<Item>>,
        events: Box<dyn SignalingEvents>,
    ) -> Self {
        Worker {
            backoff: Backoff::new(config.common.retry),
            api: Arc::new(api),
            mailbox,
            events,
            session: None,
            room: None,
            wanted: true,
            outgoing: VecDeque::new(),
            hold: None,
            keepalive_at: Instant::now(),
            was_in: false,
            away: false,
            cause: IceCause::Joined,
            config,
        }
    }

    pub(super) fn plays(&self) -> bool {
        matches!(self.config.way, Way::Play(_))
    }

    pub(super) fn run(mut self) {
        let reason = match self.live() {
            Ok(()) => "stopped".into(),
            Err(reason) => reason,
        };
        self.leave();
        if let Some(session) = self.session.take() {
            let part = self.config.common.goodbye_part();
            // The server finds us gone in any case.
            if let Err(why) = self.api.destroy(session, part) {
                tracing::debug!(?why, "the end of the session was not heard");
            }
        }
        self.mailbox.close();
        self.events.on_close(&reason);
    }

    fn live(&mut self) -> Result<(), Over> {
        if self.plays() {
            // The offer is asked for when there is a connection that it is for.
            self.wanted = false;
            self.tell_role();
            self.events.on_connected();
        }
        while !self.mailbox.is_stopping() {
            for item in self.mailbox.take() {
                match item {
                    Item::Signal(signal) => self.hear(signal),
                    Item::Begins if self.plays() => self.want_anew(),
                    Item::Polled(session, polled) if self.session == Some(session) => {
                        self.on_polled(polled)?;
                    }
                    Item::Begins | Item::Polled(..) => {}
                }
            }
            let now = Instant::now();
            self.hold = self.hold.filter(|until| now < *until);
            if self.hold.is_none() && self.work(now)? {
                continue;
            }
            self.mailbox.wait(self.wake_at(), true);
        }
        Ok(())
    }

    fn wake_at(&self) -> Option<Instant> {
        let joining = self.room.as_ref().filter(|room| !room.joined);
        let joining = joining.map(|room| room.until);
        let keepalive = self.session.map(|_| self.keepalive_at);
        // What is held back waits for that alone.
        self.hold.or(joining.into_iter().chain(keepalive).min())
    }

    /// Does one thing; whether there was one.
    fn work(&mut self, now: Instant) -> Result<bool, Over> {
        match &mut self.room {
            None if self.wanted => self.enter()?,
            Some(room) if room.joined && !self.outgoing.is_empty() => self.say_next()?,
            Some(room) if !room.joined && room.until <= now => {
                self.leave();
                let words = format!("room {} does not say whether we are in", self.config.room);
                self.try_later(NotIn::Later(words))?;
            }
            _ if self.session.is_some() && self.keepalive_at <= now => self.keep_alive()?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn say_next(&mut self) -> Result<(), Over> {
        let (Some(room), Some(signal)) = (&mut self.room, self.outgoing.front()) else {
            return Ok(());
        };
        match room.say(&self.api, &self.config.way, signal) {
            Ok(()) => {
                self.outgoing.pop_front();
                self.backoff.reset();
                self.come_back();
                self.rest_keepalive();
                Ok(())
            }
            Err(Trouble::Refused(reason)) => {
                let dropped = self.outgoing.pop_front();
                match dropped {
                    Some(Signal::Sdp(_)) => Err(reason),
                    _ => {
                        tracing::warn!(%reason, "the server does not take a candidate");
                        Ok(())
                    }
                }
            }
            Err(trouble) => self.try_later(trouble.into()),
        }
    }

    /// Takes what the peer connection says.
    fn hear(&mut self, signal: Signal<'static>) {
        match signal {
            Signal::Bye => {
                self.leave();
                self.wanted = !self.plays();
                self.cause = IceCause::Joined;
                if self.plays() {
                    self.tell_role();
                }
            }
            Signal::Sdp(sdp) if self.plays() && offers(&sdp) => {
                tracing::info!("a room that is played from takes no offers");
            }
            Signal::Sdp(_) => {
                if self.room.as_ref().is_none_or(|room| !room.joined) {
                    // Nobody has heard what was said before.
                    self.outgoing.clear();
                }
                self.outgoing.push_back(signal);
            }
            signal if self.outgoing.len() < self.config.common.queue => {
                self.outgoing.push_back(signal);
            }
            _ => tracing::warn!("too many candidates wait for the room"),
        }
    }

    /// A connection begins: the offer must be one that is made for it.
    fn want_anew(&mut self) {
        self.leave();
        self.wanted = true;
        self.cause = IceCause::Joined;
    }

    fn on_polled(&mut self, polled: Polled) -> Result<(), Over> {
        match polled {
            Polled::Event(value) => {
                let (sender, events) = event::read(&value);
                for event in events {
                    let ours = self.room.as_ref().map(|room| room.handle.id);
                    if event == Event::TimedOut || (sender.is_some() && sender == ours) {
                        self.on_event(event)?;
                    }
                }
                Ok(())
            }
            Polled::Away(reason) => {
                self.go_away(&reason);
                Ok(())
            }
            Polled::Back => {
                self.come_back();
                Ok(())
            }
            Polled::Over(Trouble::Refused(reason)) => Err(reason),
            Polled::Over(_) => self.lose_session(),
        }
    }

    fn on_event(&mut self, event: Event) -> Result<(), Over> {
        let joined = self.room.as_ref().is_some_and(|room| room.joined);
        match event {
            Event::Joined => self.on_joined(),
            Event::Sdp(sdp) => self.events.on_msg(Signal::Sdp(sdp.into())),
            Event::Candidate(candidate) => self.events.on_msg(candidate),
            Event::Refused(reason, code) if joined => {
                return Err(format!(
                    "room {} refuses: {reason} (code {code})",
                    self.config.room
                ));
            }
            Event::Refused(reason, code) => {
                self.leave();
                return self.try_later(refused(&self.config, &reason, code));
            }
            Event::HungUp(reason) => {
                tracing::info!(%reason, "the server hangs up");
                self.begin_anew();
            }
            Event::Over(reason) => return Err(reason),
            Event::TimedOut => return self.lose_session(),
        }
        Ok(())
    }

    fn on_joined(&mut self) {
        let Some(room) = &mut self.room else {
            return;
        };
        room.joined = true;
        self.was_in = true;
        self.backoff.reset();
        if !self.plays() {
            self.tell_role();
            self.away = false;
            self.events.on_connected();
        } else {
            self.come_back();
        }
    }

    /// Leaves the room; what waits was for it.
    pub(super) fn leave(&mut self) {
        self.outgoing.clear();
        if let Some(room) = self.room.take() {
            let part = self.config.common.goodbye_part();
            room.leave(&self.api, &self.config.way, part);
        }
    }

    /// The connection is over, for whatever reason; another one may begin.
    fn begin_anew(&mut self) {
        let described = self.room.as_ref().is_some_and(|room| room.described);
        self.leave();
        self.cause = IceCause::PeerLeft;
        self.wanted = !self.plays();
        if described || self.plays() {
            self.events.on_msg(Signal::Bye);
        }
    }

    pub(super) fn tell_role(&mut self) {
        let role = match self.plays() {
            true => Role::Controlled,
            false => Role::Controlling,
        };
        let cause = std::mem::replace(&mut self.cause, IceCause::Joined);
        self.events.on_ice_info(IceInfo {
            // The server knows none.
            servers: Vec::new(),
            role,
            cause,
        });
    }
}

/// Whether a description is an offer (RFC 8842 §5.2).
fn offers(sdp: &str) -> bool {
    sdp.lines().any(|line| line.trim_end() == "a=setup:actpass")
}
