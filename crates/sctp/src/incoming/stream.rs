//! Order within one stream (RFC 9260 §6.5).

use std::collections::{BTreeMap, VecDeque};

use super::reassembly::{Label, Received};
use crate::serial;

/// The first number of a stream, unwrapped.
pub(crate) const FIRST: u64 = 1 << 40;

/// The receiving side of a stream.
#[derive(Debug)]
pub(crate) struct InStream {
    /// The number of the next ordered message.
    pub(crate) next: u64,
    /// Near which numbers of unordered messages lie.
    pub(crate) unordered_reference: u64,
    /// The one behind the last of them that was skipped: nothing more of those before it is of use.
    pub(crate) unordered_next: u64,
    /// Complete messages that came too early.
    waiting: BTreeMap<u64, Received>,
    /// Messages in their order that nobody may take yet.
    pub(crate) held: VecDeque<Received>,
    pub(crate) paused: bool,
    /// A message is being delivered in parts; the others wait.
    open: Option<(bool, u64)>,
    /// Complete unordered messages that wait for the open one.
    behind: VecDeque<Received>,
}

impl Default for InStream {
    fn default() -> Self {
        InStream {
            next: FIRST,
            unordered_reference: FIRST,
            unordered_next: 0,
            waiting: BTreeMap::new(),
            held: VecDeque::new(),
            paused: false,
            open: None,
            behind: VecDeque::new(),
        }
    }
}

impl InStream {
    /// True when the beginning of this message may be delivered now.
    pub(crate) fn takes_part(&self, label: &Label) -> bool {
        match self.open {
            Some(open) => open == (label.unordered, label.number),
            None => label.unordered || label.number == self.next,
        }
    }

    /// Puts a message or part in; `deliver` gets what is in order now. Returns a message that took
    /// the number of another, which a sound peer never sends.
    pub(crate) fn accept(
        &mut self,
        received: Received,
        deliver: &mut dyn FnMut(Received),
    ) -> Option<Received> {
        let label = received.label;
        if label.unordered {
            self.unordered_reference = self.unordered_reference.max(label.number);
        }
        if self
            .open
            .is_some_and(|open| open != (label.unordered, label.number))
        {
            return self.wait(received);
        }
        if !label.unordered && label.number != self.next {
            return self.wait(received);
        }
        if !received.last {
            self.open = Some((label.unordered, label.number));
            deliver(received);
            return None;
        }
        self.open = None;
        if !label.unordered {
            self.next += 1;
        }
        deliver(received);
        self.catch_up(deliver);
        None
    }

    fn wait(&mut self, received: Received) -> Option<Received> {
        if received.label.unordered {
            self.behind.push_back(received);
            return None;
        }
        self.waiting.insert(received.label.number, received)
    }

    fn catch_up(&mut self, deliver: &mut dyn FnMut(Received)) {
        while let Some(received) = self.behind.pop_front() {
            deliver(received);
        }
        while let Some(received) = self.waiting.remove(&self.next) {
            self.next += 1;
            deliver(received);
        }
    }

    /// The peer gave up all ordered messages up to `message` (RFC 3758 §3.6, RFC 8260 §2.3.1).
    pub(crate) fn skip(
        &mut self,
        message: u32,
        interleaved: bool,
        deliver: &mut dyn FnMut(Received),
    ) {
        let number = match interleaved {
            true => serial::unwrap32(self.next, message),
            false => serial::unwrap16(self.next, message as u16),
        };
        if number < self.next {
            return;
        }
        // What is complete among them is delivered.
        while let Some(entry) = self.waiting.first_entry()
            && *entry.key() <= number
        {
            deliver(entry.remove());
        }
        self.next = number + 1;
        self.catch_up(deliver);
    }

    /// The peer gave up unordered messages, `message` the last of them (RFC 8260 §2.3.1).
    pub(crate) fn skip_unordered(&mut self, message: u32) {
        let number = serial::unwrap32(self.unordered_reference, message);
        self.unordered_next = self.unordered_next.max(number + 1);
    }

    /// The message that is being delivered in parts was given up.
    pub(crate) fn abort_open(&mut self, label: &Label, deliver: &mut dyn FnMut(Received)) {
        if self.open == Some((label.unordered, label.number)) {
            self.open = None;
            self.catch_up(deliver);
        }
    }

    /// The peer begins the stream anew (RFC 6525 §5.2.2); returns what can never be delivered.
    pub(crate) fn reset(&mut self) -> impl Iterator<Item = Received> + use<> {
        self.next = FIRST;
        self.unordered_reference = FIRST;
        self.unordered_next = 0;
        self.open = None;
        let waiting = std::mem::take(&mut self.waiting);
        waiting
            .into_values()
            .chain(std::mem::take(&mut self.behind))
    }
}
