//! H.264 by OpenH264: constrained baseline, one slice a packet.

use std::time::Duration;

use openh264::decoder::{Decoder, DecoderConfig, Flush};
use openh264::encoder::{
    BitRate, Encoder, EncoderConfig, FrameRate, FrameType, IntraFramePeriod, Level, Profile,
    RateControlMode, SpsPpsStrategy, UsageType,
};
use openh264::formats::YUVSource;
use openh264::{OpenH264API, Timestamp};

use super::native;
use super::{Encoded, VideoDecoder, VideoEncoder};
use crate::Error;
use crate::capture::VideoSettings;
use crate::h264::{NalUnits, Sps, fits, kind, max_bitrate, nal_type};
use crate::raw::{Picture, VideoFormat};

/// The smallest NAL unit that OpenH264 can be held to, plus some room.
const LEAST_NAL_SIZE: u32 = 700;

/// The least bitrate that is set, in bits a second.
const LEAST_BITRATE: u32 = 30_000;

/// Encodes constrained baseline at the negotiated level, with parameter sets before every IDR.
pub struct H264Encoder {
    inner: Encoder,
    format: VideoFormat,
    most: u32,
    /// The bitrate that the encoder works at.
    bitrate: u32,
    /// The bitrate that is wanted.
    wanted: u32,
    started: bool,
    keyframe: bool,
}

impl H264Encoder {
    /// An encoder for pictures of `format`.
    ///
    /// The default bitrate is a tenth of a bit a pixel, 768 kbit/s for 640x480 at 25 frames a second.
    /// [`Error::Misuse`] when the level of `settings` does not carry such pictures.
    pub fn new(settings: VideoSettings, format: VideoFormat) -> Result<Self, Error> {
        let VideoFormat { width, height, fps } = format;
        let level = settings.profile_level.level_idc();
        if width < 16 || height < 16 || fps == 0 || !fits(level, width, height, fps) {
            return Err(Error::misuse(format!(
                "H.264 at profile and level {} does not carry {width}x{height} at {fps} a second",
                settings.profile_level
            )));
        }
        let most = max_bitrate(level) / 3 * 2;
        let bitrate = match settings.bitrate {
            0 => (u64::from(width) * u64::from(height) * u64::from(fps) / 10) as u32,
            chosen => chosen,
        };
        let bitrate = bitrate.max(LEAST_BITRATE).min(most);
        let mut config = EncoderConfig::new()
            .profile(Profile::Baseline)
            .level(level_of(level))
            .bitrate(BitRate::from_bps(bitrate))
            .max_frame_rate(FrameRate::from_hz(fps as f32))
            .rate_control_mode(RateControlMode::Bitrate)
            // Without this the encoder does not follow a change of bitrate.
            .skip_frames(true)
            .usage_type(UsageType::CameraVideoRealTime)
            .sps_pps_strategy(SpsPpsStrategy::ConstantId)
            .intra_frame_period(IntraFramePeriod::from_num_frames(0))
            .num_threads(1);
        if settings.max_nal_size > 0 {
            config = config.max_slice_len(settings.max_nal_size.max(LEAST_NAL_SIZE));
        }
        let mut inner = Encoder::with_api_config(OpenH264API::from_source(), config)
            .map_err(|e| Error::Codec(format!("H.264 encoder: {e}")))?;
        native::silence(&mut inner);
        Ok(H264Encoder {
            inner,
            format,
            most,
            // Set once more after the first picture, which gives the encoder a ceiling above its target.
            bitrate: 0,
            wanted: bitrate,
            started: false,
            keyframe: false,
        })
    }

    /// The options can be set only on an encoder that has seen its first picture.
    fn follow_bitrate(&mut self) {
        if self.started && self.wanted != self.bitrate {
            if !native::set_bitrate(&mut self.inner, self.bitrate, self.wanted) {
                tracing::warn!(bitrate = self.wanted, "the H.264 encoder refused a bitrate");
            }
            self.bitrate = self.wanted;
        }
    }
}

impl VideoEncoder for H264Encoder {
    fn encode(
        &mut self,
        picture: &Picture,
        pts: Duration,
        out: &mut Vec<u8>,
    ) -> Result<Encoded, Error> {
        out.clear();
        let size = (self.format.width as usize, self.format.height as usize);
        if (picture.width(), picture.height()) != size {
            return Err(Error::misuse(
                "the picture has another size than the encoder",
            ));
        }
        self.follow_bitrate();
        if self.started && self.keyframe {
            self.inner.force_intra_frame();
        }
        let time = Timestamp::from_millis(pts.as_millis() as u64);
        let stream = self
            .inner
            .encode_at(&Planes(picture), time)
            .map_err(|e| Error::Codec(format!("H.264 encoder: {e}")))?;
        self.started = true;
        let kind = stream.frame_type();
        if matches!(kind, FrameType::Skip | FrameType::Invalid) {
            return Ok(Encoded::Skipped);
        }
        stream.write_vec(out);
        if out.is_empty() {
            return Ok(Encoded::Skipped);
        }
        if kind == FrameType::IDR {
            self.keyframe = false;
            return Ok(Encoded::Key);
        }
        Ok(Encoded::Delta)
    }

