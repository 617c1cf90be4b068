//! The pair that data takes (RFC 8445 §12.1): the selected one; after a restart the one before it;
//! else the best valid one.

use std::net::SocketAddr;
use std::time::Duration;

use esp_wire::{Destination, Instant, Room, SocketId, Train};

use crate::agent::Agent;
use crate::candidate::CandidateKind;
use crate::consent::{Consent, RECHECK};
use crate::event::{Event, FailureReason, State, WarningReason};
use crate::pair::{Pair, PairId, PairReport};

/// Pause before pairs that failed are tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// How application data is to be laid out to take the current pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// The far end, and the socket: over a relay, a name inside the agent; [`Agent::send`] sets where
    /// the train really goes.
    pub destination: Destination,
    /// Bytes that [`Agent::send`] adds to each datagram.
    pub room: Room,
    /// Bytes of the largest datagram before [`Agent::send`].
    pub size: usize,
}

/// The pair in use.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) generation: u32,
    pub(crate) pair: PairId,
    pub(crate) socket: SocketId,
    pub(crate) remote: SocketAddr,
    /// When anything was last received over it.
    pub(crate) heard: Instant,
    /// Since when, and why, it is in doubt.
    pub(crate) warned: Option<(Instant, WarningReason)>,
    /// When the network last said that the destination is unreachable.
    pub(crate) unreachable: Option<Instant>,
    /// When the peer was heard on another pair, since it was last heard on this one.
    pub(crate) elsewhere: Option<Instant>,
    /// When the other pairs are checked again while it is in doubt.
    pub(crate) next_recheck: Instant,
    pub(crate) consent: Consent,
}

impl Agent {
    /// How to lay out application data; `None` while nothing may be sent.
    pub fn path(&self) -> Option<Path> {
        let active = self.active.as_ref()?;
        Some(Path {
            destination: Destination {
                socket: active.socket,
                remote: active.remote,
            },
            room: self.room_to(active.socket, active.remote),
            size: self.config.max_datagram,
        })
    }

    /// Adds the framing of the current path to a train of application data and sets its destination;
    /// `false` when nothing may be sent, or the train has no room for the framing.
    pub fn send(&mut self, train: &mut Train) -> bool {
        let Some(active) = &self.active else {
            return false;
        };
        let (socket, remote) = (active.socket, active.remote);
        self.address(self.clock, train, Destination { socket, remote })
    }

    /// Whether the current path keeps the ECN marks of datagrams, as far as we know: streams do not, and relays, of
    /// either side, can't be relied on (RFC 8656 §16 leaves it to them).
    pub fn carries_marks(&self) -> bool {
        let Some(active) = &self.active else {
            return false;
        };
        let direct = |pair: &Pair| {
            let kinds = [pair.local.kind, pair.remote.kind];
            !kinds.contains(&CandidateKind::Relayed)
        };
        !self.is_stream(active.socket)
            && self
                .pair_of(active.generation, active.pair)
                .is_some_and(direct)
    }

    /// The pair that data takes.
    pub fn selected(&self) -> Option<PairReport> {
        let active = self.active.as_ref()?;
        Some(self.pair_of(active.generation, active.pair)?.report(true))
    }

    /// A pair of this session or the one left of the session before.
    pub(crate) fn pair_of(&self, generation: u32, id: PairId) -> Option<&Pair> {
        if generation == self.session.generation {
            return self.session.checklist.find(id);
        }
        let previous = self.previous.as_ref()?;
        (previous.pair.as_ref()).filter(|pair| previous.generation == generation && pair.id == id)
    }

    pub(crate) fn pair_of_mut(&mut self, generation: u32, id: PairId) -> Option<&mut Pair> {
        if generation == self.session.generation {
            return self.session.checklist.find_mut(id);
        }
        let previous = self.previous.as_mut()?;
        (previous.pair.as_mut()).filter(|pair| previous.generation == generation && pair.id == id)
    }

    /// Whether the peer still consents to data on a pair.
    pub(crate) fn consents(&self, now: Instant, pair: &Pair) -> bool {
        let expiry = self.config.consent.expiry;
        let fresh = |answered: Instant| self.is_unchecked() || now.since(answered) < expiry;
        !pair.revoked && pair.valid.is_some_and(|valid| fresh(valid.answered))
    }

    /// The best valid pair of this session, of those that were answered after `since`; one that went
    /// silent comes last.
    pub(crate) fn best_valid(&self, now: Instant, since: Option<Instant>) -> Option<&Pair> {
        let late = |pair: &Pair| pair.valid.map(|valid| valid.answered) > since;
        (self.session.checklist.pairs().iter())
            .filter(|pair| self.consents(now, pair) && late(pair))
            .max_by_key(|pair| {
                let priority = pair.valid.map_or(0, |valid| valid.priority);
                (
                    pair.is_fresh(),
                    priority,
                    pair.priority,
                    std::cmp::Reverse(pair.id),
                )
            })
    }

    fn preferred(&self, now: Instant) -> Option<(u32, PairId)> {
        let session = &self.session;
        if let Some(pair) = session
            .selected_pair()
            .filter(|pair| self.consents(now, pair))
        {
            return Some((session.generation, pair.id));
        }
        let previous = self.previous.as_ref().and_then(|previous| {
            let pair = previous
                .pair
                .as_ref()
                .filter(|pair| self.consents(now, pair))?;
            Some((pair.is_fresh(), (previous.generation, pair.id)))
        });
        let best = self.best_valid(now, None);
        let best = best.map(|pair| (pair.is_fresh(), (session.generation, pair.id)));
        match (previous, best) {
            (Some((false, _)), Some((true, best))) => Some(best),
            (Some((_, previous)), _) => Some(previous),
            (None, best) => best.map(|(_, best)| best),
        }
    }

