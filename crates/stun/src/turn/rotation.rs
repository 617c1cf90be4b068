//! Other credentials for a live allocation.
//!
//! 1. [`TurnClient::set_credentials`] keeps them until no request is in flight.
//! 2. A Refresh tries them alone.
//! 3. Its success makes them the client's. A server that binds an allocation to the user who made it
//!    refuses them (441, RFC 8656 §5): the former ones come back, and
//!    [`TurnEvent::CredentialsRefused`] is told.

use esp_wire::Instant;

use crate::auth::LongTermAuth;
use crate::turn::client::{Purpose, State};
use crate::turn::{TurnClient, TurnError, TurnEvent};

/// How far the change of credentials has come.
#[derive(Debug, Default)]
pub(crate) enum Rotation {
    /// There is none.
    #[default]
    Done,
    /// Those of the settings are to be tried.
    Wanted,
    /// They are being tried; these are the former ones.
    Trying(Box<LongTermAuth>),
}

impl Rotation {
    pub(crate) fn is_trying(&self) -> bool {
        matches!(self, Rotation::Trying(_))
    }

    pub(crate) fn on_accepted(&mut self) {
        if self.is_trying() {
            *self = Rotation::Done;
        }
    }
}

impl TurnClient {
    /// Brings credentials that replace the present ones, without dropping the allocation.
    ///
    /// They are tried by a Refresh; [`TurnEvent::CredentialsRefused`] tells when the server does not
    /// take them for this allocation. Fails when they cannot be sent; nothing changes then.
    pub fn set_credentials(
        &mut self,
        now: Instant,
        username: &str,
        password: &str,
    ) -> Result<(), TurnError> {
        let same = self.config.username == username && self.config.password == password;
        let next = LongTermAuth::new(username, password)?;
        if same || matches!(self.state, State::Closing | State::Over) {
            return Ok(());
        }
        self.config.username = username.to_owned();
        self.config.password = password.to_owned();
        match self.state {
            State::Idle => self.auth = next,
            State::Allocating => {
                // Nothing is lost by asking again from the beginning.
                self.auth = next;
                self.transactions.retain(|_| false);
                self.request(now, Purpose::Allocate);
            }
            _ => {
                if let Rotation::Trying(former) = std::mem::take(&mut self.rotation) {
                    self.transactions
                        .retain(|one| one.tag.purpose != Purpose::Refresh);
                    self.auth = *former;
                }
                self.rotation = Rotation::Wanted;
                self.rotate(now);
            }
        }
        Ok(())
    }

    /// Tries what is wanted once nothing is in flight.
    pub(crate) fn rotate(&mut self, now: Instant) {
        let wanted = matches!(self.rotation, Rotation::Wanted);
        let busy = !matches!(self.state, State::Allocated { .. });
        if !wanted || busy || self.transactions.iter().next().is_some() {
            return;
        }
        let (username, password) = (&self.config.username, &self.config.password);
        // They were checked before.
        let Ok(next) = self.auth.with_credentials(username, password) else {
            return;
        };
        let former = std::mem::replace(&mut self.auth, next);
        self.rotation = Rotation::Trying(Box::new(former));
        self.request(now, Purpose::Refresh);
    }

    /// The server does not take them, or does not answer.
    pub(crate) fn rotate_back(&mut self, now: Instant, error: TurnError) {
        if let Rotation::Trying(former) = std::mem::take(&mut self.rotation) {
            self.auth = *former;
        }
        self.events.push_back(TurnEvent::CredentialsRefused(error));
        self.ask_for_peers(now);
    }
}
