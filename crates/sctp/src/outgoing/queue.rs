//! Messages that wait to be sent or acknowledged.
//!
//! A message is one or more segments; the bytes are copied in once, 64 KiB each, or taken over as they
//! are. Packets are laid out from there, and a segment's memory is free again as soon as its last fragment is
//! acknowledged, so that a message may be larger than the send buffer when it is sent in parts.

use std::collections::VecDeque;

use esp_wire::Instant;

use crate::{channel::dcep::ppid, pool::Pool, slab::Slab};

/// Largest segment that is copied in, in bytes.
pub(crate) const SEGMENT: usize = 64 << 10;
/// What bookkeeping of one segment and its message costs, in bytes.
const OVERHEAD: usize = 128;
/// Free buffers that are kept for the next messages, in bytes.
const POOL: usize = 8 << 20;

/// What a message of `len` bytes is charged: buffers come in sizes of their own.
fn cost(len: usize) -> usize {
    // An empty message has one byte on the wire (RFC 8831 §6.6).
    let len = len.max(1);
    let rest = match len % SEGMENT {
        0 => 0,
        rest => Pool::capacity(rest) + OVERHEAD,
    };
    len / SEGMENT * (Pool::capacity(SEGMENT) + OVERHEAD) + rest
}

/// When to give a message up (RFC 3758).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Policy {
    pub(crate) max_retransmits: Option<u16>,
    pub(crate) expires: Option<Instant>,
}

impl Policy {
    pub(crate) fn expired(&self, now: Instant) -> bool {
        self.expires.is_some_and(|at| at <= now)
    }
}

/// What all fragments of a message have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message {
    pub(crate) channel: u32,
    pub(crate) ppid: u32,
    pub(crate) unordered: bool,
    pub(crate) policy: Policy,
    /// SSN or MID, and the stream, from the first fragment on.
    pub(crate) number: u32,
    pub(crate) stream: u16,
    pub(crate) begun: bool,
    /// The last fragment has a TSN.
    pub(crate) ended: bool,
    pub(crate) abandoned: bool,
    pub(crate) next_fragment: u32,
    /// TSNs of its fragments lie in here.
    pub(crate) first_tsn: u64,
    pub(crate) last_tsn: u64,
    /// Its place in the order of all `send`s.
    pub(crate) arrival: u64,
    /// Segments, and TSNs without one.
    pub(crate) references: u32,
    /// More parts will come.
    pub(crate) open: bool,
    pub(crate) size: usize,
}

/// A run of a message's bytes.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) message: u32,
    pub(crate) data: Vec<u8>,
    /// Bytes that have a TSN.
    pub(crate) sent: usize,
    /// Fragments that are not acknowledged for good.
    pub(crate) fragments: u32,
    /// The message ends here.
    pub(crate) last: bool,
    charge: usize,
}

/// What a channel has to send.
#[derive(Debug, Default)]
pub(crate) struct OutStream {
    /// Segments with bytes that have no TSN; the first may be sent in part.
    pub(crate) queue: VecDeque<u32>,
    /// Bytes in them.
    pub(crate) unsent: usize,
    /// Messages that are not acknowledged for good.
    pub(crate) live: usize,
    pub(crate) next_ordered: u32,
    pub(crate) next_unordered: u32,
    /// It is in the scheduler's heap.
    pub(crate) scheduled: bool,
    /// A message whose last part was not queued yet.
    pub(crate) open: Option<u32>,
    /// The message that was let through, with the bytes that count for it.
    pub(crate) unfinished: Option<(u32, u32)>,
    /// Its rank in its last turn.
    pub(crate) rank: u64,
    /// Bytes that were queued and not dropped, ever, and how many of them had been sent before that turn;
    /// both wrap.
    queued: u32,
    served: u32,
    /// The next message waits until others have ended.
    pub(crate) waits: bool,
}

/// What to queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draft<'a> {
    pub(crate) channel: u32,
    pub(crate) ppid: u32,
    pub(crate) unordered: bool,
    pub(crate) policy: Policy,
    pub(crate) data: &'a [u8],
    pub(crate) last: bool,
}

/// All messages and their memory.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) messages: Slab<Message>,
    pub(crate) segments: Slab<Segment>,
    pool: Pool,
    /// Bytes charged against the send buffer.
    charged: usize,
    limit: usize,
    /// Bytes without a TSN, over all channels.
    unsent: usize,
    /// Bytes of messages that open channels.
    opening: usize,
    arrivals: u64,
}

