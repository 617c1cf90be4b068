//! How loud sound is, readable from any thread without a lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// The loudness of sound.
///
/// 0 dB is a square wave at full scale, so a sine at full scale reads -3 dB.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// Root mean square of the last 50 ms or so, in dB below full scale; [`Level::FLOOR`] for silence.
    pub rms_db: f32,
    /// The largest sample of late, falling by about 20 dB a second, in dB below full scale.
    pub peak_db: f32,
}

impl Level {
    /// What silence reads, in dB.
    pub const FLOOR: f32 = -100.0;

    /// Silence.
    pub const SILENCE: Level = Level {
        rms_db: Level::FLOOR,
        peak_db: Level::FLOOR,
    };
}

impl Default for Level {
    fn default() -> Self {
        Level::SILENCE
    }
}

/// Measures PCM; clones show the same measurement.
#[derive(Clone, Debug, Default)]
pub struct LevelMeter {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// The mean of squares, a fraction of full scale, as the bits of an `f32`.
    power: AtomicU32,
    /// The peak, a fraction of full scale, as the bits of an `f32`.
    peak: AtomicU32,
}

impl LevelMeter {
    /// A meter that reads silence.
    pub fn new() -> Self {
        LevelMeter::default()
    }

    /// Takes the next block of PCM, of `seconds` length; one thread at a time.
    pub fn measure(&self, pcm: &[i16], seconds: f32) {
        if pcm.is_empty() {
            return;
        }
        let (mut sum, mut top) = (0_u64, 0_u32);
        for &sample in pcm {
            let size = u32::from(sample.unsigned_abs());
            sum += u64::from(size) * u64::from(size);
            top = top.max(size);
        }
        let power = (sum as f64 / pcm.len() as f64 / (32_768.0 * 32_768.0)) as f32;
        let old = f32::from_bits(self.shared.power.load(Ordering::Relaxed));
        let share = 1.0 - (-seconds / 0.05).exp();
        self.shared
            .power
            .store((old + (power - old) * share).to_bits(), Ordering::Relaxed);
        let held = f32::from_bits(self.shared.peak.load(Ordering::Relaxed));
        let fallen = held * (-seconds * std::f32::consts::LN_10).exp();
        let peak = fallen.max(top as f32 / 32_768.0);
        self.shared.peak.store(peak.to_bits(), Ordering::Relaxed);
    }

    /// The present reading.
    pub fn level(&self) -> Level {
        let power = f32::from_bits(self.shared.power.load(Ordering::Relaxed));
        let peak = f32::from_bits(self.shared.peak.load(Ordering::Relaxed));
        Level {
            rms_db: decibels(power.sqrt()),
            peak_db: decibels(peak),
        }
    }
}

fn decibels(fraction: f32) -> f32 {
    (20.0 * fraction.max(1e-9).log10()).max(Level::FLOOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sine_at_full_scale_reads_minus_three() {
        let meter = LevelMeter::new();
        assert_eq!(meter.level(), Level::SILENCE);
        let pcm: Vec<i16> = (0..480)
            .map(|n| ((n as f32 * std::f32::consts::TAU / 48.0).sin() * 32_767.0) as i16)
            .collect();
        for _ in 0..100 {
            meter.measure(&pcm, 0.01);
        }
        let level = meter.level();
        assert!((level.rms_db + 3.01).abs() < 0.05, "{level:?}");
        assert!(level.peak_db.abs() < 0.01, "{level:?}");
        for _ in 0..100 {
            meter.measure(&[0; 480], 0.01);
        }
        let level = meter.level();
        assert!(level.rms_db < -70.0, "{level:?}");
        assert!((level.peak_db + 20.0).abs() < 0.5, "{level:?}");
    }
}
