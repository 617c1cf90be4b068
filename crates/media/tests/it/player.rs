//! The player: decoding, counting, levels, recordings.

use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use esp_media::codec::audio_encoder;
use esp_media::mp4::{Mp4, Track, TrackKind};
use esp_media::{
    AudioFormat, AudioOut, AudioSettings, Content, Error, Level, Picture, Player, PlayerConfig,
    Recording, Render, VideoFormat, VideoOut,
};
use esp_wire::{AudioInfo, Codec, Frame};

use crate::support::{Dir, SMALL, clip, h264, sine, tone_share};

/// Longer than anything takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

const OPUS: AudioInfo = AudioInfo {
    codec: Codec::Opus,
    sample_rate: 48_000,
    channels: 1,
};

const PCMU: AudioInfo = AudioInfo {
    codec: Codec::Pcmu,
    sample_rate: 8_000,
    channels: 1,
};

/// Says when something was played.
struct Out(Sender<Duration>);

impl VideoOut for Out {
    fn on_picture(&mut self, pts: Duration, _: &Picture) {
        let _ = self.0.send(pts);
    }
}

impl AudioOut for Out {
    fn on_pcm(&mut self, format: AudioFormat, pcm: &[i16]) {
        let samples = pcm.len() as u64 / u64::from(format.channels);
        let nanos = samples * 1_000_000_000 / u64::from(format.sample_rate);
        let _ = self.0.send(Duration::from_nanos(nanos));
    }
}

/// Packets of a tone of 440 Hz.
fn packets(info: AudioInfo, count: usize) -> Vec<Vec<u8>> {
    let mut encoder = audio_encoder(AudioSettings::new(info), Content::Music).unwrap();
    let block = info.sample_rate as usize / 50;
    let pcm = sine(info.sample_rate, 440.0, block * count);
    let mut out = Vec::new();
    pcm.chunks(block)
        .map(|block| {
            encoder.encode(block, &mut out).unwrap();
            out.clone()
        })
        .collect()
}

fn play(player: &mut Player, packets: &[Vec<u8>], at: impl Fn(u64) -> Option<u64>) {
    for (number, data) in packets.iter().enumerate() {
        if let Some(millis) = at(number as u64) {
            let pts = Duration::from_millis(millis);
            player.on_audio(Frame { pts, data });
        }
    }
}

fn show(player: &mut Player, frames: &[Vec<u8>], at: impl Fn(u64) -> u64) {
    for (number, data) in frames.iter().enumerate() {
        let pts = Duration::from_millis(at(number as u64));
        player.on_video(Frame { pts, data });
    }
}

fn await_count(receiver: &Receiver<Duration>, count: usize) {
    for _ in 0..count {
        receiver.recv_timeout(PATIENCE).expect("it goes on");
    }
}

fn wav(path: &Path) -> (u32, Vec<i16>) {
    let reader = hound::WavReader::open(path).unwrap();
    let rate = reader.spec().sample_rate;
    (rate, reader.into_samples().map(Result::unwrap).collect())
}

fn tracks(path: &Path) -> Vec<Track> {
    let file = std::fs::File::open(path).unwrap();
    Mp4::open(file).unwrap().tracks().to_vec()
}

#[test]
fn sound_is_decoded_measured_and_written() {
    let dir = Dir::new();
    for info in [OPUS, PCMU] {
        let recording = Recording::new(dir.path(), "2026-11-22 10:15 door/bell").unwrap();
        let mut player = Player::new(PlayerConfig::new().with_recording(recording));
        let meter = player.meter();
        assert_eq!(player.level(), Level::SILENCE);
        player.on_audio_info(info).unwrap();
        play(&mut player, &packets(info, 40), |number| Some(number * 20));
        player.stop();
        player.stop();
        let stats = player.stats();
        assert_eq!((stats.audio_received, stats.audio_decoded), (40, 40));
        assert_eq!((stats.audio_dropped, stats.audio_concealed), (0, 0));
        assert_eq!(stats.samples_recorded, u64::from(info.sample_rate) * 4 / 5);
        // A sine of 12,000 of 32,768.
        let level = meter.level();
        assert!((level.rms_db + 11.7).abs() < 0.7, "{level:?}");
        assert!((level.peak_db + 8.7).abs() < 1.0, "{level:?}");
        assert!(player.on_audio_info(info).is_err());
    }
    let names = [
        "2026-11-22_10_15_door_bell-2.wav",
        "2026-11-22_10_15_door_bell.wav",
    ];
    assert_eq!(dir.names(), names);
    for (name, expected) in names.iter().zip([8_000, 48_000]) {
        let (rate, pcm) = wav(&dir.path().join(name));
        assert_eq!((rate, pcm.len() as u32), (expected, expected * 4 / 5));
        assert!(tone_share(&pcm[pcm.len() / 8..], rate, 440.0) > 0.97);
    }
}

