//! Opus (RFC 6716) at 48 kHz, in packets of 20 ms.

use esp_wire::AudioInfo;
use opus_pure::{Application, MAX_PACKET_BYTES};

use super::{AudioDecoder, AudioEncoder, FRAMES_A_SECOND};
use crate::capture::AudioSettings;
use crate::raw::Content;
use crate::{AudioFormat, Error};

/// The most samples for each channel that one packet holds: 120 ms (RFC 6716 §2).
const MAX_SAMPLES: usize = 5_760;

/// The share of packets, in percent, that forward error correction is laid out for.
const EXPECTED_LOSS: i32 = 5;

/// Encodes Opus.
///
/// Mono is right for voice: in stereo, in-band forward error correction ends above 32 kbit/s.
#[derive(Debug)]
pub struct OpusEncoder {
    inner: opus_pure::OpusEncoder,
    format: AudioFormat,
    packet: Vec<u8>,
}

impl OpusEncoder {
    /// An encoder at 48 kHz; the default bitrate is 32 kbit/s for mono and 64 for stereo.
    pub fn new(settings: AudioSettings, content: Content) -> Result<Self, Error> {
        let AudioInfo {
            sample_rate,
            channels,
            ..
        } = settings.info;
        let application = match content {
            Content::Voice => Application::Voip,
            Content::Music => Application::Audio,
        };
        let mut inner =
            opus_pure::OpusEncoder::new(sample_rate as i32, usize::from(channels), application)
                .map_err(|e| Error::Codec(format!("Opus encoder: {e}")))?;
        inner.use_inband_fec = true;
        inner.packet_loss_perc = EXPECTED_LOSS;
        let mut encoder = OpusEncoder {
            inner,
            format: AudioFormat {
                sample_rate,
                channels,
            },
            packet: vec![0; MAX_PACKET_BYTES],
        };
        let bitrate = match settings.bitrate {
            0 => 32_000 * u32::from(channels),
            chosen => chosen,
        };
        encoder.set_bitrate(bitrate);
        Ok(encoder)
    }
}

impl AudioEncoder for OpusEncoder {
    fn format(&self) -> AudioFormat {
        self.format
    }

    fn encode(&mut self, pcm: &[i16], out: &mut Vec<u8>) -> Result<(), Error> {
        let samples = (self.format.sample_rate / FRAMES_A_SECOND) as usize;
        if pcm.len() != samples * usize::from(self.format.channels) {
            return Err(Error::misuse("Opus is encoded in blocks of 20 ms"));
        }
        let size = self
            .inner
            .encode_s16(pcm, samples, &mut self.packet)
            .map_err(|e| Error::Codec(format!("Opus encoder: {e}")))?;
        out.clear();
        out.extend_from_slice(&self.packet[..size]);
        Ok(())
    }

    fn set_bitrate(&mut self, bits_per_second: u32) {
        // RFC 6716 §2.1.1: 6 to 510 kbit/s.
        self.inner.bitrate_bps = bits_per_second.clamp(6_000, 510_000) as i32;
    }
}

/// Decodes Opus to 48 kHz.
#[derive(Debug)]
pub struct OpusDecoder {
    inner: opus_pure::OpusDecoder,
    format: AudioFormat,
}

impl OpusDecoder {
    /// A decoder that makes as many channels as `info` says, whatever the packets hold.
    pub fn new(info: AudioInfo) -> Result<Self, Error> {
        let inner =
            opus_pure::OpusDecoder::new(info.sample_rate as i32, usize::from(info.channels))
                .map_err(|e| Error::Codec(format!("Opus decoder: {e}")))?;
        Ok(OpusDecoder {
            inner,
            format: AudioFormat {
                sample_rate: info.sample_rate,
                channels: info.channels,
            },
        })
    }

    fn run(
        &mut self,
        samples: usize,
        pcm: &mut Vec<i16>,
        decode: impl FnOnce(&mut opus_pure::OpusDecoder, &mut [i16]) -> opus_pure::Result<usize>,
    ) -> Result<(), Error> {
        let channels = usize::from(self.format.channels);
        pcm.clear();
        pcm.resize(samples * channels, 0);
        let made = decode(&mut self.inner, pcm);
        pcm.truncate(made.as_ref().map_or(0, |made| made * channels));
        made.map(|_| ())
            .map_err(|e| Error::Codec(format!("Opus decoder: {e}")))
    }
}

impl AudioDecoder for OpusDecoder {
    fn format(&self) -> AudioFormat {
        self.format
    }

    fn decode(&mut self, packet: &[u8], pcm: &mut Vec<i16>) -> Result<(), Error> {
        if packet.is_empty() {
            pcm.clear();
            return Err(Error::malformed("an Opus packet has at least one byte"));
        }
        self.run(MAX_SAMPLES, pcm, |inner, pcm| {
            inner.decode_s16(packet, MAX_SAMPLES, pcm)
        })
    }

    fn conceal(
        &mut self,
        samples: usize,
        next: Option<&[u8]>,
        pcm: &mut Vec<i16>,
    ) -> Result<(), Error> {
        let samples = samples.min(MAX_SAMPLES);
        self.run(samples, pcm, |inner, pcm| match next {
            Some(next) if !next.is_empty() => inner.decode_fec_s16(next, samples, pcm),
            _ => inner.decode_s16(&[], samples, pcm),
        })
    }
}
