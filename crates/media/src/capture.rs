//! What a solution pulls encoded frames from.

use std::fmt;
use std::str::FromStr;

use esp_wire::{AudioInfo, Frame, VideoInfo};

use crate::Error;

/// Where a capture delivers its frames.
///
/// The methods run on a thread of the capture. A sink that blocks holds up its own frames and, where
/// the capture says so, those of others; none of them may call [`Capture::stop`].
pub trait FrameSink: Send {
    /// One packet of sound; `pts` counts samples since [`Capture::start`].
    fn on_audio(&mut self, frame: Frame<'_>);

    /// One picture; `pts` is the time of capture since [`Capture::start`]. The first one is a keyframe.
    fn on_video(&mut self, frame: Frame<'_>, keyframe: bool);
}

/// A source of encoded sound and pictures, as a solution sees it.
pub trait Capture: Send {
    /// What it can deliver, most wanted first.
    fn supported(&self) -> Supported;

    /// Begins to deliver what `settings` asks for into `sink`.
    ///
    /// [`Error::Misuse`] when it is running already or cannot deliver that format.
    fn start(&mut self, settings: CaptureSettings, sink: Box<dyn FrameSink>) -> Result<(), Error>;

    /// Stops delivering; the sink is not called again once this returns. Does nothing when not running.
    fn stop(&mut self);

    /// Asks that the next picture be a keyframe; requests in quick succession are served by one.
    fn request_keyframe(&self);

    /// Sets the target for video, in bits a second.
    fn set_video_bitrate(&self, bits_per_second: u32);

    /// Sets the target for audio, in bits a second; G.711 has one rate and ignores it.
    fn set_audio_bitrate(&self, bits_per_second: u32);
}

impl<C: Capture + ?Sized> Capture for Box<C> {
    fn supported(&self) -> Supported {
        (**self).supported()
    }

    fn start(&mut self, settings: CaptureSettings, sink: Box<dyn FrameSink>) -> Result<(), Error> {
        (**self).start(settings, sink)
    }

    fn stop(&mut self) {
        (**self).stop();
    }

    fn request_keyframe(&self) {
        (**self).request_keyframe();
    }

    fn set_video_bitrate(&self, bits_per_second: u32) {
        (**self).set_video_bitrate(bits_per_second);
    }

    fn set_audio_bitrate(&self, bits_per_second: u32) {
        (**self).set_audio_bitrate(bits_per_second);
    }
}

/// What a [`Capture`] can deliver.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Supported {
    /// Formats of sound, most wanted first; empty when it has no sound.
    pub audio: Vec<AudioInfo>,
    /// Formats of pictures, most wanted first; empty when it has no pictures.
    pub video: Vec<SupportedVideo>,
}

/// A format of pictures that a [`Capture`] can deliver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SupportedVideo {
    /// Codec, size and frame rate.
    pub info: VideoInfo,
    /// Profile and level to offer; the level is the least that carries `info`.
    pub profile_level: ProfileLevel,
    /// False when the pictures come encoded and can be made neither smaller nor cheaper.
    pub adjustable: bool,
}

/// What a solution asks a [`Capture`] for, after negotiation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CaptureSettings {
    /// The sound to deliver, if any.
    pub audio: Option<AudioSettings>,
    /// The pictures to deliver, if any.
    pub video: Option<VideoSettings>,
}

/// The sound to deliver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioSettings {
    /// Codec, sample rate and channels.
    pub info: AudioInfo,
    /// Bits a second; 0 lets the capture choose.
    pub bitrate: u32,
}

impl AudioSettings {
    /// This format at a bitrate of the capture's choice.
    pub fn new(info: AudioInfo) -> Self {
        AudioSettings { info, bitrate: 0 }
    }
}

/// The pictures to deliver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VideoSettings {
    /// Codec; width, height and frame rate are upper bounds, 0 leaves them to the capture.
    pub info: VideoInfo,
    /// The profile and highest level that the receiver accepts (`profile-level-id`).
    pub profile_level: ProfileLevel,
    /// The largest NAL unit in bytes, so that each fits a packet; 0 for no limit.
    pub max_nal_size: u32,
    /// Bits a second; 0 lets the capture choose.
    pub bitrate: u32,
}

impl VideoSettings {
    /// This format as constrained baseline at level 3.1, in NAL units that fit a packet.
    pub fn new(info: VideoInfo) -> Self {
        VideoSettings {
            info,
            profile_level: ProfileLevel::default(),
            max_nal_size: 1_100,
            bitrate: 0,
        }
    }
}

/// An H.264 `profile-level-id`: profile_idc, constraint flags, level_idc (RFC 6184 §8.1).
///
/// The default is 42e01f, constrained baseline at level 3.1.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProfileLevel(pub [u8; 3]);

impl ProfileLevel {
    /// Constrained baseline at `level_idc` (31 is level 3.1).
    pub const fn constrained_baseline(level_idc: u8) -> Self {
        ProfileLevel([0x42, 0xe0, level_idc])
    }

    /// profile_idc: 66 baseline, 77 main, 100 high.
    pub const fn profile_idc(self) -> u8 {
        self.0[0]
    }

    /// level_idc, ten times the level; level 1b of the older profiles reads as 9.
    pub const fn level_idc(self) -> u8 {
        let [profile, flags, level] = self.0;
        let older = profile == 66 || profile == 77 || profile == 88;
        if older && level == 11 && flags & 0x10 != 0 {
            9
        } else {
            level
        }
    }
}

impl Default for ProfileLevel {
    fn default() -> Self {
        ProfileLevel::constrained_baseline(31)
    }
}

impl fmt::Display for ProfileLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [profile, flags, level] = self.0;
        write!(f, "{profile:02x}{flags:02x}{level:02x}")
    }
}

impl fmt::Debug for ProfileLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ProfileLevel {
    type Err = Error;

    /// Reads six hexadecimal digits.
    fn from_str(text: &str) -> Result<Self, Error> {
        let number = (text.len() == 6 && text.bytes().all(|b| b.is_ascii_hexdigit()))
            .then(|| u32::from_str_radix(text, 16).ok())
            .flatten()
            .ok_or_else(|| Error::malformed("a profile-level-id has six hexadecimal digits"))?;
        let [_, profile, flags, level] = number.to_be_bytes();
        Ok(ProfileLevel([profile, flags, level]))
    }
}
