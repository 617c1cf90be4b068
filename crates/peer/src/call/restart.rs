//! A path that is lost for long: the controlling side restarts ICE (RFC 8445 §9).
//!
//! 1. ICE warns. For a while it looks for another path by itself.
//! 2. The controlling side makes an offer with new credentials; candidates follow it.
//! 3. The other side answers. DTLS, SRTP and SCTP go on as if nothing had been.
//! 4. Offer or answer may be lost with the signaling, whose link is often the one that died: while the path is in
//!    doubt, the same offer is made again and again, with all candidates, until it is answered.
//! 5. When the signaling tells that it is back, that is done at once; who waits for an offer makes one, since it
//!    may be the one that was lost.
//! 6. Without success ICE gives up in its time, counted from the restart; but for what a signaling that came back
//!    begins, there is one restart for each loss of the path, so that a peer that is gone is noticed.

use std::time::Duration;

use esp_wire::{Instant, Role};

use super::Call;
use crate::{Error, PeerConfig};

/// How long ICE may look for another path by itself.
const PATIENCE: Duration = Duration::from_secs(4);
/// How long an answer may take before the offer is made again.
const REPEAT: Duration = Duration::from_secs(5);
/// How long the answer to an offer that has crossed another one may take.
const CROSSED: Duration = Duration::from_secs(1);
/// Restarts of one loss that a signaling which came back may begin.
const MAX_RESUMPTIONS: u32 = 3;

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
        self.repeat_at = None;
        self.resumptions = 0;
    }

    /// The signaling was away, and what it carried meanwhile may be lost.
    pub(crate) fn on_signaling_restored(&mut self, now: Instant, config: &PeerConfig) {
        if self.is_first_round() {
            return self.say_again();
        }
        let unanswered = self.negotiation.offered.is_some();
        let restarts = config.ice_restart && self.interrupted;
        if unanswered || (restarts && self.resumptions < MAX_RESUMPTIONS) {
            self.resumptions += u32::from(!unanswered);
            self.offer_restart(now);
        }
    }

    /// Restarts ICE, or repeats itself, when it is time.
    pub(super) fn run_restart(&mut self, now: Instant, config: &PeerConfig) {
        let due = |at: &mut Option<Instant>| at.take_if(|at| *at <= now).is_some();
        let (restarts, repeats) = (due(&mut self.restart_at), due(&mut self.repeat_at));
        let offers = config.ice_restart && self.ice.role() == Role::Controlling;
        let unanswered = self.negotiation.offered.is_some();
        if (restarts && offers) || ((restarts || repeats) && unanswered) {
            self.offer_restart(now);
        }
    }

    fn offer_restart(&mut self, now: Instant) {
        if self.is_first_round() {
            return self.say_again();
        }
        // While the peer's description is under way, there is one restart already.
        if self.restart_ice(now).is_ok() && self.interrupted {
            self.repeat_at = Some(now + REPEAT);
        }
    }

    /// The peer has offered while our offer waits for its answer, and is to give way. If it does not answer soon, the two
    /// have not crossed, but ours was lost.
    pub(super) fn on_offer_beside_ours(&mut self, now: Instant) {
        let soon = now + CROSSED;
        self.repeat_at = Some(self.repeat_at.map_or(soon, |at| at.min(soon)));
    }

    /// Makes an offer with new credentials, or once more the one that was not answered yet.
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
        let begun = std::mem::replace(&mut negotiation.offer_again, true);
        if begun || negotiation.offered.is_some() {
            return Ok(());
        }
        negotiation.described = false;
        self.on_local_restart();
        self.ice.restart(now);
        Ok(())
    }
}
