/// What a window knows of an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    New,
    Seen,
    TooOld,
}

/// Which of the latest indices were seen (RFC 3711 §3.3.2), as a ring of bits.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    highest: u64,
    bits: Box<[u64]>,
}

impl Window {
    /// A window of `size` indices, rounded up to a multiple of 64, that has seen `first`.
    pub(crate) fn starting(first: u64, size: usize) -> Self {
        let mut window = Window {
            highest: first,
            bits: vec![0; size.div_ceil(64).max(1)].into_boxed_slice(),
        };
        window.set(first);
        window
    }

    pub(crate) fn highest(&self) -> u64 {
        self.highest
    }

    fn size(&self) -> u64 {
        self.bits.len() as u64 * 64
    }

    fn slot(&self, index: u64) -> (usize, u64) {
        let at = index % self.size();
        ((at / 64) as usize, 1 << (at % 64))
    }

    fn set(&mut self, index: u64) {
        let (word, bit) = self.slot(index);
        self.bits[word] |= bit;
    }

    pub(crate) fn check(&self, index: u64) -> Verdict {
        if index > self.highest {
            return Verdict::New;
        }
        if self.highest - index >= self.size() {
            return Verdict::TooOld;
        }
        let (word, bit) = self.slot(index);
        if self.bits[word] & bit == 0 {
            Verdict::New
        } else {
            Verdict::Seen
        }
    }

    /// Notes an index that was checked; the window moves when it is the highest.
    pub(crate) fn mark(&mut self, index: u64) {
        if index > self.highest {
            if index - self.highest >= self.size() {
                self.bits.fill(0);
            } else {
                for skipped in self.highest + 1..=index {
                    let (word, bit) = self.slot(skipped);
                    self.bits[word] &= !bit;
                }
            }
            self.highest = index;
        }
        self.set(index);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_window_slides() {
        let mut window = Window::starting(10, 64);
        assert_eq!(window.check(10), Verdict::Seen);
        assert_eq!(window.check(9), Verdict::New);
        window.mark(73);
        assert_eq!(window.check(10), Verdict::Seen);
        window.mark(74);
        assert_eq!(window.check(10), Verdict::TooOld);
        assert_eq!(window.check(11), Verdict::New);
        window.mark(1_000);
        assert_eq!(window.check(937), Verdict::New);
        assert_eq!(window.check(936), Verdict::TooOld);
        assert_eq!(window.highest(), 1_000);
    }

    proptest! {
        #[test]
        fn it_knows_what_a_set_knows(
            size in 1_usize..300,
            start in 0_u64..500,
            indices in proptest::collection::vec(0_u64..1_200, 0..300),
        ) {
            let mut window = Window::starting(start, size);
            let size = size.div_ceil(64) as u64 * 64;
            let mut seen = BTreeSet::from([start]);
            for index in indices {
                let highest = *seen.last().unwrap();
                let right = if index + size <= highest {
                    Verdict::TooOld
                } else if seen.contains(&index) {
                    Verdict::Seen
                } else {
                    Verdict::New
                };
                prop_assert_eq!(window.check(index), right);
                if right == Verdict::New {
                    window.mark(index);
                    seen.insert(index);
                }
            }
        }
    }
}
