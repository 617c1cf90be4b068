//! The channels of an association, by handle and by stream.

pub(crate) mod dcep;
mod streams;

use std::collections::VecDeque;

use crate::{
    ChannelConfig, ChannelHandle, incoming::stream::InStream, outgoing::queue::OutStream,
    slab::Slab, surplus,
};
use streams::Streams;

/// How far a channel has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Data came on a stream that nobody has opened yet.
    Unannounced,
    /// Waits for the handshake, or for its stream.
    Waiting,
    /// The OPEN is on its way; nothing came back yet.
    Opening,
    Open,
    /// Will carry no new messages from us.
    Closing,
}

/// How far the reset of our outgoing stream has come (RFC 8831 §6.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Reset {
    #[default]
    No,
    /// Waits until everything sent is acknowledged, or for its turn.
    Wanted,
    Requested,
    Done,
}

/// One channel: both directions of a stream.
#[derive(Debug)]
pub(crate) struct Channel {
    generation: u32,
    pub(crate) stream: Option<u16>,
    pub(crate) config: ChannelConfig,
    pub(crate) by_peer: bool,
    pub(crate) phase: Phase,
    /// Connected, with a stream that the peer accepts.
    pub(crate) may_send: bool,
    pub(crate) out: OutStream,
    pub(crate) inc: InStream,
    pub(crate) outgoing_reset: Reset,
    pub(crate) incoming_reset: bool,
    /// Its stream is free, the owner has been told or will be.
    pub(crate) retired: bool,
    /// The peer wanted it opened and may not have it; the owner never hears of it.
    pub(crate) refused: bool,
    /// Bytes of its names, when the peer gave them.
    names: usize,
    /// The peer's TSNs up to here came before it was opened.
    pub(crate) born: u64,
    /// Something that was sent on it has arrived.
    pub(crate) known: bool,
    /// Size of the message that `send` refused.
    pub(crate) blocked: Option<usize>,
    pub(crate) low_threshold: usize,
}

/// All channels.
#[derive(Debug, Default)]
pub(crate) struct Channels {
    /// Each in memory of its own, so that few that stay do not keep the memory of many that are gone.
    slab: Slab<Box<Channel>>,
    streams: Streams,
    generation: u32,
    /// Channels whose unsent bytes fell to their threshold.
    low: VecDeque<u32>,
    /// Bytes of all names that the peer gave.
    names: usize,
    /// Streams that nobody may use any more.
    quarantined: Vec<u16>,
}

/// Stands for a channel on a stream that nobody may use.
const QUARANTINED: u32 = u32::MAX - 1;

impl Channels {
    /// Adds a channel; the caller makes sure that its stream is free.
    pub(crate) fn add(
        &mut self,
        config: ChannelConfig,
        stream: Option<u16>,
        by_peer: bool,
        phase: Phase,
    ) -> u32 {
        self.generation = self.generation.wrapping_add(1);
        let key = self.slab.insert(Box::new(Channel {
            generation: self.generation,
            stream,
            config,
            by_peer,
            phase,
            may_send: false,
            out: OutStream::default(),
            inc: InStream::default(),
            outgoing_reset: Reset::No,
            incoming_reset: false,
            retired: false,
            refused: false,
            names: 0,
            born: 0,
            known: false,
            blocked: None,
            low_threshold: 0,
        }));
        if let Some(stream) = stream {
            self.streams.set(stream, Some(key));
        }
        key
    }

    /// Gives a channel its stream.
    pub(crate) fn assign(&mut self, key: u32, stream: u16) {
        if let Some(channel) = self.slab.get_mut(key) {
            channel.stream = Some(stream);
            self.streams.set(stream, Some(key));
        }
    }

    /// Frees the stream of a channel; its handle stays valid.
    pub(crate) fn detach(&mut self, key: u32) {
        if let Some(channel) = self.slab.get_mut(key) {
            channel.may_send = false;
            channel.phase = Phase::Closing;
            if let Some(stream) = channel.stream
                && self.streams.at(stream) == Some(key)
            {
                self.streams.set(stream, None);
            }
        }
    }

    /// Removes a channel and frees its stream.
    pub(crate) fn remove(&mut self, key: u32) {
        self.detach(key);
        if let Some(channel) = self.slab.remove(key) {
            self.names -= channel.names;
        }
    }

