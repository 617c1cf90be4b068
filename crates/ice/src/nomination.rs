//! Which valid pair is selected (RFC 8445 §8.1.1).
//!
//! 1. The controlling side waits after the first valid pair while better ones are being checked,
//!    for some round trips and a bounded time; data flows meanwhile.
//! 2. It repeats the check of the best valid pair with USE-CANDIDATE.
//! 3. The response selects the pair. The controlled side selects what was nominated and worked.
//!
//! A controlled agent never nominates. Of a peer that nominates several pairs at first, as RFC 5245
//! allowed, the one of highest priority is taken; later its latest choice is followed.

use std::time::Duration;

use esp_wire::{Instant, Role};

use crate::agent::Agent;
use crate::candidate::CandidateKind;
use crate::event::Event;
use crate::pair::{Pair, PairId, PairState};

/// Silence of the selected pair after which another nominated one of lower priority takes its place.
const SILENT: Duration = Duration::from_secs(3);
/// For so long after the first selection an aggressive nominator may still try pairs
/// (RFC 8445 §8.3.1).
const SETTLED: Duration = Duration::from_secs(3);

impl Agent {
    /// When the wait for a better pair ends.
    pub(crate) fn nomination_deadline(&self) -> Option<Instant> {
        if self.role == Role::Controlled {
            return self.successor().map(|(_, at)| at);
        }
        self.session.nominate_at
    }

    fn may_nominate(&self) -> bool {
        let doubted = || (self.active.as_ref()).is_some_and(|active| active.warned.is_some());
        self.role == Role::Controlling
            && !self.config.lite
            && self.session.remote.is_some()
            && (self.session.selected.is_none() || (self.config.roaming && doubted()))
    }

    fn nomination_under_way(&self) -> bool {
        self.session
            .checklist
            .pairs()
            .iter()
            .any(|pair| pair.nominating)
    }

    /// The pair that would be nominated; one in doubt is not nominated again.
    fn nominee(&self, now: Instant) -> Option<&Pair> {
        let doubt = self.active.as_ref().and_then(|active| active.warned);
        // A reserve that has not answered since then may have gone with the path.
        let since = doubt.filter(|_| self.session.selected.is_some());
        let best = self.best_valid(now, since.map(|(at, _)| at))?;
        (self.session.selected != Some(best.id)).then_some(best)
    }

    fn nomination_wait(&self, best: &Pair) -> Duration {
        let policy = self.config.nomination;
        let priority = best.valid.map_or(best.priority, |valid| valid.priority);
        let open = |state| {
            matches!(
                state,
                PairState::Waiting | PairState::InProgress | PairState::Frozen
            )
        };
        let better = (self.session.checklist.pairs().iter())
            .any(|pair| pair.id != best.id && open(pair.state) && pair.priority > priority);
        let direct = best
            .valid
            .is_some_and(|valid| valid.local.kind == CandidateKind::Host)
            && best.remote.kind == CandidateKind::Host;
        let all = self.session.remote_ended && !self.session.mdns.is_pending();
        let more = !direct && !all;
        if self.session.selected.is_some() || !(better || more) {
            return Duration::ZERO;
        }
        let round_trips = best.rtt.smoothed().unwrap_or(policy.max_wait) * 3;
        round_trips.clamp(policy.min_wait.min(policy.max_wait), policy.max_wait)
    }

    /// Nominates when it is time.
    pub(crate) fn run_nomination(&mut self, now: Instant) {
        self.run_succession(now);
        self.session.nominate_at = None;
        if !self.may_nominate() || self.nomination_under_way() {
            return;
        }
        let Some(best) = self.nominee(now) else {
            self.session.first_valid = None;
            return;
        };
        let (id, wait) = (best.id, self.nomination_wait(best));
        let first = *self.session.first_valid.get_or_insert(now);
        if first + wait > now {
            self.session.nominate_at = Some(first + wait);
            return;
        }
        if let Some(pair) = self.session.checklist.find_mut(id) {
            pair.nominating = true;
        }
        self.session.checks.cancel(now, id);
        self.session.checklist.trigger(id);
    }

    fn run_succession(&mut self, now: Instant) {
        let Some((id, _)) = self.successor().filter(|(_, at)| *at <= now) else {
            return;
        };
        let pair = self.session.checklist.find(id);
        if pair.is_some_and(|pair| self.consents(now, pair)) {
            self.select(now, id);
        } else if let Some(pair) = self.session.checklist.find_mut(id) {
            pair.nominated = false;
        }
    }

    /// The nominated pair that takes over when the selected one has been silent for long, and when
    /// that will be.
    fn successor(&self) -> Option<(PairId, Instant)> {
        let active = self.active.as_ref()?;
        let selected = self.session.selected.filter(|id| *id == active.pair)?;
        if self.role == Role::Controlling || active.generation != self.session.generation {
            return None;
        }
        let heard_since = |pair: &Pair| pair.last_heard.is_some_and(|at| at > active.heard);
        let next = (self.session.checklist.pairs().iter())
            .filter(|pair| pair.id != selected && pair.nominated && pair.valid.is_some())
            .filter(|pair| !pair.revoked && heard_since(pair))
            .max_by_key(|pair| pair.priority)?;
        Some((next.id, active.heard + SILENT))
    }

    /// Our check with USE-CANDIDATE was answered (RFC 8445 §7.2.5.3.4), or the peer's came over a
    /// pair that works (§7.3.1.5).
    pub(crate) fn on_nominated(&mut self, now: Instant, id: PairId) {
        let Some(pair) = self.session.checklist.find_mut(id) else {
            return;
        };
        pair.nominating = false;
        pair.nominate_on_success = false;
        if pair.valid.is_none() || pair.revoked {
            return;
        }
        pair.nominated = true;
        if self.session.selected == Some(id) || !self.prefers(now, id) {
            return;
        }
        self.select(now, id);
    }

    /// Whether a nominated pair takes the place of the selected one.
    fn prefers(&self, now: Instant, id: PairId) -> bool {
        let Some(current) = self.session.selected_pair() else {
            return true;
        };
        let Some(new) = self.session.checklist.find(id) else {
            return false;
        };
        let priority = |pair: &Pair| pair.valid.map_or(0, |valid| valid.priority);
        let silent = match &self.active {
            Some(active) if active.pair == current.id => {
                active.warned.is_some() || now.since(active.heard) >= SILENT
            }
            _ => true,
        };
        self.role == Role::Controlling
            || priority(new) > priority(current)
            || silent
            || self.is_settled(now)
    }

    /// Whether a pair was selected so long ago that what the peer still had to say then has been said.
    pub(crate) fn is_settled(&self, now: Instant) -> bool {
        (self.session.first_selected).is_some_and(|at| now.since(at) >= SETTLED)
    }

    fn select(&mut self, now: Instant, id: PairId) {
        self.session.selected = Some(id);
        self.session.first_selected.get_or_insert(now);
        let (checks, checklist) = (&mut self.session.checks, &self.session.checklist);
        checks.cancel_unless(now, |pair| {
            let by_peer = || {
                checklist
                    .find(pair)
                    .is_some_and(|pair| pair.nominate_on_success)
            };
            pair == id || by_peer()
        });
        self.session.checklist.conclude(id);
        self.gathering.set_concluded(true);
        if let Some(previous) = &mut self.previous {
            previous.pair = None;
        }
        if let Some(pair) = self.session.checklist.find(id) {
            let report = pair.report(true);
            self.push_event(Event::Selected(report));
        }
    }
}
