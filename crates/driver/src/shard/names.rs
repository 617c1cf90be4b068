//! Names that a peer waits for.

use esp_wire::{Instant, QueryId};

/// Questions that the resolver has not answered, and when each has waited long enough: the system's
/// resolver may take half a minute over a server that keeps silent.
#[derive(Default)]
pub(super) struct Names {
    waiting: Vec<(QueryId, Instant)>,
}

impl Names {
    /// A name was asked for.
    pub(super) fn ask(&mut self, query: QueryId, until: Instant) {
        self.waiting.push((query, until));
    }

    /// An answer came; `true` when it is still waited for.
    pub(super) fn answer(&mut self, query: QueryId) -> bool {
        let at = self.waiting.iter().position(|(other, _)| *other == query);
        at.map(|at| self.waiting.swap_remove(at)).is_some()
    }

    /// A question that has waited long enough.
    pub(super) fn pop_expired(&mut self, now: Instant) -> Option<QueryId> {
        let at = self.waiting.iter().position(|(_, until)| *until <= now)?;
        Some(self.waiting.swap_remove(at).0)
    }

    /// When the next question has waited long enough.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.waiting.iter().map(|(_, until)| *until).min()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_question_has_one_answer() {
        let mut names = Names::default();
        let at = |seconds| Instant::ZERO + Duration::from_secs(seconds);
        for (query, seconds) in [(1, 9), (2, 5), (3, 7)] {
            names.ask(QueryId(query), at(seconds));
        }
        assert_eq!(names.poll_timeout(), Some(at(5)));
        assert!(names.answer(QueryId(3)) && !names.answer(QueryId(3)));
        assert_eq!(names.pop_expired(at(4)), None);
        assert_eq!(names.pop_expired(at(8)), Some(QueryId(2)));
        assert_eq!(names.pop_expired(at(8)), None);
        assert!(!names.answer(QueryId(2)) && names.answer(QueryId(1)));
        assert_eq!(names.poll_timeout(), None);
    }
}
