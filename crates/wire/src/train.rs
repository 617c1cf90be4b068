//! The unit of output: equal datagrams in one buffer, each with room for the layers below.

use std::fmt;

use crate::{Destination, Ecn};

/// Bytes that the layers below will add to each datagram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// Bytes before the payload: record headers, ChannelData, RFC 4571 framing.
    pub head: usize,
    /// Bytes behind it: authentication tags, padding.
    pub tail: usize,
}

impl Room {
    /// Room for both layers.
    pub fn plus(self, below: Room) -> Room {
        Room {
            head: self.head + below.head,
            tail: self.tail + below.tail,
        }
    }
}

/// A layer wanted more bytes than the train was laid out with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoomError;

impl fmt::Display for RoomError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the train has no room for this layer")
    }
}

impl std::error::Error for RoomError {}

/// A batch of datagrams for one destination, equal in size but for the last, which may be shorter.
///
/// 1. The owner of the buffer calls [`Train::begin`] with the room that the layers below need and
///    the payload size of a full datagram.
/// 2. The topmost engine pushes payloads until [`Train::vacancy`] is zero or it has no more.
/// 3. Each layer below calls [`Train::grow`] and works on [`Train::segments_mut`] in place.
/// 4. The driver sends [`Train::contiguous`] as one GSO send, or segment by segment.
///
/// When the layers used all of the room, the datagrams touch each other in memory.
pub struct Train {
    buffer: Vec<u8>,
    /// Distance from one datagram to the next.
    stride: usize,
    /// Payload size of every datagram but the last.
    size: usize,
    /// Payload size of the last datagram.
    last: usize,
    count: usize,
    limit: usize,
    unused: Room,
    destination: Option<Destination>,
    ecn: Ecn,
    fragmentable: bool,
}

impl Train {
    /// Datagrams that Linux takes in one GSO send.
    pub const MAX_SEGMENTS: usize = 64;
    /// Bytes that one GSO send may carry.
    pub const MAX_BYTES: usize = 65_000;

    /// A train over a buffer of `capacity` bytes; at least one datagram of 1,500 must fit.
    pub fn with_capacity(capacity: usize) -> Self {
        Train {
            buffer: vec![0; capacity.max(1_500)],
            stride: 0,
            size: 0,
            last: 0,
            count: 0,
            limit: 0,
            unused: Room::default(),
            destination: None,
            ecn: Ecn::NotEct,
            fragmentable: false,
        }
    }

    /// Bytes of its buffer.
    pub fn capacity(&self) -> usize {
        self.buffer.len()
    }

    /// Forgets what it holds and lays the buffer out for datagrams of up to `size` payload bytes.
    ///
    /// `size` is cut to what the buffer holds.
    pub fn begin(&mut self, room: Room, size: usize) {
        let most = self.buffer.len().saturating_sub(room.head + room.tail);
        self.size = size.min(most);
        self.stride = room.head + self.size + room.tail;
        self.last = 0;
        self.count = 0;
        self.limit = match self.stride {
            0 => 0,
            stride => (self.buffer.len().min(Self::MAX_BYTES).max(stride) / stride)
                .min(Self::MAX_SEGMENTS),
        };
        self.unused = room;
        self.destination = None;
        self.ecn = Ecn::NotEct;
        self.fragmentable = false;
    }

    /// Lowers the number of datagrams that this train may hold.
    pub fn limit(&mut self, segments: usize) {
        self.limit = self.limit.min(segments);
    }

    /// How many more datagrams fit; zero once a short one was pushed.
    pub fn vacancy(&self) -> usize {
        if self.count > 0 && self.last < self.size {
            return 0;
        }
        self.limit - self.count.min(self.limit)
    }

    /// Payload bytes that the next datagram may have.
    pub fn payload_size(&self) -> usize {
        self.size
    }

    /// Lets `fill` write the next payload and returns its length; zero bytes push nothing.
    ///
    /// A payload shorter than the size closes the train; as the first one it becomes the size, and
    /// only then may the train go on if `fill` says so by further pushes of at most that size.
    ///
    /// # Panics
    /// When [`Train::vacancy`] is zero.
    pub fn push_with(&mut self, fill: impl FnOnce(&mut [u8]) -> usize) -> usize {
        assert!(self.vacancy() > 0, "no room in the train");
        let start = self.count * self.stride + self.unused.head;
        let len = fill(&mut self.buffer[start..start + self.size]);
        debug_assert!(len <= self.size);
        if len > 0 {
            self.count += 1;
            self.last = len;
        }
        len
    }

