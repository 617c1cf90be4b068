//! What a solution pushes received frames into.

use esp_wire::{AudioInfo, Frame, VideoInfo};

use crate::Error;
use crate::level::Level;

/// Where received sound and pictures go, as a solution sees it.
///
/// No method waits for a decoder, a disk or a device: frames are queued within bounds, and what does
/// not fit is dropped and counted.
pub trait Render: Send {
    /// Says how the sound that follows is encoded.
    ///
    /// [`Error::Misuse`] when it cannot be decoded here; its frames are then dropped.
    fn on_audio_info(&mut self, info: AudioInfo) -> Result<(), Error>;

    /// One packet of sound.
    fn on_audio(&mut self, frame: Frame<'_>);

    /// Says how the pictures that follow are encoded.
    ///
    /// [`Error::Misuse`] when they cannot be decoded here; their frames are then dropped.
    fn on_video_info(&mut self, info: VideoInfo) -> Result<(), Error>;

    /// One picture.
    fn on_video(&mut self, frame: Frame<'_>);

    /// Works off what is queued, closes files and ends threads. Does nothing the second time.
    fn stop(&mut self);

    /// How loud the received sound is.
    fn level(&self) -> Level;

    /// What has been received, decoded and dropped so far.
    fn stats(&self) -> RenderStats;

    /// True once after pictures were lost here, so that the peer is asked for a keyframe.
    fn take_keyframe_request(&mut self) -> bool {
        false
    }
}

/// What a [`Render`] has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RenderStats {
    /// Packets of sound that arrived.
    pub audio_received: u64,
    /// Packets of sound that were decoded.
    pub audio_decoded: u64,
    /// Packets of sound that were missing and made up.
    pub audio_concealed: u64,
    /// Packets of sound that were dropped: queue full, late, or not decodable.
    pub audio_dropped: u64,
    /// Pictures that arrived.
    pub video_received: u64,
    /// Pictures that were decoded.
    pub video_decoded: u64,
    /// Pictures that were dropped: queue full, waiting for a keyframe, or not decodable.
    pub video_dropped: u64,
    /// Pixels of the last decoded picture, 0 before the first.
    pub width: u32,
    /// Pixels of the last decoded picture, 0 before the first.
    pub height: u32,
    /// Pictures written to files.
    pub video_recorded: u64,
    /// Samples for each channel written to files.
    pub samples_recorded: u64,
    /// Recordings that ended early because a file could not be written.
    pub record_errors: u64,
}
