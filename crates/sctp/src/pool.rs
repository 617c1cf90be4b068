//! Buffers that are used again, so that a steady flow of messages allocates nothing.

/// Free buffers by size class; classes are powers of two.
#[derive(Debug)]
pub(crate) struct Pool {
    classes: [Vec<Vec<u8>>; CLASSES],
    /// Bytes of all free buffers.
    held: usize,
    limit: usize,
}

const SMALLEST: usize = 64;
const CLASSES: usize = 16;
const LARGEST: usize = SMALLEST << (CLASSES - 1);

impl Pool {
    /// A pool that keeps at most `limit` bytes of free buffers.
    pub(crate) fn new(limit: usize) -> Self {
        Pool {
            classes: std::array::from_fn(|_| Vec::new()),
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
        let free = self.classes[Self::class_of(other.capacity())].pop();
        self.held -= free.as_ref().map_or(0, Vec::capacity);
        free.unwrap_or_default()
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
        match self.classes[class].pop() {
            Some(buffer) => {
                self.held -= buffer.capacity();
                buffer
            }
            None => Vec::with_capacity(SMALLEST << class),
        }
    }

    /// Takes a buffer back.
    pub(crate) fn give(&mut self, mut buffer: Vec<u8>) {
        let capacity = buffer.capacity();
        if !(SMALLEST..=LARGEST).contains(&capacity) || self.held + capacity > self.limit {
            return;
        }
        buffer.clear();
        self.held += capacity;
        self.classes[Self::class_of(capacity)].push(buffer);
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

#[cfg(test)]
mod tests {
    use super::*;

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
