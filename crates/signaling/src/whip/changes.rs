//! What changes a session that there is: our answer, candidates, a restart of ICE.

use std::time::Instant;

use esp_wire::{Role, Signal};

use super::describe::Ours;
use super::rest::NotTaken;
use super::worker::Worker;
use crate::IceCause;

/// How often a change is tried before it is given up.
const TRIES: u32 = 5;

impl Worker {
    pub(super) fn send_answer(&mut self, answer: Ours) {
        let Some(session) = &mut self.session else {
            return;
        };
        match self.rest.answer(&session.place, &answer.text) {
            Ok(()) => {
                session.ours = Some(answer);
                session.failures = 0;
            }
            Err(why) => {
                if self.give_up(why, "an answer") {
                    self.begin_anew();
                } else {
                    self.answer = Some(answer);
                }
            }
        }
    }

    pub(super) fn send_restart(&mut self, mut restart: Ours) {
        let Some(session) = &mut self.session else {
            return;
        };
        match self.rest.restart(&mut session.place, &restart) {
            Ok(()) => {
                restart.mark_told();
                session.ours = Some(restart);
                session.failures = 0;
                session.trickles = true;
                self.backoff.reset();
                self.tell_description();
            }
            Err(why) => {
                if self.give_up(why, "a restart of ICE") {
                    self.begin_anew();
                } else {
                    self.restart = Some(restart);
                }
            }
        }
    }

    pub(super) fn send_candidates(&mut self) {
        let Some(session) = &mut self.session else {
            return;
        };
        let Some(ours) = &mut session.ours else {
            return;
        };
        match self.rest.trickle(&session.place, ours) {
            Ok(()) => {
                ours.mark_told();
                session.failures = 0;
                self.backoff.reset();
            }
            Err(NotTaken::Gone) => {
                tracing::warn!("the server does not know our session any more");
                self.session = None;
                self.events.on_peer_lost();
            }
            Err(why) => {
                let given_up = self.give_up(why, "candidates");
                if let Some(session) = self.session.as_mut().filter(|_| given_up) {
                    session.trickles = false;
                }
            }
        }
    }

    /// Says why the session was not changed; whether that is to be given up, or tried again.
    fn give_up(&mut self, why: NotTaken, what: &str) -> bool {
        let server = self.rest.kind().server();
        let reason = match why {
            NotTaken::Gone => {
                tracing::warn!("the {server} server does not know our session any more");
                return true;
            }
            NotTaken::Never(reason) => {
                tracing::warn!(%reason, "the {server} server does not take {what}");
                return true;
            }
            NotTaken::Later(reason) => reason,
        };
        let delay = self.backoff.next();
        let failures = self.session.as_mut().map_or(TRIES, |session| {
            session.failures += 1;
            session.failures
        });
        tracing::info!(%reason, ?delay, "the {server} server has not taken {what}");
        self.hold = delay.map(|delay| Instant::now() + delay);
        delay.is_none() || failures >= TRIES
    }

    /// The session cannot go on; a new one may.
    fn begin_anew(&mut self) {
        self.forget();
        self.end_session();
        self.role = Role::Controlling;
        self.tell_ice_info(IceCause::PeerLeft);
        self.events.on_msg(Signal::Bye);
    }
}
