//! What an application sends, waiting in bounded memory for the shard.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use esp_peer::Error;
use esp_wire::{Bytes, DataFrame, DataKind, Frame, Kind};

use crate::spare::Spare;

/// What each waiting message is counted for besides its bytes: even empty ones take memory.
const OVERHEAD: usize = 64;

/// One encoded frame on its way to the shard.
pub(crate) struct Media {
    pub(crate) kind: Kind,
    pub(crate) pts: Duration,
    pub(crate) data: Vec<u8>,
}

/// How much of a message is sent at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Portion {
    Whole,
    Part {
        last: bool,
    },
    /// Nothing: the channel closes here.
    Close,
}

/// One data channel message, or a part of one, on its way to the shard.
pub(crate) struct Message {
    pub(crate) stream_id: u16,
    pub(crate) kind: DataKind,
    pub(crate) portion: Portion,
    pub(crate) data: Vec<u8>,
    /// Its bytes, also when they were taken away.
    size: usize,
}

/// A channel that is open.
#[derive(Default)]
struct Line {
    /// Bytes that the peer has not got yet, and in how many messages or parts.
    bytes: usize,
    waiting: usize,
    /// The size so far of a message whose last part was not sent yet.
    open: Option<usize>,
    /// When the application wants to hear that little waits.
    low: Option<usize>,
}

/// What may be sent, as the shard last saw it.
#[derive(Default)]
pub(crate) struct Gate {
    pub(crate) closed: bool,
    pub(crate) connected: bool,
    pub(crate) audio: bool,
    pub(crate) video: bool,
    /// The largest whole message, message in parts, and part.
    pub(crate) max_message: usize,
    pub(crate) max_in_parts: usize,
    pub(crate) max_part: usize,
    lines: BTreeMap<u16, Line>,
}

impl Gate {
    pub(crate) fn open_channel(&mut self, stream_id: u16) {
        self.lines.entry(stream_id).or_default();
    }

    pub(crate) fn close_channel(&mut self, stream_id: u16) {
        self.lines.remove(&stream_id);
    }
}

#[derive(Default)]
struct Inner {
    gate: Gate,
    media: VecDeque<Media>,
    media_bytes: usize,
    data: VecDeque<Message>,
    /// What all messages count for that the peer has not got yet, those in the shard's hands included.
    data_weight: usize,
    refused: Vec<u16>,
    spare: Spare,
}

/// Messages that the peer has got, until the outbox is told; one for all peers of a shard.
#[derive(Default)]
pub(crate) struct Done {
    /// Stream, bytes and number of messages.
    runs: Vec<(u16, usize, usize)>,
    buffers: Vec<Vec<u8>>,
}

impl Done {
    /// Notes a message whose bytes were taken, or are of no use.
    pub(crate) fn add(&mut self, message: Message) {
        match self.runs.last_mut() {
            Some((stream_id, bytes, count)) if *stream_id == message.stream_id => {
                *bytes += message.size;
                *count += 1;
            }
            _ => self.runs.push((message.stream_id, message.size, 1)),
        }
        if message.data.capacity() > 0 {
            self.buffers.push(message.data);
        }
    }
}

/// Two bounded queues, so that data that waits for the peer's window never holds media up.
pub(crate) struct Outbox {
    inner: Mutex<Inner>,
    media_limit: usize,
    data_limit: usize,
}

