//! Capture and render: sources, sinks, encoders and decoders.
//!
//! A solution sees two traits. It pulls encoded frames from a [`Capture`] into a [`FrameSink`] and
//! pushes received frames into a [`Render`]. [`Generator`] captures from sources (a test picture, a
//! melody, files), encodes once and serves any number of sinks; [`Player`] decodes, measures and
//! records. Whoever has other sources or sinks implements the traits, or one layer below them:
//! [`AudioSource`], [`VideoSource`], [`EncodedVideoSource`], [`AudioOut`], [`VideoOut`], and the codec
//! traits of [`codec`].
//!
//! ```
//! use esp_media::source::TestPicture;
//! use esp_media::{
//!     AudioSettings, CaptureSettings, FrameSink, Generator, GeneratorConfig, Player, PlayerConfig,
//!     Render, VideoSettings,
//! };
//! use esp_wire::{AudioInfo, Codec, Frame, VideoInfo};
//!
//! /// A call to oneself: what is captured is played.
//! struct Loop(Player);
//!
//! impl FrameSink for Loop {
//!     fn on_audio(&mut self, frame: Frame<'_>) {
//!         self.0.on_audio(frame);
//!     }
//!     fn on_video(&mut self, frame: Frame<'_>, _keyframe: bool) {
//!         self.0.on_video(frame);
//!     }
//! }
//!
//! let audio = AudioInfo { codec: Codec::Opus, sample_rate: 48_000, channels: 1 };
//! let video = VideoInfo { codec: Codec::H264, width: 0, height: 0, fps: 0 };
//! let mut player = Player::new(PlayerConfig::new());
//! player.on_audio_info(audio)?;
//! player.on_video_info(video)?;
//!
//! let generator = Generator::new(GeneratorConfig::test_signal(TestPicture::DEFAULT)?)?;
//! let mut capture = generator.capture();
//! let settings = CaptureSettings {
//!     audio: Some(AudioSettings::new(audio)),
//!     video: Some(VideoSettings::new(video)),
//! };
//! capture.start(settings, Box::new(Loop(player)))?;
//! capture.request_keyframe();
//! capture.stop();
//! # Ok::<(), esp_media::Error>(())
//! ```
//!
//! Cameras, microphones, loudspeakers and displays are not here yet; [`device`] says what they will be.

pub mod codec;
pub mod device;
pub mod h264;
pub mod mp4;
pub mod source;

mod capture;
mod error;
mod font;
mod generator;
mod level;
mod pace;
mod player;
mod queue;
mod raw;
mod record;
mod render;
mod resample;

pub use capture::{
    AudioSettings, Capture, CaptureSettings, FrameSink, ProfileLevel, Supported, SupportedVideo,
    VideoSettings,
};
pub use error::{Error, Malformed};
pub use generator::{Generator, GeneratorConfig, VideoInput};
pub use level::{Level, LevelMeter};
pub use player::{Player, PlayerConfig};
pub use raw::{
    AudioFormat, AudioOut, AudioSource, Content, Picture, VideoFormat, VideoOut, VideoSource,
};
pub use record::Recording;
pub use render::{Render, RenderStats};
pub use resample::Resampler;
pub use source::{AccessUnit, EncodedVideoSource};
