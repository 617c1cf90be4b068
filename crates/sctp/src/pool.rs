//! Buffers that are used again, so that a steady flow of messages allocates nothing.

use crate::surplus;

/// Free buffers by size class; classes are powers of two.
#[derive(Debug)]
pub(crate) struct Pool {
    classes: [Vec<Vec<u8>>; CLASSES],
    /// The fewest and the most buffers of each class since the pool was looked at.
    lately: [(u16, u16); CLASSES],
    /// Bytes of all free buffers.
    held: usize,
    limit: usize,
}

/// Bytes of each class that are kept although they were not needed.
const SPARE: usize = 1_024;
const SMALLEST: usize = 64;
const CLASSES: usize = 16;
const LARGEST: usize = SMALLEST << (CLASSES - 1);

impl Pool {
    /// A pool that keeps at most `limit` bytes of free buffers.
    pub(crate) fn new(limit: usize) -> Self {
        Pool {
            classes: std::array::from_fn(|_| Vec::new()),
            lately: [(0, 0); CLASSES],
            held: 0,
            limit,
        }
    }

    fn class(len: usize) -> usize {
        len.max(SMALLEST).next_power_of_two().trailing_zeros() as usize
            - SMALLEST.trailing_zeros() as usize
    }

    /// The class of a buffer: all in it hold at least what the class promises.
    fn class_of(capacity: usize) -> usize {
        (capacity.ilog2() - SMALLEST.ilog2()) as usize
    }

    /// A free buffer of about the size of `other`, if there is one.
    pub(crate) fn exchange(&mut self, other: &Vec<u8>) -> Vec<u8> {
        if !(SMALLEST..=LARGEST).contains(&other.capacity()) {
            return Vec::new();
        }
        self.pop(Self::class_of(other.capacity()))
            .unwrap_or_default()
    }

    /// The capacity of the buffer that [`Pool::take`] gives for `len` bytes.
    pub(crate) fn capacity(len: usize) -> usize {
        match len > LARGEST {
            true => len,
            false => SMALLEST << Self::class(len),
        }
    }

    /// An empty buffer for at least `len` bytes.
    pub(crate) fn take(&mut self, len: usize) -> Vec<u8> {
        if len > LARGEST {
            return Vec::with_capacity(len);
        }
        let class = Self::class(len);
        self.pop(class)
            .unwrap_or_else(|| Vec::with_capacity(SMALLEST << class))
    }

    fn pop(&mut self, class: usize) -> Option<Vec<u8>> {
        let buffer = self.classes[class].pop()?;
        self.held -= buffer.capacity();
        let (fewest, _) = &mut self.lately[class];
        *fewest = (*fewest).min(count(&self.classes[class]));
        Some(buffer)
    }

    /// Takes a buffer back.
    pub(crate) fn give(&mut self, mut buffer: Vec<u8>) {
        let capacity = buffer.capacity();
        if !(SMALLEST..=LARGEST).contains(&capacity) || self.held + capacity > self.limit {
            return;
        }
        buffer.clear();
        self.held += capacity;
        let class = Self::class_of(capacity);
        self.classes[class].push(buffer);
        let (_, most) = &mut self.lately[class];
        *most = (*most).max(count(&self.classes[class]));
    }

    /// Makes room for `more` bytes behind the content, doubling as it grows.
    pub(crate) fn grow(&mut self, buffer: &mut Vec<u8>, more: usize) {
        let needed = buffer.len() + more;
        if needed <= buffer.capacity() {
            return;
        }
        let mut larger = self.take(needed.max(buffer.capacity() * 2));
        larger.extend_from_slice(buffer);
        self.give(std::mem::replace(buffer, larger));
    }

    /// Gives buffers back that were not needed since the last call; as many as were needed stay besides.
    pub(crate) fn give_back(&mut self) {
        for (index, class) in self.classes.iter_mut().enumerate() {
            let lately = &mut self.lately[index];
            let spare = (SPARE / (SMALLEST << index)) as u16;
            let (fewest, most) = (lately.0.min(count(class)), lately.1);
            let needed = most.saturating_sub(fewest);
            let unused = fewest.saturating_sub(needed.saturating_add(spare));
            for _ in 0..unused {
                self.held -= class.pop().map_or(0, |buffer| buffer.capacity());
            }
            surplus::shrink_list(class, usize::from(most - unused.min(most)));
            *lately = (count(class), count(class));
        }
    }

