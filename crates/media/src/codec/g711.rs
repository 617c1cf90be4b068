//! G.711: a sample is a sign, an exponent and four bits, in eight bits at 8 kHz.

use std::marker::PhantomData;

use super::{AudioDecoder, AudioEncoder};
use crate::{AudioFormat, Error};

/// One of the two laws of ITU-T G.711.
pub trait Law: Send + 'static {
    /// The code of a sample.
    fn compress(sample: i16) -> u8;

    /// The sample of a code, scaled to 16 bits.
    fn expand(code: u8) -> i16;
}

/// A-law, the `PCMA` of RFC 3551.
#[derive(Clone, Copy, Debug, Default)]
pub struct ALaw;

/// µ-law, the `PCMU` of RFC 3551.
#[derive(Clone, Copy, Debug, Default)]
pub struct MuLaw;

/// What G.711 adds to the size of a µ-law sample so that each segment begins at a power of two (14 bits: 33).
const MU_BIAS: i32 = 33 << 2;

/// The largest µ-law size before the bias (14 bits: 8158), scaled to 16 bits.
const MU_CLIP: i32 = 8_158 << 2;

impl Law for MuLaw {
    fn compress(sample: i16) -> u8 {
        let sign = if sample < 0 { 0x80 } else { 0 };
        let size = i32::from(sample).abs().min(MU_CLIP) + MU_BIAS;
        // The bias puts the leading one at bit 7 or above.
        let segment = (31 - size.leading_zeros()) - 7;
        let mantissa = (size >> (segment + 3)) & 0xf;
        // Codes go over the line inverted.
        !(sign | (segment as u8) << 4 | mantissa as u8)
    }

    fn expand(code: u8) -> i16 {
        let code = !code;
        let (segment, mantissa) = (u32::from(code >> 4 & 7), i32::from(code & 0xf));
        let size = (((mantissa << 3) + MU_BIAS) << segment) - MU_BIAS;
        (if code & 0x80 != 0 { -size } else { size }) as i16
    }
}

impl Law for ALaw {
    fn compress(sample: i16) -> u8 {
        // 13 bits, where -1 is the first negative step: the ones' complement of a negative number is its size.
        let value = i32::from(sample) >> 3;
        let (sign, size) = if value < 0 {
            (0, !value)
        } else {
            (0x80, value)
        };
        let segment = if size < 32 {
            0
        } else {
            (31 - size.leading_zeros()) - 4
        };
        let shift = segment.max(1);
        let code = sign | (segment as u8) << 4 | (size >> shift & 0xf) as u8;
        // Every other bit goes over the line inverted.
        code ^ 0x55
    }

    fn expand(code: u8) -> i16 {
        let code = code ^ 0x55;
        let (segment, mantissa) = (u32::from(code >> 4 & 7), i32::from(code & 0xf));
        // The middle of the step, in 16 bits.
        let size = if segment == 0 {
            (mantissa << 4) + 8
        } else {
            ((mantissa << 4) + 0x108) << (segment - 1)
        };
        (if code & 0x80 != 0 { size } else { -size }) as i16
    }
}

/// Encoder and decoder of one law; a loss is filled with the last packet, fading.
#[derive(Debug)]
pub struct G711<L> {
    /// What was decoded last, to fill a loss with.
    last: Vec<i16>,
    /// How many times `last` has been repeated.
    repeated: u32,
    law: PhantomData<L>,
}

impl<L> Default for G711<L> {
    fn default() -> Self {
        G711 {
            last: Vec::new(),
            repeated: 0,
            law: PhantomData,
        }
    }
}

const FORMAT: AudioFormat = AudioFormat {
    sample_rate: 8_000,
    channels: 1,
};

impl<L: Law> AudioEncoder for G711<L> {
    fn format(&self) -> AudioFormat {
        FORMAT
    }

    fn encode(&mut self, pcm: &[i16], out: &mut Vec<u8>) -> Result<(), Error> {
        if pcm.len() != 160 {
            return Err(Error::misuse("G.711 is encoded in blocks of 160 samples"));
        }
        out.clear();
        out.extend(pcm.iter().map(|sample| L::compress(*sample)));
        Ok(())
    }

    fn set_bitrate(&mut self, _: u32) {}
}

impl<L: Law> AudioDecoder for G711<L> {
    fn format(&self) -> AudioFormat {
        FORMAT
    }

    fn decode(&mut self, packet: &[u8], pcm: &mut Vec<i16>) -> Result<(), Error> {
        pcm.clear();
        pcm.extend(packet.iter().map(|code| L::expand(*code)));
        self.last.clone_from(pcm);
        self.repeated = 0;
        Ok(())
    }

