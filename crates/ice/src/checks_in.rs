//! Requests of the peer (RFC 8445 §7.3).
//!
//! 1. FINGERPRINT, USERNAME and MESSAGE-INTEGRITY are checked against our credentials; 400, 401 and
//!    420 say what is wrong.
//! 2. A role conflict is resolved, or answered by 487 (§7.3.1.1).
//! 3. The response tells the peer its address; that needs nothing of the peer's.
//! 4. Once the peer's credentials are known, a check the other way is triggered (§7.3.1.4); until
//!    then a bounded number of its checks is remembered.

use std::net::SocketAddr;

use esp_stun::{AttributeType, Class, ErrorCode, Fingerprint, Message, Method, known};
use esp_wire::{Destination, Instant, Role, SocketId};

use crate::agent::Agent;
use crate::candidate::CandidateKind;
use crate::event::Event;
use crate::outbox::{Answer, Outgoing};
use crate::pair::{PairState, same_address};
use crate::priority::{candidate_priority, clamp_priority};
use crate::session::EarlyCheck;

impl Agent {
    /// Takes a datagram that says that it is STUN.
    pub(crate) fn on_stun(
        &mut self,
        now: Instant,
        socket: SocketId,
        remote: SocketAddr,
        bytes: &[u8],
    ) {
        let Ok(message) = Message::parse(bytes) else {
            self.counters.malformed += 1;
            return;
        };
        if message.method() != Method::BINDING || message.fingerprint() == Fingerprint::Invalid {
            self.counters.malformed += 1;
            return;
        }
        match message.class() {
            Class::Request if message.fingerprint() == Fingerprint::Valid => {
                self.on_request(now, socket, remote, &message);
            }
            Class::Request => self.counters.malformed += 1,
            // A keepalive (RFC 8445 §11); it is not authenticated and changes nothing.
            Class::Indication => {}
            Class::Success | Class::Error => self.on_response(now, socket, remote, &message),
        }
    }

    fn on_request(
        &mut self,
        now: Instant,
        socket: SocketId,
        remote: SocketAddr,
        message: &Message<'_>,
    ) {
        if !(self.locals.base(socket)).is_some_and(|base| base.role.checks()) {
            self.counters.unknown_source += 1;
            return;
        }
        let current = self.session.generation;
        let (generation, answer) = match self.authenticate(message) {
            Ok(generation) if generation == current => match self.has_conflict(now, message) {
                true => (generation, Answer::Refused(ErrorCode::ROLE_CONFLICT)),
                false => (generation, Answer::Success),
            },
            Ok(generation) => (generation, Answer::Success),
            Err(answer) => (current, answer),
        };
        let outgoing = Outgoing::Response {
            to: Destination { socket, remote },
            id: message.transaction_id(),
            generation,
            answer,
        };
        let proved = !matches!(answer, Answer::Refused(code) if code != ErrorCode::ROLE_CONFLICT);
        if !((proved || self.outbox.admits_strangers()) && self.outbox.push(outgoing)) {
            self.counters.responses_dropped += 1;
        }
        if !matches!(answer, Answer::Success) {
            return;
        }
        let kind = CandidateKind::PeerReflexive;
        let priority = message.priority().map(clamp_priority);
        let priority = priority.unwrap_or(candidate_priority(kind, 0));
        if generation != current {
            self.on_late_check(now, socket, remote);
        } else if self.session.remote.is_some() {
            self.on_peer_check(now, socket, remote, priority, message.use_candidate());
        } else {
            self.remember(socket, remote, priority, message);
        }
    }

    /// Which of our credentials the request is for (RFC 8489 §9.1.3, RFC 8445 §7.3).
    fn authenticate(&mut self, message: &Message<'_>) -> Result<u32, Answer> {
        let (Some(username), Some(_)) = (message.username(), message.integrity()) else {
            self.counters.unauthenticated += 1;
            return Err(Answer::Refused(ErrorCode::BAD_REQUEST));
        };
        let wrong = Err(Answer::Refused(ErrorCode::UNAUTHENTICATED));
        let session = &self.session;
        let previous = self.previous.as_ref();
        let found = username.split_once(':').and_then(|(ours, theirs)| {
            let sessions = [
                Some((session.generation, &session.local, &session.remote)),
                previous.map(|old| (old.generation, &old.local, &old.remote)),
            ];
            let of_ours = |local: &crate::session::LocalAuth| local.credentials.ufrag == ours;
            let found = sessions
                .into_iter()
                .flatten()
                .find(|(_, local, _)| of_ours(local))?;
            let (generation, local, auth) = found;
            let fits = (auth.as_ref()).is_none_or(|auth| auth.credentials.ufrag == theirs);
            fits.then_some((generation, &local.key))
        });
        match found {
            Some((generation, key)) if message.verify(key).is_ok() => {
                match unknown_attributes(message) {
                    Some(unknown) => Err(Answer::Unknown(unknown)),
                    None => Ok(generation),
                }
            }
            _ => {
                self.counters.unauthenticated += 1;
                wrong
            }
        }
    }

