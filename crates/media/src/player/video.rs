//! The thread of received pictures.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use esp_wire::Frame;

use super::{Counters, count};
use crate::codec::{H264Decoder, VideoDecoder};
use crate::pace::lock;
use crate::queue::{Entry, FrameQueue};
use crate::raw::{Picture, VideoOut};
use crate::record::Mp4Recorder;

pub(super) struct VideoWorker {
    counters: Arc<Counters>,
    mp4: Option<Arc<Mutex<Mp4Recorder>>>,
    out: Option<Box<dyn VideoOut>>,
    /// The size up to which pictures are decoded; `None` when they are not.
    max_pixels: Option<u32>,
    decoder: Option<H264Decoder>,
    /// Whether a keyframe has been decoded and nothing went wrong since.
    whole: bool,
    picture: Picture,
}

impl VideoWorker {
    pub(super) fn new(
        counters: Arc<Counters>,
        mp4: Option<Arc<Mutex<Mp4Recorder>>>,
        out: Option<Box<dyn VideoOut>>,
        max_pixels: Option<u32>,
    ) -> Self {
        VideoWorker {
            counters,
            mp4,
            out,
            max_pixels,
            decoder: None,
            whole: false,
            picture: Picture::default(),
        }
    }

    pub(super) fn run(mut self, queue: &FrameQueue) {
        let mut data = Vec::new();
        while let Some((entry, pts)) = queue.pop(&mut data) {
            match entry {
                Entry::VideoInfo(_) => self.on_info(),
                Entry::Video(keyframe) => {
                    let frame = Frame { pts, data: &data };
                    self.record(frame);
                    self.decode(frame, keyframe);
                }
                Entry::Audio | Entry::AudioInfo(_) => {}
            }
        }
    }

    /// The decoder serves all formats of its codec; said again, nothing begins anew.
    fn on_info(&mut self) {
        if self.decoder.is_some() {
            return;
        }
        self.decoder = self.max_pixels.and_then(|pixels| {
            let made = H264Decoder::new();
            made.inspect_err(|error| tracing::error!(%error, "no decoder for pictures"))
                .ok()
                .map(|decoder| decoder.with_max_pixels(pixels))
        });
    }

    fn record(&mut self, frame: Frame<'_>) {
        let Some(mp4) = &self.mp4 else {
            return;
        };
        match lock(mp4).on_video(frame, Instant::now()) {
            Ok(taken) => {
                let taken = u64::from(taken);
                self.counters
                    .video_recorded
                    .fetch_add(taken, Ordering::Relaxed);
                return;
            }
            Err(error) => self.counters.record_failed(&error),
        }
        self.mp4 = None;
    }

    fn decode(&mut self, frame: Frame<'_>, keyframe: bool) {
        let Some(decoder) = &mut self.decoder else {
            return;
        };
        self.whole |= keyframe;
        if !self.whole {
            count(&self.counters.video_dropped);
            self.counters.keyframe_wanted.store(true, Ordering::Relaxed);
            return;
        }
        match decoder.decode(frame.data, &mut self.picture) {
            Ok(true) => {}
            // Profiles that may reorder pictures come out one later.
            Ok(false) => return,
            Err(error) => {
                tracing::debug!(%error, "a picture was dropped");
                count(&self.counters.video_dropped);
                self.counters.keyframe_wanted.store(true, Ordering::Relaxed);
                self.whole = false;
                return;
            }
        }
        count(&self.counters.video_decoded);
        let size = (self.picture.width() as u32, self.picture.height() as u32);
        self.counters.width.store(size.0, Ordering::Relaxed);
        self.counters.height.store(size.1, Ordering::Relaxed);
        if let Some(out) = &mut self.out {
            out.on_picture(frame.pts, &self.picture);
        }
    }
}
