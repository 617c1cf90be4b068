//! Checks that we send, and their responses (RFC 8445 §6.1.4, §7.2).
//!
//! 1. Every Ta one check starts: a triggered one, else the next in order. Requests to servers have a
//!    slot of their own.
//! 2. Repetitions have their own slot every Ta.
//! 3. An authenticated success response from where the request went makes a valid pair; 487 changes
//!    our role; other authenticated errors, an asymmetric response and silence fail the pair.

use std::net::SocketAddr;

use esp_stun::{Class, ErrorCode, Fingerprint, Message, TransactionId};
use esp_wire::{Instant, Role, SocketId};

use crate::agent::Agent;
use crate::candidate::CandidateKind;
use crate::outbox::Outgoing;
use crate::pacing::first_rto;
use crate::pair::{PairEnd, PairId, PairState, Valid, priority_for, same_address};
use crate::transaction::{Check, Due, Request};

impl Agent {
    /// Whether checks in order are wanted: until a pair is selected, and when it is in doubt.
    fn wants_checks(&self) -> bool {
        let doubted = || (self.active.as_ref()).is_none_or(|active| active.warned.is_some());
        self.session.remote.is_some() && (self.session.selected.is_none() || doubted())
    }

    /// Whether a check may start when its slot comes.
    pub(crate) fn has_new_transaction(&self) -> bool {
        if self.config.lite {
            return false;
        }
        let checklist = &self.session.checklist;
        let triggered = self.session.remote.is_some() && checklist.has_triggered();
        triggered || (self.wants_checks() && checklist.has_ordinary())
    }

    /// Whether a request to a server waits for its slot.
    pub(crate) fn has_requests(&self) -> bool {
        self.gathering.has_queued() || self.relays.has_queued()
    }

    /// Starts what its slot allows, repeats and gives up what is due.
    pub(crate) fn run_checks(&mut self, now: Instant) {
        let asks = self.has_requests() && !self.outbox.is_full();
        if self.pacer.may_ask(now, asks) {
            self.pacer.take_server(now);
            match self.gathering.has_queued() {
                true => self.start_request(now),
                false => self.start_relay(now),
            }
        }
        let checks = self.has_new_transaction() && !self.outbox.is_full();
        if self.pacer.may_start(now, checks) {
            self.start_transaction(now);
            self.pacer.take_new(now);
        }
        loop {
            let slot = self.pacer.next_repeat() <= now && !self.outbox.is_full();
            match self.session.checks.poll(now, slot) {
                Some(Due::Repeat(id)) => {
                    self.pacer.take_repeat(now);
                    self.outbox.push(Outgoing::Check(id));
                }
                Some(Due::Failed(pair)) => self.on_check_failed(pair),
                Some(Due::Forgotten) => {}
                None => break,
            }
        }
    }

    fn start_transaction(&mut self, now: Instant) {
        if self.session.remote.is_some() {
            while let Some(id) = self.session.checklist.next_triggered() {
                if self.start_check(now, id) {
                    return;
                }
            }
        }
        let checks = self.wants_checks() && self.session.checklist.has_ordinary();
        if checks && let Some(id) = self.session.checklist.next_ordinary() {
            self.start_check(now, id);
        }
    }

    fn start_check(&mut self, now: Instant, id: PairId) -> bool {
        let limit = self.config.max_pairs * 2 + 8;
        let streams = &self.streams;
        let Some(pair) = self.session.checklist.find_mut(id) else {
            return false;
        };
        let reliable = (streams.iter()).any(|stream| stream.socket() == pair.socket);
        let Some(base) = self.locals.base(pair.socket) else {
            return false;
        };
        let priority = base.check_priority();
        let rto = first_rto(&self.config, &pair.rtt, &[&self.rtt, &self.gathering.rtt]);
        let request = Request {
            id: TransactionId::random(&mut self.rng),
            pair: id,
            socket: pair.socket,
            remote: pair.address,
            role: self.role,
            tie_breaker: self.tie_breaker,
            priority,
            use_candidate: pair.nominating && self.role == Role::Controlling,
        };
        pair.state = PairState::InProgress;
        let checks = &mut self.session.checks;
        checks.start(now, request, (rto, reliable), limit);
        self.permit(now, request.socket, request.remote.ip());
        self.outbox.push(Outgoing::Check(request.id));
        true
    }

