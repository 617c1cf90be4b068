//! Settings of an association and of a channel.

use std::time::Duration;

use crate::{Misuse, congestion};

/// How the association turns received messages into events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    /// One [`Event::Message`](crate::Event::Message) a message; larger ones than
    /// [`Config::max_message_size`] end the association.
    #[default]
    Whole,
    /// Messages that do not fit into one part arrive as
    /// [`Event::MessagePart`](crate::Event::MessagePart)s, without a limit on their size
    /// (RFC 9260 §6.9).
    Parts,
}

/// Which channel sends next (RFC 8260 §3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheduling {
    /// Messages in the order of their `send` (§3.1).
    FirstComeFirstServed,
    /// One message, or with I-DATA one packet, of each channel in turn (§3.2, §3.3).
    RoundRobin,
    /// Strictly by priority, in turn among equals (§3.4).
    Priority,
    /// Bytes in proportion to the channels' priorities (§3.6, RFC 8831 §6.4).
    #[default]
    WeightedFair,
}

/// Settings of an [`Association`](crate::Association); `Default` suits devices and goodput alike,
/// since buffers grow on demand and shrink when idle.
#[derive(Clone, Debug)]
pub struct Config {
    /// Our SCTP port; 5000.
    pub local_port: u16,
    /// The peer's SCTP port; 5000.
    pub remote_port: u16,
    /// The largest message that we accept, in bytes, to be announced by `a=max-message-size`;
    /// 1 MiB. It must fit into `receive_buffer` unless delivery is in parts.
    pub max_message_size: usize,
    /// Bytes of messages that may wait to be sent or acknowledged, over all channels; 4 MiB. Each counts with the
    /// memory that it takes, so buffers that are handed over count with their capacity, up to what a copy would
    /// take. Beyond it go the rounding of a single message as large as this, as much again of a message in parts
    /// without I-DATA ([`Association::send_part`](crate::Association::send_part)), and the messages that open channels:
    /// until they have arrived, their names may have as many bytes again, and what would be opened beyond that is
    /// refused ([`Misuse::TooManyOpening`]).
    pub send_buffer: usize,
    /// Bytes of messages that may wait for their missing fragments or for the application, over
    /// all channels; 4 MiB. It is what the advertised window starts with. Memory for the
    /// bookkeeping of tiny messages and holes comes on top, at most twice this figure in all. The names of
    /// channels that the peer opens may have as many bytes again; what is opened beyond that is refused.
    pub receive_buffer: usize,
    /// Whole messages or parts; whole.
    pub delivery: Delivery,
    /// Channels that may be open at a time, by both sides together; 65,534. Each takes less than 1 KiB beside its
    /// names and messages. What the peer opens beyond that is refused: its channel is closed (RFC 8832 §6).
    pub max_channels: usize,
    /// The first retransmission timeout; 500 ms.
    pub rto_initial: Duration,
    /// Its lower bound; 400 ms, twice the longest delay of a SACK.
    pub rto_min: Duration,
    /// Its upper bound; 10 s.
    pub rto_max: Duration,
    /// Timeouts in a row after which the peer counts as unreachable (RFC 9260 §8.1); 10.
    pub max_retransmits: u32,
    /// INITs or COOKIE ECHOs sent again before giving up (RFC 9260 §5.1.6); 8.
    pub max_init_retransmits: u32,
    /// How long a SACK may wait for a second packet (RFC 9260 §6.2); 50 ms, at most 500 ms.
    pub sack_delay: Duration,
    /// Time between heartbeats on an idle association; 30 s, `None` for no heartbeats.
    pub heartbeat_interval: Option<Duration>,
    /// How long a cookie is honoured; 60 s.
    pub cookie_lifetime: Duration,
    /// Offers I-DATA, so that large messages do not block small ones (RFC 8260); on.
    pub interleaving: bool,
    /// Lets the DTLS below stand in for the checksum when the peer agrees (RFC 9653); on.
    pub zero_checksum: bool,
    /// Offers explicit congestion notification; off. The layers below must keep the ECN mark of the
    /// trains, and tell it by [`Association::handle_marked_input`](crate::Association::handle_marked_input); or
    /// say that a path does not
    /// ([`Association::set_marks_carried`](crate::Association::set_marks_carried)).
    pub ecn: bool,
    /// Looks for larger packets where [`Association::set_largest_packet`](crate::Association) lets it
    /// (RFC 8899); on.
    pub path_mtu_discovery: bool,
    /// Which channel sends next; weighted fair.
    pub scheduling: Scheduling,
    /// Which congestion control runs; CUBIC that tolerates losses by chance.
    pub congestion: congestion::Algorithm,
    /// Spreads packets over the round trip instead of sending them in bursts; on.
    pub pacing: bool,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            local_port: 5000,
            remote_port: 5000,
            max_message_size: 1 << 20,
            send_buffer: 4 << 20,
            receive_buffer: 4 << 20,
            delivery: Delivery::Whole,
            max_channels: 65_534,
            rto_initial: Duration::from_millis(500),
            rto_min: Duration::from_millis(400),
            rto_max: Duration::from_secs(10),
            max_retransmits: 10,
            max_init_retransmits: 8,
            sack_delay: Duration::from_millis(50),
            heartbeat_interval: Some(Duration::from_secs(30)),
            cookie_lifetime: Duration::from_secs(60),
            interleaving: true,
            zero_checksum: true,
            ecn: false,
            path_mtu_discovery: true,
            scheduling: Scheduling::WeightedFair,
            congestion: congestion::Algorithm::default(),
            pacing: true,
        }
    }
}

