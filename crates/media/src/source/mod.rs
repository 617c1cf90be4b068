//! Where sound and pictures come from: generators and files.

mod byte_stream;
mod melody;
mod pattern;
mod sets;
mod units;
mod video_file;
mod wav;

use std::io::{Read, Seek};
use std::time::Duration;

use crate::Error;
use crate::capture::SupportedVideo;

pub use melody::{Melody, Tone};
pub use pattern::TestPicture;
pub use video_file::VideoFile;
pub use wav::WavFile;

/// What a file is read through.
trait ReadSeek: Read + Seek + Send {}

impl<T: Read + Seek + Send> ReadSeek for T {}

/// A source of pictures that come encoded: a file, later a camera with an encoder of its own.
pub trait EncodedVideoSource: Send {
    /// What it delivers; the same for its whole life.
    fn format(&self) -> SupportedVideo;

    /// Puts the next access unit into `out` (Annex B), replacing its content.
    ///
    /// With `keyframe` it goes forward to the next keyframe first. Keyframes carry their parameter
    /// sets. An error ends the source.
    fn next_unit(&mut self, keyframe: bool, out: &mut Vec<u8>) -> Result<AccessUnit, Error>;
}

/// One encoded picture of an [`EncodedVideoSource`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessUnit {
    /// How long it is shown.
    pub duration: Duration,
    /// Whether decoding can begin with it.
    pub keyframe: bool,
}
