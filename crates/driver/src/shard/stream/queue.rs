//! Bytes that a stream has taken and not sent yet.

/// Memory that an empty queue keeps.
const KEPT: usize = 64 * 1024;

/// A first-in-first-out queue of bytes in one run.
#[derive(Default)]
pub(in crate::shard) struct Queue {
    bytes: Vec<u8>,
    /// Bytes at the front that are gone.
    sent: usize,
}

impl Queue {
    pub(in crate::shard) fn len(&self) -> usize {
        self.bytes.len() - self.sent
    }

    pub(in crate::shard) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All that waits, in order.
    pub(in crate::shard) fn front(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    pub(in crate::shard) fn push(&mut self, bytes: &[u8]) {
        // Moving what waits costs no more than what went before it.
        if self.sent > self.len() {
            self.bytes.drain(..self.sent);
            self.sent = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Takes `count` bytes from the front.
    pub(in crate::shard) fn consume(&mut self, count: usize) {
        self.sent += count;
        if self.is_empty() {
            self.sent = 0;
            self.bytes.clear();
            self.bytes.shrink_to(KEPT);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_in_order_and_memory_is_given_back() {
        let mut queue = Queue::default();
        let (mut next_in, mut next_out) = (0u8, 0u8);
        for round in 1..500usize {
            let bytes: Vec<u8> = (0..round % 97)
                .map(|_| {
                    next_in = next_in.wrapping_add(1);
                    next_in
                })
                .collect();
            queue.push(&bytes);
            let take = (round * 7 % 101).min(queue.len());
            for &byte in &queue.front()[..take] {
                next_out = next_out.wrapping_add(1);
                assert_eq!(byte, next_out);
            }
            queue.consume(take);
        }
        queue.push(&vec![0; 1 << 20]);
        queue.consume(queue.len());
        assert!(queue.is_empty() && queue.bytes.capacity() <= KEPT);
    }
}
