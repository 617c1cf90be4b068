//! WAV files of all kinds.

use std::path::Path;

use esp_media::AudioSource;
use esp_media::source::WavFile;
use hound::{SampleFormat, WavSpec, WavWriter};

use crate::support::{Dir, sine, tone_share};

fn write(path: &Path, spec: WavSpec, seconds: f64) {
    let mut writer = WavWriter::create(path, spec).unwrap();
    let samples = (f64::from(spec.sample_rate) * seconds) as usize;
    for sample in sine(spec.sample_rate, 500.0, samples) {
        for _ in 0..spec.channels {
            match (spec.sample_format, spec.bits_per_sample) {
                (SampleFormat::Float, _) => writer.write_sample(f32::from(sample) / 32_768.0),
                (_, bits @ ..=16) => writer.write_sample(i32::from(sample) >> (16 - bits)),
                (_, bits) => writer.write_sample(i32::from(sample) << (bits - 16)),
            }
            .unwrap();
        }
    }
    writer.finalize().unwrap();
}

fn spec(channels: u16, sample_rate: u32, bits_per_sample: u16) -> WavSpec {
    WavSpec {
        channels,
        sample_rate,
        bits_per_sample,
        sample_format: SampleFormat::Int,
    }
}

#[test]
fn every_format_plays_in_a_loop() {
    let dir = Dir::new();
    let mut specs: Vec<WavSpec> = [8, 16, 24, 32].map(|bits| spec(1, 48_000, bits)).to_vec();
    specs.push(WavSpec {
        sample_format: SampleFormat::Float,
        ..spec(2, 44_100, 32)
    });
    specs.extend([8_000, 11_025, 22_050, 96_000].map(|rate| spec(2, rate, 16)));
    for (number, spec) in specs.into_iter().enumerate() {
        let path = dir.path().join(format!("{number}.wav"));
        // A whole number of periods, so that the tone goes on over the seam.
        write(&path, spec, 0.2);
        let mut wav = WavFile::open(&path).unwrap();
        assert!((wav.seconds() - 0.2).abs() < 0.001);
        let format = wav.format();
        assert_eq!(format.sample_rate, 48_000);
        let mut pcm = Vec::new();
        let mut block = vec![0; 960 * usize::from(format.channels)];
        for _ in 0..50 {
            wav.read(&mut block).unwrap();
            pcm.extend(block.iter().step_by(usize::from(format.channels)));
        }
        let share = tone_share(&pcm[960..], 48_000, 500.0);
        assert!(share > 0.98, "{spec:?} {share}");
        let top = pcm.iter().map(|s| s.unsigned_abs()).max().unwrap();
        assert!((11_500..12_500).contains(&top), "{spec:?} {top}");
    }
}

#[test]
fn what_cannot_be_played_is_said_in_a_line() {
    let dir = Dir::new();
    let refused = |path: &Path, word: &str| {
        let Err(error) = WavFile::open(path) else {
            panic!("{path:?} was taken");
        };
        let text = error.to_string();
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(text.contains(name) && text.contains(word), "{text}");
        assert!(!text.contains('\n'));
    };
    refused(&dir.path().join("missing.wav"), "No such file");
    refused(
        &dir.write("text.wav", b"hello, this is no sound at all, only words"),
        "not a WAV",
    );
    refused(&dir.write("empty.wav", b""), "WAV");
    let path = dir.path().join("three.wav");
    write(&path, spec(3, 48_000, 16), 0.1);
    refused(&path, "3 channels");
    let path = dir.path().join("none.wav");
    write(&path, spec(1, 48_000, 16), 0.0);
    refused(&path, "no sound");
}
