//! What can be heard in a WAV file.

use std::path::Path;
use std::time::Duration;

use crate::Outcome;

/// The bursts of sound in a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Bursts {
    /// When each begins.
    pub begins: Vec<Duration>,
    /// How long the file is.
    pub length: Duration,
}

/// How finely loudness is looked at.
const WINDOW: Duration = Duration::from_millis(10);
/// Quieter than this (of 1.0) is silence, whatever else there is.
const SILENCE: f64 = 0.005;
/// What is closer together is one burst.
const TOGETHER: Duration = Duration::from_millis(150);

impl Bursts {
    /// Finds them.
    ///
    /// # Errors
    /// When the file is no WAV of 16 bits.
    pub fn of(path: &Path) -> Outcome<Self> {
        let wrong = |error: hound::Error| format!("{}: {error}", path.display());
        let mut reader = hound::WavReader::open(path).map_err(wrong)?;
        let format = reader.spec();
        let samples: Vec<i16> = reader.samples().collect::<Result<_, _>>().map_err(wrong)?;
        let a_second = format.sample_rate as usize * usize::from(format.channels);
        Ok(find(&samples, a_second.max(100)))
    }

    /// The middle one of the distances between beginnings; zero when there is none.
    pub fn interval(&self) -> Duration {
        let mut intervals: Vec<Duration> = self
            .begins
            .windows(2)
            .map(|pair| pair[1].saturating_sub(pair[0]))
            .collect();
        intervals.sort();
        intervals
            .get(intervals.len() / 2)
            .copied()
            .unwrap_or_default()
    }
}

fn find(samples: &[i16], a_second: usize) -> Bursts {
    let window = a_second * WINDOW.as_millis() as usize / 1_000;
    let loudness: Vec<f64> = samples.chunks(window).map(root_mean_square).collect();
    let peak = loudness.iter().copied().fold(0.0, f64::max);
    let loud = (peak / 4.0).max(SILENCE);
    let mut begins = Vec::new();
    let mut last: Option<u32> = None;
    for (index, _) in (0_u32..).zip(&loudness).filter(|(_, it)| **it >= loud) {
        let together = last.is_some_and(|last| WINDOW * (index - last) < TOGETHER);
        if !together {
            begins.push(WINDOW * index);
        }
        last = Some(index);
    }
    Bursts {
        begins,
        length: WINDOW * u32::try_from(loudness.len()).unwrap_or(u32::MAX),
    }
}

fn root_mean_square(samples: &[i16]) -> f64 {
    let sum: f64 = samples
        .iter()
        .map(|sample| (f64::from(*sample) / 32_768.0).powi(2))
        .sum();
    (sum / samples.len() as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beeps_are_found() {
        let beep = |at: usize| at % 24_000 >= 12_000 && at % 24_000 < 12_960;
        let samples: Vec<i16> = (0..144_000)
            .map(|at| if beep(at) && at % 120 < 60 { 8_000 } else { 3 })
            .collect();
        let bursts = find(&samples, 48_000);
        assert_eq!(bursts.begins.len(), 6);
        assert_eq!(bursts.begins[0], Duration::from_millis(250));
        assert_eq!(bursts.interval(), Duration::from_millis(500));
        assert_eq!(bursts.length, Duration::from_secs(3));
    }

    #[test]
    fn silence_has_none() {
        assert!(find(&[2; 48_000], 48_000).begins.is_empty());
    }
}
