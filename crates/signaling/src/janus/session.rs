//! The session and the way into the room: begun, kept alive, lost, begun anew.

use std::sync::Arc;
use std::time::{Duration, Instant};

use esp_wire::Signal;

use super::api::{Session, Trouble};
use super::poll;
use super::room::{NotIn, Room};
use super::worker::{Over, Worker};
use crate::IceCause;

impl Worker {
    pub(super) fn enter(&mut self) -> Result<(), Over> {
        match self.try_enter() {
            Ok(room) => {
                self.room = Some(room);
                self.rest_keepalive();
                Ok(())
            }
            Err(why) => self.try_later(why),
        }
    }

    fn try_enter(&mut self) -> Result<Room, NotIn> {
        let session = match self.session {
            Some(session) => session,
            None => self.begin_session()?,
        };
        Room::enter(&self.api, session, &self.config)
    }

    fn begin_session(&mut self) -> Result<Session, Trouble> {
        let session = self.api.create()?;
        let (api, mailbox) = (Arc::clone(&self.api), Arc::clone(&self.mailbox));
        let retry = self.config.common.retry;
        let poller = std::thread::Builder::new()
            .name("janus events".into())
            .spawn(move || poll::follow(&api, session, retry, &mailbox));
        match poller {
            Ok(_) => self.session = Some(session),
            Err(error) => {
                return Err(Trouble::Refused(format!(
                    "the system refuses what the signaling needs: {error}"
                )));
            }
        }
        Ok(session)
    }

    pub(super) fn keep_alive(&mut self) -> Result<(), Over> {
        let Some(session) = self.session else {
            return Ok(());
        };
        self.rest_keepalive();
        match self.api.keepalive(session) {
            Ok(()) => Ok(()),
            Err(Trouble::Gone) => self.lose_session(),
            Err(why) => {
                tracing::info!(?why, "a keepalive was not heard");
                Ok(())
            }
        }
    }

    pub(super) fn rest_keepalive(&mut self) {
        self.keepalive_at = Instant::now() + self.config.keepalive;
    }

    pub(super) fn lose_session(&mut self) -> Result<(), Over> {
        self.session = None;
        // Nobody there knows of it.
        let described = self.room.take().is_some_and(|room| room.described);
        self.outgoing.clear();
        self.cause = IceCause::PeerLeft;
        if described {
            self.wanted = !self.plays();
            self.events.on_msg(Signal::Bye);
        }
        let reason = format!("{} does not know us any more", self.api.server());
        self.try_later(NotIn::Later(reason))
    }

    /// Says why it does not go on, and holds; an error when it is time to give up.
    pub(super) fn try_later(&mut self, why: NotIn) -> Result<(), Over> {
        let reason = match why {
            NotIn::Trouble(Trouble::Gone) => return self.lose_session(),
            NotIn::Trouble(Trouble::Refused(reason)) if !self.was_in => return Err(reason),
            NotIn::Trouble(Trouble::Refused(reason) | Trouble::Away(reason))
            | NotIn::Later(reason) => reason,
        };
        let Some(delay) = self.backoff.next() else {
            return Err(format!("{reason}; given up"));
        };
        self.hold = Some(Instant::now() + delay);
        let seconds = delay.max(Duration::from_millis(1)).as_secs_f64();
        self.away = false;
        self.go_away(&format!("{reason}; trying again in {seconds:.1} s"));
        Ok(())
    }

    pub(super) fn go_away(&mut self, reason: &str) {
        if !std::mem::replace(&mut self.away, true) {
            self.events.on_reconnecting(reason);
        }
    }

    pub(super) fn come_back(&mut self) {
        if !std::mem::take(&mut self.away) {
            return;
        }
        let described = self.room.as_ref().is_some_and(|room| room.described);
        if self.plays() && !described {
            // A peer connection that waits would offer now; another one is to wait for the offer.
            self.leave();
            self.wanted = false;
            self.cause = IceCause::Rejoined;
            self.tell_role();
        }
        self.events.on_connected();
    }
}
