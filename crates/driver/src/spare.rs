//! Buffers that are used again, so that a steady flow of messages allocates nothing.

/// Bytes that free buffers may occupy: many small ones, or a few large ones; what a full queue holds by
/// default, and more is of no use to a larger one.
const MOST: usize = 1 << 20;
/// As many for all peers of a shard.
pub(crate) const MOST_OF_SHARD: usize = 4 << 20;

/// Least memory of a buffer that is made here.
const SMALLEST: usize = 64;

/// Free buffers, the last one given back on top.
pub(crate) struct Spare {
    buffers: Vec<Vec<u8>>,
    held: usize,
    most: usize,
}

impl Default for Spare {
    fn default() -> Self {
        Spare::of(MOST)
    }
}

impl Spare {
    /// Room for what a queue of so many bytes needs.
    pub(crate) fn for_queue(limit: usize) -> Self {
        Spare::of(limit.min(MOST))
    }

    /// Room for so many bytes.
    pub(crate) fn of(most: usize) -> Self {
        Spare {
            buffers: Vec::new(),
            held: 0,
            most,
        }
    }

    /// A buffer with these bytes.
    pub(crate) fn copy(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut buffer = self.take();
        if buffer.capacity() < bytes.len() {
            // Sizes that others use again, too.
            buffer = Vec::with_capacity(bytes.len().next_power_of_two().max(SMALLEST));
        }
        buffer.extend_from_slice(bytes);
        buffer
    }

    /// A free buffer, if there is one.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let buffer = self.buffers.pop().unwrap_or_default();
        self.held -= buffer.capacity();
        buffer
    }

    /// Takes the buffers of another over.
    pub(crate) fn take_all(&mut self, other: &mut Spare) {
        while let Some(buffer) = other.buffers.pop() {
            self.give(buffer);
        }
        other.held = 0;
    }

    /// Takes a buffer back.
    pub(crate) fn give(&mut self, mut buffer: Vec<u8>) {
        let size = buffer.capacity();
        if size > 0 && self.held + size <= self.most {
            buffer.clear();
            self.held += size;
            self.buffers.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_come_back_within_bounds() {
        let mut spare = Spare::default();
        let first = spare.copy(&[7; 1_000]);
        let memory = first.as_ptr();
        spare.give(first);
        let again = spare.copy(&[8; 500]);
        assert_eq!((again.as_ptr(), again.as_slice()), (memory, &[8; 500][..]));
        for _ in 0..3 {
            spare.give(vec![0; MOST / 2]);
        }
        assert_eq!((spare.buffers.len(), spare.held), (2, MOST));
        spare.copy(&[]);
        assert_eq!(spare.held, MOST / 2);
    }
}