    /// Resolves a role conflict; `true` when the peer has to give way (RFC 8445 §7.3.1.1).
    fn has_conflict(&mut self, now: Instant, message: &Message<'_>) -> bool {
        if self.config.lite {
            // RFC 8445 §6.1.1: whoever checks a lite agent controls.
            return false;
        }
        let theirs = match self.role {
            Role::Controlling => message.ice_controlling(),
            Role::Controlled => message.ice_controlled(),
        };
        let Some(theirs) = theirs else {
            return false;
        };
        let ours_wins = self.tie_breaker >= theirs;
        match (self.role, ours_wins) {
            (Role::Controlling, true) | (Role::Controlled, false) => true,
            (Role::Controlling, false) | (Role::Controlled, true) => {
                self.switch_role(now, self.role.other());
                false
            }
        }
    }

    /// Takes the other role (RFC 8445 §7.3.1.1, §7.2.5.1).
    pub(crate) fn switch_role(&mut self, _now: Instant, role: Role) {
        if self.role == role {
            return;
        }
        self.role = role;
        self.session.checklist.prioritize(role);
        self.session.first_valid = None;
        for pair in self.session.checklist.pairs_mut() {
            pair.nominating = false;
            pair.nominate_on_success = false;
        }
        self.push_event(Event::RoleChanged(role));
    }

    /// A check with the credentials before the restart: the peer keeps its consent.
    fn on_late_check(&mut self, now: Instant, socket: SocketId, remote: SocketAddr) {
        let previous = self
            .previous
            .as_mut()
            .and_then(|previous| previous.pair.as_mut());
        if let Some(pair) = previous
            && pair.is_between(socket, remote)
        {
            pair.requests_received += 1;
            pair.last_heard = Some(now);
        }
        self.hear_active(now, socket, remote);
    }

    /// Notes that the pair in use was heard; `false` when it is not between these two.
    fn hear_active(&mut self, now: Instant, socket: SocketId, remote: SocketAddr) -> bool {
        let active = self.active.as_ref();
        let is = active.is_some_and(|on| on.socket == socket && same_address(on.remote, remote));
        if is {
            self.on_heard_active(now);
        }
        is
    }

    fn remember(
        &mut self,
        socket: SocketId,
        remote: SocketAddr,
        priority: u32,
        message: &Message<'_>,
    ) {
        let ufrag = (message.username().and_then(|name| name.split_once(':'))).map(|(_, it)| it);
        let Some(ufrag) = ufrag.filter(|ufrag| ufrag.len() <= 256) else {
            return;
        };
        let early = &mut self.session.early;
        let known = (early.iter_mut()).find(|known| {
            known.socket == socket && same_address(known.remote, remote) && known.ufrag == ufrag
        });
        if let Some(known) = known {
            known.use_candidate |= message.use_candidate();
            known.priority = priority;
        } else if early.len() < self.config.max_early_checks {
            early.push(EarlyCheck {
                socket,
                remote,
                priority,
                use_candidate: message.use_candidate(),
                ufrag: ufrag.to_owned(),
            });
        } else {
            self.counters.early_dropped += 1;
        }
    }

    /// Learns from an authenticated check and triggers one back (RFC 8445 §7.3.1.3 to §7.3.1.5).
    pub(crate) fn on_peer_check(
        &mut self,
        now: Instant,
        socket: SocketId,
        remote: SocketAddr,
        priority: u32,
        use_candidate: bool,
    ) {
        if !self.hear_active(now, socket, remote) {
            self.on_heard_elsewhere(now);
        }
        if self.session.checklist.between(socket, remote).is_none() {
            let known = self.session.remotes.find(remote).copied();
            let limit = self.config.max_remote_candidates;
            let candidate = match known {
                Some(candidate) => candidate,
                None => self.session.remotes.reflect(remote, priority, limit),
            };
            self.add_pair(now, socket, &candidate, true);
        }
        let nominates = use_candidate && self.role == Role::Controlled;
        let Some(pair) = self.session.checklist.between_mut(socket, remote) else {
            return;
        };
        let id = pair.id;
        pair.heard = true;
        pair.last_heard = Some(now);
        pair.requests_received = pair.requests_received.wrapping_add(1);
        if pair.revoked {
            return;
        }
        if self.config.lite {
            return self.on_check_of_full(now, id, use_candidate);
        }
        match pair.state {
            PairState::Succeeded => {
                if nominates {
                    self.on_nominated(now, id);
                }
                return;
            }
            PairState::InProgress => self.session.checks.cancel(now, id),
            PairState::Waiting | PairState::Frozen | PairState::Failed => {}
        }
        if let Some(pair) = self.session.checklist.find_mut(id) {
            pair.nominate_on_success |= nominates;
        }
        self.session.checklist.trigger(id);
    }
}

/// The first comprehension-required attributes that are not understood.
fn unknown_attributes(message: &Message<'_>) -> Option<[Option<AttributeType>; 4]> {
    let mut unknown = message.unknown_required(&[known::BASE, known::ICE]);
    let first = unknown.next()?;
    Some([Some(first), unknown.next(), unknown.next(), unknown.next()])
}
