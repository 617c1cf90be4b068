//! The checklist: all pairs, and which is checked next (RFC 8445 §6.1.2, §6.1.4).
//!
//! 1. A pair enters as Frozen when a pair of its foundation is waiting to be checked, else as
//!    Waiting.
//! 2. Triggered checks go first, in order of arrival; then the Waiting pair of highest priority.
//! 3. When nothing waits, the best Frozen pair of each foundation is let go. Unlike RFC 8445
//!    §6.1.4.2, a pair in progress does not hold back others of its foundation: with one component
//!    that would only put live pairs behind dead ones.

use std::collections::VecDeque;
use std::net::SocketAddr;

use esp_wire::{Role, SocketId};

use crate::pair::{Pair, PairId, PairState};

#[derive(Debug, Default)]
pub(crate) struct Checklist {
    pairs: Vec<Pair>,
    triggered: VecDeque<PairId>,
}

impl Checklist {
    pub(crate) fn pairs(&self) -> &[Pair] {
        &self.pairs
    }

    pub(crate) fn pairs_mut(&mut self) -> &mut [Pair] {
        &mut self.pairs
    }

    pub(crate) fn find(&self, id: PairId) -> Option<&Pair> {
        self.pairs.iter().find(|pair| pair.id == id)
    }

    pub(crate) fn find_mut(&mut self, id: PairId) -> Option<&mut Pair> {
        self.pairs.iter_mut().find(|pair| pair.id == id)
    }

    pub(crate) fn between(&self, socket: SocketId, remote: SocketAddr) -> Option<&Pair> {
        (self.pairs.iter()).find(|pair| pair.is_between(socket, remote))
    }

    pub(crate) fn between_mut(
        &mut self,
        socket: SocketId,
        remote: SocketAddr,
    ) -> Option<&mut Pair> {
        (self.pairs.iter_mut()).find(|pair| pair.is_between(socket, remote))
    }

    /// Adds a pair in its first state, unless the list is full of better ones; gives the pair that
    /// had to leave for it (RFC 8445 §6.1.2.5). A pair that the peer was heard on comes before all others.
    pub(crate) fn insert(&mut self, mut pair: Pair, limit: usize) -> Option<PairId> {
        let mut evicted = None;
        if self.pairs.len() >= limit {
            let spare = |other: &&Pair| {
                let open = other.heard && other.state != PairState::Failed;
                other.valid.is_none() && !other.nominating && !open
            };
            let rank = |other: &Pair| (other.state != PairState::Failed, other.priority);
            let least = self
                .pairs
                .iter()
                .filter(spare)
                .min_by_key(|other| rank(other));
            match least {
                Some(least) if pair.heard || rank(least) < (true, pair.priority) => {
                    let id = least.id;
                    self.remove(id);
                    evicted = Some(id);
                }
                _ => return None,
            }
        }
        let held_back = |other: &Pair| {
            other.foundation() == pair.foundation()
                && matches!(other.state, PairState::Waiting | PairState::Frozen)
        };
        pair.state = match self.pairs.iter().any(held_back) {
            true => PairState::Frozen,
            false => PairState::Waiting,
        };
        if self.pairs.capacity() == 0 {
            // With one candidate a side there is one pair.
            self.pairs.reserve_exact(1);
        }
        self.pairs.push(pair);
        evicted
    }

    pub(crate) fn remove(&mut self, id: PairId) {
        self.pairs.retain(|pair| pair.id != id);
        self.triggered.retain(|queued| *queued != id);
    }

    /// Puts a pair into the triggered-check queue (RFC 8445 §6.1.4.1).
    pub(crate) fn trigger(&mut self, id: PairId) {
        let Some(pair) = self.find_mut(id) else {
            return;
        };
        if pair.state != PairState::Succeeded {
            pair.state = PairState::Waiting;
        }
        if !self.triggered.contains(&id) {
            self.triggered.push_back(id);
        }
    }

    /// Takes a pair off the triggered-check queue.
    pub(crate) fn untrigger(&mut self, id: PairId) {
        self.triggered.retain(|queued| *queued != id);
    }

    pub(crate) fn has_triggered(&self) -> bool {
        !self.triggered.is_empty()
    }

    /// Whether there is a pair to be checked in order.
    pub(crate) fn has_ordinary(&self) -> bool {
        (self.pairs.iter()).any(|pair| matches!(pair.state, PairState::Waiting | PairState::Frozen))
    }

    /// Whether a pair could still succeed without the peer's doing.
    pub(crate) fn is_busy(&self) -> bool {
        self.has_triggered()
            || self.has_ordinary()
            || (self.pairs.iter()).any(|pair| pair.state == PairState::InProgress)
    }

    pub(crate) fn next_triggered(&mut self) -> Option<PairId> {
        self.triggered.pop_front()
    }

    /// The pair for an ordinary check (RFC 8445 §6.1.4.2, steps 2 and 3).
    pub(crate) fn next_ordinary(&mut self) -> Option<PairId> {
        let waiting = |pairs: &[Pair]| {
            (pairs.iter())
                .filter(|pair| pair.state == PairState::Waiting)
                .max_by_key(|pair| (pair.priority, std::cmp::Reverse(pair.id)))
                .map(|pair| pair.id)
        };
        if let Some(id) = waiting(&self.pairs) {
            return Some(id);
        }
        self.thaw();
        waiting(&self.pairs)
    }

