//! What a signaling that was away may have lost of the first offer and answer is said again.
//!
//! 1. Who waits for an answer makes the same offer once more, with all candidates known by now. So does who has its
//!    answer, but is not connected: candidates may be lost, too.
//! 2. Who has answered, and is not connected, answers once more. The other side takes no notice of an answer that it
//!    has, but for the candidates in it.
//! 3. Who waits for an offer makes one, since it may be the one that was lost. If the other side's comes after all,
//!    two offers have crossed (`glare.rs`).
//!
//! Nothing is done twice by that: an offer that came before is answered as before, and only what is new counts. Once
//! the call is connected, restarts of ICE do the like (`restart.rs`).

use esp_sdp::Description;
use esp_wire::Role;

use super::{Call, Progress};

impl Call {
    /// Whether the first offer and answer may still be under way.
    pub(super) fn is_first_round(&self) -> bool {
        self.progress < Progress::Connected && !self.interrupted
    }

    /// Has the description of the first round made once more, when it is time to describe.
    pub(super) fn say_again(&mut self) {
        let negotiation = &mut self.negotiation;
        if negotiation.to_answer.is_some() {
            return;
        }
        let answered = negotiation.answered_offer.take();
        match answered.filter(|_| negotiation.offered.is_none()) {
            Some(offer) => negotiation.to_answer = Some(offer),
            None => {
                negotiation.offer_again = true;
                // RFC 8445 §6.1.1: whoever offers controls.
                if negotiation.agreed.is_none() && self.ice.role() != Role::Controlling {
                    self.ice.set_role(Role::Controlling);
                }
            }
        }
    }

    /// The offer that we have just answered may have to be answered again.
    pub(super) fn keep_offer(&mut self, offer: Box<Description>) {
        if self.progress < Progress::Connected {
            self.negotiation.answered_offer = Some(offer);
        }
    }
}