impl Outbox {
    pub(crate) fn new(media_limit: usize, data_limit: usize) -> Self {
        Outbox {
            inner: Mutex::new(Inner {
                spare: Spare::for_queue(media_limit.max(data_limit)),
                ..Inner::default()
            }),
            media_limit,
            data_limit,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what may be sent.
    pub(crate) fn set_gate(&self, change: impl FnOnce(&mut Gate)) {
        change(&mut self.lock().gate);
    }

    /// Takes a frame in.
    pub(crate) fn push_media(&self, kind: Kind, frame: Frame<'_>) -> Result<(), Error> {
        let mut inner = self.lock();
        let negotiated = match kind {
            Kind::Audio => inner.gate.audio,
            Kind::Video => inner.gate.video,
        };
        inner.check_connected()?;
        if !negotiated {
            return Err(Error::NotSupported("the peer takes no such track"));
        }
        if frame.data.is_empty() {
            return Err(Error::InvalidArgument("the frame is empty".into()));
        }
        if inner.media_bytes + frame.data.len() > self.media_limit && !inner.media.is_empty() {
            return Err(Error::WouldBlock);
        }
        inner.media_bytes += frame.data.len();
        let data = inner.spare.copy(frame.data);
        inner.media.push_back(Media {
            kind,
            pts: frame.pts,
            data,
        });
        Ok(())
    }

    /// Takes a message in, by a copy.
    pub(crate) fn push_data(&self, frame: DataFrame<'_>, portion: Portion) -> Result<(), Error> {
        self.push(
            frame.stream_id,
            frame.kind,
            portion,
            Bytes::Lent(frame.data),
        )
    }

    /// Takes a message or a part of one in; a full queue remembers that the channel wants to hear of room.
    pub(crate) fn push(
        &self,
        stream_id: u16,
        kind: DataKind,
        portion: Portion,
        bytes: Bytes<'_>,
    ) -> Result<(), Error> {
        let mut inner = self.lock();
        inner.check_connected()?;
        let size = bytes.len();
        let Some(line) = inner.gate.lines.get(&stream_id) else {
            return Err(Error::NotExists("no data channel is open on this stream"));
        };
        let open = line.open;
        let starves = open.is_some() && line.waiting == 0;
        inner.gate.check_size(portion, open, size)?;
        if let (Portion::Part { last }, 0) = (portion, size) {
            match (last, open) {
                (false, _) => return Ok(()),
                (true, Some(1..)) => {
                    return Err(Error::InvalidArgument(
                        "the last part of a message is not empty".into(),
                    ));
                }
                (true, _) => {}
            }
        }
        // A message that has begun must go on, or those behind it wait for ever.
        let full = inner.data_weight > 0 && inner.data_weight + size + OVERHEAD > self.data_limit;
        if full && !starves {
            // In order of their numbers, each once.
            if let Err(at) = inner.refused.binary_search(&stream_id) {
                inner.refused.insert(at, stream_id);
            }
            return Err(Error::WouldBlock);
        }
        if let Some(line) = inner.gate.lines.get_mut(&stream_id) {
            line.bytes += size;
            line.waiting += 1;
            line.open = match portion {
                Portion::Part { last: false } => Some(open.unwrap_or(0) + size),
                _ => None,
            };
        }
        inner.queue(stream_id, kind, portion, bytes);
        Ok(())
    }

    /// Takes nothing more for a channel, and closes it behind its messages that the peer has not got yet;
    /// `false` when there are none, so that the peer may be told at once.
    pub(crate) fn push_close(&self, stream_id: u16) -> bool {
        let mut inner = self.lock();
        let waits = |line: &Line| line.waiting > 0;
        let waits = inner.gate.lines.get(&stream_id).is_some_and(waits);
        inner.gate.close_channel(stream_id);
        if waits {
            let nothing = Bytes::Lent(&[]);
            inner.queue(stream_id, DataKind::Binary, Portion::Close, nothing);
        }
        waits
    }

    /// The next frame for the peer.
    pub(crate) fn pop_media(&self) -> Option<Media> {
        let mut inner = self.lock();
        let media = inner.media.pop_front()?;
        inner.media_bytes -= media.data.len();
        Some(media)
    }

    /// Makes room for what the peer has got, and hands over all that waits when `pending` is empty, or with
    /// `all` in any case.
    pub(crate) fn exchange(&self, pending: &mut VecDeque<Message>, done: &mut Done, all: bool) {
        let mut inner = self.lock();
        for (stream_id, bytes, count) in done.runs.drain(..) {
            let weight = bytes + count * OVERHEAD;
            inner.data_weight = inner.data_weight.saturating_sub(weight);
            if let Some(line) = inner.gate.lines.get_mut(&stream_id) {
                line.bytes = line.bytes.saturating_sub(bytes);
                line.waiting = line.waiting.saturating_sub(count);
            }
        }
        for buffer in done.buffers.drain(..) {
            inner.spare.give(buffer);
        }
        if pending.is_empty() {
            std::mem::swap(pending, &mut inner.data);
        } else if all {
            pending.append(&mut inner.data);
        }
    }

    /// Gives a buffer back for reuse.
    pub(crate) fn recycle(&self, buffer: Vec<u8>) {
        self.lock().spare.give(buffer);
    }

    /// Tells of the channels that were refused and may try again, once half of the memory is free.
    pub(crate) fn take_writable(&self, mut tell: impl FnMut(u16)) {
        let mut inner = self.lock();
        if inner.data_weight > self.data_limit / 2 {
            return;
        }
        for stream_id in inner.refused.drain(..) {
            tell(stream_id);
        }
    }

    /// Bytes of a channel's messages that the peer has not got yet.
    pub(crate) fn buffered(&self, stream_id: u16) -> Result<usize, Error> {
        let inner = self.lock();
        inner.check_connected()?;
        let line = inner.gate.lines.get(&stream_id);
        line.map(|line| line.bytes)
            .ok_or(Error::NotExists("no data channel is open on this stream"))
    }

    /// Notes when the application wants to hear that little waits.
    pub(crate) fn set_low(&self, stream_id: u16, bytes: usize) {
        if let Some(line) = self.lock().gate.lines.get_mut(&stream_id) {
            line.low = Some(bytes);
        }
    }

    /// Whether no more than that waits, with `beyond` bytes behind the outbox; `None` when nobody wants to know.
    pub(crate) fn is_low(&self, stream_id: u16, beyond: usize) -> Option<bool> {
        let inner = self.lock();
        let line = inner.gate.lines.get(&stream_id)?;
        Some(line.bytes + beyond <= line.low?)
    }

    /// Throws away all that waits and shuts the gate; with `closed`, for good.
    pub(crate) fn clear(&self, closed: bool) {
        let mut inner = self.lock();
        let closed = closed || inner.gate.closed;
        *inner = Inner {
            gate: Gate {
                closed,
                ..Gate::default()
            },
            ..Inner::default()
        };
    }

    /// True when messages wait here.
    pub(crate) fn has_data(&self) -> bool {
        !self.lock().data.is_empty()
    }
}

impl Gate {
    fn check_size(&self, portion: Portion, open: Option<usize>, size: usize) -> Result<(), Error> {
        let too_large = |size, limit| Err(Error::TooLarge { size, limit });
        let total = open.unwrap_or(0) + size;
        match portion {
            Portion::Whole if open.is_some() => Err(Error::WrongState(
                "send the last part of the message before another one",
            )),
            Portion::Whole if size > self.max_message => too_large(size, self.max_message),
            Portion::Part { .. } if total > self.max_in_parts => {
                too_large(total, self.max_in_parts)
            }
            Portion::Part { .. } if size > self.max_part => too_large(size, self.max_part),
            _ => Ok(()),
        }
    }
}

impl Inner {
    /// Puts a message at the end of the queue.
    fn queue(&mut self, stream_id: u16, kind: DataKind, portion: Portion, bytes: Bytes<'_>) {
        let size = bytes.len();
        self.data_weight += size + OVERHEAD;
        let data = match bytes {
            Bytes::Lent(data) => self.spare.copy(data),
            Bytes::Given(data) => {
                let empty = self.spare.take();
                std::mem::replace(data, empty)
            }
        };
        self.data.push_back(Message {
            stream_id,
            kind,
            portion,
            data,
            size,
        });
    }

    fn check_connected(&self) -> Result<(), Error> {
        match &self.gate {
            Gate { closed: true, .. } => Err(Error::WrongState("the connection is closed")),
            Gate {
                connected: false, ..
            } => Err(Error::WrongState("wait for the state `connected`")),
            _ => Ok(()),
        }
    }
}