impl Store {
    pub(crate) fn new(limit: usize) -> Self {
        Store {
            messages: Slab::default(),
            segments: Slab::default(),
            pool: Pool::new(limit.min(POOL)),
            charged: 0,
            limit,
            unsent: 0,
            opening: 0,
            arrivals: 0,
        }
    }

    /// True when a message of `len` bytes may be queued.
    pub(crate) fn has_room(&self, len: usize) -> bool {
        self.charged == 0 || self.charged + cost(len) <= self.limit
    }

    /// True when a message of `len` bytes that opens a channel may be queued. These have as much memory as all others
    /// together, so that a channel can be opened while data fills the buffer; and one of any length can wait alone.
    pub(crate) fn has_room_to_open(&self, len: usize) -> bool {
        self.opening == 0 || self.opening + len <= self.limit
    }

    /// True when a part of `len` bytes may be queued for which all others wait: in as much memory again, or
    /// else when nothing of its message is held any more.
    pub(crate) fn has_room_beyond(&self, len: usize, message: Option<u32>) -> bool {
        let held = message.and_then(|message| self.messages.get(message));
        self.charged + cost(len) <= self.limit * 2
            || held.is_none_or(|message| message.references == 0)
    }

    /// True when a message that was refused should be tried again: not before a quarter of the
    /// buffer is free, lest every packet wakes the application.
    pub(crate) fn invites(&self, len: usize) -> bool {
        self.charged == 0 || self.charged + cost(len) <= self.limit - self.limit / 4
    }

    /// Bytes that were not sent yet.
    pub(crate) fn unsent(&self) -> usize {
        self.unsent
    }

    /// So many bytes were sent or given up.
    pub(crate) fn note_sent(&mut self, bytes: usize) {
        self.unsent -= bytes;
    }

    pub(crate) fn charged(&self) -> usize {
        self.charged
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.messages.len() == 0
    }

    /// Gives free memory back to the system.
    pub(crate) fn release_memory(&mut self) {
        self.pool.release();
        self.messages.release();
        self.segments.release();
    }

    /// Gives memory back that was not needed since the last call.
    pub(crate) fn give_back(&mut self) {
        self.pool.give_back();
        self.messages.give_back();
        self.segments.give_back();
    }

    pub(crate) fn pool_is_empty(&self) -> bool {
        self.pool.is_empty()
    }

    /// Copies a message or a part of one in, behind what the channel has queued.
    pub(crate) fn push(&mut self, stream: &mut OutStream, draft: Draft<'_>) {
        let Some(key) = self.enter(stream, &draft, draft.data.len().div_ceil(SEGMENT)) else {
            return;
        };
        let mut rest = draft.data;
        while !rest.is_empty() {
            let (bytes, behind) = rest.split_at(rest.len().min(SEGMENT));
            rest = behind;
            let mut data = self.pool.take(bytes.len());
            data.extend_from_slice(bytes);
            self.append(stream, key, data, draft.last && rest.is_empty());
        }
    }

    /// Takes the bytes of a message or a part of one over, without a copy; what is left behind is empty memory
    /// to be used again. `draft.data` is not looked at. Where more memory would be held than a copy needs, it
    /// is a copy that stays.
    pub(crate) fn push_owned(
        &mut self,
        stream: &mut OutStream,
        draft: Draft<'_>,
        data: &mut Vec<u8>,
    ) {
        if data.capacity() + OVERHEAD > cost(data.len()) {
            let copied = Draft {
                data: data.as_slice(),
                ..draft
            };
            self.push(stream, copied);
            data.clear();
            return;
        }
        let spare = self.pool.exchange(data);
        let data = std::mem::replace(data, spare);
        match self.enter(stream, &draft, 1) {
            Some(key) => self.append(stream, key, data, draft.last),
            None => self.pool.give(data),
        }
    }

    /// The message that a draft begins or goes on with, for `segments` more; `None` when it was given up.
    fn enter(&mut self, stream: &mut OutStream, draft: &Draft<'_>, segments: usize) -> Option<u32> {
        let key = match stream.open {
            Some(key) => key,
            None => self.begin(stream, draft),
        };
        stream.open = (!draft.last).then_some(key);
        let message = self.messages.get_mut(key)?;
        message.open = !draft.last;
        if message.abandoned {
            // The rest of a message that was given up is swallowed.
            self.settle(key, stream);
            return None;
        }
        message.references += segments as u32;
        Some(key)
    }