    fn conceal(
        &mut self,
        samples: usize,
        _: Option<&[u8]>,
        pcm: &mut Vec<i16>,
    ) -> Result<(), Error> {
        pcm.clear();
        if self.last.is_empty() {
            pcm.resize(samples, 0);
            return Ok(());
        }
        self.repeated += 1;
        let shift = self.repeated.min(15);
        let filling = self.last.iter().cycle().take(samples);
        pcm.extend(filling.map(|sample| sample >> shift));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // ITU-T G.711 tables 1a and 2a: decision values and the values at the decoder's output.
    #[test]
    fn a_law_follows_the_table() {
        // Output values of the first two steps and of the ends of segments, 13 bits, for positive input.
        for (code, output) in [
            (0x80, 1),
            (0x81, 3),
            (0x8f, 31),
            (0x90, 33),
            (0x9f, 63),
            (0xa0, 66),
            (0xaf, 126),
            (0xb0, 132),
            (0xc0, 264),
            (0xd0, 528),
            (0xe0, 1056),
            (0xf0, 2112),
            (0xff, 4032),
        ] {
            let line: u8 = code ^ 0x55;
            assert_eq!(ALaw::expand(line), output << 3, "{code:02x}");
            assert_eq!(ALaw::expand(line ^ 0x80), -(output << 3), "{code:02x}");
        }
        // Decision values: 0, 2, 32, 64, 128, ... 4096 (13 bits, signed in 16).
        assert_eq!(ALaw::compress(0), 0x80 ^ 0x55);
        assert_eq!(ALaw::compress(-1), 0x55);
        assert_eq!(ALaw::compress(2 << 3), 0x81 ^ 0x55);
        assert_eq!(ALaw::compress((64 << 3) - 1), 0x9f ^ 0x55);
        assert_eq!(ALaw::compress(64 << 3), 0xa0 ^ 0x55);
        assert_eq!(ALaw::compress(i16::MAX), 0xff ^ 0x55);
        assert_eq!(ALaw::compress(i16::MIN), 0x7f ^ 0x55);
    }

    #[test]
    fn mu_law_follows_the_table() {
        // Output values, 14 bits, for positive input: y0 = 0, then 2, 4 .. 30, 33, 37 .., 8031.
        for (code, output) in [
            (0xff, 0),
            (0xfe, 2),
            (0xf0, 30),
            (0xef, 33),
            (0xee, 37),
            (0xe0, 93),
            (0xdf, 99),
            (0xcf, 231),
            (0xbf, 495),
            (0xaf, 1023),
            (0x9f, 2079),
            (0x8f, 4191),
            (0x80, 8031),
        ] {
            assert_eq!(MuLaw::expand(code), output << 2, "{code:02x}");
            assert_eq!(MuLaw::expand(code & 0x7f), -(output << 2), "{code:02x}");
        }
        // Decision values: 0, 1, 3, ... 31, 35, ... 8159 (14 bits).
        assert_eq!(MuLaw::compress(0), 0xff);
        assert_eq!(MuLaw::compress(1 << 2), 0xfe);
        assert_eq!(MuLaw::compress(31 << 2), 0xef);
        assert_eq!(MuLaw::compress((31 << 2) - 1), 0xf0);
        assert_eq!(MuLaw::compress(95 << 2), 0xdf);
        assert_eq!(MuLaw::compress(i16::MAX), 0x80);
        assert_eq!(MuLaw::compress(i16::MIN), 0x00);
    }

    fn round_trip<L: Law>() {
        for code in 0..=255 {
            let sample = L::expand(code);
            assert_eq!(L::expand(L::compress(sample)), sample, "{code:02x}");
        }
        for sample in i16::MIN..=i16::MAX {
            let back = i32::from(L::expand(L::compress(sample)));
            let sample = i32::from(sample);
            // Half a step: a sixteenth of the segment's start, or the smallest step; 644 where it clips.
            let allowed =
                (sample.abs() / 32 + 16).max(8) + if sample.abs() > 32_635 { 644 } else { 0 };
            assert!((back - sample).abs() <= allowed, "{sample} {back}");
        }
    }

    #[test]
    fn both_laws_come_back_within_half_a_step() {
        round_trip::<ALaw>();
        round_trip::<MuLaw>();
    }

    #[test]
    fn a_loss_fades_out() {
        let mut codec = G711::<MuLaw>::default();
        let (mut line, mut pcm) = (Vec::new(), Vec::new());
        codec.encode(&[8_000; 160], &mut line).unwrap();
        codec.decode(&line, &mut pcm).unwrap();
        let first = pcm[0];
        codec.conceal(160, None, &mut pcm).unwrap();
        assert_eq!(pcm, vec![first >> 1; 160]);
        codec.conceal(80, None, &mut pcm).unwrap();
        assert_eq!(pcm, vec![first >> 2; 80]);
    }
}
