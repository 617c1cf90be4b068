//! One SCTP association with its data channels.

use esp_wire::{DataKind, Deadline, Instant, Origin, Room, Train};

use crate::{ChannelConfig, ChannelHandle, Config, Error, Event, Misuse, Stats, Why};

/// One SCTP association with its data channels.
#[derive(Debug)]
pub struct Association {
    config: Config,
    origin: Origin,
    path: (Room, usize),
    client: bool,
    stats: Stats,
}

impl Association {
    /// An association that has sent nothing yet; it answers a peer that begins.
    pub fn new(config: Config, origin: Origin) -> Result<Self, Misuse> {
        config.check()?;
        Ok(Association {
            config,
            origin,
            path: (Room::default(), 1_200),
            client: false,
            stats: Stats::default(),
        })
    }

    /// Sets the room that the layers below need and the largest packet, in bytes; at least 512.
    pub fn set_path(&mut self, room: Room, max_payload: usize) {
        self.path = (room, max_payload);
    }

    /// The DTLS client opens even streams, the server odd ones (RFC 8832 §6).
    pub fn set_dtls_role(&mut self, _now: Instant, client: bool) {
        self.client = client;
    }

    /// The largest message that the peer takes (`a=max-message-size`), 0 for any.
    pub fn set_remote_max_message_size(&mut self, _bytes: u64) {}

    /// The largest message that we take, for `a=max-message-size`; 0 for any.
    pub fn max_message_size(&self) -> u64 {
        self.config.max_message_size as u64
    }

    /// Begins the handshake.
    pub fn connect(&mut self, _now: Instant) -> Result<(), Misuse> {
        Ok(())
    }

    /// True between the handshake and the end.
    pub fn is_connected(&self) -> bool {
        false
    }

    /// Opens a channel; before the handshake, too.
    pub fn open_channel(
        &mut self,
        _now: Instant,
        _config: ChannelConfig,
    ) -> Result<ChannelHandle, Error> {
        Err(Misuse::TooManyChannels.into())
    }

    /// The stream of a channel, once it has one.
    pub fn stream_id(&self, _channel: ChannelHandle) -> Option<u16> {
        None
    }

    /// The open channel on a stream.
    pub fn channel_on(&self, _stream_id: u16) -> Option<ChannelHandle> {
        None
    }

    /// Queues a message, by one copy.
    pub fn send(
        &mut self,
        _now: Instant,
        _channel: ChannelHandle,
        _kind: DataKind,
        _data: &[u8],
    ) -> Result<(), Error> {
        Err(Error::WouldBlock)
    }

    /// Queues a part of a message; `last` ends it.
    pub fn send_part(
        &mut self,
        _now: Instant,
        _channel: ChannelHandle,
        _kind: DataKind,
        _data: &[u8],
        _last: bool,
    ) -> Result<(), Error> {
        Err(Error::WouldBlock)
    }

    /// Bytes of a channel's messages that have not been sent yet.
    pub fn buffered_amount(&self, _channel: ChannelHandle) -> usize {
        0
    }

    /// Where `buffered_amount` must fall for [`Event::BufferedAmountLow`].
    pub fn set_buffered_amount_low_threshold(&mut self, _channel: ChannelHandle, _bytes: usize) {}

    /// Closes a channel after what was sent on it (RFC 8831 §6.7).
    pub fn close_channel(&mut self, _now: Instant, _channel: ChannelHandle) -> Result<(), Misuse> {
        Ok(())
    }

    /// Ends the association after what was sent (RFC 9260 §9.2).
    pub fn shutdown(&mut self, _now: Instant) {}

    /// Ends the association at once (RFC 9260 §9.1).
    pub fn abort(&mut self, _now: Instant, _reason: &str) {}

    /// Stops (`true`) or resumes yielding messages of one channel; its messages stay in receive memory.
    pub fn pause_receive(&mut self, _channel: ChannelHandle, _paused: bool) {}

    /// Whether `poll_event` yields messages; while it does not, they fill receive memory and the
    /// advertised window shrinks. Other events go on.
    pub fn set_delivery(&mut self, _on: bool) {}

    /// Takes one packet out of DTLS.
    ///
    /// Noise is counted and dropped; an error means that the association has ended.
    pub fn handle_input(&mut self, _now: Instant, _packet: &mut [u8]) -> Result<(), Error> {
        Ok(())
    }

    /// Runs the timers that are due.
    pub fn handle_timeout(&mut self, _now: Instant) {}

    /// Lays out the next train; `false` when there is nothing to send.
    pub fn poll_transmit(&mut self, _now: Instant, _train: &mut Train) -> bool {
        false
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event<'_>> {
        None
    }

    /// When to call `handle_timeout`.
    pub fn poll_timeout(&self) -> Option<Deadline<Why>> {
        let _ = &self.origin;
        None
    }

    /// Counters and gauges.
    pub fn stats(&self) -> Stats {
        self.stats
    }
}