    fn append(&mut self, stream: &mut OutStream, key: u32, data: Vec<u8>, last: bool) {
        let (len, charge) = (data.len(), data.capacity() + OVERHEAD);
        self.charged += charge;
        if let Some(message) = self.messages.get_mut(key) {
            message.size += len;
            if message.ppid == ppid::DCEP {
                self.opening += len;
            }
        }
        let segment = self.segments.insert(Segment {
            message: key,
            data,
            sent: 0,
            fragments: 0,
            last,
            charge,
        });
        stream.queue.push_back(segment);
        stream.unsent += len;
        stream.queued = stream.queued.wrapping_add(len as u32);
        self.unsent += len;
    }

    fn begin(&mut self, stream: &mut OutStream, draft: &Draft<'_>) -> u32 {
        self.arrivals += 1;
        stream.live += 1;
        self.messages.insert(Message {
            channel: draft.channel,
            ppid: draft.ppid,
            unordered: draft.unordered,
            policy: draft.policy,
            number: 0,
            stream: 0,
            begun: false,
            ended: false,
            abandoned: false,
            next_fragment: 0,
            first_tsn: 0,
            last_tsn: 0,
            arrival: self.arrivals,
            references: 0,
            open: true,
            size: 0,
        })
    }

    /// One fragment of a segment is acknowledged for good; returns the channel of a message that
    /// is thereby done.
    pub(crate) fn finish_fragment(&mut self, segment: u32) -> Option<u32> {
        let entry = self.segments.get_mut(segment)?;
        entry.fragments = entry.fragments.saturating_sub(1);
        if entry.fragments > 0 || entry.sent < entry.data.len() {
            return None;
        }
        self.free_segment(segment)
    }

    /// Frees a segment; returns the channel of a message that is thereby done.
    pub(crate) fn free_segment(&mut self, segment: u32) -> Option<u32> {
        let entry = self.segments.remove(segment)?;
        self.charged -= entry.charge;
        self.pool.give(entry.data);
        self.release(entry.message)
    }

    /// Frees the bytes of a segment whose fragments are still accounted for.
    pub(crate) fn drop_bytes(&mut self, segment: u32) {
        if let Some(entry) = self.segments.get_mut(segment) {
            self.charged -= entry.charge;
            entry.charge = 0;
            self.pool.give(std::mem::take(&mut entry.data));
            entry.sent = 0;
        }
    }

    /// One reference to a message is gone; returns its channel when it was the last.
    pub(crate) fn release(&mut self, message: u32) -> Option<u32> {
        let entry = self.messages.get_mut(message)?;
        entry.references = entry.references.saturating_sub(1);
        if entry.references > 0 || entry.open {
            return None;
        }
        self.remove(message)
    }

    fn remove(&mut self, message: u32) -> Option<u32> {
        let message = self.messages.remove(message)?;
        if message.ppid == ppid::DCEP {
            self.opening -= message.size;
        }
        Some(message.channel)
    }

    /// Removes an abandoned message that nothing refers to.
    pub(crate) fn settle(&mut self, message: u32, stream: &mut OutStream) {
        if let Some(entry) = self.messages.get(message)
            && entry.references == 0
            && !entry.open
        {
            self.remove(message);
            stream.live = stream.live.saturating_sub(1);
        }
    }
}

impl OutStream {
    /// So many bytes will not be sent.
    pub(crate) fn drop_unsent(&mut self, bytes: usize) {
        self.unsent -= bytes;
        self.queued = self.queued.wrapping_sub(bytes as u32);
    }

    /// Bytes that were sent since the last call.
    pub(crate) fn take_served(&mut self) -> usize {
        let sent = self.queued.wrapping_sub(self.unsent as u32);
        let served = sent.wrapping_sub(self.served);
        self.served = sent;
        served as usize
    }

    /// The next SSN or MID (RFC 9260 §6.5, RFC 8260 §2.1).
    pub(crate) fn number(&mut self, unordered: bool, interleaved: bool) -> u32 {
        let counter = match (unordered, interleaved) {
            (true, false) => return 0,
            (true, true) => &mut self.next_unordered,
            (false, _) => &mut self.next_ordered,
        };
        let number = *counter;
        *counter = number.wrapping_add(1);
        match interleaved {
            true => number,
            false => number & 0xffff,
        }
    }
}
