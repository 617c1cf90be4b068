//! An event that owns its bytes.

use std::time::Duration;

use esp_peer::{ChannelInfo, Event, Handler, NegotiatedMedia, Notice, State};
use esp_wire::{AudioInfo, DataFrame, DataKind, Frame, Kind, Signal, VideoInfo};

use super::Batch;

/// What each waiting event is counted for besides its bytes: even empty messages take memory.
pub(super) const OVERHEAD: usize = 128;

/// An event that owns its bytes.
pub(crate) enum Letter {
    State(State),
    Msg(Signal<'static>),
    AudioInfo(AudioInfo),
    VideoInfo(VideoInfo),
    Media(Kind, Duration, Vec<u8>),
    Negotiated(NegotiatedMedia),
    ChannelOpen(ChannelInfo),
    Data(u16, DataKind, Vec<u8>),
    Part(u16, DataKind, Vec<u8>, bool),
    ChannelClose(ChannelInfo),
    Writable(u16),
    BufferedAmountLow(u16),
    Notice(Notice<'static>),
    Bitrate(u64),
}

impl Letter {
    /// Copies what an event borrows; `None` for one that no call belongs to.
    pub(crate) fn of(event: Event<'_>, batch: &mut Batch) -> Option<Self> {
        Some(match event {
            Event::Audio(frame) => Letter::Media(Kind::Audio, frame.pts, batch.copy(frame.data)),
            Event::Video(frame) => Letter::Media(Kind::Video, frame.pts, batch.copy(frame.data)),
            Event::Data(frame) => Letter::Data(frame.stream_id, frame.kind, batch.copy(frame.data)),
            Event::DataPart { part, last } => {
                Letter::Part(part.stream_id, part.kind, batch.copy(part.data), last)
            }
            Event::State(state) => Letter::State(state),
            Event::Msg(msg) => Letter::Msg(msg.into_owned()),
            Event::AudioInfo(info) => Letter::AudioInfo(info),
            Event::VideoInfo(info) => Letter::VideoInfo(info),
            Event::Negotiated(media) => Letter::Negotiated(media),
            Event::ChannelOpen(channel) => Letter::ChannelOpen(channel),
            Event::ChannelClose(channel) => Letter::ChannelClose(channel),
            Event::Writable(stream_id) => Letter::Writable(stream_id),
            Event::BufferedAmountLow(stream_id) => Letter::BufferedAmountLow(stream_id),
            Event::Notice(notice) => Letter::Notice(notice.into_owned()),
            Event::Bitrate(bitrate) => Letter::Bitrate(bitrate),
            _ => return None,
        })
    }

    /// Makes the call; gives the buffer back.
    pub(super) fn deliver(self, handler: &mut dyn Handler) -> Option<Vec<u8>> {
        let event = match &self {
            Letter::Media(Kind::Audio, pts, data) => Event::Audio(Frame { pts: *pts, data }),
            Letter::Media(Kind::Video, pts, data) => Event::Video(Frame { pts: *pts, data }),
            Letter::Data(stream_id, kind, data) => Event::Data(DataFrame {
                kind: *kind,
                stream_id: *stream_id,
                data,
            }),
            Letter::Part(stream_id, kind, data, last) => Event::DataPart {
                part: DataFrame {
                    kind: *kind,
                    stream_id: *stream_id,
                    data,
                },
                last: *last,
            },
            Letter::State(state) => Event::State(*state),
            Letter::Msg(msg) => Event::Msg(msg.clone()),
            Letter::AudioInfo(info) => Event::AudioInfo(*info),
            Letter::VideoInfo(info) => Event::VideoInfo(*info),
            Letter::Negotiated(media) => Event::Negotiated(*media),
            Letter::ChannelOpen(channel) => Event::ChannelOpen(channel.clone()),
            Letter::ChannelClose(channel) => Event::ChannelClose(channel.clone()),
            Letter::Writable(stream_id) => Event::Writable(*stream_id),
            Letter::BufferedAmountLow(stream_id) => Event::BufferedAmountLow(*stream_id),
            Letter::Notice(notice) => Event::Notice(notice.clone()),
            Letter::Bitrate(bitrate) => Event::Bitrate(*bitrate),
        };
        event.deliver(handler);
        self.into_buffer()
    }

    pub(crate) fn is_media(&self) -> bool {
        matches!(self, Letter::Media(..))
    }

    /// True for what may be left out when too much waits: it changes soon again.
    pub(super) fn is_spare(&self) -> bool {
        matches!(self, Letter::Bitrate(_))
    }

    /// True for what comes again and again.
    pub(super) fn is_flow(&self) -> bool {
        matches!(
            self,
            Letter::Media(..)
                | Letter::Data(..)
                | Letter::Part(..)
                | Letter::Writable(_)
                | Letter::BufferedAmountLow(_)
        )
    }

    /// The memory it is counted for.
    pub(crate) fn weight(&self) -> usize {
        let bytes = match self {
            Letter::Media(_, _, data) | Letter::Data(_, _, data) | Letter::Part(_, _, data, _) => {
                data.len()
            }
            Letter::ChannelOpen(channel) | Letter::ChannelClose(channel) => {
                channel.label.len() + channel.protocol.len()
            }
            _ => 0,
        };
        OVERHEAD + bytes
    }

    pub(super) fn into_buffer(self) -> Option<Vec<u8>> {
        match self {
            Letter::Media(_, _, buffer)
            | Letter::Data(_, _, buffer)
            | Letter::Part(_, _, buffer, _) => Some(buffer),
            _ => None,
        }
    }
}
