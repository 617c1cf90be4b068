//! Commands of the owner that concern channels.

use esp_wire::{Bytes, DataKind, Instant};

use super::{Association, Phase, delivery::Message};
use crate::{
    ChannelConfig, ChannelHandle, Error, Misuse, Reliability,
    channel::{
        Channel, Phase as ChannelPhase, Reset,
        dcep::{self, ppid},
    },
    outgoing::queue::{Draft, Policy},
};

impl Association {
    /// Opens a channel, before the handshake, too; [`Event::ChannelOpen`](crate::Event) follows
    /// when it can be used, messages may be sent at once. Data that waits never keeps a channel from being opened;
    /// [`Misuse::TooManyOpening`] only when as much as [`Config::send_buffer`](crate::Config::send_buffer) holds waits to
    /// tell the peer of others.
    pub fn open_channel(
        &mut self,
        _now: Instant,
        config: ChannelConfig,
    ) -> Result<ChannelHandle, Error> {
        self.check_open()?;
        if config.label.len() > 65_535 || config.protocol.len() > 65_535 {
            return Err(Misuse::NameTooLong.into());
        }
        let key = match config.negotiated {
            Some(stream) => self.open_negotiated(stream, config)?,
            None => self.open_in_band(config)?,
        };
        self.activate(key);
        self.channels
            .handle(key)
            .ok_or(Error::Misuse(Misuse::NoSuchChannel))
    }

    fn check_open(&self) -> Result<(), Misuse> {
        if self.phase == Phase::Ended {
            return Err(Misuse::Ended);
        }
        if self.phase.is_closing() {
            return Err(Misuse::ShuttingDown);
        }
        Ok(())
    }

    fn open_negotiated(&mut self, stream: u16, config: ChannelConfig) -> Result<u32, Misuse> {
        if stream == u16::MAX {
            return Err(Misuse::StreamTaken);
        }
        if let Some(key) = self.channels.key_on(stream) {
            // The peer's messages may have come before our own side of the channel. Without a channel the
            // stream is one that nobody may use.
            let channel = self.channels.get_mut(key).ok_or(Misuse::StreamTaken)?;
            if channel.phase != ChannelPhase::Unannounced {
                return Err(Misuse::StreamTaken);
            }
            channel.phase = ChannelPhase::Waiting;
            channel.by_peer = false;
            channel.config = config;
            return Ok(key);
        }
        self.check_count()?;
        Ok(self
            .channels
            .add(config, Some(stream), false, ChannelPhase::Waiting))
    }

    fn open_in_band(&mut self, config: ChannelConfig) -> Result<u32, Misuse> {
        self.check_count()?;
        let stream = match self.client {
            Some(client) => Some(
                self.channels
                    .free_stream(!client)
                    .ok_or(Misuse::TooManyChannels)?,
            ),
            None => None,
        };
        let open = dcep::open(&config);
        if !self.out.store.has_room_to_open(open.len()) {
            return Err(Misuse::TooManyOpening);
        }
        let key = self
            .channels
            .add(config, stream, false, ChannelPhase::Waiting);
        if let Some(channel) = self.channels.get_mut(key) {
            channel.born = self.inc.tracker.cumulative();
            // RFC 8832 §6: the OPEN is ordered and reliable, whatever the channel is.
            let draft = Draft {
                channel: key,
                ppid: ppid::DCEP,
                unordered: false,
                policy: Policy::default(),
                data: &open,
                last: true,
            };
            self.out.store.push(&mut channel.out, draft);
        }
        Ok(key)
    }

    fn check_count(&self) -> Result<(), Misuse> {
        match self.channels.len() < self.config.max_channels {
            true => Ok(()),
            false => Err(Misuse::TooManyChannels),
        }
    }

    /// The stream of a channel, once it has one.
    pub fn stream_id(&self, channel: ChannelHandle) -> Option<u16> {
        self.channels.by_handle(channel)?.stream
    }

    /// The channel on a stream.
    pub fn channel_on(&self, stream_id: u16) -> Option<ChannelHandle> {
        let key = self.channels.key_on(stream_id)?;
        let channel = self.channels.get(key)?;
        (channel.phase != ChannelPhase::Unannounced)
            .then(|| self.channels.handle(key))
            .flatten()
    }

