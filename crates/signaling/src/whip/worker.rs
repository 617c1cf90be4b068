//! The thread of a client: it offers, tells candidates, restarts and ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use esp_wire::{IceServer, Role, Signal};

use super::WhipConfig;
use super::describe::Ours;
use super::reply::Refusal;
use super::rest::{Offered, Place, Rest};
use crate::apprtc::backoff::Backoff;
use crate::mailbox::Mailbox;
use crate::{IceCause, IceInfo, SignalingEvents};

pub(super) struct Worker {
    pub(super) config: WhipConfig,
    pub(super) rest: Rest,
    pub(super) mailbox: Arc<Mailbox<Mail>>,
    pub(super) events: Box<dyn SignalingEvents>,
    pub(super) backoff: Backoff,
    pub(super) servers: Vec<IceServer>,
    pub(super) role: Role,
    /// Our offer that no session answers yet.
    pub(super) offer: Option<Ours>,
    /// Our answer to the offer of the server.
    pub(super) answer: Option<Ours>,
    /// Our offer that restarts ICE in the session there is.
    pub(super) restart: Option<Ours>,
    pub(super) session: Option<Session>,
    /// Nothing is sent before.
    pub(super) hold: Option<Instant>,
    /// The server has taken an offer.
    pub(super) was_taken: bool,
    /// It was told that the server cannot be had.
    pub(super) away: bool,
}

pub(super) struct Session {
    pub(super) place: Place,
    /// What of us the server knows; none while it waits for our answer.
    pub(super) ours: Option<Ours>,
    /// Whether it takes candidates.
    pub(super) trickles: bool,
    /// Changes that it has not taken, in a row.
    pub(super) failures: u32,
}

/// One thing to do.
#[derive(Debug, PartialEq)]
pub(super) enum Mail {
    Signal(Signal<'static>),
    /// A connection begins.
    Begins,
}

/// Why it is over.
type Over = String;

impl Worker {
    pub(super) fn new(
        config: WhipConfig,
        rest: Rest,
        mailbox: Arc<Mailbox<Mail>>,
        events: Box<dyn SignalingEvents>,
    ) -> Self {
        Worker {
            backoff: Backoff::new(config.common.retry),
            config,
            rest,
            mailbox,
            events,
            servers: Vec::new(),
            role: Role::Controlling,
            offer: None,
            answer: None,
            restart: None,
            session: None,
            hold: None,
            was_taken: false,
            away: false,
        }
    }

    pub(super) fn run(mut self) {
        let reason = match self.live() {
            Ok(()) => "stopped".into(),
            Err(reason) => reason,
        };
        self.end_session();
        self.mailbox.close();
        self.events.on_close(&reason);
    }

    fn live(&mut self) -> Result<(), Over> {
        self.introduce()?;
        loop {
            if self.mailbox.is_stopping() {
                return Ok(());
            }
            for mail in self.mailbox.take() {
                match mail {
                    Mail::Signal(signal) => self.hear(signal),
                    Mail::Begins => self.on_beginning(),
                }
            }
            let now = Instant::now();
            self.hold = self.hold.filter(|until| now < *until);
            if self.hold.is_none() && self.has_work() {
                self.work()?;
                continue;
            }
            self.mailbox.wait(self.hold, true);
        }
    }

    /// Finds the server, and says that an offer may come.
    fn introduce(&mut self) -> Result<(), Over> {
        while self.config.asks_options && !self.mailbox.is_stopping() {
            match self.rest.options() {
                Ok(servers) => {
                    self.servers = servers;
                    break;
                }
                Err(reason) => {
                    let refusal = Refusal {
                        reason,
                        later: true,
                        after: None,
                    };
                    self.try_later(&refusal)?;
                    self.mailbox.wait(self.hold, false);
                }
            }
        }
        if self.mailbox.is_stopping() {
            return Ok(());
        }
        self.backoff.reset();
        self.hold = None;
        self.away = false;
        self.tell_ice_info(IceCause::Joined);
        self.events.on_connected();
        Ok(())
    }

    pub(super) fn tell_ice_info(&mut self, cause: IceCause) {
        self.events.on_ice_info(IceInfo {
            servers: self.servers.clone(),
            role: self.role,
            cause,
        });
    }

