//! MP4 files: what is written is read back, whole or in fragments.

use std::io::Cursor;
use std::time::Duration;

use esp_media::EncodedVideoSource;
use esp_media::h264::{NalUnits, nal_type};
use esp_media::mp4::{FragmentWriter, Mp4, Run, RunSample, TrackConfig, TrackKind};
use esp_media::source::VideoFile;

use crate::support::{Dir, SMALL, clip, types};

pub(crate) fn sets(frame: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let find = |wanted| NalUnits::new(frame).find(|nal| nal_type(nal) == wanted);
    (find(7).unwrap().to_vec(), find(8).unwrap().to_vec())
}

/// The slices of a frame with lengths of four bytes.
fn lengths(frame: &[u8]) -> Vec<u8> {
    NalUnits::new(frame)
        .filter(|nal| nal_type(nal) < 6)
        .flat_map(|nal| [&(nal.len() as u32).to_be_bytes(), nal].concat())
        .collect()
}

/// A file in fragments of three pictures, each shown as long as `durations` say, and of Opus.
pub(crate) fn fragmented(frames: &[Vec<u8>], durations: &[u32]) -> Vec<u8> {
    let (sps, pps) = sets(&frames[0]);
    let tracks = [
        TrackConfig::Avc { sps, pps },
        TrackConfig::Opus { channels: 1 },
    ];
    let mut writer = FragmentWriter::new(Vec::new(), &tracks).unwrap();
    let mut time = 0;
    for (number, (frames, durations)) in frames.chunks(3).zip(durations.chunks(3)).enumerate() {
        let data: Vec<Vec<u8>> = frames.iter().map(|frame| lengths(frame)).collect();
        let samples: Vec<RunSample> = frames
            .iter()
            .zip(&data)
            .zip(durations)
            .map(|((frame, data), duration)| RunSample {
                duration: *duration,
                size: data.len() as u32,
                sync: types(frame).contains(&5),
            })
            .collect();
        let packet = RunSample {
            duration: 960,
            size: 2,
            sync: true,
        };
        let runs = [
            Run {
                track: 0,
                time,
                samples: &samples,
                data: &data.concat(),
            },
            Run {
                track: 1,
                time: number as u64 * 960,
                samples: &[packet],
                data: &[8, number as u8],
            },
        ];
        writer.write(&runs).unwrap();
        time += durations.iter().map(|d| u64::from(*d)).sum::<u64>();
    }
    writer.into_inner()
}

#[test]
fn fragments_are_read_back() {
    let frames = clip(SMALL, 8, &[5]);
    // A freeze of a second and a pace that wavers.
    let durations = [3_600, 3_600, 90_000, 1_800, 5_400, 3_600, 3_601, 3_599];
    let bytes = fragmented(&frames, &durations);
    let mut mp4 = Mp4::open(Cursor::new(&bytes)).unwrap();
    let [video, audio] = mp4.tracks() else {
        panic!("two tracks");
    };
    let (video, audio) = (video.clone(), audio.clone());
    let TrackKind::Avc {
        length_size: 4,
        parameter_sets,
    } = &video.kind
    else {
        panic!("{:?}", video.kind);
    };
    assert_eq!(types(parameter_sets), [7, 8]);
    assert_eq!(video.timescale, 90_000);
    let found: Vec<u32> = video.samples.iter().map(|s| s.duration).collect();
    assert_eq!(found, durations);
    let mut time = 0;
    let mut out = Vec::new();
    for (sample, frame) in video.samples.iter().zip(&frames) {
        assert_eq!(sample.decode_time, time);
        assert_eq!(sample.sync, types(frame).contains(&5));
        mp4.read(sample, &mut out).unwrap();
        assert_eq!(out, lengths(frame));
        time += u64::from(sample.duration);
    }
    assert_eq!(audio.kind, TrackKind::Opus { channels: 1 });
    for (number, sample) in audio.samples.iter().enumerate() {
        assert_eq!(sample.decode_time, number as u64 * 960);
        mp4.read(sample, &mut out).unwrap();
        assert_eq!(out, [8, number as u8]);
    }
    // Cut off anywhere after the head, the rest can still be read.
    let mut before = usize::MAX;
    for end in (bytes.len() - 1_500..bytes.len()).rev().step_by(97) {
        let mp4 = Mp4::open(Cursor::new(&bytes[..end])).unwrap();
        let count = mp4.tracks()[0].samples.len();
        assert!(count <= before.min(8) && count >= 3, "{count}");
        before = count;
    }
}

#[test]
fn fragments_are_sent_with_their_times() {
    let dir = Dir::new();
    let frames = clip(SMALL, 8, &[5]);
    let durations = [3_600, 3_600, 90_000, 1_800, 5_400, 3_600, 3_601, 3_599];
    let path = dir.write("clip.mp4", &fragmented(&frames, &durations));
    let mut file = VideoFile::open(&path, None).unwrap();
    let mut out = Vec::new();
    let mut total = Duration::ZERO;
    for (frame, duration) in frames.iter().zip(durations) {
        let unit = file.next_unit(false, &mut out).unwrap();
        assert_eq!(types(&out), types(frame));
        total += unit.duration;
        let nanos = f64::from(duration) / 90_000.0 * 1e9;
        assert!((unit.duration.as_nanos() as f64 - nanos).abs() < 2.0);
    }
    let nanos = u64::from(durations.iter().sum::<u32>()) * 1_000_000_000 / 90_000;
    assert_eq!(total, Duration::from_nanos(nanos));
    assert!(file.next_unit(false, &mut out).unwrap().keyframe);
    assert!(file.next_unit(true, &mut out).unwrap().keyframe);
    assert!(types(&out).starts_with(&[7, 8, 5]));
    assert!(!file.next_unit(false, &mut out).unwrap().keyframe);
}