#[test]
fn losses_are_made_up_and_pauses_kept() {
    let dir = Dir::new();
    let recording = Recording::new(dir.path(), "call").unwrap();
    let mut player = Player::new(PlayerConfig::new().with_recording(recording));
    player.on_audio_info(OPUS).unwrap();
    // Two packets are lost, one comes again, then there is a pause of a second.
    let when = |number| match number {
        10 | 11 => None,
        25 => Some(400),
        30.. => Some(number * 20 + 1_000),
        _ => Some(number * 20),
    };
    play(&mut player, &packets(OPUS, 40), when);
    player.stop();
    let stats = player.stats();
    assert_eq!(stats.audio_received, 38);
    assert_eq!(stats.audio_dropped, 1);
    assert_eq!(stats.audio_decoded, 37);
    // Those two and the one that came at the wrong time.
    assert_eq!(stats.audio_concealed, 3);
    let (_, pcm) = wav(&dir.path().join("call.wav"));
    assert_eq!(pcm.len(), 48 * 1_800);
    let quiet = &pcm[48 * 700..48 * 1_500];
    assert!(quiet.iter().all(|sample| *sample == 0));
}

#[test]
fn pictures_are_decoded_and_written_with_their_times() {
    let dir = Dir::new();
    let recording = Recording::new(dir.path(), "call").unwrap();
    let (sender, shown) = channel();
    let config = PlayerConfig::new()
        .with_recording(recording)
        .with_video_out(Out(sender));
    let mut player = Player::new(config);
    player.on_video_info(h264(SMALL)).unwrap();
    let frames = clip(SMALL, 30, &[20]);
    // It begins in the middle; that is dropped. Then there is a freeze of three seconds.
    show(&mut player, &frames[18..20], |number| number * 40);
    let when = |number| 100 + number * 40 + if number >= 15 { 3_000 } else { 0 };
    show(&mut player, &frames, when);
    await_count(&shown, 30);
    assert!(player.take_keyframe_request());
    assert!(!player.take_keyframe_request());
    player.stop();
    let stats = player.stats();
    assert_eq!((stats.video_decoded, stats.video_dropped), (30, 2));
    assert_eq!((stats.width, stats.height), (160, 128));
    assert_eq!((stats.video_recorded, stats.record_errors), (30, 0));
    let tracks = tracks(&dir.path().join("call.mp4"));
    assert_eq!(tracks.len(), 1);
    let durations: Vec<u32> = tracks[0].samples.iter().map(|s| s.duration).collect();
    let expected: Vec<u32> = (0..30)
        .map(|number| if number == 14 { 3_040 * 90 } else { 3_600 })
        .collect();
    assert_eq!(durations, expected);
    let keys = tracks[0].samples.iter().enumerate().filter(|(_, s)| s.sync);
    assert_eq!(keys.map(|(number, _)| number).collect::<Vec<_>>(), [0, 20]);
}

#[test]
fn another_size_begins_another_file() {
    let dir = Dir::new();
    let recording = Recording::new(dir.path(), "call").unwrap();
    let mut player = Player::new(PlayerConfig::new().with_recording(recording));
    player.on_video_info(h264(SMALL)).unwrap();
    show(&mut player, &clip(SMALL, 5, &[]), |number| number * 40);
    let large = VideoFormat {
        width: 192,
        ..SMALL
    };
    show(&mut player, &clip(large, 7, &[]), |number| {
        200 + number * 40
    });
    player.stop();
    assert_eq!(player.stats().width, 192);
    assert_eq!(dir.names(), ["call-2.mp4", "call.mp4"]);
    let count = |name: &str| tracks(&dir.path().join(name))[0].samples.len();
    assert_eq!((count("call.mp4"), count("call-2.mp4")), (5, 7));
}