    /// Label, protocol, order, reliability and priority of a channel.
    pub fn channel_config(&self, channel: ChannelHandle) -> Option<&ChannelConfig> {
        self.channels
            .by_handle(channel)
            .map(|channel| &channel.config)
    }

    /// Queues a message, by one copy; empty ones are fine (RFC 8831 §6.6).
    ///
    /// [`Error::WouldBlock`] when the send buffer is full, [`Error::TooLarge`] when the message is
    /// larger than the peer takes or than the send buffer.
    pub fn send(
        &mut self,
        now: Instant,
        channel: ChannelHandle,
        kind: DataKind,
        data: &[u8],
    ) -> Result<(), Error> {
        let key = self.check_send(channel, data.len())?;
        self.queue(now, key, kind, Bytes::Lent(data), true)
    }

    /// As [`Association::send`], but takes the bytes over without a copy. `data` is left empty, with memory of
    /// an earlier message where there is some; after an error it is as it was.
    pub fn send_owned(
        &mut self,
        now: Instant,
        channel: ChannelHandle,
        kind: DataKind,
        data: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let key = self.check_send(channel, data.len())?;
        self.queue(now, key, kind, Bytes::Given(data), true)
    }

    fn check_send(&self, channel: ChannelHandle, size: usize) -> Result<u32, Error> {
        self.check_open()?;
        let limit = self.remote_max.min(self.config.send_buffer as u64);
        if size as u64 > limit {
            return Err(Error::TooLarge { size, limit });
        }
        Ok(self.sendable(channel, false)?)
    }

    /// Queues a part of a message, `last` ends it; no other message may be sent on the channel in
    /// between. A message in parts may be larger than the send buffer. Without I-DATA the channels
    /// beside it wait until it is complete, and so parts of it find room even when others have filled the send
    /// buffer, up to as much again. With I-DATA, and a peer that takes whole messages only, others of more than a
    /// packet wait that would not fit into the peer's memory beside the largest message that it takes.
    pub fn send_part(
        &mut self,
        now: Instant,
        channel: ChannelHandle,
        kind: DataKind,
        data: &[u8],
        last: bool,
    ) -> Result<(), Error> {
        match self.check_part(channel, data.len(), last)? {
            Some(key) => self.queue(now, key, kind, Bytes::Lent(data), last),
            None => Ok(()),
        }
    }

    /// As [`Association::send_part`], but takes the bytes over as [`Association::send_owned`] does.
    pub fn send_part_owned(
        &mut self,
        now: Instant,
        channel: ChannelHandle,
        kind: DataKind,
        data: &mut Vec<u8>,
        last: bool,
    ) -> Result<(), Error> {
        match self.check_part(channel, data.len(), last)? {
            Some(key) => self.queue(now, key, kind, Bytes::Given(data), last),
            None => Ok(()),
        }
    }

    /// `None` when there is nothing to queue.
    fn check_part(
        &self,
        channel: ChannelHandle,
        len: usize,
        last: bool,
    ) -> Result<Option<u32>, Error> {
        self.check_open()?;
        let key = self.sendable(channel, true)?;
        let size = self.open_size(key) + len;
        let (limit, most) = (self.remote_max, self.config.send_buffer);
        if size as u64 > limit {
            return Err(Error::TooLarge { size, limit });
        }
        if len > most {
            let limit = most as u64;
            return Err(Error::TooLarge { size: len, limit });
        }
        match (len, last) {
            (0, true) if size > 0 => Err(Misuse::EmptyPart.into()),
            (0, false) => Ok(None),
            _ => Ok(Some(key)),
        }
    }

    fn open_size(&self, key: u32) -> usize {
        self.channels
            .get(key)
            .and_then(|channel| channel.out.open)
            .and_then(|message| self.out.store.messages.get(message))
            .map_or(0, |message| message.size)
    }

    fn sendable(&self, handle: ChannelHandle, part: bool) -> Result<u32, Misuse> {
        let key = self.channels.key(handle).ok_or(Misuse::NoSuchChannel)?;
        let channel = self.channels.get(key).ok_or(Misuse::NoSuchChannel)?;
        // What could not be given up may be brought to its end.
        if channel.phase == ChannelPhase::Closing && !(part && channel.out.open.is_some()) {
            return Err(Misuse::ChannelClosed);
        }
        if !part && channel.out.open.is_some() {
            return Err(Misuse::MessageOpen);
        }
        Ok(key)
    }

