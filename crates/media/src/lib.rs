//! Capture and render: sources, sinks, encoders and decoders.
//!
//! A solution sees two traits. It pulls encoded frames from a [`Capture`] into a [`FrameSink`] and
//! pushes received frames into a [`Render`]. [`Generator`] captures from sources (a test picture, a
//! melody, files), encodes once and serves any number of sinks; [`Player`] decodes, measures and
//! records. Whoever has other sources or sinks implements the traits, or one layer below them:
//! [`AudioSource`], [`VideoSource`], [`EncodedVideoSource`], [`AudioOut`], [`VideoOut`], and the codec
//! traits of [`codec`].
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
