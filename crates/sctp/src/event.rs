//! What an association tells its owner.

use std::fmt;

use esp_wire::DataKind;

use crate::{ChannelConfig, PeerMisbehaved};

/// A channel of one association; stays unique when its stream is used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelHandle {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

/// What happened; borrowed until the next call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The handshake is done.
    Connected,
    /// The peer began anew (RFC 9260 §5.2.4.1): all channels were closed, all messages in transit
    /// are lost. A `ChannelClosed` follows for every channel.
    Restarted,
    /// A channel can be used: the peer opened it or acknowledged ours, or a negotiated one became
    /// usable.
    ChannelOpen {
        /// The channel.
        channel: ChannelHandle,
        /// Its stream.
        stream_id: u16,
        /// Its label, protocol, order, reliability and priority.
        config: &'a ChannelConfig,
        /// The peer opened it.
        by_peer: bool,
    },
    /// A whole message.
    Message {
        /// The channel.
        channel: ChannelHandle,
        /// Its stream.
        stream_id: u16,
        /// Text (not checked to be UTF-8) or bytes.
        kind: DataKind,
        /// The message.
        data: &'a [u8],
    },
    /// A part of a message, with [`Delivery::Parts`](crate::Delivery::Parts); parts of one channel
    /// come in order, and no other message of the channel comes between.
    MessagePart {
        /// The channel.
        channel: ChannelHandle,
        /// Its stream.
        stream_id: u16,
        /// Text or bytes.
        kind: DataKind,
        /// The part.
        data: &'a [u8],
        /// The message begins here.
        first: bool,
        /// The message ends here.
        last: bool,
    },
    /// The peer gave up a message whose first parts were delivered.
    MessageAborted {
        /// The channel.
        channel: ChannelHandle,
        /// Its stream.
        stream_id: u16,
    },
    /// A `send` that was refused with `WouldBlock` may be tried again.
    Writable {
        /// The channel.
        channel: ChannelHandle,
    },
    /// `buffered_amount` fell to the threshold or below.
    BufferedAmountLow {
        /// The channel.
        channel: ChannelHandle,
    },
    /// The peer closes the channel; what it sent before was delivered.
    ChannelClosing {
        /// The channel.
        channel: ChannelHandle,
    },
    /// The channel is closed in both directions, or could not be opened; the handle is void.
    ChannelClosed {
        /// The channel.
        channel: ChannelHandle,
        /// Its stream, if it ever had one; free for another channel.
        stream_id: Option<u16>,
    },
    /// The association has ended. Messages received before may still follow after an abort.
    Closed {
        /// Why.
        reason: &'a CloseReason,
    },
}

/// Why an association ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// Both sides shut down; all messages were delivered.
    Shutdown,
    /// We aborted: by command, or because the peer let no shutdown come to its end.
    Aborted,
    /// The peer aborted.
    AbortedByPeer {
        /// The first error cause (RFC 9260 §3.3.10), 0 when there was none.
        cause: u16,
        /// Its text, at most 128 bytes.
        text: String,
    },
    /// No answer within the limits of retransmission.
    Unreachable,
    /// The peer broke the protocol and was sent an ABORT.
    PeerMisbehaved(PeerMisbehaved),
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CloseReason::Shutdown => f.write_str("both sides shut down"),
            CloseReason::Aborted => f.write_str("aborted by this side"),
            CloseReason::AbortedByPeer { cause: 0, .. } => f.write_str("aborted by the peer"),
            CloseReason::AbortedByPeer { cause, text } if text.is_empty() => {
                write!(f, "aborted by the peer (cause {cause})")
            }
            CloseReason::AbortedByPeer { cause, text } => {
                write!(f, "aborted by the peer (cause {cause}): {text:?}")
            }
            CloseReason::Unreachable => f.write_str("the peer no longer answers"),
            CloseReason::PeerMisbehaved(what) => write!(f, "the peer broke the protocol: {what}"),
        }
    }
}
