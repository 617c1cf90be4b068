//! The states that a connection passes through.

use std::fmt;

/// Where a connection stands, or what just happened to it; the numbers are those of the C interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum State {
    /// Closed for good.
    Closed = 0,
    /// Not connected: not yet, or no more.
    Disconnected = 1,
    /// A new connection begins.
    NewConnection = 2,
    /// Local candidates are being gathered.
    CandidateGathering = 3,
    /// Pairs are being checked.
    Pairing = 4,
    /// A pair works.
    Paired = 5,
    /// The DTLS handshake runs.
    Connecting = 6,
    /// Media can flow.
    Connected = 7,
    /// No connection came about; the reason is in the report and in the notice.
    ConnectFailed = 8,
    /// The association that carries data channels is up.
    DataChannelConnected = 9,
    /// A data channel opened.
    DataChannelOpened = 10,
    /// A data channel closed.
    DataChannelClosed = 11,
    /// The association that carried data channels ended.
    DataChannelDisconnected = 12,
    /// The peer sends sound.
    RemoteAudioTrackAdded = 13,
    /// The peer stopped sending sound.
    RemoteAudioTrackRemoved = 14,
    /// The peer sends pictures.
    RemoteVideoTrackAdded = 15,
    /// The peer stopped sending pictures.
    RemoteVideoTrackRemoved = 16,
    /// The peer asks for a key frame.
    VideoPliReceived = 17,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::Closed => "closed",
            State::Disconnected => "disconnected",
            State::NewConnection => "new connection",
            State::CandidateGathering => "gathering candidates",
            State::Pairing => "pairing",
            State::Paired => "paired",
            State::Connecting => "connecting",
            State::Connected => "connected",
            State::ConnectFailed => "connect failed",
            State::DataChannelConnected => "data channels connected",
            State::DataChannelOpened => "data channel opened",
            State::DataChannelClosed => "data channel closed",
            State::DataChannelDisconnected => "data channels disconnected",
            State::RemoteAudioTrackAdded => "remote audio added",
            State::RemoteAudioTrackRemoved => "remote audio removed",
            State::RemoteVideoTrackAdded => "remote video added",
            State::RemoteVideoTrackRemoved => "remote video removed",
            State::VideoPliReceived => "key frame asked for",
        })
    }
}
