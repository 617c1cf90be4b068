//! Consent to send (RFC 7675) and the early warning that precedes its end.
//!
//! 1. Every 4 to 6 s a Binding request with a fresh transaction goes out on the pair in use.
//! 2. An authenticated response from there renews consent for 30 s.
//! 3. Without one, the pair is given up and never used again with these credentials.
//! 4. Apart from that, silence of any kind warns early, and the other pairs are checked again.
//! 5. A peer that is heard on another pair may have lost this one: it is asked at once, and silence warns
//!    earlier.

use std::net::SocketAddr;
use std::time::Duration;

use esp_stun::{Class, ErrorCode, Message, TransactionId};
use esp_wire::{Instant, Role, SocketId};

use crate::agent::Agent;
use crate::event::{Event, WarningReason};
use crate::outbox::Outgoing;
use crate::pair::{PairState, same_address};
use crate::path::Active;

/// Requests whose response is awaited; the oldest is forgotten first.
const OUTSTANDING: usize = 8;
/// Silence after which an ICMP error is believed.
const BELIEVED_AFTER: Duration = Duration::from_secs(2);
/// Time for an answer on the pair in use once the peer was heard on another one.
const ELSEWHERE: Duration = Duration::from_secs(1);
/// How often the other pairs are checked while the path is in doubt.
pub(crate) const RECHECK: Duration = Duration::from_secs(5);

/// The requests for consent on the pair in use.
#[derive(Debug)]
pub(crate) struct Consent {
    next: Instant,
    outstanding: Vec<(TransactionId, Option<Instant>)>,
}

impl Consent {
    pub(crate) fn starting(next: Instant) -> Self {
        Consent {
            next,
            outstanding: Vec::with_capacity(OUTSTANDING),
        }
    }

    pub(crate) fn on_sent(&mut self, id: TransactionId, now: Instant) -> bool {
        let request = self.outstanding.iter_mut().find(|(known, _)| *known == id);
        request.is_some_and(|(_, sent)| {
            sent.get_or_insert(now);
            true
        })
    }
}

impl Agent {
    /// When the next request is due, given the last.
    pub(crate) fn consent_time(&mut self, from: Instant) -> Instant {
        // RFC 7675 §5.1: between 0.8 and 1.2 times the basic period.
        let period = self.config.consent.interval;
        let spread = u64::try_from((period * 2 / 5).as_nanos()).unwrap_or(u64::MAX);
        from + period * 4 / 5 + Duration::from_nanos(self.rng.below(spread))
    }

    pub(crate) fn consent_deadline(&self) -> Option<Instant> {
        let active = self.active.as_ref()?;
        let next = (!self.config.lite).then_some(active.consent.next);
        let expires = self.consent_expiry();
        expires.map(|expires| next.map_or(expires, |next| next.min(expires)))
    }

    fn consent_expiry(&self) -> Option<Instant> {
        let active = self.active.as_ref()?;
        let pair = self.pair_of(active.generation, active.pair)?;
        if self.is_unchecked() {
            return None;
        }
        Some(pair.valid?.answered + self.config.consent.expiry)
    }

    pub(crate) fn silence_deadline(&self) -> Option<Instant> {
        let active = self.active.as_ref().filter(|_| !self.is_unchecked())?;
        if active.warned.is_some() {
            return Some(active.next_recheck);
        }
        let silent = active.heard + self.config.disconnected_after;
        let believed = active.heard + BELIEVED_AFTER;
        let unreachable = active.unreachable.map(|_| believed);
        let elsewhere = active.elsewhere.map(|at| believed.max(at + ELSEWHERE));
        unreachable
            .into_iter()
            .chain(elsewhere)
            .min()
            .map_or(Some(silent), |at| Some(at.min(silent)))
    }

    /// Asks for consent, ends it, warns.
    pub(crate) fn run_consent(&mut self, now: Instant) {
        if self.consent_expiry().is_some_and(|at| at <= now) {
            self.end_consent(now, WarningReason::ConsentExpired);
        }
        // RFC 7675 §4: a lite agent asks for nothing.
        let due = |active: &Active| active.consent.next <= now;
        if !self.config.lite && self.active.as_ref().is_some_and(due) {
            self.ask_consent(now);
        }
        self.warn(now);
    }

    fn ask_consent(&mut self, now: Instant) {
        let next = self.consent_time(now);
        let id = TransactionId::random(&mut self.rng);
        let Some(active) = &mut self.active else {
            return;
        };
        let consent = &mut active.consent;
        consent.next = next;
        if consent.outstanding.len() >= OUTSTANDING {
            consent.outstanding.remove(0);
        }
        consent.outstanding.push((id, None));
        self.outbox.push(Outgoing::Consent(id));
        // Reserves whose consent has run out are no reserves.
        let expiry = self.config.consent.expiry;
        let in_use = (active.generation == self.session.generation).then_some(active.pair);
        for pair in self.session.checklist.pairs_mut() {
            let old = |answered| now.since(answered) >= expiry;
            if Some(pair.id) != in_use && pair.valid.is_some_and(|valid| old(valid.answered)) {
                pair.valid = None;
                if pair.state == PairState::Succeeded {
                    pair.state = PairState::Frozen;
                }
            }
        }
    }

