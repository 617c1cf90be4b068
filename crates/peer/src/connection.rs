//! The interface of a peer connection: what an application calls, and what it is told.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::Duration;

use esp_wire::{AudioInfo, Codec, DataFrame, DataKind, Frame, IceServer, Role, Signal, VideoInfo};

use crate::{ChannelConfig, Error, Report, State};

/// One connection to one other peer.
///
/// The driver's `Connection` implements it over our own engines; an application may fill it in over
/// anything else. Every method may be called from any thread; none waits for the network.
///
/// The order of calls: [`new_connection`](Self::new_connection) gathers candidates and reports the
/// local description by [`Handler::on_msg`]; the application carries it to the peer and hands what
/// comes back to [`send_msg`](Self::send_msg); the state is told by [`Handler::on_state`]; once it is
/// [`State::Connected`], frames and data flow until [`disconnect`](Self::disconnect). After that,
/// `new_connection` starts over; [`close`](Self::close) ends for good.
#[allow(unused_variables)]
pub trait PeerConnection: Send + Sync {
    /// Starts a connection: gathers candidates and, when controlling, makes the offer.
    fn new_connection(&self) -> Result<(), Error>;

    /// Sets the role and replaces the servers; a live relay stays up.
    fn update_ice_info(&self, role: Role, servers: &[IceServer]) -> Result<(), Error>;

