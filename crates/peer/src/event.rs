//! What a peer reports, borrowed from its engines.

use std::borrow::Cow;
use std::collections::VecDeque;

use esp_rtp::format::h264::picture_size;
use esp_sctp::ChannelHandle;
use esp_wire::{AudioInfo, Codec, DataFrame, DataKind, Frame, Kind, Signal, VideoInfo};

use crate::call::{Channels, Tracks};
use crate::{ChannelInfo, Handler, NegotiatedMedia, Notice, PeerConfig, State};

/// One event; each has its call in [`Handler`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// [`Handler::on_state`].
    State(State),
    /// [`Handler::on_msg`].
    Msg(Signal<'a>),
    /// [`Handler::on_audio_info`].
    AudioInfo(AudioInfo),
    /// [`Handler::on_audio_data`].
    Audio(Frame<'a>),
    /// [`Handler::on_video_info`].
    VideoInfo(VideoInfo),
    /// [`Handler::on_video_data`].
    Video(Frame<'a>),
    /// [`Handler::on_negotiated`].
    Negotiated(NegotiatedMedia),
    /// [`State::DataChannelOpened`], then [`Handler::on_channel_open`].
    ChannelOpen(ChannelInfo),
    /// [`Handler::on_data`].
    Data(DataFrame<'a>),
    /// [`Handler::on_data_part`].
    DataPart {
        /// The part.
        part: DataFrame<'a>,
        /// The message ends here.
        last: bool,
    },
    /// [`State::DataChannelClosed`], then [`Handler::on_channel_close`].
    ChannelClose(ChannelInfo),
    /// [`Handler::on_writable`].
    Writable(u16),
    /// [`Handler::on_buffered_amount_low`].
    BufferedAmountLow(u16),
    /// [`Handler::on_notice`].
    Notice(Notice<'a>),
    /// [`Handler::on_bitrate`].
    Bitrate(u64),
    /// Arrival times of our packets, for bandwidth estimation; no call belongs to it.
    Feedback(esp_rtp::congestion::Observation),
}

impl Event<'_> {
    /// Makes the calls that belong to the event.
    pub fn deliver(self, handler: &mut dyn Handler) {
        match self {
            Event::State(state) => handler.on_state(state),
            Event::Msg(msg) => handler.on_msg(msg),
            Event::AudioInfo(info) => handler.on_audio_info(info),
            Event::Audio(frame) => handler.on_audio_data(frame),
            Event::VideoInfo(info) => handler.on_video_info(info),
            Event::Video(frame) => handler.on_video_data(frame),
            Event::Negotiated(media) => handler.on_negotiated(media),
            Event::ChannelOpen(channel) => {
                handler.on_state(State::DataChannelOpened);
                handler.on_channel_open(&channel);
            }
            Event::Data(frame) => handler.on_data(frame),
            Event::DataPart { part, last } => handler.on_data_part(part, last),
            Event::ChannelClose(channel) => {
                handler.on_state(State::DataChannelClosed);
                handler.on_channel_close(&channel);
            }
            Event::Writable(stream_id) => handler.on_writable(stream_id),
            Event::BufferedAmountLow(stream_id) => handler.on_buffered_amount_low(stream_id),
            Event::Notice(notice) => handler.on_notice(&notice),
            Event::Bitrate(bitrate) => handler.on_bitrate(bitrate),
            Event::Feedback(_) => {}
        }
    }
}

/// An event of RTP in the peer's words; what comes with it goes into `queue`.
pub(crate) fn of_rtp<'a>(
    event: esp_rtp::Event<'a>,
    queue: &mut VecDeque<Event<'static>>,
    tracks: &mut Tracks,
    config: &PeerConfig,
) -> Event<'a> {
    match event {
        esp_rtp::Event::TrackStarted { codec, .. } => match codec.kind() {
            Kind::Audio => {
                queue.push_back(Event::AudioInfo(audio_info(codec, config)));
                Event::State(State::RemoteAudioTrackAdded)
            }
            Kind::Video => {
                tracks.video_size = (0, 0);
                queue.push_back(Event::VideoInfo(video_info(codec, (0, 0))));
                Event::State(State::RemoteVideoTrackAdded)
            }
        },
        esp_rtp::Event::TrackEnded { track, .. } => Event::State(if tracks.audio == Some(track) {
            State::RemoteAudioTrackRemoved
        } else {
            State::RemoteVideoTrackRemoved
        }),
        esp_rtp::Event::Frame {
            codec,
            pts,
            data,
            keyframe,
            ..
        } => {
            let frame = Frame { pts, data };
            if codec == Codec::H264
                && keyframe
                && let Some(size) = picture_size(data)
                && size != tracks.video_size
            {
                tracks.video_size = size;
                queue.push_back(Event::VideoInfo(video_info(codec, size)));
            }
            match codec.kind() {
                Kind::Audio => Event::Audio(frame),
                Kind::Video => Event::Video(frame),
            }
        }
        esp_rtp::Event::KeyframeRequested { .. } => Event::State(State::VideoPliReceived),
        esp_rtp::Event::BitrateHint { bitrate } => Event::Notice(Notice::BitrateHint(bitrate)),
        esp_rtp::Event::BitrateEstimate { bitrate } => Event::Bitrate(bitrate),
        esp_rtp::Event::TransportFeedback(observation) => Event::Feedback(observation),
        _ => Event::Feedback(esp_rtp::congestion::Observation::default()),
    }
}

fn video_info(codec: Codec, (width, height): (u32, u32)) -> VideoInfo {
    VideoInfo {
        codec,
        width,
        height,
        fps: 0,
    }
}

fn audio_info(codec: Codec, config: &PeerConfig) -> AudioInfo {
    let known = config.audio.iter().find(|info| info.codec == codec);
    known.copied().unwrap_or(AudioInfo {
        codec,
        sample_rate: codec.clock_rate(),
        channels: 1,
    })
}

/// An event of SCTP in the peer's words; what comes with it goes into `queue`.
pub(crate) fn of_sctp<'a>(
    event: esp_sctp::Event<'a>,
    queue: &mut VecDeque<Event<'static>>,
    channels: &mut Channels,
) -> Event<'a> {
    use esp_sctp::Event as Sctp;
    match event {
        Sctp::Connected => Event::State(State::DataChannelConnected),
        Sctp::Restarted => Event::Notice(Notice::ChannelsRestarted),
        Sctp::ChannelOpen {
            channel,
            stream_id,
            config,
            ..
        } => {
            let info = channel_info(stream_id, config);
            channels.insert(channel, Box::new(info.clone()));
            Event::ChannelOpen(info)
        }
        Sctp::Message {
            stream_id,
            kind,
            data,
            ..
        } => Event::Data(frame(stream_id, kind, data)),
        Sctp::MessagePart {
            stream_id,
            kind,
            data,
            last,
            ..
        } => Event::DataPart {
            part: frame(stream_id, kind, data),
            last,
        },
        Sctp::MessageAborted { stream_id, .. } => Event::Notice(Notice::MessageAborted(stream_id)),
        Sctp::Writable { channel } => Event::Writable(stream_of(channel, channels)),
        Sctp::BufferedAmountLow { channel } => {
            Event::BufferedAmountLow(stream_of(channel, channels))
        }
        Sctp::ChannelClosing { channel } => {
            Event::Notice(Notice::ChannelClosing(stream_of(channel, channels)))
        }
        Sctp::ChannelClosed {
            channel, stream_id, ..
        } => Event::ChannelClose(match channels.remove(&channel) {
            Some(known) => *known,
            // It never opened: the label is not known here any more.
            None => channel_info(
                stream_id.unwrap_or(u16::MAX),
                &crate::ChannelConfig::new(""),
            ),
        }),
        Sctp::Closed { reason } => {
            // A `ChannelClosed` follows for each of them, behind the messages that are still to be taken.
            queue.push_back(Event::Notice(Notice::ChannelsEnded {
                reason: Cow::Owned(reason.to_string()),
            }));
            Event::State(State::DataChannelDisconnected)
        }
    }
}

fn frame(stream_id: u16, kind: DataKind, data: &[u8]) -> DataFrame<'_> {
    DataFrame {
        kind,
        stream_id,
        data,
    }
}

fn stream_of(handle: ChannelHandle, channels: &Channels) -> u16 {
    // One that never opened has no stream yet; 65,535 is none (RFC 8832 §6).
    let known = channels.get(&handle);
    known.map_or(u16::MAX, |channel| channel.stream_id)
}

/// A channel as the application knows it.
fn channel_info(stream_id: u16, config: &crate::ChannelConfig) -> ChannelInfo {
    ChannelInfo {
        stream_id,
        label: config.label.clone(),
        protocol: config.protocol.clone(),
    }
}
