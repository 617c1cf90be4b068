//! How much of messages may be begun and not yet ended at a time.
//!
//! With I-DATA many messages are on their way at once, and a peer that combines them in memory needs room
//! for all of them together: when it has begun more than its memory holds, none can ever be completed
//! (RFC 9260 §6.9 says what a receiver should do then, and whole-message receivers can not). So, towards a
//! peer that takes whole messages, a message of more than one packet begins only when it fits into the
//! peer's memory beside those that have begun; or alone. The others wait in the order of their turns.

use std::collections::VecDeque;

use super::Outgoing;
use crate::{channel::Channels, surplus};

/// What is begun, and who waits.
#[derive(Debug, Default)]
pub(super) struct Unfinished {
    /// Bytes that may be begun at a time; `None` for any number.
    limit: Option<Limit>,
    /// Bytes of messages that were let through and have not ended.
    begun: usize,
    waiting: VecDeque<u32>,
}

/// What a peer that combines messages can hold, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    pub(crate) memory: usize,
    /// One message.
    pub(crate) message: usize,
}

impl Unfinished {
    /// Gives memory back, when there were `lately` channels at most.
    pub(super) fn give_back(&mut self, lately: usize) {
        surplus::shrink(&mut self.waiting, lately);
    }
}

impl Outgoing {
    /// What the peer can hold; `None` when it takes messages in parts.
    pub(crate) fn bound_unfinished(&mut self, limit: Option<Limit>) {
        self.unfinished.limit = limit;
    }

    /// True when the channel's next message may be sent; else it waits for its turn here.
    pub(super) fn lets_begin(&mut self, channels: &mut Channels, channel: u32) -> bool {
        let (Some(limit), true) = (self.unfinished.limit, self.interleaved) else {
            return true;
        };
        let largest = self.largest_fragment();
        let Some(entry) = channels.get_mut(channel) else {
            return true;
        };
        let front = entry.out.queue.front();
        let segment = front.and_then(|front| self.store.segments.get(*front));
        let Some((key, message)) = segment.and_then(|segment| {
            let message = self.store.messages.get(segment.message)?;
            Some((segment.message, message))
        }) else {
            return true;
        };
        if message.begun || entry.out.unfinished.is_some() {
            return true;
        }
        let size = match message.open {
            // Nobody knows how large it will be.
            true => limit.message.min(limit.memory),
            false if message.size <= largest => return true,
            false => message.size,
        };
        if self.unfinished.begun > 0 && self.unfinished.begun + size > limit.memory {
            entry.out.waits = true;
            self.unfinished.waiting.push_back(channel);
            return false;
        }
        self.unfinished.begun += size;
        entry.out.unfinished = Some((key, size as u32));
        true
    }

    /// Takes note when the message that a channel was let through with has ended or is gone, and lets others
    /// begin.
    pub(super) fn note_ended(&mut self, channels: &mut Channels, channel: u32) {
        let Some(entry) = channels.get_mut(channel) else {
            return;
        };
        let Some((key, size)) = entry.out.unfinished else {
            return;
        };
        let message = self.store.messages.get(key);
        if message.is_some_and(|message| !message.ended && !message.abandoned) {
            return;
        }
        entry.out.unfinished = None;
        self.unfinished.begun = self.unfinished.begun.saturating_sub(size as usize);
        for _ in 0..self.unfinished.waiting.len() {
            let Some(next) = self.unfinished.waiting.pop_front() else {
                return;
            };
            let Some(entry) = channels.get_mut(next).filter(|entry| entry.out.waits) else {
                continue;
            };
            entry.out.waits = false;
            self.schedule(channels, next);
            if channels.get(next).is_some_and(|entry| entry.out.waits) {
                // It went to the end; its place was the first.
                self.unfinished.waiting.rotate_right(1);
                return;
            }
        }
    }
}
