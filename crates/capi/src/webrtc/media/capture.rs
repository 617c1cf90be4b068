//! The capture of a solution: the frames of a handle, on their way past the program.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use esp_webrtc::media::{Capture, CaptureSettings, Error, FrameSink, Supported};
use esp_wire::Frame;

use super::Source;
use super::by_channel::PictureSender;
use crate::border::bytes;
use crate::peer::default::callbacks::frame_shown;
use crate::peer::default::settings;
use crate::peer::types::*;
use crate::webrtc::calls::Calls;

/// A capture as one start of a solution sees it.
pub(in crate::webrtc) struct SolutionCapture {
    source: Arc<Source>,
    /// The one below, where the frames are made here.
    generator: Option<Box<dyn Capture>>,
    calls: Arc<Calls>,
    /// Which connection a capture of frames serves.
    owner: u64,
    /// The program is asked to start and stop.
    asks: bool,
    /// Pictures that are wanted, as the program configured them.
    pictures: esp_peer_video_stream_info_t,
    /// Where pictures go by a data channel.
    by_channel: Option<PictureSender>,
}

/// No two captures of solutions are the same owner.
static OWNERS: AtomicU64 = AtomicU64::new(0);

impl SolutionCapture {
    pub(in crate::webrtc) fn new(
        source: Arc<Source>,
        calls: Arc<Calls>,
        pictures: esp_peer_video_stream_info_t,
        asks: bool,
        by_channel: Option<PictureSender>,
    ) -> Self {
        let generator = match &*source {
            Source::Generator(generator) => Some(generator.capture()),
            Source::Frames(_) => None,
        };
        SolutionCapture {
            source,
            generator,
            calls,
            owner: OWNERS.fetch_add(1, Ordering::Relaxed),
            asks,
            pictures,
            by_channel,
        }
    }

    /// What is wanted, with the figures that the program configured.
    fn wanted(&self, mut settings: CaptureSettings) -> CaptureSettings {
        let configured = settings::pictures(&self.pictures).ok().flatten();
        if let (Some(video), Some(configured)) = (&mut settings.video, configured)
            && (self.by_channel.is_some() || video.info.codec == configured.codec)
        {
            video.info = configured;
        }
        settings
    }
}

impl Capture for SolutionCapture {
    fn supported(&self) -> Supported {
        match &self.generator {
            Some(generator) => generator.supported(),
            // Whatever the configuration says.
            None => Supported::default(),
        }
    }

    fn start(&mut self, settings: CaptureSettings, sink: Box<dyn FrameSink>) -> Result<(), Error> {
        let settings = self.wanted(settings);
        let sink = Box::new(PassingSink {
            inner: sink,
            calls: Arc::clone(&self.calls),
            by_channel: self.by_channel.clone(),
        });
        match (&mut self.generator, &*self.source) {
            (Some(generator), _) => generator.start(settings, sink),
            (None, Source::Frames(frames)) => frames
                .start(self.owner, &settings, sink, self.asks)
                .map_err(|error| Error::Misuse(error.to_string())),
            (None, Source::Generator(_)) => Err(Error::Misuse("there is no generator".into())),
        }
    }

    fn stop(&mut self) {
        match (&mut self.generator, &*self.source) {
            (Some(generator), _) => generator.stop(),
            (None, Source::Frames(frames)) => frames.stop(self.owner),
            (None, Source::Generator(_)) => {}
        }
    }

    fn request_keyframe(&self) {
        match (&self.generator, &*self.source) {
            (Some(generator), _) => generator.request_keyframe(),
            (None, Source::Frames(frames)) => frames.request_keyframe(),
            (None, Source::Generator(_)) => {}
        }
    }

    fn set_video_bitrate(&self, bits_per_second: u32) {
        match (&self.generator, &*self.source) {
            (Some(generator), _) => generator.set_video_bitrate(bits_per_second),
            (None, Source::Frames(frames)) => frames.set_bitrate(bits_per_second, true),
            (None, Source::Generator(_)) => {}
        }
    }

    fn set_audio_bitrate(&self, bits_per_second: u32) {
        match (&self.generator, &*self.source) {
            (Some(generator), _) => generator.set_audio_bitrate(bits_per_second),
            (None, Source::Frames(frames)) => frames.set_bitrate(bits_per_second, false),
            (None, Source::Generator(_)) => {}
        }
    }
}

/// Shows each picture to the program, and takes it where it goes.
struct PassingSink {
    inner: Box<dyn FrameSink>,
    calls: Arc<Calls>,
    by_channel: Option<PictureSender>,
}

impl FrameSink for PassingSink {
    fn on_audio(&mut self, frame: Frame<'_>) {
        self.inner.on_audio(frame);
    }

    fn on_video(&mut self, frame: Frame<'_>, keyframe: bool) {
        let mut shown = frame_shown(frame);
        if !self.calls.video_send(&mut shown) {
            return;
        }
        // SAFETY: they are the frame's own bytes, or those that the program shows and keeps until it is called again.
        let data = unsafe { bytes(shown.data, shown.size, "what the program shows") };
        let Ok(data) = data else {
            return tracing::warn!("a picture whose bytes cannot be is dropped");
        };
        let frame = Frame {
            pts: frame.pts,
            data,
        };
        match &mut self.by_channel {
            Some(sender) => sender.send(frame),
            None => self.inner.on_video(frame, keyframe),
        }
    }
}
