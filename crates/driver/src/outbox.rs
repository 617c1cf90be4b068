//! What an application sends, waiting in bounded memory for the shard.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use esp_peer::Error;
use esp_wire::{DataFrame, DataKind, Frame, Kind};

use crate::spare::Spare;

/// One encoded frame on its way to the shard.
pub(crate) struct Media {
    pub(crate) kind: Kind,
    pub(crate) pts: Duration,
    pub(crate) data: Vec<u8>,
}

/// One data channel message on its way to the shard.
pub(crate) struct Message {
    pub(crate) stream_id: u16,
    pub(crate) kind: DataKind,
    pub(crate) data: Vec<u8>,
}

/// What may be sent, as the shard last saw it.
#[derive(Default)]
pub(crate) struct Gate {
    pub(crate) closed: bool,
    pub(crate) connected: bool,
    pub(crate) audio: bool,
    pub(crate) video: bool,
    pub(crate) channels: BTreeSet<u16>,
    pub(crate) max_message: usize,
}

#[derive(Default)]
struct Inner {
    gate: Gate,
    media: VecDeque<Media>,
    media_bytes: usize,
    data: VecDeque<Message>,
    data_bytes: usize,
    refused: BTreeSet<u16>,
    spare: Spare,
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
            inner: Mutex::default(),
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

    /// Takes a message in; a full queue remembers that the channel wants to hear of room.
    pub(crate) fn push_data(&self, frame: DataFrame<'_>) -> Result<(), Error> {
        let mut inner = self.lock();
        inner.check_connected()?;
        if !inner.gate.channels.contains(&frame.stream_id) {
            return Err(Error::NotExists("no data channel is open on this stream"));
        }
        let (size, limit) = (frame.data.len(), inner.gate.max_message);
        if size > limit {
            return Err(Error::TooLarge { size, limit });
        }
        if inner.data_bytes + size > self.data_limit && !inner.data.is_empty() {
            inner.refused.insert(frame.stream_id);
            return Err(Error::WouldBlock);
        }
        inner.data_bytes += size;
        let data = inner.spare.copy(frame.data);
        inner.data.push_back(Message {
            stream_id: frame.stream_id,
            kind: frame.kind,
            data,
        });
        Ok(())
    }

    /// The next frame for the peer.
    pub(crate) fn pop_media(&self) -> Option<Media> {
        let mut inner = self.lock();
        let media = inner.media.pop_front()?;
        inner.media_bytes -= media.data.len();
        Some(media)
    }

    /// The next message for the peer.
    pub(crate) fn pop_data(&self) -> Option<Message> {
        let mut inner = self.lock();
        let message = inner.data.pop_front()?;
        inner.data_bytes -= message.data.len();
        Some(message)
    }

    /// Puts a message back that the peer could not take yet.
    pub(crate) fn unpop_data(&self, message: Message) {
        let mut inner = self.lock();
        inner.data_bytes += message.data.len();
        inner.data.push_front(message);
    }

    /// Gives a buffer back for reuse.
    pub(crate) fn recycle(&self, buffer: Vec<u8>) {
        self.lock().spare.give(buffer);
    }

    /// The channels that were refused and may try again, once half of the memory is free.
    pub(crate) fn take_writable(&self) -> BTreeSet<u16> {
        let mut inner = self.lock();
        if inner.refused.is_empty() || inner.data_bytes > self.data_limit / 2 {
            return BTreeSet::new();
        }
        std::mem::take(&mut inner.refused)
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

    /// Bytes of messages that wait here.
    pub(crate) fn data_bytes(&self) -> usize {
        self.lock().data_bytes
    }
}

impl Inner {
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