    /// Hands over a message from the peer: a description or a candidate.
    ///
    /// # Errors
    /// [`Error::PeerBeganAnew`] for an offer that belongs to another session than this connection.
    fn send_msg(&self, msg: &Signal<'_>) -> Result<(), Error>;

    /// Tells that the signaling, which was away for a while, carries messages again, so that what it may have lost
    /// is said once more. An implementation may do without.
    fn signaling_restored(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Sends one packet of sound.
    ///
    /// # Errors
    /// [`Error::WouldBlock`] when the send pool is full, [`Error::WrongState`] before the
    /// connection is up, [`Error::NotSupported`] when no audio was negotiated.
    fn send_audio(&self, frame: Frame<'_>) -> Result<(), Error>;

    /// Sends one picture.
    ///
    /// # Errors
    /// As for [`send_audio`](Self::send_audio).
    fn send_video(&self, frame: Frame<'_>) -> Result<(), Error>;

    /// Sends one message on the data channel that its `stream_id` names.
    ///
    /// # Errors
    /// [`Error::WouldBlock`] when the send memory is full (a
    /// [`Handler::on_writable`] follows), [`Error::TooLarge`] with the limit.
    fn send_data(&self, frame: DataFrame<'_>) -> Result<(), Error>;

    /// As [`send_data`](Self::send_data), but takes the bytes of the message over where the implementation can, so
    /// that they are not copied. `data` is left empty, with memory to fill again where there is
    /// some from earlier messages; after an error it is as it was.
    ///
    /// # Errors
    /// As for [`send_data`](Self::send_data).
    fn send_data_owned(
        &self,
        stream_id: u16,
        kind: DataKind,
        data: &mut Vec<u8>,
    ) -> Result<(), Error> {
        self.send_data(DataFrame {
            kind,
            stream_id,
            data,
        })?;
        data.clear();
        Ok(())
    }

    /// Sends one part of a message, `last` ends it: so a message may be larger than any memory. Until then no other
    /// message can be sent on the channel. An empty part that is not the last does nothing; the last one is
    /// empty for an empty message alone.
    ///
    /// With peers that know no interleaving (RFC 8260), messages of other channels wait until the last part was
    /// sent.
    ///
    /// # Errors
    /// [`Error::WouldBlock`] when the send memory is full (a [`Handler::on_writable`] follows),
    /// [`Error::TooLarge`] when the message becomes larger than the peer takes.
    fn send_data_part(&self, part: DataFrame<'_>, last: bool) -> Result<(), Error> {
        Err(Error::NotSupported("messages in parts"))
    }

    /// Bytes of a channel's messages that have not been sent yet.
    fn buffered_amount(&self, stream_id: u16) -> Result<usize, Error> {
        Err(Error::NotSupported("the buffered amount"))
    }

    /// Asks for a [`Handler::on_buffered_amount_low`] whenever the
    /// [`buffered_amount`](Self::buffered_amount) of a channel falls to `bytes` or below.
    fn set_buffered_amount_low_threshold(&self, stream_id: u16, bytes: usize) -> Result<(), Error> {
        Err(Error::NotSupported("the buffered amount"))
    }

    /// Opens a data channel; [`Handler::on_channel_open`] tells when it is up.
    fn create_data_channel(&self, config: ChannelConfig) -> Result<(), Error>;

    /// Closes the data channel of this stream; [`Handler::on_channel_close`] follows.
    fn close_data_channel(&self, stream_id: u16) -> Result<(), Error>;

    /// Asks the peer's encoder for a key frame.
    fn request_keyframe(&self) -> Result<(), Error>;

    /// Does what is due and delivers events, for those who drive a peer themselves. Where
    /// threads of the implementation do so, it returns at once.
    fn main_loop(&self) -> Result<(), Error>;

    /// Ends the connection; [`new_connection`](Self::new_connection) may follow.
    fn disconnect(&self) -> Result<(), Error>;

    /// A snapshot of states and figures.
    fn query(&self) -> Result<Report, Error>;

    /// Installs a hook that changes encoded frames on their way out or in (for example, encryption
    /// from end to end); `None` removes it.
    fn set_rtp_transformer(
        &self,
        side: TransformerSide,
        transformer: Option<Box<dyn RtpTransformer>>,
    ) -> Result<(), Error>;

    /// The remote address of the pair in use.
    fn paired_addr(&self) -> Option<SocketAddr>;

    /// Ends the connection for good and gives everything back; later calls fail with
    /// [`Error::WrongState`].
    fn close(&self);
}

pub use esp_rtp::{Side as TransformerSide, Transformer as RtpTransformer};

/// What a peer connection tells its owner.
///
/// Calls come one after the other from the delivery task, or from
/// [`PeerConnection::main_loop`]. A call that blocks holds back the events of this peer alone:
/// sending goes on, other peers go on; media that does not fit the bounded queue meanwhile is dropped
/// and counted, data channels close their window.
#[allow(unused_variables)]
pub trait Handler: Send {
    /// The state changed.
    fn on_state(&mut self, state: State) {}

    /// A message to carry to the peer: a description or a candidate.
    fn on_msg(&mut self, msg: Signal<'_>) {}

    /// The peer's sound is about to arrive and looks like this.
    fn on_audio_info(&mut self, info: AudioInfo) {}

    /// One packet of the peer's sound.
    fn on_audio_data(&mut self, frame: Frame<'_>) {}

    /// The peer's pictures are about to arrive; told again when a key frame shows their size, and when it
    /// changes.
    fn on_video_info(&mut self, info: VideoInfo) {}

    /// One picture of the peer.
    fn on_video_data(&mut self, frame: Frame<'_>) {}

    /// What was negotiated for sending: the codecs that the peer prefers, `None` where nothing is
    /// to be sent.
    fn on_negotiated(&mut self, media: NegotiatedMedia) {}

    /// A data channel is up.
    fn on_channel_open(&mut self, channel: &ChannelInfo) {}

    /// A message arrived on a data channel.
    fn on_data(&mut self, frame: DataFrame<'_>) {}

    /// A part of a message arrived, `last` ends it. Messages of more than 64 KiB come so where
    /// `sctp.delivery` is [`Delivery::Parts`](crate::sctp::Delivery::Parts), smaller ones by
    /// [`on_data`](Self::on_data). No other message of the channel comes between;
    /// [`Notice::MessageAborted`] tells of a message that the peer gave up half sent.
    fn on_data_part(&mut self, part: DataFrame<'_>, last: bool) {}

    /// A data channel ended.
    fn on_channel_close(&mut self, channel: &ChannelInfo) {}

    /// A data channel that refused a message with [`Error::WouldBlock`] takes messages again.
    fn on_writable(&mut self, stream_id: u16) {}

    /// What waits to be sent on a channel has fallen to the threshold that was set for it.
    fn on_buffered_amount_low(&mut self, stream_id: u16) {}

    /// So many bits a second the path carries of what is sent, sound and pictures together, as far as is known: encoders
    /// should keep below it. Told again when it changes.
    fn on_bitrate(&mut self, bits_per_second: u64) {}

    /// Something worth a line in a log: which candidates, which pair, why it failed.
    fn on_notice(&mut self, notice: &Notice<'_>) {}
}

/// What to send, as both sides agreed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NegotiatedMedia {
    /// The codec and format of the sound to send.
    pub audio: Option<AudioInfo>,
    /// The codec of the pictures to send.
    pub video: Option<Codec>,
    /// H.264 `profile-level-id` that the peer decodes, as three bytes.
    pub h264_profile_level: Option<[u8; 3]>,
    /// H.264 `packetization-mode` in use.
    pub h264_mode: u8,
}

/// A data channel that is up, or was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelInfo {
    /// Its SCTP stream.
    pub stream_id: u16,
    /// Its label.
    pub label: String,
    /// Its subprotocol, empty for none.
    pub protocol: String,
}

/// One thing that happened, for a log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice<'a> {
    /// A local candidate was found.
    LocalCandidate(Cow<'a, str>),
    /// The peer named a candidate.
    RemoteCandidate(Cow<'a, str>),
    /// A pair of addresses is in use, with the candidate types (`host`, `srflx`, `prflx`, `relay`).
    Paired {
        /// Our side.
        local: SocketAddr,
        /// Type of our candidate.
        local_type: &'static str,
        /// The peer's side.
        remote: SocketAddr,
        /// Type of the peer's candidate.
        remote_type: &'static str,
    },
    /// DTLS is up.
    Secured {
        /// `DTLS 1.2` or `DTLS 1.3`.
        version: &'static str,
        /// The SRTP profile, if media was negotiated.
        srtp: Option<&'static str>,
    },
    /// Connected, this long after `new_connection`.
    Connected {
        /// Time since `new_connection`.
        after: Duration,
    },
    /// The path went silent; it may come back.
    Interrupted,
    /// The path came back.
    Recovered,
    /// The peer says how much it can take, in bits a second (REMB).
    BitrateHint(u64),
    /// The peer's association began anew; all channels were closed.
    ChannelsRestarted,
    /// The peer gave up a message on this stream after its first part.
    MessageAborted(u16),
    /// The peer closes the channel of this stream.
    ChannelClosing(u16),
    /// A STUN or TURN server could not be used.
    ServerFailed {
        /// Its URL.
        url: Cow<'a, str>,
        /// In words.
        reason: Cow<'a, str>,
    },
    /// The association that carried data channels ended, and why.
    ChannelsEnded {
        /// In words.
        reason: Cow<'a, str>,
    },
    /// The connection ended, and why.
    Ended {
        /// In words.
        reason: Cow<'a, str>,
    },
}

impl Notice<'_> {
    /// The same notice, owning its text.
    pub fn into_owned(self) -> Notice<'static> {
        match self {
            Notice::LocalCandidate(line) => Notice::LocalCandidate(Cow::Owned(line.into_owned())),
            Notice::RemoteCandidate(line) => Notice::RemoteCandidate(Cow::Owned(line.into_owned())),
            Notice::Paired {
                local,
                local_type,
                remote,
                remote_type,
            } => Notice::Paired {
                local,
                local_type,
                remote,
                remote_type,
            },
            Notice::Secured { version, srtp } => Notice::Secured { version, srtp },
            Notice::Connected { after } => Notice::Connected { after },
            Notice::Interrupted => Notice::Interrupted,
            Notice::Recovered => Notice::Recovered,
            Notice::BitrateHint(bitrate) => Notice::BitrateHint(bitrate),
            Notice::ChannelsRestarted => Notice::ChannelsRestarted,
            Notice::MessageAborted(stream_id) => Notice::MessageAborted(stream_id),
            Notice::ChannelClosing(stream_id) => Notice::ChannelClosing(stream_id),
            Notice::ServerFailed { url, reason } => Notice::ServerFailed {
                url: Cow::Owned(url.into_owned()),
                reason: Cow::Owned(reason.into_owned()),
            },
            Notice::ChannelsEnded { reason } => Notice::ChannelsEnded {
                reason: Cow::Owned(reason.into_owned()),
            },
            Notice::Ended { reason } => Notice::Ended {
                reason: Cow::Owned(reason.into_owned()),
            },
        }
    }
}