    /// Takes what the peer connection says.
    fn hear(&mut self, signal: Signal<'static>) {
        match signal {
            Signal::Sdp(text) => match Ours::of(&text) {
                Ok(ours) if self.role == Role::Controlled => self.answer = Some(ours),
                Ok(ours) => self.on_offer(ours),
                Err(error) => tracing::warn!(%error, "our own description cannot be read"),
            },
            Signal::Candidate { candidate, .. } => {
                let known = self.session.as_mut().and_then(|it| it.ours.as_mut());
                let newest = [&mut self.restart, &mut self.offer, &mut self.answer]
                    .into_iter()
                    .find_map(Option::as_mut)
                    .or(known);
                if let Some(ours) = newest {
                    ours.add(&candidate, self.config.candidates);
                }
            }
            Signal::Bye => {
                self.forget();
                self.end_session();
                self.role = Role::Controlling;
                self.tell_ice_info(IceCause::Joined);
            }
            _ => {}
        }
    }

    fn on_offer(&mut self, ours: Ours) {
        let known = self.session.as_ref().and_then(|it| {
            let known = it.ours.as_ref()?;
            Some((known.session == ours.session, known.ufrag() == ours.ufrag()))
        });
        match known {
            // The peer connection did not hear the answer.
            Some((true, true)) => self.tell_description(),
            Some((true, false)) => self.restart = Some(ours),
            _ => {
                self.restart = None;
                self.offer = Some(ours);
            }
        }
    }

    pub(super) fn tell_description(&mut self) {
        if let Some(session) = &self.session {
            let text = session.place.theirs.clone();
            self.events.on_msg(Signal::Sdp(text.into()));
        }
    }

    /// After a session in which the server offered, the next offer is ours again.
    fn on_beginning(&mut self) {
        let answered = self.session.as_ref().is_none_or(|it| it.ours.is_some());
        if self.role == Role::Controlled && answered {
            self.forget();
            self.end_session();
            self.role = Role::Controlling;
            self.tell_ice_info(IceCause::PeerLeft);
        }
    }

    pub(super) fn forget(&mut self) {
        self.offer = None;
        self.answer = None;
        self.restart = None;
    }

    pub(super) fn end_session(&mut self) {
        if let Some(session) = self.session.take() {
            self.rest.delete(&session.place);
        }
    }

    fn has_work(&self) -> bool {
        let tells = self.session.as_ref().is_some_and(Session::has_candidates);
        self.offer.is_some() || self.answer.is_some() || self.restart.is_some() || tells
    }

    /// Does one thing.
    fn work(&mut self) -> Result<(), Over> {
        if let Some(offer) = self.offer.take() {
            return self.send_offer(offer);
        }
        if let Some(answer) = self.answer.take() {
            self.send_answer(answer);
        } else if let Some(restart) = self.restart.take() {
            self.send_restart(restart);
        } else {
            self.send_candidates();
        }
        Ok(())
    }

    fn send_offer(&mut self, offer: Ours) -> Result<(), Over> {
        // That of another connection.
        self.end_session();
        let (place, servers, counters) = match self.rest.post(&offer.text) {
            Offered::Answered(place, servers) => (place, servers, false),
            Offered::Countered(place, servers) => (place, servers, true),
            Offered::Refused(refusal) => {
                if !refusal.later && !self.was_taken {
                    return Err(refusal.reason);
                }
                // It stays good: candidates that are found meanwhile follow it.
                self.offer = Some(offer);
                return self.try_later(&refusal);
            }
        };
        self.was_taken = true;
        self.backoff.reset();
        let told = !servers.is_empty() && servers != self.servers;
        if told {
            self.servers = servers;
        }
        if counters {
            self.role = Role::Controlled;
        }
        self.session = Some(Session {
            place,
            ours: (!counters).then_some(offer),
            trickles: true,
            failures: 0,
        });
        if told || counters {
            self.tell_ice_info(IceCause::Refreshed);
        }
        if std::mem::take(&mut self.away) {
            self.events.on_connected();
        }
        self.tell_description();
        Ok(())
    }

    /// Says why it is not taken, and holds; an error when it is time to give up.
    fn try_later(&mut self, refusal: &Refusal) -> Result<(), Over> {
        let Some(delay) = self.backoff.next() else {
            return Err(format!("{}; given up", refusal.reason));
        };
        let asked = refusal.after.unwrap_or_default();
        let delay = delay.max(asked.min(self.config.longest_wait));
        self.hold = Some(Instant::now() + delay);
        self.away = true;
        tracing::info!(reason = %refusal.reason, ?delay, "the offer is sent again");
        self.events.on_reconnecting(&format!(
            "{}; trying again in {:.1} s",
            refusal.reason,
            delay.max(Duration::from_millis(1)).as_secs_f64()
        ));
        Ok(())
    }
}

impl Session {
    fn has_candidates(&self) -> bool {
        self.trickles && self.ours.as_ref().is_some_and(Ours::is_untold)
    }
}
