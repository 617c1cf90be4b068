//! Files and packets that are decoded.

use std::io::Cursor;

use esp_media::codec::{AudioDecoder, OpusDecoder};
use esp_media::mp4::{FragmentWriter, Mp4, Run, RunSample, TrackConfig};
use esp_media::source::{VideoFile, WavFile};
use esp_media::{AudioSource, EncodedVideoSource};
use esp_wire::{AudioInfo, Codec};

use crate::Bytes;

/// The index of an MP4 file, and its first samples.
pub(crate) fn mp4(data: &[u8]) {
    read_mp4(data);
    written(data);
}

fn read_mp4(data: &[u8]) {
    let Ok(mut file) = Mp4::open(Cursor::new(data)) else {
        return;
    };
    let tracks = file.tracks().to_vec();
    let mut out = Vec::new();
    for track in &tracks {
        for sample in track.samples.iter().take(20) {
            let _ = sample.presentation_time();
            let _ = file.read(sample, &mut out);
        }
    }
}

/// What we write can be read, whatever it holds.
fn written(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let opus = TrackConfig::Opus {
        channels: 1 + bytes.u8() % 2,
    };
    let Ok(mut writer) = FragmentWriter::new(Vec::new(), &[opus]) else {
        return;
    };
    let mut count = 0;
    let mut time = 0;
    while !bytes.is_empty() && count < 20 {
        let duration = u32::from(bytes.u16());
        let body = bytes.short();
        let sample = RunSample {
            duration,
            size: body.len() as u32,
            sync: true,
        };
        let run = Run {
            track: 0,
            time,
            samples: &[sample],
            data: body,
        };
        if writer.write(&[run]).is_err() {
            return;
        }
        time += u64::from(duration);
        count += 1;
    }
    let file = writer.into_inner();
    let read = Mp4::open(Cursor::new(file)).expect("what was written can be read");
    assert_eq!(read.tracks()[0].samples.len(), count);
}

/// Pictures of a file, a byte stream or MP4.
pub(crate) fn video_file(data: &[u8]) {
    let Some((&fps, file)) = data.split_first() else {
        return;
    };
    let fps = (fps > 0).then(|| u32::from(fps));
    let Ok(mut source) = VideoFile::from_reader(Cursor::new(file.to_vec()), fps) else {
        return;
    };
    let _ = (source.format(), source.duration());
    let mut out = Vec::new();
    for number in 0..20 {
        if source.next_unit(number % 5 == 4, &mut out).is_err() {
            return;
        }
        assert!(!out.is_empty(), "a picture without bytes");
    }
}

/// Samples of a WAV file, a little beyond its end.
pub(crate) fn wav(data: &[u8]) {
    let Ok(mut source) = WavFile::from_reader(Cursor::new(data.to_vec())) else {
        return;
    };
    let _ = source.seconds();
    let channels = usize::from(source.format().channels);
    let mut block = vec![0; 160 * channels];
    for _ in 0..20 {
        if source.read(&mut block).is_err() {
            return;
        }
    }
}

/// Packets to the Opus decoder, some of them lost.
pub(crate) fn opus(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let info = AudioInfo {
        codec: Codec::Opus,
        sample_rate: 48_000,
        channels: 1 + bytes.u8() % 2,
    };
    let mut decoder = OpusDecoder::new(info).expect("a decoder");
    let mut pcm = Vec::new();
    for _ in 0..12 {
        if bytes.is_empty() {
            return;
        }
        let lost = bytes.u8() % 8;
        let packet = bytes.short();
        let done = match lost {
            0 => decoder.conceal(960, None, &mut pcm),
            1 => decoder.conceal(960, Some(packet), &mut pcm),
            _ => decoder.decode(packet, &mut pcm),
        };
        assert!(pcm.len() <= 5_760 * 2);
        assert!(done.is_ok() || lost > 1 || pcm.len() <= 1_920);
    }
}