    /// Gives memory back that was not needed since the last call.
    pub(crate) fn give_back(&mut self) {
        self.slab.give_back();
        self.streams.give_back();
        surplus::shrink(&mut self.low, self.slab.len());
        surplus::shrink_list(&mut self.quarantined, 0);
    }

    /// Takes the names that the peer gave a channel into account; false when all together would have more
    /// than `limit` bytes.
    pub(crate) fn charge_names(&mut self, key: u32, names: usize, limit: usize) -> bool {
        let fits = self.names + names <= limit;
        if let Some(channel) = self.slab.get_mut(key).filter(|_| fits) {
            channel.names = names;
            self.names += names;
        }
        fits
    }

    /// Keeps the stream of a channel out of use when the channel is gone.
    pub(crate) fn quarantine(&mut self, key: u32) {
        if let Some(stream) = self.slab.get(key).and_then(|channel| channel.stream)
            && self.streams.at(stream) == Some(key)
        {
            self.streams.set(stream, Some(QUARANTINED));
            self.quarantined.push(stream);
        }
    }

    /// All streams begin anew.
    pub(crate) fn release_streams(&mut self) {
        for stream in self.quarantined.drain(..) {
            self.streams.set(stream, None);
        }
    }

    pub(crate) fn get(&self, key: u32) -> Option<&Channel> {
        self.slab.get(key).map(|channel| &**channel)
    }

    pub(crate) fn get_mut(&mut self, key: u32) -> Option<&mut Channel> {
        self.slab.get_mut(key).map(|channel| &mut **channel)
    }

    pub(crate) fn handle(&self, key: u32) -> Option<ChannelHandle> {
        self.slab.get(key).map(|channel| ChannelHandle {
            index: key,
            generation: channel.generation,
        })
    }

    /// The key of a handle that is not void.
    pub(crate) fn key(&self, handle: ChannelHandle) -> Option<u32> {
        self.slab
            .get(handle.index)
            .filter(|channel| channel.generation == handle.generation)
            .map(|_| handle.index)
    }

    pub(crate) fn by_handle(&self, handle: ChannelHandle) -> Option<&Channel> {
        self.get(self.key(handle)?)
    }

    pub(crate) fn key_on(&self, stream: u16) -> Option<u32> {
        self.streams.at(stream)
    }

    pub(crate) fn on_stream(&self, stream: u16) -> Option<&Channel> {
        self.get(self.streams.at(stream)?)
    }

    /// The peer gave up unordered messages of a stream, up to this one.
    pub(crate) fn skip_unordered(&mut self, stream: u16, message: u32) {
        if let Some(key) = self.streams.at(stream)
            && let Some(channel) = self.get_mut(key)
        {
            channel.inc.skip_unordered(message);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.slab.len()
    }

    /// All keys, in ascending order.
    pub(crate) fn keys(&self) -> Vec<u32> {
        (0..self.slab.span())
            .filter(|key| self.slab.get(*key).is_some())
            .collect()
    }

    /// The lowest free stream of the given parity.
    pub(crate) fn free_stream(&mut self, odd: bool) -> Option<u16> {
        self.streams.free(odd)
    }

    /// A message of this channel needs no attention any more.
    pub(crate) fn message_done(&mut self, key: u32) {
        if let Some(channel) = self.slab.get_mut(key) {
            channel.out.live = channel.out.live.saturating_sub(1);
            channel.known = true;
        }
    }

    /// So many bytes of a channel were sent or given up.
    pub(crate) fn note_fell(&mut self, key: u32, by: usize) {
        if let Some(channel) = self.slab.get(key)
            && channel.out.unsent <= channel.low_threshold
            && channel.out.unsent + by > channel.low_threshold
            && channel.phase != Phase::Unannounced
        {
            self.low.push_back(key);
        }
    }

    /// A channel whose unsent bytes fell to its threshold.
    pub(crate) fn next_low(&mut self) -> Option<ChannelHandle> {
        while let Some(key) = self.low.pop_front() {
            if let Some(handle) = self.handle(key) {
                return Some(handle);
            }
        }
        None
    }
}
