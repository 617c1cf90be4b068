//! What the solution tells the application.

use std::fmt;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A connection begins.
    Connecting,
    /// Two addresses that reach each other were found.
    Paired,
    /// Media and data can flow.
    Connected,
    /// No connection came about.
    ConnectFailed,
    /// The connection ended.
    Disconnected,
    /// Data channels can be used.
    DataChannelConnected,
    /// Data channels can no longer be used.
    DataChannelDisconnected,
    /// A data channel opened.
    DataChannelOpened,
    /// A data channel closed.
    DataChannelClosed,
    /// The room was joined.
    SignalingConnected,
    /// The room was lost and is being joined anew; a call goes on.
    SignalingInterrupted {
        /// In words.
        reason: String,
    },
    /// Signaling ended.
    SignalingClosed {
        /// In words.
        reason: String,
    },
    /// Everything has ended that [`stop`](crate::WebRtc::stop) ends.
    Stopped,
    /// The peer describes a connection while none is enabled here: it calls.
    Called,
    /// The peer said goodbye.
    PeerLeft,
    /// A message of the peer's application, by signaling.
    Custom(String),
    /// Something for a log, in words.
    Notice(String),
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Connecting => f.write_str("connecting"),
            Event::Paired => f.write_str("a path was found"),
            Event::Connected => f.write_str("connected"),
            Event::ConnectFailed => f.write_str("no connection came about"),
            Event::Disconnected => f.write_str("disconnected"),
            Event::DataChannelConnected => f.write_str("data channels are up"),
            Event::DataChannelDisconnected => f.write_str("data channels are down"),
            Event::DataChannelOpened => f.write_str("a data channel opened"),
            Event::DataChannelClosed => f.write_str("a data channel closed"),
            Event::SignalingConnected => f.write_str("joined"),
            Event::SignalingInterrupted { reason } => write!(f, "signaling lost: {reason}"),
            Event::SignalingClosed { reason } => write!(f, "signaling ended: {reason}"),
            Event::Stopped => f.write_str("stopped"),
            Event::Called => f.write_str("the peer calls"),
            Event::PeerLeft => f.write_str("the peer left"),
            Event::Custom(text) => write!(f, "message: {text}"),
            Event::Notice(text) => f.write_str(text),
        }
    }
}