impl Config {
    /// The least that either buffer may be: what RFC 9260 §3.3.2 asks of a window.
    pub const MIN_BUFFER: usize = 4_096;

    /// With these ports (RFC 8841: `a=sctp-port`).
    pub fn with_ports(mut self, local: u16, remote: u16) -> Self {
        self.local_port = local;
        self.remote_port = remote;
        self
    }

    /// With these bounds on memory, in bytes; a `max_message_size` that would not fit is lowered.
    pub fn with_buffers(mut self, send: usize, receive: usize) -> Self {
        self.send_buffer = send;
        self.receive_buffer = receive;
        if self.delivery == Delivery::Whole {
            self.max_message_size = self.max_message_size.min(receive);
        }
        self
    }

    /// With this largest message that we accept, in bytes.
    pub fn with_max_message_size(mut self, bytes: usize) -> Self {
        self.max_message_size = bytes;
        self
    }

    /// With whole messages or parts.
    pub fn with_delivery(mut self, delivery: Delivery) -> Self {
        self.delivery = delivery;
        self
    }

    /// With this bound on open channels.
    pub fn with_max_channels(mut self, channels: usize) -> Self {
        self.max_channels = channels;
        self
    }

    /// With or without I-DATA.
    pub fn with_interleaving(mut self, on: bool) -> Self {
        self.interleaving = on;
        self
    }

    /// With or without the offer to skip checksums.
    pub fn with_zero_checksum(mut self, on: bool) -> Self {
        self.zero_checksum = on;
        self
    }

    /// With or without explicit congestion notification.
    pub fn with_ecn(mut self, on: bool) -> Self {
        self.ecn = on;
        self
    }

    /// With or without the search for larger packets.
    pub fn with_path_mtu_discovery(mut self, on: bool) -> Self {
        self.path_mtu_discovery = on;
        self
    }

    /// With this order among channels.
    pub fn with_scheduling(mut self, scheduling: Scheduling) -> Self {
        self.scheduling = scheduling;
        self
    }

    /// With this congestion control.
    pub fn with_congestion(mut self, algorithm: congestion::Algorithm) -> Self {
        self.congestion = algorithm;
        self
    }

