//! The queue of events, with frames in buffers that are used again.

use std::collections::VecDeque;
use std::time::Duration;

use esp_wire::Codec;

use super::{EndReason, Event, TrackId};
use crate::congestion::Observation;

/// Events that wait at most, frames included.
const MAX_EVENTS: usize = 4_096;
/// Empty buffers that are kept.
const MAX_SPARE: usize = 8;

/// An event without payload.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Notice {
    Started {
        track: TrackId,
        ssrc: u32,
        codec: Codec,
    },
    Ended {
        track: TrackId,
        ssrc: u32,
        reason: EndReason,
    },
    KeyframeRequested {
        track: TrackId,
    },
    BitrateHint {
        bitrate: u64,
    },
    BitrateEstimate {
        bitrate: u64,
    },
    TransportFeedback(Observation),
}

/// A frame's event without its bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct FrameMeta {
    pub(crate) track: TrackId,
    pub(crate) ssrc: u32,
    pub(crate) codec: Codec,
    pub(crate) pts: Duration,
    pub(crate) captured: Option<Duration>,
    pub(crate) keyframe: bool,
    pub(crate) rotation: u16,
    pub(crate) audio_level: Option<u8>,
}

#[derive(Debug)]
enum Queued {
    Notice(Notice),
    Frame(FrameMeta, Vec<u8>),
}

/// Events in order.
#[derive(Debug)]
pub(crate) struct Events {
    queue: VecDeque<Queued>,
    /// Bytes of the frames in the queue.
    bytes: usize,
    max_bytes: usize,
    spare: Vec<Vec<u8>>,
    /// The frame that the last event lent out.
    lent: Vec<u8>,
}

impl Events {
    pub(crate) fn new(max_bytes: usize) -> Self {
        Events {
            queue: VecDeque::new(),
            bytes: 0,
            max_bytes,
            spare: Vec::new(),
            lent: Vec::new(),
        }
    }

    /// Queues an event; what does not fit is counted.
    pub(crate) fn notice(&mut self, notice: Notice, dropped: &mut u64) {
        if self.queue.len() < MAX_EVENTS {
            self.queue.push_back(Queued::Notice(notice));
        } else {
            *dropped += 1;
        }
    }

    /// Queues a copy of a frame; `false` when there is no room.
    pub(crate) fn frame_copied(&mut self, meta: FrameMeta, data: &[u8]) -> bool {
        if !self.has_room(data.len()) {
            return false;
        }
        let mut buffer = self.spare.pop().unwrap_or_default();
        buffer.clear();
        buffer.extend_from_slice(data);
        self.push(meta, buffer);
        true
    }

    /// Queues a frame and leaves another buffer in its place; `false` when there is no room.
    pub(crate) fn frame_swapped(&mut self, meta: FrameMeta, data: &mut Vec<u8>) -> bool {
        if !self.has_room(data.len()) {
            return false;
        }
        let buffer = std::mem::replace(data, self.spare.pop().unwrap_or_default());
        self.push(meta, buffer);
        true
    }

    fn has_room(&self, bytes: usize) -> bool {
        self.queue.len() < MAX_EVENTS && self.bytes + bytes <= self.max_bytes
    }

    fn push(&mut self, meta: FrameMeta, buffer: Vec<u8>) {
        self.bytes += buffer.len();
        self.queue.push_back(Queued::Frame(meta, buffer));
    }

    /// The next event.
    pub(crate) fn poll(&mut self) -> Option<Event<'_>> {
        let buffer = std::mem::take(&mut self.lent);
        if buffer.capacity() > 0 && self.spare.len() < MAX_SPARE {
            self.spare.push(buffer);
        }
        Some(match self.queue.pop_front()? {
            Queued::Notice(notice) => notice.into(),
            Queued::Frame(meta, buffer) => {
                self.bytes -= buffer.len();
                self.lent = buffer;
                Event::Frame {
                    track: meta.track,
                    ssrc: meta.ssrc,
                    codec: meta.codec,
                    pts: meta.pts,
                    captured: meta.captured,
                    data: &self.lent,
                    keyframe: meta.keyframe,
                    rotation: meta.rotation,
                    audio_level: meta.audio_level,
                }
            }
        })
    }
}

impl From<Notice> for Event<'_> {
    fn from(notice: Notice) -> Self {
        match notice {
            Notice::Started { track, ssrc, codec } => Event::TrackStarted { track, codec, ssrc },
            Notice::Ended {
                track,
                ssrc,
                reason,
            } => Event::TrackEnded {
                track,
                ssrc,
                reason,
            },
            Notice::KeyframeRequested { track } => Event::KeyframeRequested { track },
            Notice::BitrateHint { bitrate } => Event::BitrateHint { bitrate },
            Notice::BitrateEstimate { bitrate } => Event::BitrateEstimate { bitrate },
            Notice::TransportFeedback(seen) => Event::TransportFeedback(seen),
        }
    }
}
