//! The generator in real time: pace, sharing, keyframes, stopping.

use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::time::{Duration, Instant};

use esp_media::source::{Melody, TestPicture, VideoFile};
use esp_media::{
    AudioSettings, AudioSource, Capture, CaptureSettings, Error, FrameSink, Generator,
    GeneratorConfig, ProfileLevel, VideoFormat, VideoSettings,
};
use esp_wire::{AudioInfo, Codec, Frame};

use crate::support::{Dir, SMALL, clip, h264, types};

/// Longer than anything takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A frame as a sink got it.
#[derive(Clone, Debug, PartialEq)]
enum Got {
    Audio(Duration, Vec<u8>),
    Video(Duration, Vec<u8>, bool),
}

struct Sink(Sender<Got>);

impl FrameSink for Sink {
    fn on_audio(&mut self, frame: Frame<'_>) {
        let _ = self.0.send(Got::Audio(frame.pts, frame.data.to_vec()));
    }

    fn on_video(&mut self, frame: Frame<'_>, keyframe: bool) {
        let _ = self
            .0
            .send(Got::Video(frame.pts, frame.data.to_vec(), keyframe));
    }
}

/// A sink that hands each picture over, and waits until it is taken.
struct Handing(SyncSender<Got>);

impl FrameSink for Handing {
    fn on_audio(&mut self, _: Frame<'_>) {}

    fn on_video(&mut self, frame: Frame<'_>, keyframe: bool) {
        let _ = self
            .0
            .send(Got::Video(frame.pts, frame.data.to_vec(), keyframe));
    }
}

/// A sink that waits in its first call until it is let go.
struct Blocked(Receiver<()>);

impl FrameSink for Blocked {
    fn on_audio(&mut self, _: Frame<'_>) {}

    fn on_video(&mut self, _: Frame<'_>, _: bool) {
        let _ = self.0.recv();
    }
}

fn sound(codec: Codec) -> AudioSettings {
    AudioSettings::new(AudioInfo {
        codec,
        sample_rate: codec.clock_rate(),
        channels: 1,
    })
}

fn both(codec: Codec) -> CaptureSettings {
    CaptureSettings {
        audio: Some(sound(codec)),
        video: Some(VideoSettings {
            bitrate: 1_000_000,
            ..VideoSettings::new(h264(SMALL))
        }),
    }
}

fn start(generator: &Generator, settings: CaptureSettings) -> (Box<dyn Capture>, Receiver<Got>) {
    let (sender, receiver) = channel();
    let mut capture = generator.capture();
    capture.start(settings, Box::new(Sink(sender))).unwrap();
    (capture, receiver)
}

/// Takes frames until `enough`.
fn take(receiver: &Receiver<Got>, mut enough: impl FnMut(&[Got]) -> bool) -> Vec<Got> {
    let mut got = Vec::new();
    while !enough(&got) {
        got.push(receiver.recv_timeout(PATIENCE).expect("frames go on"));
    }
    got
}

/// Pictures alone, from a generator whose sinks are not isolated: the next one is made when the last one was taken.
fn start_handing(generator: &Generator) -> (Box<dyn Capture>, Receiver<Got>) {
    let (sender, receiver) = sync_channel(0);
    let settings = CaptureSettings {
        audio: None,
        ..both(Codec::Opus)
    };
    let mut capture = generator.capture();
    capture.start(settings, Box::new(Handing(sender))).unwrap();
    (capture, receiver)
}

fn videos(got: &[Got]) -> Vec<(Duration, &[u8], bool)> {
    got.iter()
        .filter_map(|got| match got {
            Got::Video(pts, data, key) => Some((*pts, &data[..], *key)),
            Got::Audio(..) => None,
        })
        .collect()
}

fn audios(got: &[Got]) -> Vec<(Duration, &[u8])> {
    got.iter()
        .filter_map(|got| match got {
            Got::Audio(pts, data) => Some((*pts, &data[..])),
            Got::Video(..) => None,
        })
        .collect()
}

fn generator() -> Generator {
    Generator::new(GeneratorConfig::test_signal(SMALL).unwrap()).unwrap()
}

#[test]
fn frames_come_at_their_pace() {
    let generator = generator();
    let began = Instant::now();
    let (mut capture, receiver) = start(&generator, both(Codec::Opus));
    let got = take(&receiver, |got| {
        audios(got).len() >= 25 && videos(got).len() >= 12
    });
    // Nothing comes before its time.
    let audio = audios(&got);
    assert!(began.elapsed() + Duration::from_millis(40) >= audio[24].0 - audio[0].0);
    for pair in audio.windows(2) {
        // Whole frames; a machine that stood still leaves some out.
        let step = (pair[1].0 - pair[0].0).as_nanos();
        assert!(step > 0 && step % 20_000_000 == 0, "{step}");
    }
    let video = videos(&got);
    assert!(video[0].2 && types(video[0].1).starts_with(&[7, 8, 5]));
    for pair in video.windows(2) {
        let step = (pair[1].0 - pair[0].0).as_nanos();
        assert!(step > 0 && step % 40_000_000 == 0, "{step}");
    }
    capture.stop();
    while receiver.try_recv().is_ok() {}
    assert!(receiver.recv_timeout(Duration::from_millis(60)).is_err());
    // It can be started again, and begins with a keyframe again.
    let (sender, receiver) = channel();
    capture
        .start(both(Codec::Pcmu), Box::new(Sink(sender)))
        .unwrap();
    let got = take(&receiver, |got| {
        !audios(got).is_empty() && !videos(got).is_empty()
    });
    assert_eq!(audios(&got)[0].1.len(), 160);
    assert!(videos(&got)[0].2);
    assert_eq!(generator.failure(), None);
}

#[test]
fn a_frame_is_encoded_once_for_all() {
    // Without queues, which on a slow machine may be full for one and not for the other.
    let config = GeneratorConfig::test_signal(SMALL).unwrap();
    let generator = Generator::new(config.with_isolated_sinks(false)).unwrap();
    let (_first, one) = start(&generator, both(Codec::Opus));
    let (_second, two) = start(&generator, both(Codec::Opus));
    let (_third, three) = start(&generator, both(Codec::Pcma));
    // The second may begin later; from then on, both get the same.
    let two = take(&two, |got| {
        videos(got).len() >= 5 && audios(got).len() >= 10
    });
    let picture = videos(&two)[4].1.to_vec();
    let packet = audios(&two)[9].1.to_vec();
    let one = take(&one, |got| {
        videos(got).iter().any(|video| video.1 == picture)
            && audios(got).iter().any(|audio| audio.1 == packet)
    });
    assert!(videos(&one)[0].2);
    let three = take(&three, |got| audios(got).len() >= 5);
    assert!(audios(&three).iter().all(|(_, data)| data.len() == 160));
}

#[test]
fn a_keyframe_comes_when_it_is_asked_for() {
    let config = GeneratorConfig::test_signal(SMALL).unwrap();
    let config = config.with_keyframe_interval(Duration::ZERO);
    let generator = Generator::new(config.with_isolated_sinks(false)).unwrap();
    let (capture, receiver) = start_handing(&generator);
    take(&receiver, |got| videos(got).iter().any(|video| video.2));
    let got = take(&receiver, |got| got.len() >= 10);
    assert!(videos(&got).iter().all(|video| !video.2));
    capture.request_keyframe();
    capture.set_video_bitrate(500_000);
    // One picture may have been on its way.
    let got = take(&receiver, |got| got.len() >= 2);
    assert!(videos(&got).iter().any(|video| video.2));
}

#[test]
fn a_sink_that_blocks_holds_up_nobody() {
    let generator = generator();
    let (release, blocked) = channel();
    let mut stuck = generator.capture();
    stuck
        .start(both(Codec::Opus), Box::new(Blocked(blocked)))
        .unwrap();
    let (mut capture, receiver) = start(&generator, both(Codec::Opus));
    take(&receiver, |got| {
        videos(got).len() >= 10 && audios(got).len() >= 30
    });
    capture.stop();
    drop(release);
    stuck.stop();
}

#[test]
fn a_file_is_sent_and_requests_jump() {
    let dir = Dir::new();
    let frames = clip(SMALL, 30, &[20]);
    let path = dir.write("clip.h264", &frames.concat());
    let file = VideoFile::open(&path, Some(50)).unwrap();
    let config = GeneratorConfig::new()
        .with_encoded_video(file)
        .with_isolated_sinks(false)
        .with_keyframe_interval(Duration::ZERO);
    let generator = Generator::new(config).unwrap();
    let mut capture = generator.capture();
    let supported = capture.supported();
    assert!(supported.audio.is_empty() && !supported.video[0].adjustable);
    let refused = capture.start(both(Codec::Opus), Box::new(Sink(channel().0)));
    assert!(matches!(refused, Err(Error::Misuse(_))));
    let (capture, receiver) = start_handing(&generator);
    let got = take(&receiver, |got| got.len() >= 3);
    assert!(videos(&got)[0].2 && !videos(&got)[1].2);
    capture.request_keyframe();
    // One picture may have been on its way.
    let got = take(&receiver, |got| got.len() >= 2);
    let got = videos(&got);
    let key = got.iter().find(|video| video.2).expect("it jumps");
    // Its first start code may be a byte shorter.
    assert!(frames[20].ends_with(&key.1[1..]));
}

#[test]
fn pictures_shrink_to_the_level() {
    let config = GeneratorConfig::new().with_video(
        TestPicture::new(VideoFormat {
            width: 640,
            height: 480,
            fps: 25,
        })
        .unwrap(),
    );
    let generator = Generator::new(config).unwrap();
    let supported = generator.capture().supported();
    assert_eq!(supported.video[0].profile_level.to_string(), "42e01e");
    let settings = |level, info| CaptureSettings {
        audio: None,
        video: Some(VideoSettings {
            profile_level: ProfileLevel::constrained_baseline(level),
            ..VideoSettings::new(info)
        }),
    };
    let (_capture, receiver) = start(&generator, settings(13, h264(SMALL)));
    let got = take(&receiver, |got| !got.is_empty());
    let sps = esp_media::h264::NalUnits::new(videos(&got)[0].1).next();
    let sps = esp_media::h264::Sps::parse(sps.unwrap()).unwrap();
    assert_eq!((sps.width, sps.height), (160, 120));
    assert_eq!(sps.profile_level.level_idc(), 13);
}

#[test]
fn wrong_use_is_refused() {
    let config = GeneratorConfig::new().with_audio(Melody::new());
    let generator = Generator::new(config).unwrap();
    let mut capture = generator.capture();
    let mut start = |settings| capture.start(settings, Box::new(Sink(channel().0)));
    assert!(start(both(Codec::Opus)).is_err());
    let sound_only = CaptureSettings {
        audio: Some(sound(Codec::Pcmu)),
        video: None,
    };
    start(sound_only).unwrap();
    assert!(start(sound_only).is_err());
    struct Odd;
    impl AudioSource for Odd {
        fn format(&self) -> esp_media::AudioFormat {
            esp_media::AudioFormat {
                sample_rate: 11_025,
                channels: 1,
            }
        }
        fn read(&mut self, _: &mut [i16]) -> Result<(), Error> {
            Ok(())
        }
    }
    assert!(Generator::new(GeneratorConfig::new().with_audio(Odd)).is_err());
}

#[test]
fn a_source_that_fails_ends_with_its_reason() {
    struct Broken(Sender<()>);
    impl AudioSource for Broken {
        fn format(&self) -> esp_media::AudioFormat {
            esp_media::AudioFormat {
                sample_rate: 8_000,
                channels: 1,
            }
        }
        fn read(&mut self, _: &mut [i16]) -> Result<(), Error> {
            let _ = self.0.send(());
            Err(Error::Misuse("the cable is out".to_owned()))
        }
    }
    let (sender, asked) = channel();
    let generator = Generator::new(GeneratorConfig::new().with_audio(Broken(sender))).unwrap();
    let settings = CaptureSettings {
        audio: Some(sound(Codec::Pcmu)),
        video: None,
    };
    let (mut capture, _receiver) = start(&generator, settings);
    asked.recv_timeout(PATIENCE).unwrap();
    // Stopping waits for the thread, which has written down its reason by then.
    capture.stop();
    assert_eq!(generator.failure().as_deref(), Some("the cable is out"));
    let again = capture.start(settings, Box::new(Sink(channel().0)));
    assert!(again.unwrap_err().to_string().contains("the cable is out"));
}