fn boxed(kind: &str, content: &[u8]) -> Vec<u8> {
    let size = content.len() as u32 + 8;
    [&size.to_be_bytes(), kind.as_bytes(), content].concat()
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// How a file that is not in fragments is laid out.
#[derive(Clone, Copy)]
pub(crate) struct Plain<'a> {
    pub(crate) frames: &'a [Vec<u8>],
    pub(crate) compositions: Option<&'a [u32]>,
    pub(crate) wide_offsets: bool,
    pub(crate) entry: &'a str,
}

impl Plain<'_> {
    /// Two chunks: the first of two pictures, the second of the rest. The data comes first.
    pub(crate) fn build(&self) -> Vec<u8> {
        let data: Vec<Vec<u8>> = self.frames.iter().map(|frame| lengths(frame)).collect();
        let mut file = boxed("ftyp", b"isom\0\0\0\0isom");
        let first = file.len() as u32 + 8;
        file.extend(boxed("mdat", &data.concat()));
        let second = first + (data[0].len() + data[1].len()) as u32;
        let count = data.len() as u32;
        let (sps, pps) = sets(&self.frames[0]);
        let avcc = [
            &[1, sps[1], sps[2], sps[3], 0xff, 0xe1][..],
            &(sps.len() as u16).to_be_bytes(),
            &sps,
            &[1],
            &(pps.len() as u16).to_be_bytes(),
            &pps,
        ]
        .concat();
        let entry = [&[0; 78][..], &boxed("avcC", &avcc)].concat();
        let mut sizes = vec![0, 0, count];
        sizes.extend(data.iter().map(|data| data.len() as u32));
        let keys = self.frames.iter().enumerate();
        let keys = keys.filter(|(_, frame)| types(frame).contains(&5));
        let keys: Vec<u32> = keys.map(|(number, _)| number as u32 + 1).collect();
        let mut tables = vec![
            boxed(
                "stsd",
                &[words(&[0, 1]), boxed(self.entry, &entry)].concat(),
            ),
            boxed("stts", &words(&[0, 2, 1, 1_000, count - 1, 500])),
            boxed(
                "stss",
                &[words(&[0, keys.len() as u32]), words(&keys)].concat(),
            ),
            boxed("stsz", &words(&sizes)),
            boxed("stsc", &words(&[0, 2, 1, 2, 1, 2, count - 2, 1])),
            if self.wide_offsets {
                boxed("co64", &words(&[0, 2, 0, first, 0, second]))
            } else {
                boxed("stco", &words(&[0, 2, first, second]))
            },
        ];
        if let Some(compositions) = self.compositions {
            let runs: Vec<u32> = compositions
                .iter()
                .flat_map(|offset| [1, *offset])
                .collect();
            let count = compositions.len() as u32;
            tables.push(boxed("ctts", &[words(&[0, count]), words(&runs)].concat()));
        }
        let stbl = boxed("stbl", &tables.concat());
        let mdhd = boxed("mdhd", &words(&[0, 0, 0, 12_800, 0, 0]));
        let mdia = boxed("mdia", &[mdhd, boxed("minf", &stbl)].concat());
        let tkhd = boxed("tkhd", &words(&[0, 0, 0, 1, 0, 0]));
        let trak = boxed("trak", &[tkhd, mdia].concat());
        file.extend(boxed("moov", &trak));
        file
    }
}

#[test]
fn a_plain_file_is_read() {
    let dir = Dir::new();
    let frames = clip(SMALL, 6, &[4]);
    for wide_offsets in [false, true] {
        // All pictures are shown later by the same time: that is no reordering.
        let bytes = Plain {
            frames: &frames,
            compositions: Some(&[1_024; 6]),
            wide_offsets,
            entry: "avc1",
        }
        .build();
        let path = dir.write("plain.mp4", &bytes);
        let mut file = VideoFile::open(&path, None).unwrap();
        let mut out = Vec::new();
        for (number, frame) in frames.iter().enumerate() {
            let unit = file.next_unit(false, &mut out).unwrap();
            assert_eq!(types(&out), types(frame));
            assert_eq!(unit.keyframe, number % 4 == 0);
            let ticks = if number == 0 { 1_000.0 } else { 500.0 };
            let difference = unit.duration.as_secs_f64() - ticks / 12_800.0;
            assert!(difference.abs() < 1e-8, "{difference}");
        }
    }
}

#[test]
fn what_cannot_be_sent_is_said_in_a_line() {
    let dir = Dir::new();
    let frames = clip(SMALL, 4, &[]);
    let plain = Plain {
        frames: &frames,
        compositions: Some(&[500, 1_500, 0, 500]),
        wide_offsets: false,
        entry: "avc1",
    };
    let refused = |bytes: &[u8], word: &str| {
        let path = dir.write("refused.mp4", bytes);
        let Err(error) = VideoFile::open(&path, None) else {
            panic!("{word}: taken");
        };
        let text = error.to_string();
        assert!(
            text.contains("refused.mp4") && text.contains(word),
            "{text}"
        );
    };
    refused(&plain.build(), "B-frames");
    let bytes = Plain {
        entry: "hvc1",
        ..plain
    }
    .build();
    refused(&bytes, "no H.264 track (it has: hvc1)");
    let bytes = Plain {
        compositions: None,
        entry: "avc1",
        ..plain
    }
    .build();
    refused(&bytes[..bytes.len() - 40], "no index");
    // The data is gone, the index points beyond the end.
    let moov = bytes.windows(4).position(|w| w == b"moov").unwrap() - 4;
    refused(
        &[&boxed("ftyp", b"isom")[..], &bytes[moov..]].concat(),
        "cut off",
    );
}