    /// Makes the size of the only datagram the size of all, so that a train of smaller equal
    /// datagrams can go on; does nothing to a train of another length.
    pub fn settle(&mut self) {
        if self.count == 1 && self.last < self.size {
            let saved = self.size - self.last;
            self.size = self.last;
            self.stride -= saved;
            self.limit = (self.buffer.len().min(Self::MAX_BYTES).max(self.stride) / self.stride)
                .min(Self::MAX_SEGMENTS);
        }
    }

    /// Copies one payload in; `false` when there is no room for it.
    pub fn push(&mut self, payload: &[u8]) -> bool {
        if self.vacancy() == 0 || payload.len() > self.size || payload.is_empty() {
            return false;
        }
        self.push_with(|slot| {
            slot[..payload.len()].copy_from_slice(payload);
            payload.len()
        });
        true
    }

    /// Number of datagrams.
    pub fn len(&self) -> usize {
        self.count
    }

    /// True when it holds no datagram.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Room that no layer has used yet.
    pub fn room(&self) -> Room {
        self.unused
    }

    /// Takes `head` bytes before and `tail` bytes behind every datagram into it.
    pub fn grow(&mut self, head: usize, tail: usize) -> Result<(), RoomError> {
        if head > self.unused.head || tail > self.unused.tail {
            return Err(RoomError);
        }
        self.unused.head -= head;
        self.unused.tail -= tail;
        self.size += head + tail;
        if self.count > 0 {
            self.last += head + tail;
        }
        Ok(())
    }

    /// Cuts the only datagram to `len` bytes; for layers whose output is shorter than announced.
    ///
    /// # Panics
    /// When the train holds another number of datagrams than one, or `len` is longer than it is.
    pub fn truncate(&mut self, len: usize) {
        assert!(
            self.count == 1 && len <= self.last,
            "only a lone datagram can be cut"
        );
        self.last = len;
    }

    /// Sets the length of the last datagram, whose padding differs from that of the others; bytes
    /// that it gains are zero.
    ///
    /// # Panics
    /// When the train is empty, or `len` is more than the size of the others.
    pub fn set_last(&mut self, len: usize) {
        assert!(
            self.count > 0 && len <= self.size,
            "the last datagram is at most as long as the others"
        );
        let start = (self.count - 1) * self.stride + self.unused.head;
        if len > self.last {
            self.buffer[start + self.last..start + len].fill(0);
        }
        self.last = len;
    }

    fn length(&self, index: usize) -> usize {
        if index + 1 == self.count {
            self.last
        } else {
            self.size
        }
    }

    /// Datagram `index`.
    pub fn segment(&self, index: usize) -> &[u8] {
        assert!(index < self.count, "no such datagram");
        let start = index * self.stride + self.unused.head;
        &self.buffer[start..start + self.length(index)]
    }

    /// Datagram `index`, to be changed in place.
    pub fn segment_mut(&mut self, index: usize) -> &mut [u8] {
        assert!(index < self.count, "no such datagram");
        let start = index * self.stride + self.unused.head;
        let len = self.length(index);
        &mut self.buffer[start..start + len]
    }

