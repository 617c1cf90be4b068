//! What the tests share: clips, measures, a directory that goes away.

use std::f64::consts::TAU;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use esp_media::codec::{Encoded, H264Encoder, VideoEncoder};
use esp_media::source::TestPicture;
use esp_media::{Picture, VideoFormat, VideoSettings, VideoSource};
use esp_wire::{Codec, VideoInfo};

pub(crate) const SMALL: VideoFormat = VideoFormat {
    width: 160,
    height: 128,
    fps: 25,
};

/// A directory that is removed with everything in it.
pub(crate) struct Dir(PathBuf);

impl Dir {
    pub(crate) fn new() -> Dir {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("esp-media-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Dir(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// The names of the files in it, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn h264(format: VideoFormat) -> VideoInfo {
    VideoInfo {
        codec: Codec::H264,
        width: format.width,
        height: format.height,
        fps: format.fps,
    }
}

/// Encoded pictures of the test picture; those whose number is in `keys` are IDR, like the first.
pub(crate) fn clip(format: VideoFormat, count: u64, keys: &[u64]) -> Vec<Vec<u8>> {
    let mut source = TestPicture::new(format).unwrap().with_clock(Duration::ZERO);
    // Plenty, so that no picture is left out.
    let settings = VideoSettings {
        bitrate: 2_000_000,
        ..VideoSettings::new(h264(format))
    };
    let mut encoder = H264Encoder::new(settings, format).unwrap();
    let mut picture = Picture::new(format.width, format.height);
    let (mut frames, mut out) = (Vec::new(), Vec::new());
    for number in 0..count {
        let pts = Duration::from_millis(number * 40);
        source.capture(pts, &mut picture).unwrap();
        if keys.contains(&number) {
            encoder.request_keyframe();
        }
        let outcome = encoder.encode(&picture, pts, &mut out).unwrap();
        let key = number == 0 || keys.contains(&number);
        assert_eq!(outcome == Encoded::Key, key, "{number} {outcome:?}");
        assert_ne!(outcome, Encoded::Skipped);
        frames.push(out.clone());
    }
    frames
}

/// The likeness of two pictures' luma, in dB.
pub(crate) fn psnr(a: &Picture, b: &Picture) -> f64 {
    let (a, b) = (a.planes()[0], b.planes()[0]);
    assert_eq!(a.len(), b.len());
    let squares: f64 = a
        .iter()
        .zip(b)
        .map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2))
        .sum();
    10.0 * (255.0 * 255.0 * a.len() as f64 / squares.max(1.0)).log10()
}

/// The share of the power of `pcm` that lies at `hertz`, by Goertzel's algorithm.
pub(crate) fn tone_share(pcm: &[i16], rate: u32, hertz: f64) -> f64 {
    let factor = 2.0 * (TAU * hertz / f64::from(rate)).cos();
    let (mut before, mut last, mut power) = (0.0, 0.0, 0.0);
    for sample in pcm {
        let sample = f64::from(*sample);
        (before, last) = (last, sample + factor * last - before);
        power += sample * sample;
    }
    let at = before * before + last * last - factor * before * last;
    2.0 * at / pcm.len() as f64 / power.max(1.0)
}

pub(crate) fn sine(rate: u32, hertz: f64, samples: usize) -> Vec<i16> {
    (0..samples)
        .map(|n| ((n as f64 * hertz * TAU / f64::from(rate)).sin() * 12_000.0) as i16)
        .collect()
}

/// The NAL units of a frame, by their types.
pub(crate) fn types(frame: &[u8]) -> Vec<u8> {
    esp_media::h264::NalUnits::new(frame)
        .map(esp_media::h264::nal_type)
        .collect()
}
