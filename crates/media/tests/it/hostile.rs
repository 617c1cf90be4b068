//! Files that were tampered with: errors, never a panic, never without end.

use std::io::Cursor;

use esp_media::codec::{H264Decoder, VideoDecoder, audio_decoder};
use esp_media::h264::Sps;
use esp_media::mp4::Mp4;
use esp_media::source::{VideoFile, WavFile};
use esp_media::{AudioSource, EncodedVideoSource, Picture};
use esp_wire::{AudioInfo, Codec};
use proptest::prelude::*;

use crate::mp4_files::{Plain, fragmented};
use crate::support::{Dir, SMALL, clip};

/// What is done to a file: bytes are set, then it is cut.
#[derive(Clone, Debug)]
struct Damage {
    bytes: Vec<(prop::sample::Index, u8)>,
    cut: Option<prop::sample::Index>,
}

fn damage() -> impl Strategy<Value = Damage> {
    let byte = prop_oneof![Just(0), Just(1), Just(0x7f), Just(0xff), any::<u8>()];
    (
        prop::collection::vec((any::<prop::sample::Index>(), byte), 0..12),
        prop::option::weighted(0.3, any::<prop::sample::Index>()),
    )
        .prop_map(|(bytes, cut)| Damage { bytes, cut })
}

impl Damage {
    /// Damages the part of `bytes` from `from` on.
    fn apply(&self, bytes: &[u8], from: usize) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for (at, value) in &self.bytes {
            let at = from + at.index(bytes.len() - from);
            bytes[at] = *value;
        }
        if let Some(cut) = &self.cut {
            let length = cut.index(bytes.len());
            bytes.truncate(length);
        }
        bytes
    }
}

fn send(dir: &Dir, bytes: &[u8]) {
    let path = dir.write("video", bytes);
    if let Ok(mut file) = VideoFile::open(&path, None) {
        let mut out = Vec::new();
        for number in 0..20 {
            if file.next_unit(number % 4 == 3, &mut out).is_err() {
                break;
            }
        }
    }
}

#[test]
fn mp4_files() {
    let dir = Dir::new();
    let frames = clip(SMALL, 7, &[4]);
    let pieces = fragmented(&frames, &[3_600; 7]);
    let plain = Plain {
        frames: &frames,
        compositions: Some(&[0; 7]),
        wide_offsets: false,
        entry: "avc1",
    }
    .build();
    let index = plain.windows(4).position(|w| w == b"moov").unwrap();
    proptest!(ProptestConfig::with_cases(300), |(damage in damage())| {
        // Mostly the index, where damage matters.
        for (bytes, from) in [(&pieces, 0), (&plain, 0), (&plain, index)] {
            let bytes = damage.apply(bytes, from);
            if let Ok(mut mp4) = Mp4::open(Cursor::new(&bytes)) {
                let mut out = Vec::new();
                for track in mp4.tracks().to_vec() {
                    for sample in track.samples.iter().take(20) {
                        let _ = mp4.read(sample, &mut out);
                    }
                }
            }
            send(&dir, &bytes);
        }
    });
}

#[test]
fn byte_streams() {
    let dir = Dir::new();
    let stream = clip(SMALL, 5, &[3]).concat();
    proptest!(ProptestConfig::with_cases(200), |(damage in damage())| {
        send(&dir, &damage.apply(&stream, 0));
        let head = damage.apply(&stream[..64], 0);
        send(&dir, &head);
    });
}

#[test]
fn wav_files() {
    let dir = Dir::new();
    let path = dir.path().join("sound.wav");
    let spec = hound::WavSpec {
        channels: 2,
        sample_rate: 44_100,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(&path, spec).unwrap();
    for number in 0..2_000_i16 {
        writer.write_sample(number).unwrap();
    }
    writer.finalize().unwrap();
    let bytes = std::fs::read(&path).unwrap();
    proptest!(ProptestConfig::with_cases(200), |(damage in damage(), head in any::<bool>())| {
        let damaged = if head {
            let head = damage.apply(&bytes[..44], 0);
            [&head, &bytes[44..]].concat()
        } else {
            damage.apply(&bytes, 0)
        };
        let path = dir.write("damaged.wav", &damaged);
        if let Ok(mut wav) = WavFile::open(&path) {
            let mut block = vec![0; 960 * usize::from(wav.format().channels)];
            for _ in 0..4 {
                if wav.read(&mut block).is_err() {
                    break;
                }
            }
        }
    });
}

#[test]
fn frames_from_the_network() {
    let frames = clip(SMALL, 3, &[]);
    let opus = AudioInfo {
        codec: Codec::Opus,
        sample_rate: 48_000,
        channels: 2,
    };
    proptest!(ProptestConfig::with_cases(100), |(damage in damage(), packet in prop::collection::vec(any::<u8>(), 0..200))| {
        let mut decoder = H264Decoder::new().unwrap();
        let mut picture = Picture::default();
        for frame in &frames {
            let _ = decoder.decode(&damage.apply(frame, 0), &mut picture);
        }
        let _ = Sps::parse(&packet);
        let mut decoder = audio_decoder(opus).unwrap();
        let mut pcm = Vec::new();
        let _ = decoder.decode(&packet, &mut pcm);
        let _ = decoder.conceal(960, Some(&packet), &mut pcm);
    });
}
