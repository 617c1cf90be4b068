//! Datagrams that arrive before they can be understood: DTLS before the answer, SRTP before the keys.

use std::collections::VecDeque;

/// A bounded store; when it is full, what comes later is dropped and counted.
#[derive(Debug)]
pub(super) struct Early {
    held: VecDeque<Vec<u8>>,
    bytes: usize,
    limit: usize,
}

impl Early {
    /// A store of up to `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Early {
            held: VecDeque::new(),
            bytes: 0,
            limit,
        }
    }

    /// Keeps a copy; `false` when there is no room.
    pub(super) fn hold(&mut self, datagram: &[u8]) -> bool {
        if self.bytes + datagram.len() > self.limit {
            return false;
        }
        self.bytes += datagram.len();
        self.held.push_back(datagram.to_vec());
        true
    }

    /// The oldest datagram.
    pub(super) fn release(&mut self) -> Option<Vec<u8>> {
        let datagram = self.held.pop_front()?;
        self.bytes -= datagram.len();
        Some(datagram)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_bounded_and_keeps_order() {
        let mut early = Early::new(5);
        assert!(early.hold(b"abc"));
        assert!(!early.hold(b"def"));
        assert!(early.hold(b"gh"));
        assert_eq!(early.release().as_deref(), Some(&b"abc"[..]));
        assert_eq!(early.release().as_deref(), Some(&b"gh"[..]));
        assert_eq!(early.release(), None);
    }
}
