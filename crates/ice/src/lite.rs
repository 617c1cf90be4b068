//! Lite agents, on our side and on the other (RFC 8445 §2.5, §6.1.1, §7.3.2, §8.2).
//!
//! 1. A lite agent ([`Config::lite`](crate::Config::lite)) has host candidates only, sends no check and asks
//!    for no consent (RFC 7675 §4); it answers.
//! 2. Against a full agent it is controlled: the pair that a check with USE-CANDIDATE came over is
//!    the one. It takes the checks that follow for the signs of life of the peer.
//! 3. Two lite agents check nothing: both take the pair of highest priority.

use esp_wire::{Instant, Role};

use crate::agent::Agent;
use crate::pair::{Pair, PairId, PairState, Valid};

impl Agent {
    /// Whether the peer is a lite agent (`a=ice-lite`); to be told of every description.
    ///
    /// The full one of two controls; of two lite ones, the one that was configured so, which is to be the
    /// side that offers (RFC 8445 §6.1.1).
    pub fn set_remote_lite(&mut self, now: Instant, lite: bool) {
        self.remote_lite = lite;
        match (self.config.lite, lite) {
            (false, true) => self.switch_role(now, Role::Controlling),
            (true, false) => self.switch_role(now, Role::Controlled),
            (true, true) | (false, false) => return,
        }
        self.run(now);
    }

    /// Whether neither side checks anything.
    pub(crate) fn is_unchecked(&self) -> bool {
        self.config.lite && self.remote_lite
    }

    /// A lite agent was checked by the full one (RFC 8445 §7.3.2).
    pub(crate) fn on_check_of_full(&mut self, now: Instant, id: PairId, nominates: bool) {
        let Some(pair) = self.session.checklist.find_mut(id) else {
            return;
        };
        if nominates {
            make_valid(pair, now);
            self.on_nominated(now, id);
        } else if let Some(valid) = &mut pair.valid {
            valid.answered = now;
        }
    }

    /// Of two lite agents, each takes the best pair there is (RFC 8445 §8.2).
    pub(crate) fn run_lite(&mut self, now: Instant) {
        if !self.is_unchecked() || self.session.remote.is_none() {
            return;
        }
        let pairs = self.session.checklist.pairs_mut().iter_mut();
        let Some(best) = pairs.max_by_key(|pair| (pair.priority, std::cmp::Reverse(pair.id)))
        else {
            return;
        };
        let id = best.id;
        if self.session.selected == Some(id) {
            return;
        }
        make_valid(best, now);
        self.session.selected = None;
        self.on_nominated(now, id);
    }
}

fn make_valid(pair: &mut Pair, now: Instant) {
    pair.state = PairState::Succeeded;
    pair.valid = Some(Valid {
        local: pair.local,
        priority: pair.priority,
        answered: now,
    });
}
