//! Sets of sequence numbers as sorted ranges.

use std::collections::VecDeque;

use crate::surplus;

/// Disjoint, non-adjacent ranges in ascending order, both ends included.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Ranges {
    ranges: VecDeque<(u64, u64)>,
}

impl Clone for Ranges {
    fn clone(&self) -> Self {
        Ranges {
            ranges: self.ranges.clone(),
        }
    }

    fn clone_from(&mut self, source: &Self) {
        self.ranges.clear();
        self.ranges.extend(source.ranges.iter().copied());
    }
}

impl Ranges {
    pub(crate) fn len(&self) -> usize {
        self.ranges.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.ranges.clear();
    }

    /// Gives memory back, when `lately` ranges were held at most.
    pub(crate) fn give_back(&mut self, lately: usize) {
        surplus::shrink(&mut self.ranges, lately);
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (u64, u64)> {
        self.ranges.iter().copied()
    }

    pub(crate) fn first(&self) -> Option<(u64, u64)> {
        self.ranges.front().copied()
    }

    pub(crate) fn last(&self) -> Option<(u64, u64)> {
        self.ranges.back().copied()
    }

    /// Index of the first range that ends at or behind `value`.
    fn find(&self, value: u64) -> usize {
        // Nearly all additions are at the end.
        match self.ranges.back() {
            Some((_, last)) if *last < value => self.ranges.len(),
            _ => self.ranges.partition_point(|(_, last)| *last < value),
        }
    }

    pub(crate) fn contains(&self, value: u64) -> bool {
        self.ranges
            .get(self.find(value))
            .is_some_and(|(first, _)| *first <= value)
    }

    /// True when `value` would stand alone, as one range more.
    pub(crate) fn would_split(&self, value: u64) -> bool {
        let index = self.find(value.saturating_sub(1));
        self.ranges
            .get(index)
            .is_none_or(|(first, _)| *first > value + 1)
    }

    pub(crate) fn add(&mut self, value: u64) {
        self.add_with(value, value, |_, _| {});
    }

    /// Adds `first..=last` and calls `fresh` with the parts that were missing, in order.
    pub(crate) fn add_with(&mut self, first: u64, last: u64, mut fresh: impl FnMut(u64, u64)) {
        if last < first {
            return;
        }
        let start = self.find(first.saturating_sub(1));
        let mut end = start;
        let (mut low, mut high) = (first, last);
        let mut missing = first;
        while let Some((a, b)) = self.ranges.get(end).copied()
            && a <= last.saturating_add(1)
        {
            if missing < a && missing <= last {
                fresh(missing, (a - 1).min(last));
            }
            missing = missing.max(b + 1);
            low = low.min(a);
            high = high.max(b);
            end += 1;
        }
        if missing <= last {
            fresh(missing, last);
        }
        match end - start {
            0 => self.ranges.insert(start, (low, high)),
            count => {
                self.ranges[start] = (low, high);
                if count > 1 {
                    self.ranges.drain(start + 1..end);
                }
            }
        }
    }

    /// Removes everything below `bound`.
    pub(crate) fn remove_below(&mut self, bound: u64) {
        while let Some((first, last)) = self.ranges.front_mut() {
            if *last >= bound {
                *first = (*first).max(bound);
                return;
            }
            self.ranges.pop_front();
        }
    }

    /// Takes the first range off.
    pub(crate) fn pop_first(&mut self) -> Option<(u64, u64)> {
        self.ranges.pop_front()
    }

    /// Calls `each` with the parts of this set that `other` lacks.
    pub(crate) fn difference(&self, other: &Ranges, mut each: impl FnMut(u64, u64)) {
        let mut holes = other.ranges.iter().peekable();
        for (first, last) in self.iter() {
            let mut at = first;
            while let Some((a, b)) = holes.peek() {
                if *b < at {
                    holes.next();
                    continue;
                }
                if *a > last {
                    break;
                }
                if at < *a {
                    each(at, a - 1);
                }
                at = b + 1;
                if at > last {
                    break;
                }
            }
            if at <= last {
                each(at, last);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ranges_behave_like_a_set(
            steps in prop::collection::vec((0u64..60, 0u64..8), 1..40),
            bound in 0u64..60,
        ) {
            let (mut ranges, mut set) = (Ranges::default(), BTreeSet::new());
            for (first, len) in steps {
                if len == 0 {
                    let alone = [first.wrapping_sub(1), first, first + 1]
                        .iter()
                        .all(|value| !set.contains(value));
                    prop_assert_eq!(ranges.would_split(first), alone);
                }
                let mut fresh = Vec::new();
                ranges.add_with(first, first + len, |a, b| fresh.extend(a..=b));
                let expected: Vec<u64> =
                    (first..=first + len).filter(|value| set.insert(*value)).collect();
                prop_assert_eq!(fresh, expected);
            }
            let content = |ranges: &Ranges| {
                ranges.iter().flat_map(|(a, b)| a..=b).collect::<BTreeSet<u64>>()
            };
            prop_assert_eq!(&content(&ranges), &set);
            for value in 0..70 {
                prop_assert_eq!(ranges.contains(value), set.contains(&value));
            }
            let pairs: Vec<_> = ranges.iter().collect();
            prop_assert!(pairs.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0));
            ranges.remove_below(bound);
            prop_assert_eq!(content(&ranges), set.split_off(&bound));
        }

        #[test]
        fn differences_are_what_sets_say(
            a in prop::collection::btree_set(0u64..40, 0..30),
            b in prop::collection::btree_set(0u64..40, 0..30),
        ) {
            let of = |set: &BTreeSet<u64>| {
                let mut ranges = Ranges::default();
                set.iter().for_each(|value| ranges.add(*value));
                ranges
            };
            let mut found = BTreeSet::new();
            of(&a).difference(&of(&b), |first, last| found.extend(first..=last));
            prop_assert_eq!(found, a.difference(&b).copied().collect::<BTreeSet<u64>>());
        }
    }
}
