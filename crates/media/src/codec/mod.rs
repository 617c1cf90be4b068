//! Encoders and decoders behind traits of our own.

mod g711;
mod h264;
mod native;
mod opus;

use std::time::Duration;

use esp_wire::{AudioInfo, Codec};

use crate::capture::{AudioSettings, VideoSettings};
use crate::raw::{Content, Picture, VideoFormat};
use crate::{AudioFormat, Error};

pub use g711::{ALaw, G711, Law, MuLaw};
pub use h264::{H264Decoder, H264Encoder};
pub use opus::{OpusDecoder, OpusEncoder};

/// How many frames of sound a second all our encoders make.
pub const FRAMES_A_SECOND: u32 = 50;

/// How long a frame of sound lasts.
pub const FRAME_TIME: Duration = Duration::from_millis(20);

/// Turns PCM into frames of 20 ms.
pub trait AudioEncoder: Send {
    /// The layout of the PCM that it takes.
    fn format(&self) -> AudioFormat;

    /// Encodes 20 ms of interleaved PCM into `out`, replacing its content.
    ///
    /// [`Error::Misuse`] when `pcm` has another length.
    fn encode(&mut self, pcm: &[i16], out: &mut Vec<u8>) -> Result<(), Error>;

    /// Sets the target in bits a second, where the codec has one.
    fn set_bitrate(&mut self, bits_per_second: u32);
}

/// Turns frames of sound into PCM.
pub trait AudioDecoder: Send {
    /// The layout of the PCM that it makes.
    fn format(&self) -> AudioFormat;

    /// Decodes one packet into `pcm` (interleaved), replacing its content.
    fn decode(&mut self, packet: &[u8], pcm: &mut Vec<i16>) -> Result<(), Error>;

    /// Makes up `samples` for each channel that were lost, replacing the content of `pcm`.
    ///
    /// `next` is the packet after the loss, which may carry a copy of what was lost last.
    fn conceal(
        &mut self,
        samples: usize,
        next: Option<&[u8]>,
        pcm: &mut Vec<i16>,
    ) -> Result<(), Error>;
}

/// What came of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoded {
    /// A keyframe, with its parameter sets.
    Key,
    /// A picture that needs those before it.
    Delta,
    /// Nothing: left out to keep to the bitrate.
    Skipped,
}

/// Turns pictures into frames.
pub trait VideoEncoder: Send {
    /// Encodes a picture into `out`, replacing its content.
    fn encode(
        &mut self,
        picture: &Picture,
        pts: Duration,
        out: &mut Vec<u8>,
    ) -> Result<Encoded, Error>;

    /// Makes the next picture a keyframe.
    fn request_keyframe(&mut self);

    /// Sets the target in bits a second.
    fn set_bitrate(&mut self, bits_per_second: u32);
}

/// Turns frames into pictures.
pub trait VideoDecoder: Send {
    /// Decodes one frame into `picture`; false when no picture came of it.
    fn decode(&mut self, frame: &[u8], picture: &mut Picture) -> Result<bool, Error>;
}

/// An encoder for these settings.
///
/// [`Error::Misuse`] when there is none.
pub fn audio_encoder(
    settings: AudioSettings,
    content: Content,
) -> Result<Box<dyn AudioEncoder>, Error> {
    let info = settings.info;
    check_audio(info)?;
    Ok(match info.codec {
        Codec::Opus => Box::new(OpusEncoder::new(settings, content)?),
        Codec::Pcma => Box::new(G711::<ALaw>::default()),
        _ => Box::new(G711::<MuLaw>::default()),
    })
}

/// A decoder for this format.
///
/// [`Error::Misuse`] when there is none.
pub fn audio_decoder(info: AudioInfo) -> Result<Box<dyn AudioDecoder>, Error> {
    check_audio(info)?;
    Ok(match info.codec {
        Codec::Opus => Box::new(OpusDecoder::new(info)?),
        Codec::Pcma => Box::new(G711::<ALaw>::default()),
        _ => Box::new(G711::<MuLaw>::default()),
    })
}

/// An encoder of pictures of this size and pace for these settings.
///
/// [`Error::Misuse`] when there is none, or when the receiver's level does not carry the pictures.
pub fn video_encoder(
    settings: VideoSettings,
    format: VideoFormat,
) -> Result<Box<dyn VideoEncoder>, Error> {
    match settings.info.codec {
        Codec::H264 => Ok(Box::new(H264Encoder::new(settings, format)?)),
        other => Err(Error::misuse(format!("there is no encoder for {other}"))),
    }
}

/// A decoder for this codec.
///
/// [`Error::Misuse`] when there is none.
pub fn video_decoder(codec: Codec) -> Result<Box<dyn VideoDecoder>, Error> {
    match codec {
        Codec::H264 => Ok(Box::new(H264Decoder::new()?)),
        other => Err(Error::misuse(format!("there is no decoder for {other}"))),
    }
}

fn check_audio(info: AudioInfo) -> Result<(), Error> {
    let fits = match info.codec {
        Codec::Opus => info.sample_rate == 48_000 && matches!(info.channels, 1 | 2),
        Codec::Pcma | Codec::Pcmu => info.sample_rate == 8_000 && info.channels == 1,
        _ => false,
    };
    if fits {
        return Ok(());
    }
    Err(Error::misuse(format!(
        "no codec for {} at {} Hz with {} channels",
        info.codec, info.sample_rate, info.channels
    )))
}
