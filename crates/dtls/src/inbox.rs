use std::collections::VecDeque;
use std::ops::Range;

/// Capacity that an empty inbox keeps.
const KEEP: usize = 16 * 1024;

/// Received application data in one reused buffer, oldest first, bounded.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    bytes: Vec<u8>,
    lens: VecDeque<usize>,
    taken: usize,
}

impl Inbox {
    /// Keeps a copy of `data`; `false` when `limit` bytes are held already.
    pub(crate) fn push(&mut self, data: &[u8], limit: usize) -> bool {
        if self.lens.is_empty() {
            self.clear();
        }
        if self.bytes.len() - self.taken + data.len() > limit {
            return false;
        }
        self.bytes.extend_from_slice(data);
        self.lens.push_back(data.len());
        true
    }

    /// Where the oldest datagram lies; it stays readable until the next push.
    pub(crate) fn pop(&mut self) -> Option<Range<usize>> {
        let len = self.lens.pop_front()?;
        let start = self.taken;
        self.taken += len;
        Some(start..self.taken)
    }

    pub(crate) fn slice(&mut self, range: Range<usize>) -> &mut [u8] {
        &mut self.bytes[range]
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEEP);
        self.lens.clear();
        self.taken = 0;
    }
}