    /// Lets the best Frozen pair of each foundation go.
    fn thaw(&mut self) {
        for at in 0..self.pairs.len() {
            let pair = &self.pairs[at];
            let better = |other: &Pair| {
                other.foundation() == pair.foundation()
                    && match other.state {
                        PairState::Waiting => true,
                        PairState::Frozen => (other.priority, pair.id) > (pair.priority, other.id),
                        _ => false,
                    }
            };
            if pair.state == PairState::Frozen && !self.pairs.iter().any(better) {
                self.pairs[at].state = PairState::Waiting;
            }
        }
    }

    /// Lets all pairs of a foundation go (RFC 8445 §7.2.5.3.3).
    pub(crate) fn unfreeze(&mut self, foundation: (u32, u32)) {
        for pair in &mut self.pairs {
            if pair.state == PairState::Frozen && pair.foundation() == foundation {
                pair.state = PairState::Waiting;
            }
        }
    }

    /// Ends ordinary checks after a pair was selected (RFC 8445 §8.1.2); pairs that worked stay as
    /// reserve, the others are held back for the case that the path is lost.
    pub(crate) fn conclude(&mut self, selected: PairId) {
        for pair in &mut self.pairs {
            let open = matches!(pair.state, PairState::Waiting | PairState::InProgress);
            if pair.id != selected && open && !pair.nominate_on_success {
                pair.state = match pair.valid {
                    Some(_) => PairState::Succeeded,
                    None => PairState::Frozen,
                };
            }
        }
        let pairs = &self.pairs;
        self.triggered.retain(|queued| {
            (pairs.iter()).any(|pair| pair.id == *queued && pair.nominate_on_success)
        });
    }

    /// Has every pair but `except` checked again.
    pub(crate) fn recheck_all(&mut self, except: Option<PairId>) {
        for pair in &mut self.pairs {
            let done = matches!(pair.state, PairState::Succeeded | PairState::Failed);
            if Some(pair.id) != except && done && !pair.revoked {
                pair.state = PairState::Waiting;
            }
        }
    }

    pub(crate) fn prioritize(&mut self, role: Role) {
        for pair in &mut self.pairs {
            pair.prioritize(role);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::candidate::CandidateKind;
    use crate::pacing::Rtt;
    use crate::pair::{PairEnd, priority_for};

    pub(crate) fn pair(id: u32, priority: u32, foundation: u32) -> Pair {
        let end = |port: u32| PairEnd {
            address: format!("192.0.2.1:{}", 1_000 + port).parse().unwrap(),
            kind: CandidateKind::Host,
            priority,
        };
        Pair {
            id: PairId(id),
            socket: SocketId(0),
            address: end(id).address,
            local: end(0),
            local_foundation: 1,
            remote: end(id),
            remote_foundation: foundation,
            priority: priority_for(Role::Controlling, priority, priority),
            state: PairState::Frozen,
            valid: None,
            nominated: false,
            nominate_on_success: false,
            nominating: false,
            heard: false,
            last_heard: None,
            doubted: None,
            revoked: false,
            rtt: Rtt::default(),
            requests_sent: 0,
            responses_received: 0,
            requests_received: 0,
        }
    }

    fn order(list: &mut Checklist) -> Vec<u32> {
        std::iter::from_fn(|| {
            let id = list.next_triggered().or_else(|| list.next_ordinary())?;
            list.find_mut(id).unwrap().state = PairState::InProgress;
            Some(id.0)
        })
        .collect()
    }

    #[test]
    fn triggered_first_then_by_priority_one_of_each_foundation_first() {
        let mut list = Checklist::default();
        for (id, priority, foundation) in [(1, 10, 1), (2, 9, 1), (3, 8, 2), (4, 7, 1), (5, 6, 3)] {
            list.insert(pair(id, priority, foundation), 100);
        }
        list.trigger(PairId(5));
        list.trigger(PairId(5));
        assert_eq!(order(&mut list), [5, 1, 3, 2, 4]);
    }

    #[test]
    fn success_thaws_the_foundation() {
        let mut list = Checklist::default();
        for id in 1..=3 {
            list.insert(pair(id, 10 - id, 7), 100);
        }
        assert_eq!(list.pairs()[1].state, PairState::Frozen);
        list.unfreeze((1, 7));
        assert_eq!(list.pairs()[2].state, PairState::Waiting);
    }

    #[test]
    fn the_least_pair_leaves_when_full() {
        let mut list = Checklist::default();
        for id in 1..=3 {
            list.insert(pair(id, id * 10, id), 3);
        }
        assert_eq!(list.insert(pair(4, 5, 4), 3), None);
        assert!(list.find(PairId(4)).is_none());
        assert_eq!(list.insert(pair(5, 25, 5), 3), Some(PairId(1)));
        let mut heard = pair(6, 1, 6);
        heard.heard = true;
        assert_eq!(list.insert(heard, 3), Some(PairId(2)));
        assert_eq!(list.pairs().len(), 3);
    }
}
