//! Memory that only a burst needed is given back, and none that a steady flow uses again.
//!
//! Tables and queues note how much they held at most since they were looked at last, some seconds ago. What is more than
//! four times that goes, down to twice that; so the same again, and half as much more, finds its place.

use std::collections::VecDeque;

/// Room for so many entries is kept always.
pub(crate) const KEPT: usize = 32;

/// The room to keep, when there is too much of it: `lately` entries were held at most.
pub(crate) fn excess(capacity: usize, lately: usize) -> Option<usize> {
    let needed = (2 * lately).max(KEPT);
    (capacity > 2 * needed).then_some(needed)
}

/// Shrinks a queue that held `lately` entries at most.
pub(crate) fn shrink<T>(queue: &mut VecDeque<T>, lately: usize) {
    if let Some(needed) = excess(queue.capacity(), lately.max(queue.len())) {
        queue.shrink_to(needed);
    }
}

/// Shrinks a list that held `lately` entries at most.
pub(crate) fn shrink_list<T>(list: &mut Vec<T>, lately: usize) {
    if let Some(needed) = excess(list.capacity(), lately.max(list.len())) {
        list.shrink_to(needed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_lately_stays() {
        let mut queue: VecDeque<u32> = (0..10_000).collect();
        let before = queue.capacity();
        shrink(&mut queue, 0);
        assert_eq!((queue.len(), queue.capacity()), (10_000, before));
        queue.clear();
        shrink(&mut queue, 2_500);
        assert_eq!(queue.capacity(), before);
        shrink(&mut queue, 2_000);
        assert_eq!(queue.capacity(), 4_000);
        let mut list: Vec<u32> = Vec::with_capacity(1_000);
        shrink_list(&mut list, 0);
        assert_eq!(list.capacity(), KEPT);
        shrink_list(&mut list, 0);
        assert_eq!(list.capacity(), KEPT);
    }
}
