/// Numbers below the highest one that are told apart.
const SPAN: u64 = 1_024;

/// The sliding window that lets each record number pass once (RFC 6347 §4.1.2.6, RFC 9147 §4.5.1).
pub(super) struct Window {
    /// One more than the highest number seen.
    next: u64,
    seen: [u64; (SPAN / 64) as usize],
}

impl Window {
    pub(super) fn new() -> Self {
        Window {
            next: 0,
            seen: [0; (SPAN / 64) as usize],
        }
    }

    /// The number that is expected next.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// False for a number that was seen or is too old to be known.
    pub(super) fn is_fresh(&self, number: u64) -> bool {
        if number >= self.next {
            return true;
        }
        let (word, bit) = place(number);
        self.next - number <= SPAN && self.seen[word] & bit == 0
    }

    /// Takes a number whose record was authentic.
    pub(super) fn note(&mut self, number: u64) {
        if number >= self.next {
            if number - self.next >= SPAN {
                self.seen = [0; (SPAN / 64) as usize];
            } else {
                for skipped in self.next..number {
                    let (word, bit) = place(skipped);
                    self.seen[word] &= !bit;
                }
            }
            self.next = number + 1;
        }
        let (word, bit) = place(number);
        self.seen[word] |= bit;
    }
}

fn place(number: u64) -> (usize, u64) {
    let at = number % SPAN;
    ((at / 64) as usize, 1 << (at % 64))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn agrees_with_a_plain_set(steps in proptest::collection::vec((0..4_u8, 0..3_000_u64), 1..300)) {
            let mut window = Window::new();
            let mut seen = BTreeSet::new();
            let mut base = 0;
            for (kind, delta) in steps {
                let number = match kind {
                    0 => base + delta,
                    1 => base + delta % 5,
                    _ => base.saturating_sub(delta),
                };
                let highest = seen.last().copied();
                let known = highest.is_none_or(|top: u64| number + SPAN > top);
                let fresh = known && !seen.contains(&number);
                prop_assert_eq!(window.is_fresh(number), fresh, "{}", number);
                if fresh {
                    window.note(number);
                    seen.insert(number);
                    base = base.max(number);
                }
                prop_assert_eq!(window.next(), base + u64::from(!seen.is_empty()));
            }
        }
    }
}
