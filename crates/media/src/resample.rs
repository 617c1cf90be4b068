//! From one sample rate to another, by a polyphase filter.

use std::f64::consts::PI;

use crate::Error;

/// How many input samples a filter spans when the rate rises.
const SPAN: usize = 32;

/// More phases than this are rounded to this many; the error lies below -60 dB then.
const MAX_PHASES: u64 = 1_024;

/// The highest rate that is taken, in Hz.
const MAX_RATE: u32 = 384_000;

/// The lowest rate that is taken, in Hz.
const MIN_RATE: u32 = 1_000;

/// Changes the sample rate of interleaved PCM: a windowed sinc (Kaiser, about 80 dB), cut off just
/// below the lower of the two Nyquist frequencies.
#[derive(Clone, Debug)]
pub struct Resampler {
    channels: usize,
    /// Input and output rate without their common divisor.
    step: u64,
    rate: u64,
    phases: u64,
    taps: usize,
    /// `phases` filters of `taps` coefficients.
    filters: Vec<f32>,
    /// Input that later output still needs, interleaved.
    held: Vec<f32>,
    /// Where the next output lies after the first held sample, in units of 1 / `rate` samples.
    position: u64,
    same: bool,
}

impl Resampler {
    /// A resampler from `from` Hz to `to` Hz for 1 or 2 channels.
    ///
    /// [`Error::Misuse`] when a rate is not between 1 and 384 kHz or there are other channels.
    pub fn new(from: u32, to: u32, channels: u8) -> Result<Self, Error> {
        let fits = |rate| (MIN_RATE..=MAX_RATE).contains(&rate);
        if !fits(from) || !fits(to) || !matches!(channels, 1 | 2) {
            return Err(Error::misuse(format!(
                "cannot resample {channels} channels from {from} Hz to {to} Hz"
            )));
        }
        let divisor = gcd(from, to);
        let (step, rate) = (u64::from(from / divisor), u64::from(to / divisor));
        let phases = rate.min(MAX_PHASES);
        let ratio = (f64::from(to) / f64::from(from)).min(1.0);
        let taps = ((SPAN as f64 / ratio).ceil() as usize + 1) & !1;
        let channels = usize::from(channels);
        Ok(Resampler {
            channels,
            step,
            rate,
            phases,
            taps,
            filters: filters(phases as usize, taps, ratio),
            // Half a filter of silence before the first sample puts the first output at time zero.
            held: vec![0.0; (taps / 2 - 1) * channels],
            position: 0,
            same: from == to,
        })
    }

