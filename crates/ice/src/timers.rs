//! When the agent wants to be woken, and why.

use esp_wire::{Deadline, Instant};

use crate::agent::Agent;

/// The timer that fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Why {
    /// A new check or request to a server may start (Ta).
    Pace,
    /// A check is repeated or given up.
    Retransmit,
    /// A request to a STUN server is repeated or given up, or gathering is overdue.
    Gather,
    /// Something is due for an allocation on a TURN server.
    Relay,
    /// The wait for a better pair ends.
    Nominate,
    /// Consent is due or expires.
    Consent,
    /// The path has been silent for long.
    Silence,
    /// Time to give up.
    GiveUp,
}

impl Agent {
    /// The next deadline, from all mechanisms; kept up to date by every call that changes timers.
    pub(crate) fn refresh_deadline(&mut self) {
        let mut first: Option<Deadline<Why>> = None;
        if self.leaving {
            let relay = self.relays.next().map(|at| Deadline {
                at,
                why: Why::Relay,
            });
            self.deadline = relay;
            return;
        }
        let mut at = |at: Option<Instant>, why| {
            first = Deadline::earlier(first, at.map(|at| Deadline { at, why }));
        };
        let pace = self.has_new_transaction() && !self.outbox.is_full();
        at(pace.then(|| self.pacer.next_new()), Why::Pace);
        let request = self.has_requests() && !self.outbox.is_full();
        at(request.then(|| self.pacer.next_server()), Why::Pace);
        let slot = (!self.outbox.is_full()).then(|| self.pacer.next_repeat());
        at(self.session.checks.next(slot), Why::Retransmit);
        at(self.session.retry_at, Why::Retransmit);
        at(self.gathering.next(), Why::Gather);
        at(self.relays.next(), Why::Relay);
        at(self.nomination_deadline(), Why::Nominate);
        at(self.consent_deadline(), Why::Consent);
        at(self.silence_deadline(), Why::Silence);
        at(self.give_up_deadline(), Why::GiveUp);
        self.deadline = first;
    }
}
