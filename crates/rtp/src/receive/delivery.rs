//! Frames on their way out: their times, the wait for a keyframe, the transformer, the queue.

use std::time::Duration;

use esp_wire::{Codec, Instant, Kind};

use super::assemble::Finished;
use super::jitter::Incoming;
use super::keyframe::KeyframeRequests;
use crate::clock::{TimestampUnwrap, time_of, unix_of};
use crate::rtcp::SenderInfo;
use crate::session::events::{Events, FrameMeta, Notice};
use crate::transform;
use crate::{Config, Dropped, FrameInfo, ReceiveStats, TrackId, Transformer};

/// Where frames go.
pub(crate) struct Output<'a> {
    pub(crate) events: &'a mut Events,
    pub(crate) transformer: Option<&'a mut (dyn Transformer + 'static)>,
    pub(crate) scratch: &'a mut Vec<u8>,
    pub(crate) dropped: &'a mut Dropped,
}

/// The last part of a received stream.
#[derive(Debug)]
pub(super) struct Delivery {
    ssrc: u32,
    track: TrackId,
    kind: Kind,
    codec: Option<Codec>,
    times: TimestampUnwrap,
    /// Presentation time at which `times` began.
    base: Duration,
    last: Duration,
    pub(super) sender: Option<SenderInfo>,
    pub(super) keyframes: KeyframeRequests,
    /// Pictures are held back until a keyframe.
    waiting: bool,
    wait_for_keyframe: bool,
    max_frame_size: usize,
    pub(super) stats: ReceiveStats,
}

impl Delivery {
    pub(super) fn new(
        now: Instant,
        ssrc: u32,
        track: TrackId,
        kind: Kind,
        config: &Config,
    ) -> Self {
        let interval = config.keyframe_request_interval;
        let period = match kind {
            Kind::Video => config.video.pli_send_interval,
            Kind::Audio => Duration::ZERO,
        };
        Delivery {
            ssrc,
            track,
            kind,
            codec: None,
            times: TimestampUnwrap::default(),
            base: Duration::ZERO,
            last: Duration::ZERO,
            sender: None,
            keyframes: KeyframeRequests::new(now, interval, period),
            waiting: kind == Kind::Video && config.wait_for_keyframe,
            wait_for_keyframe: config.wait_for_keyframe,
            max_frame_size: config.max_frame_size,
            stats: ReceiveStats::default(),
        }
    }

    /// What it carries.
    pub(super) fn codec(&self) -> Option<Codec> {
        self.codec
    }

    /// Notes what a packet carries; true when that is new.
    pub(super) fn starts(&mut self, packet: &Incoming<'_>, out: &mut Output<'_>) -> bool {
        let Some((codec, _)) = packet.content else {
            return false;
        };
        if self.codec == Some(codec) {
            return false;
        }
        if self.codec.replace(codec).is_some() {
            self.rebase();
        }
        // Presentation times count from here, even if this packet's frame never gets whole.
        self.times.ticks(packet.timestamp);
        let (track, ssrc) = (self.track, self.ssrc);
        out.events.notice(
            Notice::Started { track, ssrc, codec },
            &mut out.dropped.unread_events,
        );
        true
    }

    /// Begins a new clock behind the last frame.
    pub(super) fn rebase(&mut self) {
        self.times = TimestampUnwrap::default();
        self.base = self.last + Duration::from_millis(1);
        // The last sender report spoke of the old clock.
        self.sender = None;
    }

    /// Packets were given up.
    pub(super) fn on_gap(&mut self, now: Instant) {
        if self.kind == Kind::Video {
            self.waiting |= self.wait_for_keyframe;
            self.keyframes.want(now);
        }
    }

    /// An access unit came to nothing.
    pub(super) fn on_broken(&mut self, now: Instant) {
        self.stats.broken_frames += 1;
        self.on_gap(now);
    }

    /// Sends out a frame of sound.
    pub(super) fn sound(
        &mut self,
        _now: Instant,
        codec: Codec,
        payload_type: u8,
        packet: &Incoming<'_>,
        out: &mut Output<'_>,
    ) {
        let finished = Finished {
            timestamp: packet.timestamp,
            payload_type,
            codec,
            keyframe: true,
            no_picture: false,
            rotation: 0,
            audio_level: packet.audio_level,
        };
        let meta = self.meta(&finished);
        let sent = match self.transformed(&finished, packet.payload, out) {
            Transformed::Unchanged => out.events.frame_copied(meta, packet.payload),
            Transformed::Scratch => out.events.frame_swapped(meta, out.scratch),
            Transformed::Refused => {
                self.stats.broken_frames += 1;
                return;
            }
        };
        self.count(sent, false, out);
    }

    /// Sends out a picture, unless it must wait for a keyframe.
    pub(super) fn picture(
        &mut self,
        now: Instant,
        finished: Finished,
        data: &mut Vec<u8>,
        out: &mut Output<'_>,
    ) {
        let meta = self.meta(&finished);
        if finished.keyframe {
            self.waiting = false;
            self.keyframes.on_keyframe();
        } else if self.waiting && !finished.no_picture {
            self.stats.skipped_frames += 1;
            self.keyframes.want(now);
            return;
        }
        let sent = match self.transformed(&finished, data, out) {
            Transformed::Unchanged => out.events.frame_swapped(meta, data),
            Transformed::Scratch => out.events.frame_swapped(meta, out.scratch),
            Transformed::Refused => return self.on_broken(now),
        };
        self.count(sent, finished.keyframe, out);
        if !sent {
            self.on_gap(now);
        }
    }

    fn count(&mut self, sent: bool, keyframe: bool, out: &mut Output<'_>) {
        if sent {
            self.stats.frames += 1;
            self.stats.keyframes += u64::from(keyframe);
        } else {
            out.dropped.unread_frames += 1;
        }
    }

    fn meta(&mut self, finished: &Finished) -> FrameMeta {
        let rate = finished.codec.clock_rate();
        let pts = self.base + time_of(self.times.ticks(finished.timestamp), rate);
        self.last = self.last.max(pts);
        FrameMeta {
            track: self.track,
            ssrc: self.ssrc,
            codec: finished.codec,
            pts,
            captured: self.sender.map(|sender| {
                let unix = unix_of(sender.ntp);
                let ticks = finished.timestamp.wrapping_sub(sender.rtp) as i32;
                let distance = time_of(i64::from(ticks.unsigned_abs()), rate);
                if ticks < 0 {
                    unix.saturating_sub(distance)
                } else {
                    unix + distance
                }
            }),
            keyframe: finished.keyframe,
            rotation: finished.rotation,
            audio_level: finished.audio_level,
        }
    }

    fn transformed(&self, finished: &Finished, data: &[u8], out: &mut Output<'_>) -> Transformed {
        let Some(transformer) = out.transformer.as_deref_mut() else {
            return Transformed::Unchanged;
        };
        let info = FrameInfo {
            track: self.track,
            codec: finished.codec,
            payload_type: finished.payload_type,
        };
        match transform::run(transformer, info, data, out.scratch, self.max_frame_size) {
            Some(frame) => {
                let len = frame.len();
                out.scratch.truncate(len);
                Transformed::Scratch
            }
            None => Transformed::Refused,
        }
    }
}

enum Transformed {
    /// No transformer is set.
    Unchanged,
    /// The frame is in the scratch buffer.
    Scratch,
    Refused,
}