    /// Resamples `input` (interleaved) and appends what can be computed so far to `output`.
    pub fn process(&mut self, input: &[i16], output: &mut Vec<i16>) {
        if self.same {
            output.extend_from_slice(input);
            return;
        }
        self.held.extend(input.iter().map(|s| f32::from(*s)));
        let held = self.held.len() / self.channels;
        loop {
            let first = (self.position / self.rate) as usize;
            if first + self.taps > held {
                break;
            }
            let phase = (self.position % self.rate) * self.phases / self.rate;
            let filter = &self.filters[phase as usize * self.taps..][..self.taps];
            let span = &self.held[first * self.channels..][..self.taps * self.channels];
            for channel in 0..self.channels {
                let sum: f32 = filter
                    .iter()
                    .zip(span[channel..].iter().step_by(self.channels))
                    .map(|(weight, sample)| weight * sample)
                    .sum();
                output.push(sum.round().clamp(-32_768.0, 32_767.0) as i16);
            }
            self.position += self.step;
        }
        let gone = ((self.position / self.rate) as usize).min(held);
        self.held.drain(..gone * self.channels);
        self.position -= gone as u64 * self.rate;
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The filters: filter `p` computes the sample that lies `p / phases` after its middle left tap.
fn filters(phases: usize, taps: usize, ratio: f64) -> Vec<f32> {
    const BETA: f64 = 8.0;
    // The transition band of this window is about 5 / taps wide; half of it fits below the cut.
    let cutoff = ratio * (1.0 - 2.5 / (taps as f64 * ratio));
    let middle = (taps / 2 - 1) as f64;
    let half = taps as f64 / 2.0;
    let peak = bessel(BETA);
    let mut filters = Vec::with_capacity(phases * taps);
    for phase in 0..phases {
        let centre = middle + phase as f64 / phases as f64;
        let row: Vec<f64> = (0..taps)
            .map(|tap| {
                let x = tap as f64 - centre;
                let edge = 1.0 - (x / half).powi(2);
                let window = bessel(BETA * edge.max(0.0).sqrt()) / peak;
                sinc(x * cutoff) * window
            })
            .collect();
        // Each phase passes a constant unchanged.
        let sum: f64 = row.iter().sum();
        filters.extend(row.iter().map(|weight| (weight / sum) as f32));
    }
    filters
}

fn sinc(x: f64) -> f64 {
    if x.abs() < 1e-9 {
        1.0
    } else {
        (PI * x).sin() / (PI * x)
    }
}

/// The modified Bessel function of order zero.
fn bessel(x: f64) -> f64 {
    let (mut sum, mut term, mut n) = (1.0, 1.0, 1.0);
    while term > sum * 1e-12 {
        term *= (x / 2.0 / n) * (x / 2.0 / n);
        sum += term;
        n += 1.0;
    }
    sum
}

/// Turns interleaved PCM of `from` channels into `to` channels: the mean, or the same twice.
pub(crate) fn mix(input: &[i16], from: u8, to: u8, output: &mut Vec<i16>) {
    match (from, to) {
        (2, 1) => output.extend(
            input
                .chunks_exact(2)
                .map(|pair| ((i32::from(pair[0]) + i32::from(pair[1])) / 2) as i16),
        ),
        (1, 2) => output.extend(input.iter().flat_map(|sample| [*sample; 2])),
        _ => output.extend_from_slice(input),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(rate: u32, hertz: f64, samples: usize) -> Vec<i16> {
        (0..samples)
            .map(|n| ((n as f64 * hertz * 2.0 * PI / f64::from(rate)).sin() * 16_000.0) as i16)
            .collect()
    }

    fn run(from: u32, to: u32, input: &[i16], block: usize) -> Vec<i16> {
        let mut resampler = Resampler::new(from, to, 1).unwrap();
        let mut output = Vec::new();
        for block in input.chunks(block) {
            resampler.process(block, &mut output);
        }
        output
    }

    /// Signal to noise against the sine that should have come out, in dB.
    fn quality(from: u32, to: u32, hertz: f64) -> f64 {
        let output = run(from, to, &sine(from, hertz, from as usize / 5), 333);
        let expected = sine(to, hertz, output.len());
        assert!(output.len() + 200 > to as usize / 5, "{}", output.len());
        let (mut signal, mut noise) = (0.0, 0.0);
        // The first and the last samples see the edge.
        for (a, b) in output.iter().zip(&expected).skip(200) {
            signal += f64::from(*b).powi(2);
            noise += (f64::from(*a) - f64::from(*b)).powi(2);
        }
        10.0 * (signal / noise).log10()
    }

    #[test]
    fn tones_pass() {
        for (from, to) in [
            (48_000, 8_000),
            (8_000, 48_000),
            (44_100, 48_000),
            (22_050, 48_000),
            (11_025, 8_000),
            (96_000, 48_000),
            (44_101, 48_000),
        ] {
            let decibels = quality(from, to, 1_000.0);
            assert!(decibels > 55.0, "{from} {to} {decibels}");
        }
    }

    #[test]
    fn what_does_not_fit_is_taken_out() {
        let output = run(48_000, 8_000, &sine(48_000, 5_000.0, 24_000), 960);
        let top = output[400..].iter().map(|s| s.unsigned_abs()).max();
        assert!(top < Some(20), "{top:?}");
    }

    #[test]
    fn blocks_do_not_matter_and_counts_are_exact() {
        let input = sine(48_000, 700.0, 9_600);
        assert_eq!(
            run(48_000, 8_000, &input, 960),
            run(48_000, 8_000, &input, 7)
        );
        // After the delay of half a filter, 960 in give 160 out.
        let mut resampler = Resampler::new(48_000, 8_000, 2).unwrap();
        let mut output = Vec::new();
        for round in 0..20 {
            output.clear();
            resampler.process(&[5; 1_920], &mut output);
            if round > 0 {
                assert_eq!(output.len(), 320);
            }
        }
        assert!(output.iter().all(|sample| *sample == 5));
    }
}