#[test]
fn sound_and_pictures_share_a_file_that_is_whole_at_any_time() {
    let dir = Dir::new();
    let recording = Recording::new(dir.path(), "call").unwrap();
    let (sender, shown) = channel();
    let (heard_sender, heard) = channel();
    let config = PlayerConfig::new()
        .with_recording(recording)
        .with_video_out(Out(sender))
        .with_audio_out(Out(heard_sender));
    let mut player = Player::new(config);
    player.on_audio_info(OPUS).unwrap();
    player.on_video_info(h264(SMALL)).unwrap();
    let packets = packets(OPUS, 130);
    // The first packet makes sure that the format is known before the first picture.
    play(&mut player, &packets[..1], |_| Some(0));
    await_count(&heard, 1);
    for (number, frame) in clip(SMALL, 60, &[]).into_iter().enumerate() {
        show(&mut player, &[frame], |_| number as u64 * 40);
        await_count(&shown, 1);
        let at = 2 * number;
        play(&mut player, &packets[at + 1..at + 3], |next| {
            Some((at as u64 + 1 + next) * 20)
        });
        await_count(&heard, 2);
    }
    // The player still runs, as when it is killed: most of 2.4 seconds is on the disk.
    let found = tracks(&dir.path().join("call.mp4"));
    assert!(found[0].samples.len() >= 35, "{}", found[0].samples.len());
    assert!(found[1].samples.len() >= 70, "{}", found[1].samples.len());
    let (_, pcm) = wav(&dir.path().join("call.wav"));
    assert!(pcm.len() >= 90_000, "{}", pcm.len());
    player.stop();
    let found = tracks(&dir.path().join("call.mp4"));
    assert_eq!(found[0].samples.len(), 60);
    assert_eq!(found[1].kind, TrackKind::Opus { channels: 1 });
    assert_eq!(found[1].samples.len(), 120);
    assert!(found[1].samples.iter().all(|sample| sample.duration == 960));
}

#[test]
fn what_cannot_be_played_is_refused_and_dropped() {
    let mut player = Player::new(PlayerConfig::new());
    let jpeg = esp_wire::VideoInfo {
        codec: Codec::Mjpeg,
        ..h264(SMALL)
    };
    assert!(matches!(player.on_video_info(jpeg), Err(Error::Misuse(_))));
    let odd = AudioInfo {
        sample_rate: 44_100,
        ..OPUS
    };
    assert!(player.on_audio_info(odd).is_err());
    player.on_audio(Frame {
        pts: Duration::ZERO,
        data: &[1],
    });
    player.on_video(Frame {
        pts: Duration::ZERO,
        data: &[1],
    });
    let stats = player.stats();
    assert_eq!((stats.audio_dropped, stats.video_dropped), (1, 1));
    player.on_video_info(h264(SMALL)).unwrap();
    player.on_video(Frame {
        pts: Duration::ZERO,
        data: &[0, 0, 1, 0x65, 9, 9, 9],
    });
    player.stop();
    assert_eq!(player.stats().video_decoded, 0);
    assert!(player.take_keyframe_request());
}

#[test]
fn a_disk_that_cannot_be_written_ends_the_recording_alone() {
    let dir = Dir::new();
    let recording = Recording::new(dir.path().join("below"), "..").unwrap();
    std::fs::remove_dir(dir.path().join("below")).unwrap();
    let mut player = Player::new(PlayerConfig::new().with_recording(recording));
    player.on_audio_info(PCMU).unwrap();
    play(&mut player, &packets(PCMU, 5), |number| Some(number * 20));
    player.on_video_info(h264(SMALL)).unwrap();
    show(&mut player, &clip(SMALL, 5, &[]), |number| number * 40);
    player.stop();
    let stats = player.stats();
    assert_eq!((stats.audio_decoded, stats.video_decoded), (5, 5));
    assert_eq!((stats.record_errors, stats.samples_recorded), (2, 0));
    assert!(Recording::new("/proc/none/such", "call").is_err());
}