    /// All datagrams.
    pub fn segments(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.count).map(|index| self.segment(index))
    }

    /// All datagrams, to be changed in place.
    pub fn segments_mut(&mut self) -> impl Iterator<Item = &mut [u8]> {
        let (head, last, size, count) = (self.unused.head, self.last, self.size, self.count);
        self.buffer
            .chunks_mut(self.stride.max(1))
            .take(count)
            .enumerate()
            .map(move |(index, chunk)| {
                let len = if index + 1 == count { last } else { size };
                &mut chunk[head..head + len]
            })
    }

    /// All datagrams as one run of bytes with their common size (the last may be shorter), moved
    /// together when a layer left room unused; `None` when the train is empty.
    pub fn contiguous(&mut self) -> Option<(&[u8], usize)> {
        if self.count == 0 {
            return None;
        }
        if self.count > 1 && self.stride != self.size {
            self.close_gaps();
        }
        let start = self.unused.head;
        let end = start + (self.count - 1) * self.stride + self.last;
        let size = if self.count == 1 {
            self.last
        } else {
            self.size
        };
        Some((&self.buffer[start..end], size))
    }

    fn close_gaps(&mut self) {
        for index in 0..self.count {
            let from = index * self.stride + self.unused.head;
            let len = self.length(index);
            self.buffer.copy_within(from..from + len, index * self.size);
        }
        self.stride = self.size;
        self.unused = Room::default();
    }

    /// Where the train goes; ICE sets it.
    pub fn destination(&self) -> Option<Destination> {
        self.destination
    }

    /// Sets where the train goes.
    pub fn set_destination(&mut self, to: Destination) {
        self.destination = Some(to);
    }

    /// The ECN mark that all datagrams carry.
    pub fn ecn(&self) -> Ecn {
        self.ecn
    }

    /// Sets the ECN mark of all datagrams.
    pub fn set_ecn(&mut self, ecn: Ecn) {
        self.ecn = ecn;
    }

    /// Whether the network may cut the datagrams in pieces (IP fragmentation).
    pub fn is_fragmentable(&self) -> bool {
        self.fragmentable
    }

    /// Lets the network cut the datagrams in pieces: for what was laid out for a path that took more, and
    /// cannot be laid out anew (RFC 9260 §6.9). [`Train::begin`] forbids it again.
    pub fn allow_fragments(&mut self) {
        self.fragmentable = true;
    }
}

impl fmt::Debug for Train {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Train")
            .field("count", &self.count)
            .field("size", &self.size)
            .field("last", &self.last)
            .field("destination", &self.destination)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn train_of(payloads: &[&[u8]], room: Room, size: usize) -> Train {
        let mut train = Train::with_capacity(4_096);
        train.begin(room, size);
        for payload in payloads {
            assert!(train.push(payload));
        }
        train
    }

    #[test]
    fn a_short_datagram_closes_the_train() {
        let train = train_of(&[b"aaaa", b"bb"], Room::default(), 4);
        assert_eq!(train.vacancy(), 0);
        assert_eq!(train.segments().collect::<Vec<_>>(), [&b"aaaa"[..], b"bb"]);
    }

    #[test]
    fn a_settled_train_goes_on_with_its_first_size() {
        let mut train = train_of(&[b"aaa"], Room { head: 1, tail: 1 }, 4);
        train.settle();
        assert!(train.push(b"bbb"));
        assert!(train.push(b"c"));
        assert_eq!(train.vacancy(), 0);
        assert_eq!(
            train.segments().collect::<Vec<_>>(),
            [&b"aaa"[..], b"bbb", b"c"]
        );
    }

    #[test]
    fn layers_that_use_all_room_leave_no_gap() {
        let mut train = train_of(&[b"aaaa", b"bbbb", b"c"], Room { head: 2, tail: 1 }, 4);
        train.grow(2, 1).unwrap();
        for segment in train.segments_mut() {
            let end = segment.len() - 1;
            segment[..2].copy_from_slice(b"<<");
            segment[end] = b'>';
        }
        let (bytes, size) = train.contiguous().unwrap();
        assert_eq!((bytes, size), (&b"<<aaaa><<bbbb><<c>"[..], 7));
    }

    #[test]
    fn the_last_datagram_is_padded_by_its_own_measure() {
        let mut train = train_of(&[b"aaa", b"bbb", b"c"], Room { head: 1, tail: 3 }, 3);
        train.grow(1, 0).unwrap();
        train.set_last(4);
        assert_eq!(train.segment(2)[1..], *b"c\0\0");
        train.set_last(2);
        assert_eq!(train.segment(2)[1..], *b"c");
    }

    #[test]
    fn unused_room_is_closed() {
        let mut train = train_of(&[b"aaaa", b"bbbb", b"c"], Room { head: 5, tail: 5 }, 4);
        assert_eq!(train.contiguous().unwrap(), (&b"aaaabbbbc"[..], 4));
        assert_eq!(train.segment(2), b"c");
    }

    #[test]
    fn a_layer_cannot_take_more_than_was_laid_out() {
        let mut train = train_of(&[b"a"], Room { head: 1, tail: 0 }, 4);
        assert_eq!(train.grow(2, 0), Err(RoomError));
    }
}
