//! Offers that cross on their way (RFC 3264 §4, RFC 8829 §4.1.8.2).
//!
//! 1. Both sides have offered, and each gets an offer where it waits for an answer.
//! 2. Both know both offers, so both know who gives way: the controlled side, and before ICE has roles, the
//!    side with the smaller session ID.
//! 3. It rolls its own offer back and answers; the other side takes no notice of the offer that it got.
//!
//! A restart of ICE that is rolled back leaves its new credentials: the answer carries them, and the
//! candidates that were told with them count.

use esp_sdp::Description;
use esp_wire::{Instant, Role};

use super::Call;
use crate::{Error, PeerConfig};

impl Call {
    /// Whether our offer is the one to be rolled back.
    pub(super) fn gives_way(&self, ours: &Description, theirs: &Description) -> bool {
        if self.negotiation.agreed.is_some() {
            return self.ice.role() == Role::Controlled;
        }
        rank(ours) < rank(theirs)
    }

    /// Takes our offer back and answers theirs.
    pub(super) fn roll_back(
        &mut self,
        now: Instant,
        config: &PeerConfig,
        theirs: Description,
    ) -> Result<(), Error> {
        self.negotiation.offered = None;
        self.negotiation.offer_again = false;
        self.negotiation.answered = None;
        match &self.negotiation.agreed {
            // RFC 8445 §6.1.1: whoever offered controls.
            None => self.ice.set_role(Role::Controlled),
            // The offer that was rolled back may have restarted ICE already; if not, it is done now.
            Some(agreed) => {
                if theirs.restarts_ice(agreed) && self.ice.remote_credentials().is_some() {
                    self.ice.restart(now);
                    self.on_local_restart();
                }
            }
        }
        self.negotiation.to_answer = Some(Box::new(theirs));
        self.describe(now, config)
    }
}

/// A session ID as a number, and what tells equal ones apart.
fn rank(description: &Description) -> (u128, Vec<&str>) {
    let (session, _) = description.version();
    let ice = description
        .sections()
        .iter()
        .filter_map(|section| section.ice.as_ref());
    let ufrags = ice.map(|ice| ice.ufrag.as_str()).collect();
    (session.parse().unwrap_or(0), ufrags)
}