    fn request_keyframe(&mut self) {
        self.keyframe = true;
    }

    fn set_bitrate(&mut self, bits_per_second: u32) {
        self.wanted = bits_per_second.max(LEAST_BITRATE).min(self.most);
    }
}

/// The highest level of the standard that does not exceed `level_idc`.
fn level_of(level_idc: u8) -> Level {
    match level_idc {
        9 => Level::Level_1_B,
        0..=10 => Level::Level_1_0,
        11 => Level::Level_1_1,
        12 => Level::Level_1_2,
        13..=19 => Level::Level_1_3,
        20 => Level::Level_2_0,
        21 => Level::Level_2_1,
        22..=29 => Level::Level_2_2,
        30 => Level::Level_3_0,
        31 => Level::Level_3_1,
        32..=39 => Level::Level_3_2,
        40 => Level::Level_4_0,
        41 => Level::Level_4_1,
        42..=49 => Level::Level_4_2,
        50 => Level::Level_5_0,
        51 => Level::Level_5_1,
        _ => Level::Level_5_2,
    }
}

struct Planes<'a>(&'a Picture);

impl YUVSource for Planes<'_> {
    fn dimensions(&self) -> (usize, usize) {
        (self.0.width(), self.0.height())
    }

    fn strides(&self) -> (usize, usize, usize) {
        let width = self.0.width();
        (width, width / 2, width / 2)
    }

    fn y(&self) -> &[u8] {
        self.0.planes()[0]
    }

    fn u(&self) -> &[u8] {
        self.0.planes()[1]
    }

    fn v(&self) -> &[u8] {
        self.0.planes()[2]
    }
}

/// Decodes what OpenH264 can: baseline, main and high without interlacing.
pub struct H264Decoder {
    inner: Decoder,
    max_pixels: u32,
}

impl H264Decoder {
    /// A decoder for pictures of up to 1920x1088 pixels.
    pub fn new() -> Result<Self, Error> {
        let config = DecoderConfig::new().flush_after_decode(Flush::NoFlush);
        let inner = Decoder::with_api_config(OpenH264API::from_source(), config)
            .map_err(|e| Error::Codec(format!("H.264 decoder: {e}")))?;
        Ok(H264Decoder {
            inner,
            max_pixels: 1_920 * 1_088,
        })
    }

    /// Refuses pictures of more pixels than this, which bounds the decoder's memory.
    pub fn with_max_pixels(mut self, pixels: u32) -> Self {
        self.max_pixels = pixels;
        self
    }

    /// A parameter set may announce pictures that would cost gigabytes.
    fn check_size(&self, frame: &[u8]) -> Result<(), Error> {
        for nal in NalUnits::new(frame).filter(|nal| nal_type(nal) == kind::SPS) {
            let sps = Sps::parse(nal)
                .ok_or_else(|| Error::malformed("the sequence parameter set is garbled"))?;
            if sps.width * sps.height > self.max_pixels {
                return Err(Error::malformed(format!(
                    "pictures of {}x{} are larger than allowed",
                    sps.width, sps.height
                )));
            }
        }
        Ok(())
    }
}

impl VideoDecoder for H264Decoder {
    fn decode(&mut self, frame: &[u8], picture: &mut Picture) -> Result<bool, Error> {
        self.check_size(frame)?;
        let decoded = self
            .inner
            .decode(frame)
            .map_err(|e| Error::Codec(format!("H.264 decoder: {e}")))?;
        let Some(decoded) = decoded else {
            return Ok(false);
        };
        let (width, height) = decoded.dimensions();
        picture.resize(width as u32, height as u32);
        let (width, strides) = (picture.width(), decoded.strides());
        let from = [
            (decoded.y(), strides.0, width),
            (decoded.u(), strides.1, width / 2),
            (decoded.v(), strides.2, width / 2),
        ];
        for (to, (from, stride, width)) in picture.planes_mut().into_iter().zip(from) {
            if width == 0 || stride < width {
                return Ok(false);
            }
            for (to, from) in to.chunks_exact_mut(width).zip(from.chunks(stride)) {
                let width = width.min(from.len());
                to[..width].copy_from_slice(&from[..width]);
            }
        }
        Ok(true)
    }
}