    fn warn(&mut self, now: Instant) {
        if self.silence_deadline().is_none_or(|at| at > now) {
            return;
        }
        let Some(active) = &mut self.active else {
            return;
        };
        active.next_recheck = now + RECHECK;
        let (generation, id) = (active.generation, active.pair);
        let news = match active.warned {
            Some(_) => None,
            None => {
                let reason = match active.unreachable {
                    Some(_) => WarningReason::Unreachable,
                    None => WarningReason::Silence,
                };
                active.warned = Some((now, reason));
                Some(reason)
            }
        };
        if let Some(pair) = self.pair_of_mut(generation, id)
            && news.is_some()
        {
            pair.doubted = Some(now);
        }
        let except = (generation == self.session.generation).then_some(id);
        self.session.checklist.recheck_all(except);
        if let Some(reason) = news {
            self.relays.probe(now);
            self.push_event(Event::Disconnected(reason));
        }
    }

    /// The pair in use may not be used again with these credentials (RFC 7675 §5.1).
    pub(crate) fn end_consent(&mut self, now: Instant, reason: WarningReason) {
        let Some(active) = &self.active else {
            return;
        };
        let (generation, id) = (active.generation, active.pair);
        if let Some(pair) = self.pair_of_mut(generation, id) {
            pair.valid = None;
            pair.revoked = true;
            pair.nominated = false;
            pair.nominating = false;
            pair.state = PairState::Failed;
        }
        if generation == self.session.generation {
            self.session.checklist.untrigger(id);
            self.session.checks.remove_pair(id);
            if self.session.selected == Some(id) {
                self.session.selected = None;
                self.session.first_valid = None;
            }
        } else if let Some(previous) = &mut self.previous {
            previous.pair = None;
        }
        self.push_event(Event::ConsentExpired);
        self.lose_path(now, reason);
    }

    /// Takes a response to a request for consent; `false` when none fits.
    pub(crate) fn on_consent_response(
        &mut self,
        now: Instant,
        socket: SocketId,
        remote: SocketAddr,
        message: &Message<'_>,
    ) -> bool {
        let id = message.transaction_id();
        let Some(active) = &mut self.active else {
            return false;
        };
        let outstanding = &mut active.consent.outstanding;
        let Some(at) = outstanding.iter().position(|(known, _)| *known == id) else {
            return false;
        };
        let symmetric = active.socket == socket && same_address(active.remote, remote);
        let (generation, pair) = (active.generation, active.pair);
        let key = self.remote_auth(generation).map(|auth| &auth.key);
        if !symmetric || key.is_none_or(|key| message.verify(key).is_err()) {
            self.counters.unauthenticated += 1;
            return true;
        }
        let sent = self
            .active
            .as_mut()
            .map(|active| active.consent.outstanding.remove(at).1);
        self.on_heard_active(now);
        match (message.class(), message.error_code()) {
            (Class::Success, _) => {
                let Some(pair) = self.pair_of_mut(generation, pair) else {
                    return true;
                };
                pair.responses_received += 1;
                if let Some(valid) = &mut pair.valid {
                    valid.answered = now;
                }
                if let Some(sent) = sent.flatten() {
                    pair.rtt.sample(now.since(sent));
                }
                let ours = pair.valid.map(|valid| valid.local.address);
                let mapped = message.xor_mapped_address();
                if let (Some(ours), Some(mapped)) = (ours, mapped)
                    && !same_address(ours, mapped)
                {
                    self.on_remapped(now, generation);
                }
            }
            // RFC 7675 §5.2
            (_, Some((ErrorCode::FORBIDDEN, _))) => {
                self.end_consent(now, WarningReason::ConsentRevoked);
            }
            _ => {}
        }
        true
    }

    /// A NAT gave us another address: to the peer this is another pair, so it is nominated again.
    fn on_remapped(&mut self, now: Instant, generation: u32) {
        let Some(id) = self.session.selected else {
            return;
        };
        let current = generation == self.session.generation;
        if self.role == Role::Controlling && current && self.config.roaming {
            if let Some(pair) = self.session.checklist.find_mut(id) {
                pair.nominating = true;
            }
            self.session.checks.cancel(now, id);
            self.session.checklist.trigger(id);
        }
    }

    /// Something came over the pair in use.
    pub(crate) fn on_heard_active(&mut self, now: Instant) {
        let Some(active) = &mut self.active else {
            return;
        };
        active.heard = now;
        active.unreachable = None;
        active.elsewhere = None;
        if active.warned.take().is_some() {
            self.push_event(Event::Recovered);
            self.update_state();
            self.refresh_deadline();
        }
    }

    /// The peer was heard on another pair than the one in use, long after that was agreed on.
    pub(crate) fn on_heard_elsewhere(&mut self, now: Instant) {
        if !self.config.roaming || !self.is_settled(now) {
            return;
        }
        let current = self.session.generation;
        if let Some(active) = &mut self.active
            && active.generation == current
            && active.elsewhere.is_none()
        {
            active.elsewhere = Some(now);
            active.consent.next = now;
        }
    }

    /// The network says that a destination cannot be reached; anyone can say so, hence it only
    /// shortens what would happen anyway (RFC 8445 §7.2.5.2.2).
    pub(crate) fn on_unreachable(&mut self, now: Instant, socket: SocketId, remote: SocketAddr) {
        let pair = self.session.checklist.between(socket, remote);
        if let Some(id) = pair.map(|pair| pair.id) {
            self.session.checks.doubt(id);
        }
        if let Some(active) = &mut self.active
            && active.socket == socket
            && same_address(active.remote, remote)
        {
            active.unreachable = Some(now);
        }
    }
}