    /// With or without pacing.
    pub fn with_pacing(mut self, on: bool) -> Self {
        self.pacing = on;
        self
    }

    /// With these bounds of the retransmission timeout.
    pub fn with_rto(mut self, initial: Duration, min: Duration, max: Duration) -> Self {
        self.rto_initial = initial;
        self.rto_min = min;
        self.rto_max = max;
        self
    }

    /// With this number of timeouts in a row before giving up.
    pub fn with_max_retransmits(mut self, count: u32) -> Self {
        self.max_retransmits = count;
        self
    }

    /// With this heartbeat interval.
    pub fn with_heartbeat_interval(mut self, interval: Option<Duration>) -> Self {
        self.heartbeat_interval = interval;
        self
    }

    pub(crate) fn check(&self) -> Result<(), Misuse> {
        let whole = self.delivery == Delivery::Whole;
        let checks = [
            (self.local_port != 0, "local_port"),
            (self.remote_port != 0, "remote_port"),
            (self.send_buffer >= Self::MIN_BUFFER, "send_buffer"),
            (
                self.receive_buffer >= Self::MIN_BUFFER
                    && u32::try_from(self.receive_buffer).is_ok(),
                "receive_buffer",
            ),
            (
                !whole || (1..=self.receive_buffer).contains(&self.max_message_size),
                "max_message_size",
            ),
            (
                !self.rto_min.is_zero()
                    && self.rto_min <= self.rto_max
                    && self.rto_initial <= self.rto_max,
                "rto",
            ),
            // RFC 9260 §6.2: the delay MUST NOT exceed 500 ms.
            (self.sack_delay <= Duration::from_millis(500), "sack_delay"),
        ];
        match checks.iter().find(|(good, _)| !good) {
            Some((_, field)) => Err(Misuse::Config(field)),
            None => Ok(()),
        }
    }
}

/// How hard a channel tries to deliver a message (RFC 8832 §5.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reliability {
    /// Until it arrives.
    #[default]
    Reliable,
    /// At most this many retransmissions (RFC 7496 §3.1).
    MaxRetransmits(u16),
    /// For this long after `send` (RFC 3758 §4.1); on the wire in ms.
    MaxLifetime(Duration),
}

/// A channel to be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelConfig {
    /// Name, any UTF-8 text of up to 65,535 bytes.
    pub label: String,
    /// Subprotocol, likewise.
    pub protocol: String,
    /// Messages arrive in the order of their sending.
    pub ordered: bool,
    /// How hard to try.
    pub reliability: Reliability,
    /// Priority and weight; 128 below normal, 256 normal, 512 high, 1024 extra high (RFC 8831 §6.4).
    pub priority: u16,
    /// The stream, when both sides agreed on it by other means; `None` opens in band.
    pub negotiated: Option<u16>,
}

impl Default for ChannelConfig {
    fn default() -> Self {
        ChannelConfig {
            label: String::new(),
            protocol: String::new(),
            ordered: true,
            reliability: Reliability::Reliable,
            priority: 256,
            negotiated: None,
        }
    }
}

impl ChannelConfig {
    /// An ordered, reliable channel with this label.
    pub fn new(label: impl Into<String>) -> Self {
        ChannelConfig {
            label: label.into(),
            ..Default::default()
        }
    }

    /// With this subprotocol.
    pub fn with_protocol(mut self, protocol: impl Into<String>) -> Self {
        self.protocol = protocol.into();
        self
    }

    /// Without order.
    pub fn unordered(mut self) -> Self {
        self.ordered = false;
        self
    }

    /// With this reliability.
    pub fn with_reliability(mut self, reliability: Reliability) -> Self {
        self.reliability = reliability;
        self
    }

    /// With this priority.
    pub fn with_priority(mut self, priority: u16) -> Self {
        self.priority = priority;
        self
    }

    /// On a stream that both sides agreed on.
    pub fn negotiated(mut self, stream: u16) -> Self {
        self.negotiated = Some(stream);
        self
    }
}