    /// Gives free buffers back to the system until at most `bytes` are kept, large ones first.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        for class in self.classes.iter_mut().rev() {
            while self.held > bytes
                && let Some(buffer) = class.pop()
            {
                self.held -= buffer.capacity();
            }
            if self.held <= bytes {
                return;
            }
        }
    }

    /// Gives all free buffers back to the system; called when the association idles.
    pub(crate) fn release(&mut self) {
        for class in &mut self.classes {
            *class = Vec::new();
        }
        self.held = 0;
    }

    /// True when nothing is kept.
    pub(crate) fn is_empty(&self) -> bool {
        self.held == 0
    }
}

fn count(buffers: &[Vec<u8>]) -> u16 {
    u16::try_from(buffers.len()).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_that_are_not_needed_are_given_back() {
        let mut pool = Pool::new(1 << 20);
        let use_some = |pool: &mut Pool, number: usize| {
            let buffers: Vec<_> = (0..number).map(|_| pool.take(100)).collect();
            buffers.into_iter().for_each(|buffer| pool.give(buffer));
        };
        use_some(&mut pool, 1_000);
        pool.give_back();
        assert_eq!(pool.held, 1_000 * 128);
        // Ten at a time are needed from now on; as many stay, and some to spare.
        for _ in 0..3 {
            use_some(&mut pool, 10);
            pool.give_back();
            assert_eq!(pool.held, (10 + 10) * 128 + SPARE);
        }
        use_some(&mut pool, 28);
        assert_eq!(pool.held, 28 * 128);
        pool.give_back();
        pool.give_back();
        assert_eq!(pool.held, SPARE);
    }

    #[test]
    fn buffers_come_back() {
        let mut pool = Pool::new(1 << 20);
        let buffer = pool.take(1_000);
        let address = buffer.as_ptr();
        assert_eq!(buffer.capacity(), 1_024);
        pool.give(buffer);
        let again = pool.take(513);
        assert_eq!(again.as_ptr(), address);
    }

    #[test]
    fn buffers_of_others_are_taken_by_what_they_hold() {
        let mut pool = Pool::new(1 << 20);
        pool.give(Vec::with_capacity(1_500));
        pool.give(Vec::with_capacity(63));
        assert_eq!(pool.held, 1_500);
        assert_eq!(pool.exchange(&Vec::with_capacity(100)).capacity(), 0);
        assert_eq!(pool.exchange(&Vec::new()).capacity(), 0);
        assert!(pool.take(1_025).capacity() >= 1_025);
        assert_eq!(pool.exchange(&Vec::with_capacity(1_024)).capacity(), 1_500);
        assert!(pool.is_empty());
    }

    #[test]
    fn the_pool_is_bounded() {
        let mut pool = Pool::new(1_500);
        let (a, b) = (pool.take(1_024), pool.take(1_024));
        pool.give(a);
        pool.give(b);
        assert_eq!(pool.held, 1_024);
        pool.release();
        assert!(pool.is_empty());
    }

    #[test]
    fn the_pool_shrinks_to_what_is_allowed() {
        let mut pool = Pool::new(1 << 20);
        let buffers: Vec<_> = [64, 1_024, 4_096].map(|len| pool.take(len)).into();
        buffers.into_iter().for_each(|buffer| pool.give(buffer));
        pool.shrink_to(5_184);
        assert_eq!(pool.held, 5_184);
        pool.shrink_to(1_100);
        assert_eq!(pool.held, 1_088);
        pool.shrink_to(0);
        assert!(pool.is_empty());
    }

    #[test]
    fn growing_keeps_the_content() {
        let mut pool = Pool::new(1 << 20);
        let mut buffer = pool.take(64);
        buffer.extend_from_slice(&[7; 64]);
        pool.grow(&mut buffer, 1);
        assert_eq!(buffer, [7; 64]);
        assert!(buffer.capacity() >= 128);
    }
}