    fn queue(
        &mut self,
        now: Instant,
        key: u32,
        kind: DataKind,
        bytes: Bytes<'_>,
        last: bool,
    ) -> Result<(), Error> {
        let Some(channel) = self.channels.get_mut(key) else {
            return Err(Misuse::NoSuchChannel.into());
        };
        let len = bytes.len();
        if !self.out.store.has_room(len) && !self.out.starves(key, channel, len) {
            if channel.blocked.replace(len).is_none() {
                self.control.blocked.push_back(key);
            }
            return Err(Error::WouldBlock);
        }
        let ppid = match (kind, len == 0) {
            (DataKind::Text, false) => ppid::TEXT,
            (DataKind::Text, true) => ppid::TEXT_EMPTY,
            (DataKind::Binary, false) => ppid::BINARY,
            (DataKind::Binary, true) => ppid::BINARY_EMPTY,
        };
        let draft = Draft {
            channel: key,
            ppid,
            unordered: is_unordered(channel),
            policy: policy(channel, now),
            data: &[0],
            last,
        };
        let store = &mut self.out.store;
        match bytes {
            Bytes::Lent(data) if len > 0 => {
                store.push(&mut channel.out, Draft { data, ..draft });
            }
            Bytes::Given(data) if len > 0 => store.push_owned(&mut channel.out, draft, data),
            _ => store.push(&mut channel.out, draft),
        }
        self.stats.messages_sent += u64::from(last);
        self.stats.bytes_sent += len as u64;
        self.out.schedule(&mut self.channels, key);
        Ok(())
    }

    /// Bytes of a channel's messages that have not been sent yet.
    pub fn buffered_amount(&self, channel: ChannelHandle) -> usize {
        self.channels
            .by_handle(channel)
            .map_or(0, |channel| channel.out.unsent)
    }

    /// Where `buffered_amount` must fall for
    /// [`Event::BufferedAmountLow`](crate::Event::BufferedAmountLow); 0 until set.
    pub fn set_buffered_amount_low_threshold(&mut self, channel: ChannelHandle, bytes: usize) {
        if let Some(key) = self.channels.key(channel)
            && let Some(channel) = self.channels.get_mut(key)
        {
            channel.low_threshold = bytes;
        }
    }

    /// Closes a channel after what was sent on it (RFC 8831 §6.7);
    /// [`Event::ChannelClosed`](crate::Event::ChannelClosed) follows.
    pub fn close_channel(&mut self, now: Instant, channel: ChannelHandle) -> Result<(), Misuse> {
        let key = self.channels.key(channel).ok_or(Misuse::NoSuchChannel)?;
        let connected = self.phase.is_connected();
        let Some(channel) = self.channels.get_mut(key) else {
            return Err(Misuse::NoSuchChannel);
        };
        if channel.outgoing_reset != Reset::No {
            return Ok(());
        }
        if !connected || !channel.may_send {
            self.out.abandon_channel(&mut self.channels, key);
            self.fail_channel(key);
            return Ok(());
        }
        self.want_reset(now, key);
        Ok(())
    }

    /// Stops (`true`) or resumes yielding messages of one channel; meanwhile they stay in receive
    /// memory and the advertised window shrinks.
    pub fn pause_receive(&mut self, channel: ChannelHandle, paused: bool) {
        let Some(key) = self.channels.key(channel) else {
            return;
        };
        let Some(entry) = self.channels.get_mut(key) else {
            return;
        };
        entry.inc.paused = paused;
        if paused || entry.phase == ChannelPhase::Unannounced {
            return;
        }
        let held = std::mem::take(&mut entry.inc.held);
        for received in held.into_iter().rev() {
            self.delivering.deliver_first(Message { channel, received });
        }
    }
}

/// RFC 8832 §6: until the peer knows the channel, all messages are ordered.
fn is_unordered(channel: &Channel) -> bool {
    !channel.config.ordered && channel.phase == ChannelPhase::Open
}

fn policy(channel: &Channel, now: Instant) -> Policy {
    match channel.config.reliability {
        Reliability::Reliable => Policy::default(),
        Reliability::MaxRetransmits(count) => Policy {
            max_retransmits: Some(count),
            expires: None,
        },
        Reliability::MaxLifetime(lifetime) => Policy {
            max_retransmits: None,
            expires: Some(now + lifetime),
        },
    }
}