    /// Moves data to the pair that it should take.
    pub(crate) fn update_path(&mut self, now: Instant) {
        let preferred = self.preferred(now);
        let current = self
            .active
            .as_ref()
            .map(|active| (active.generation, active.pair));
        if preferred == current {
            return;
        }
        let Some((generation, id)) = preferred else {
            self.lose_path(now, WarningReason::Silence);
            return;
        };
        let Some(pair) = self.pair_of(generation, id) else {
            return;
        };
        let (socket, remote, report) = (pair.socket, pair.address, pair.report(true));
        let doubted = pair.doubted.filter(|_| !pair.is_fresh());
        let answered = pair.valid.map_or(now, |valid| valid.answered);
        let heard = pair
            .last_heard
            .map_or(answered, |heard| heard.max(answered));
        let next = self.consent_time(answered).max(now);
        let recovered = match &self.active {
            Some(active) => active.warned.is_some(),
            None => self.lost.is_some(),
        };
        self.leave_path();
        self.active = Some(Active {
            generation,
            pair: id,
            socket,
            remote,
            heard,
            warned: doubted.map(|at| (at, WarningReason::Silence)),
            unreachable: None,
            elsewhere: None,
            next_recheck: now + RECHECK,
            consent: Consent::starting(next),
        });
        self.bind_channel(now, socket, remote);
        self.lost = None;
        self.session.failed = false;
        let told = std::mem::replace(&mut self.session.path_told, true);
        if current.is_none() && !told {
            self.push_event(Event::PathAvailable(report));
        } else {
            self.push_event(Event::PathChanged(report));
        }
        if recovered && doubted.is_none() {
            self.push_event(Event::Recovered);
        }
    }

    /// Notes on the pair in use when it was heard, before another takes its place.
    fn leave_path(&mut self) {
        let Some(active) = self.active.take() else {
            return;
        };
        if let Some(pair) = self.pair_of_mut(active.generation, active.pair) {
            pair.last_heard = pair.last_heard.max(Some(active.heard));
        }
    }

    /// The pair in use cannot be used any more.
    pub(crate) fn lose_path(&mut self, now: Instant, reason: WarningReason) {
        let Some(active) = self.active.take() else {
            return;
        };
        let reason = active.warned.map_or(reason, |(_, why)| match reason {
            WarningReason::Silence => why,
            _ => reason,
        });
        // Without a socket it is lost here at once, but to the peer when consent ends: both give up together.
        let since = match reason {
            WarningReason::SocketLost | WarningReason::RelayLost => {
                now.max(active.heard + self.config.consent.expiry)
            }
            _ => now,
        };
        self.lost = Some((since, reason));
        self.session.checklist.recheck_all(None);
        if active.warned.is_none() {
            self.push_event(Event::Disconnected(reason));
        }
    }

    /// When the search for a path ends.
    pub(crate) fn give_up_deadline(&self) -> Option<Instant> {
        if self.active.is_some() || self.session.failed {
            return None;
        }
        let (at, limit) = self.search_began()?;
        match self.session.checklist.is_busy() {
            false => Some(at + limit),
            // A peer that is heard but never answers must not keep the search going for ever.
            true => Some(at + limit * 2),
        }
    }

    fn search_began(&self) -> Option<(Instant, Duration)> {
        match self.lost {
            Some((at, _)) => Some((at, self.config.consent.expiry)),
            // RFC 8863 §4: failure is not declared before the slowest transaction could have ended.
            None => Some((self.session.checking_since?, self.config.patience)),
        }
    }

    /// Tries all pairs again when none is left to be tried, as long as there is time: the other side
    /// may have begun late, or may learn of our address only now.
    pub(crate) fn run_retries(&mut self, now: Instant) {
        let searching = self.active.is_none() && !self.session.failed;
        let in_time = self
            .search_began()
            .is_some_and(|(at, limit)| now < at + limit);
        if !searching || !in_time || self.session.checklist.is_busy() {
            self.session.retry_at = None;
            return;
        }
        let at = *self.session.retry_at.get_or_insert(now + RETRY_PAUSE);
        if at <= now {
            self.session.retry_at = None;
            self.session.checklist.recheck_all(None);
        }
    }

    pub(crate) fn run_give_up(&mut self, now: Instant) {
        if self.give_up_deadline().is_none_or(|at| at > now) {
            return;
        }
        let reason = match self.lost {
            Some((_, reason)) => FailureReason::PathLost(reason),
            None if self.session.checklist.pairs().is_empty() => FailureReason::NoPairs,
            None => FailureReason::NoAnswer,
        };
        self.session.failed = true;
        self.push_event(Event::Failed(reason));
    }

    /// Tells of a change of state.
    pub(crate) fn update_state(&mut self) {
        let state = match &self.active {
            Some(active) if active.warned.is_some() => State::Disconnected,
            Some(active) => {
                let pair = self.pair_of(active.generation, active.pair);
                match pair.is_some_and(|pair| pair.nominated) {
                    true => State::Completed,
                    false => State::Connected,
                }
            }
            None if self.session.failed => State::Failed,
            None if self.lost.is_some() => State::Disconnected,
            None if self.session.remote.is_some() => State::Checking,
            None => State::New,
        };
        if state != self.state {
            self.state = state;
            self.push_event(Event::StateChanged(state));
        }
    }
}
