//! A path that is lost for long: the controlling side restarts ICE (RFC 8445 §9).
//!
//! 1. ICE warns. For a while it looks for another path by itself.
//! 2. The controlling side makes an offer with new credentials; candidates follow it.
//! 3. The other side answers. DTLS, SRTP and SCTP go on as if nothing had been.
//! 4. Without success ICE gives up in its time, counted from the restart; there is one restart for each
//!    loss of the path, so that a peer that is gone is noticed.

use std::time::Duration;

use esp_wire::{Instant, Role};

use super::Call;
use crate::{Error, PeerConfig};

/// How long ICE may look for another path by itself.
const PATIENCE: Duration = Duration::from_secs(4);

impl Call {
    /// The path is in doubt or gone.
    pub(super) fn on_interrupted(&mut self, now: Instant) {
        if !std::mem::replace(&mut self.interrupted, true) {
            self.restart_at = Some(now + PATIENCE);
        }
    }

    /// There is a path that works.
    pub(super) fn on_uninterrupted(&mut self) {
        self.interrupted = false;
        self.restart_at = None;
    }

    /// Restarts ICE when it is time.
    pub(super) fn run_restart(&mut self, now: Instant, config: &PeerConfig) {
        if self.restart_at.is_none_or(|at| at > now) {
            return;
        }
        self.restart_at = None;
        if config.ice_restart && self.ice.role() == Role::Controlling {
            // While a description is under way, there is one restart already.
            let _ = self.restart_ice(now);
        }
    }

    /// Makes an offer with new credentials.
    ///
    /// # Errors
    /// [`Error::WrongState`] before anything was agreed on, and while a description is under way.
    pub(crate) fn restart_ice(&mut self, now: Instant) -> Result<(), Error> {
        let negotiation = &mut self.negotiation;
        if negotiation.agreed.is_none() {
            return Err(Error::WrongState("nothing is agreed on yet"));
        }
        if negotiation.to_answer.is_some() {
            return Err(Error::WrongState("a description is under way"));
        }
        negotiation.offered = None;
        negotiation.described = false;
        negotiation.offer_again = true;
        self.on_local_restart();
        self.ice.restart(now);
        Ok(())
    }
}
