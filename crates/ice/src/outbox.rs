//! What is to be sent, in order; a bounded queue of descriptions that are written out when polled.

use std::collections::VecDeque;

use esp_stun::{AttributeType, ErrorCode, TransactionId};
use esp_wire::Destination;

/// Most packets that wait; a driver whose socket is full loses nothing that is not repeated.
const LIMIT: usize = 64;

/// One packet to be written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outgoing {
    /// The answer to a request.
    Response {
        to: Destination,
        id: TransactionId,
        /// Which of our passwords protects it.
        generation: u32,
        answer: Answer,
    },
    /// A transmission of this check.
    Check(TransactionId),
    /// This consent request on the path in use.
    Consent(TransactionId),
    /// A transmission of this request to a STUN server.
    Gather(TransactionId),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    Success,
    Refused(ErrorCode),
    /// 420, with the first attributes that were not understood.
    Unknown([Option<AttributeType>; 4]),
}

#[derive(Debug)]
pub(crate) struct Outbox {
    queue: VecDeque<Outgoing>,
}

impl Outbox {
    pub(crate) fn new() -> Self {
        Outbox {
            queue: VecDeque::new(),
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.queue.len() >= LIMIT
    }

    /// Whether an answer to someone who is not proved to be the peer may be queued; a flood of those
    /// leaves room for what matters.
    pub(crate) fn admits_strangers(&self) -> bool {
        self.queue.len() < LIMIT / 4
    }

    /// `false` when it is full and the packet is dropped.
    pub(crate) fn push(&mut self, outgoing: Outgoing) -> bool {
        if self.is_full() {
            return false;
        }
        self.queue.push_back(outgoing);
        true
    }

    pub(crate) fn pop(&mut self) -> Option<Outgoing> {
        self.queue.pop_front()
    }
}
