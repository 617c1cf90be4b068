//! What a generator is made of.

use std::time::Duration;

use crate::Error;
use crate::raw::{AudioSource, VideoFormat, VideoSource};
use crate::source::{EncodedVideoSource, Melody, TestPicture};

/// Where the pictures of a [`Generator`](crate::Generator) come from.
pub enum VideoInput {
    /// Pictures that are encoded here.
    Raw(Box<dyn VideoSource>),
    /// Pictures that come encoded.
    Encoded(Box<dyn EncodedVideoSource>),
}

/// What a [`Generator`](crate::Generator) is made of.
pub struct GeneratorConfig {
    /// The source of sound, if any.
    pub audio: Option<Box<dyn AudioSource>>,
    /// The source of pictures, if any.
    pub video: Option<VideoInput>,
    /// Whether each sink has a queue and a thread of its own, so that one that blocks holds up no
    /// other; on by default. Without it, sinks are called by the threads that encode.
    pub isolate_sinks: bool,
    /// The least time between two keyframes that were asked for; 300 ms by default.
    pub keyframe_interval: Duration,
}

impl Default for GeneratorConfig {
    fn default() -> Self {
        GeneratorConfig {
            audio: None,
            video: None,
            isolate_sinks: true,
            keyframe_interval: Duration::from_millis(300),
        }
    }
}

impl GeneratorConfig {
    /// Nothing yet.
    pub fn new() -> Self {
        GeneratorConfig::default()
    }

    /// The melody and the moving test picture.
    pub fn test_signal(format: VideoFormat) -> Result<Self, Error> {
        Ok(GeneratorConfig::new()
            .with_audio(Melody::new())
            .with_video(TestPicture::new(format)?))
    }

    /// Takes its sound from `source`.
    pub fn with_audio(mut self, source: impl AudioSource + 'static) -> Self {
        self.audio = Some(Box::new(source));
        self
    }

    /// Takes its pictures from `source` and encodes them.
    pub fn with_video(mut self, source: impl VideoSource + 'static) -> Self {
        self.video = Some(VideoInput::Raw(Box::new(source)));
        self
    }

    /// Takes its pictures, encoded, from `source`.
    pub fn with_encoded_video(mut self, source: impl EncodedVideoSource + 'static) -> Self {
        self.video = Some(VideoInput::Encoded(Box::new(source)));
        self
    }

    /// Gives sinks queues and threads of their own, or not.
    pub fn with_isolated_sinks(mut self, isolate: bool) -> Self {
        self.isolate_sinks = isolate;
        self
    }

    /// Sets the least time between two keyframes that were asked for.
    pub fn with_keyframe_interval(mut self, interval: Duration) -> Self {
        self.keyframe_interval = interval;
        self
    }
}
