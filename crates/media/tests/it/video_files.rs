//! H.264 byte streams as files.

use std::path::Path;
use std::time::Duration;

use esp_media::codec::{H264Decoder, VideoDecoder};
use esp_media::h264::NalUnits;
use esp_media::source::VideoFile;
use esp_media::{EncodedVideoSource, Picture};

use crate::support::{Dir, SMALL, clip, types};

fn refused(path: &Path, word: &str) {
    let Err(error) = VideoFile::open(path, None) else {
        panic!("{path:?} was taken");
    };
    let text = error.to_string();
    let name = path.file_name().unwrap().to_str().unwrap();
    assert!(text.contains(name) && text.contains(word), "{text}");
    assert!(!text.contains('\n'));
}

/// The frames without the parameter sets of all but the first keyframe.
fn sets_once(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut stream = Vec::new();
    for (number, frame) in frames.iter().enumerate() {
        for nal in NalUnits::new(frame) {
            if number == 0 || !matches!(nal[0] & 0x1f, 7 | 8) {
                stream.extend_from_slice(&[0, 0, 0, 1]);
                stream.extend_from_slice(nal);
            }
        }
    }
    stream
}

#[test]
fn a_byte_stream_is_sent_in_a_loop() {
    let dir = Dir::new();
    let frames = clip(SMALL, 12, &[8]);
    let path = dir.write("clip.h264", &sets_once(&frames));
    let mut file = VideoFile::open(&path, None).unwrap();
    let format = file.format();
    assert_eq!((format.info.width, format.info.height), (160, 128));
    assert_eq!(format.info.fps, 25);
    assert!(!format.adjustable);
    assert_eq!(file.duration(), Duration::from_millis(480));
    let mut decoder = H264Decoder::new().unwrap();
    let (mut out, mut picture) = (Vec::new(), Picture::default());
    for round in 0..24_usize {
        let unit = file.next_unit(false, &mut out).unwrap();
        let number = round % 12;
        assert_eq!(unit.keyframe, number == 0 || number == 8, "{round}");
        assert_eq!(unit.duration, Duration::from_millis(40));
        // Every keyframe has its sets, also the one that was stored without.
        let kinds = types(&out);
        assert_eq!(kinds.starts_with(&[7, 8, 5]), unit.keyframe, "{kinds:?}");
        assert_eq!(kinds, types(&frames[number]));
        assert!(decoder.decode(&out, &mut picture).unwrap());
    }
}

#[test]
fn a_request_goes_forward_to_the_next_keyframe() {
    let dir = Dir::new();
    let path = dir.write("clip.h264", &clip(SMALL, 12, &[8]).concat());
    let mut file = VideoFile::open(&path, Some(50)).unwrap();
    assert_eq!(file.format().info.fps, 50);
    let mut out = Vec::new();
    let mut next = |keyframe| file.next_unit(keyframe, &mut out).unwrap().keyframe;
    assert!(next(false));
    assert!(!next(false));
    // From the third to the ninth, then the tenth, then around to the first and the second.
    assert!(next(true));
    assert!(!next(false));
    assert!(next(true));
    let rest: Vec<bool> = (0..8).map(|_| next(false)).collect();
    assert_eq!(
        rest,
        [false, false, false, false, false, false, false, true]
    );
}

#[test]
fn b_frames_are_refused_in_words() {
    let dir = Dir::new();
    let mut stream = clip(SMALL, 3, &[]).concat();
    // A slice that is not a reference: first_mb_in_slice 0 ("1"), slice_type 6 ("00111").
    stream.extend_from_slice(&[0, 0, 0, 1, 0x01, 0b1001_1110, 0x80]);
    refused(&dir.write("b.h264", &stream), "B-frames");
    let mut stream = clip(SMALL, 1, &[]).concat();
    stream.extend_from_slice(&[0, 0, 1, 0x22, 0b1001_1110, 0x80]);
    refused(&dir.write("partition.h264", &stream), "extended profile");
}

#[test]
fn what_cannot_be_sent_is_said_in_a_line() {
    let dir = Dir::new();
    refused(&dir.path().join("missing.h264"), "No such file");
    refused(&dir.write("empty.h264", b""), "neither");
    refused(&dir.write("words.mp4", b"just some words"), "neither");
    refused(&dir.write("zeros.h264", &[0; 100]), "no IDR");
    let frames = clip(SMALL, 3, &[]);
    refused(&dir.write("deltas.h264", &frames[1..].concat()), "no IDR");
    let mut odd = frames.concat();
    let place = odd
        .windows(2)
        .position(|pair| pair == [0x67, 0x42])
        .unwrap();
    odd[place + 1] = 144;
    refused(
        &dir.write("odd.h264", &odd),
        "no browser plays its profile (90c01f)",
    );
    let bare: Vec<u8> = NalUnits::new(&frames[0])
        .filter(|nal| nal[0] & 0x1f == 5)
        .flat_map(|nal| [&[0, 0, 1], nal].concat())
        .collect();
    refused(&dir.write("bare.h264", &bare), "parameter set");
    refused(dir.path(), "directory");
}