    /// Takes a response of a server or of the peer.
    pub(crate) fn on_response(
        &mut self,
        now: Instant,
        socket: SocketId,
        remote: SocketAddr,
        message: &Message<'_>,
    ) {
        let id = message.transaction_id();
        let Some(check) = self.session.checks.find(id).copied() else {
            let taken = self.on_consent_response(now, socket, remote, message)
                || self.on_server_response(now, socket, remote, message);
            if !taken {
                self.counters.unknown_responses += 1;
            }
            return;
        };
        let key = self.session.remote.as_ref().map(|auth| &auth.key);
        let authentic = message.fingerprint() == Fingerprint::Valid
            && key.is_some_and(|key| message.verify(key).is_ok());
        if !authentic {
            // RFC 8489 §9.1.4: as if it had never come; a 401 of a peer that does not know us yet is
            // of this kind.
            self.counters.unauthenticated += 1;
            return;
        }
        self.session.checks.remove(id);
        // RFC 8445 §7.2.5.2.1
        if check.request.socket != socket || !same_address(check.request.remote, remote) {
            self.on_check_failed(check.request.pair);
            return;
        }
        match message.class() {
            Class::Success => match message.xor_mapped_address() {
                Some(mapped) => self.on_check_succeeded(now, &check, mapped),
                None => self.counters.malformed += 1,
            },
            _ => match message.error_code() {
                Some((ErrorCode::ROLE_CONFLICT, _)) => self.on_role_conflict(now, &check),
                Some(_) => self.on_check_failed(check.request.pair),
                None => self.counters.malformed += 1,
            },
        }
    }

    /// RFC 8445 §7.2.5.1
    fn on_role_conflict(&mut self, now: Instant, check: &Check) {
        if self.role == check.request.role {
            self.switch_role(now, check.request.role.other());
            self.tie_breaker = self.rng.u64();
        }
        self.session.checklist.trigger(check.request.pair);
    }

    /// RFC 8445 §7.2.5.3
    fn on_check_succeeded(&mut self, now: Instant, check: &Check, mapped: SocketAddr) {
        let local = self.mapped_candidate(check, mapped);
        let role = self.role;
        let Some(pair) = self.session.checklist.find_mut(check.request.pair) else {
            return;
        };
        if pair.revoked {
            return;
        }
        if let Some(rtt) = check.round_trip(now) {
            pair.rtt.sample(rtt);
            self.rtt.sample(rtt);
        }
        let first = pair.valid.is_none();
        pair.state = PairState::Succeeded;
        pair.last_heard = Some(now);
        pair.responses_received = pair.responses_received.wrapping_add(1);
        pair.valid = Some(Valid {
            local,
            priority: priority_for(role, local.priority, pair.remote.priority),
            answered: now,
        });
        let (foundation, by_peer) = (pair.foundation(), pair.nominate_on_success);
        let nominating = pair.nominating;
        let nominated = check.request.use_candidate && role == Role::Controlling;
        if first {
            self.session.checklist.unfreeze(foundation);
        }
        self.hear_pair(now, check);
        if nominated || by_peer {
            self.session.checks.remove_pair(check.request.pair);
            self.session.checklist.untrigger(check.request.pair);
            self.on_nominated(now, check.request.pair);
        } else if nominating {
            // An earlier check was answered; the nominating one is still under way or queued.
            self.keep_nominating(check.request.pair);
        } else {
            self.session.checks.remove_pair(check.request.pair);
            self.session.checklist.untrigger(check.request.pair);
        }
    }

    fn keep_nominating(&mut self, id: PairId) {
        if !self.session.checks.is_under_way(id) {
            self.session.checklist.trigger(id);
        } else if let Some(pair) = self.session.checklist.find_mut(id) {
            pair.state = PairState::InProgress;
        }
    }

    fn hear_pair(&mut self, now: Instant, check: &Check) {
        let current = self.session.generation;
        let in_use =
            |on: &crate::path::Active| on.generation == current && on.pair == check.request.pair;
        if self.active.as_ref().is_some_and(in_use) {
            self.on_heard_active(now);
        }
    }

    /// The local candidate at the mapped address, made peer-reflexive when it is new
    /// (RFC 8445 §7.2.5.3.1).
    fn mapped_candidate(&mut self, check: &Check, mapped: SocketAddr) -> PairEnd {
        if let Some(known) = self.locals.find(check.request.socket, mapped) {
            return known.end();
        }
        let end = PairEnd {
            address: mapped,
            kind: CandidateKind::PeerReflexive,
            priority: check.request.priority,
        };
        let base = self.locals.base(check.request.socket).copied();
        let room = self.locals.candidates.len() < self.config.max_candidates * 2;
        if let Some((base, local)) = base.and_then(|base| Some((base, base.local?)))
            && room
        {
            let kind = CandidateKind::PeerReflexive;
            let candidate = self.locals.make(&base, local, kind, mapped, None);
            self.locals.candidates.push(candidate);
        }
        end
    }

    /// RFC 8445 §7.2.5.2
    pub(crate) fn on_check_failed(&mut self, id: PairId) {
        let Some(pair) = self.session.checklist.find_mut(id) else {
            return;
        };
        // A triggered check may wait already, and a response may have come on another transaction.
        if pair.state != PairState::InProgress {
            return;
        }
        pair.state = PairState::Failed;
        pair.nominating = false;
        pair.nominate_on_success = false;
        let in_use = self.active.as_ref().is_some_and(|active| {
            active.generation == self.session.generation && active.pair == id
        });
        // The pair in use is left to consent, so that one lost burst does not end it.
        if in_use && self.session.selected == Some(id) {
            pair.state = PairState::Succeeded;
            return;
        }
        pair.valid = None;
        pair.nominated = false;
    }
}
