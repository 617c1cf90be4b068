//! What can go wrong, sorted by blame.

use std::fmt;

/// Why a command was refused or the association ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The send buffer is full; an [`Event::Writable`](crate::Event::Writable) follows.
    WouldBlock,
    /// The message is larger than the peer or the configuration allows.
    TooLarge {
        /// Bytes of the message.
        size: usize,
        /// Bytes allowed.
        limit: u64,
    },
    /// The caller asked for something impossible.
    Misuse(Misuse),
    /// Bytes that cannot be decoded.
    Malformed(Malformed),
    /// The peer broke the protocol; the association was aborted.
    PeerMisbehaved(PeerMisbehaved),
}

/// Mistakes of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misuse {
    /// A field of the configuration is out of range; its name.
    Config(&'static str),
    /// The channel is not known (any more).
    NoSuchChannel,
    /// The channel is closing or closed.
    ChannelClosed,
    /// The association has ended.
    Ended,
    /// The association is shutting down and takes no more messages.
    ShuttingDown,
    /// The stream of a negotiated channel is in use or is 65,535.
    StreamTaken,
    /// As many channels as allowed are open.
    TooManyChannels,
    /// The names of channels that the peer was not told of yet fill as much memory as the send buffer; some of them
    /// must be opened first.
    TooManyOpening,
    /// Label or protocol has more than 65,535 bytes.
    NameTooLong,
    /// A message in parts is open on the channel and the call does not continue it.
    MessageOpen,
    /// The last part of a message is empty.
    EmptyPart,
    /// Called after the handshake had begun.
    TooLate,
}

/// Bytes that are no SCTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Shorter than its header or than its length field says.
    Short,
    /// The checksum does not match (RFC 9260 §6.8).
    Checksum,
    /// A field has a value that the RFC forbids.
    Field,
}

/// Violations that end an association.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerMisbehaved {
    /// A message grew beyond the announced maximum.
    MessageTooLarge,
    /// So many messages were begun at once that receive memory can complete none of them.
    TooMuchUnfinished,
    /// A DATA chunk without user data (RFC 9260 §6.2).
    EmptyData,
    /// DATA after I-DATA was negotiated, or the reverse (RFC 8260 §2.2).
    WrongDataChunk,
    /// A SACK for a TSN that was never sent.
    AcknowledgedUnsent,
    /// The handshake carried an impossible value (RFC 9260 §5.1).
    Handshake,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::WouldBlock => f.write_str("the send buffer is full"),
            Error::TooLarge { size, limit } => {
                write!(
                    f,
                    "a message of {size} bytes is larger than the limit of {limit}"
                )
            }
            Error::Misuse(misuse) => misuse.fmt(f),
            Error::Malformed(malformed) => malformed.fmt(f),
            Error::PeerMisbehaved(violation) => violation.fmt(f),
        }
    }
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Misuse::Config(field) => return write!(f, "`{field}` is out of range"),
            Misuse::NoSuchChannel => "no such channel",
            Misuse::ChannelClosed => "the channel is closing",
            Misuse::Ended => "the association has ended",
            Misuse::ShuttingDown => "the association is shutting down",
            Misuse::StreamTaken => "the stream is in use",
            Misuse::TooManyChannels => "too many channels",
            Misuse::TooManyOpening => "too many channels wait to be opened",
            Misuse::NameTooLong => "label or protocol is longer than 65,535 bytes",
            Misuse::MessageOpen => "another message in parts is open on the channel",
            Misuse::EmptyPart => "the last part of a message is empty",
            Misuse::TooLate => "the handshake has begun",
        })
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Malformed::Short => "the packet ends too early",
            Malformed::Checksum => "the checksum does not match",
            Malformed::Field => "a field has a forbidden value",
        })
    }
}

impl fmt::Display for PeerMisbehaved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PeerMisbehaved::MessageTooLarge => "the peer sent a message above the announced limit",
            PeerMisbehaved::TooMuchUnfinished => {
                "the peer began more messages at once than receive memory holds"
            }
            PeerMisbehaved::EmptyData => "the peer sent a data chunk without data",
            PeerMisbehaved::WrongDataChunk => "the peer mixed DATA and I-DATA",
            PeerMisbehaved::AcknowledgedUnsent => "the peer acknowledged what was never sent",
            PeerMisbehaved::Handshake => "the peer's handshake carries an impossible value",
        })
    }
}

impl std::error::Error for Error {}
impl std::error::Error for Misuse {}
impl std::error::Error for Malformed {}
impl std::error::Error for PeerMisbehaved {}

impl From<Misuse> for Error {
    fn from(misuse: Misuse) -> Self {
        Error::Misuse(misuse)
    }
}

impl From<Malformed> for Error {
    fn from(malformed: Malformed) -> Self {
        Error::Malformed(malformed)
    }
}

impl From<PeerMisbehaved> for Error {
    fn from(violation: PeerMisbehaved) -> Self {
        Error::PeerMisbehaved(violation)
    }
}

impl From<esp_wire::ShortRead> for Malformed {
    fn from(_: esp_wire::ShortRead) -> Self {
        Malformed::Short
    }
}
