//! Encoders against decoders.

use std::time::Duration;

use esp_media::codec::{
    Encoded, H264Decoder, H264Encoder, VideoDecoder, VideoEncoder, audio_decoder, audio_encoder,
};
use esp_media::h264::{NalUnits, Sps};
use esp_media::source::TestPicture;
use esp_media::{
    AudioSettings, Content, Error, Picture, ProfileLevel, VideoFormat, VideoSettings, VideoSource,
};
use esp_wire::{AudioInfo, Codec};

use crate::support::{SMALL, clip, h264, psnr, sine, tone_share, types};

fn opus(channels: u8) -> AudioInfo {
    AudioInfo {
        codec: Codec::Opus,
        sample_rate: 48_000,
        channels,
    }
}

fn g711(codec: Codec) -> AudioInfo {
    AudioInfo {
        codec,
        sample_rate: 8_000,
        channels: 1,
    }
}

/// Encodes and decodes a tone of one second, and drops the packets in `lost`.
fn tone(info: AudioInfo, hertz: f64, lost: &[usize]) -> Vec<i16> {
    let settings = AudioSettings::new(info);
    let mut encoder = audio_encoder(settings, Content::Music).unwrap();
    let mut decoder = audio_decoder(info).unwrap();
    let pcm = sine(info.sample_rate, hertz, info.sample_rate as usize);
    let pcm: Vec<i16> = pcm
        .iter()
        .flat_map(|sample| vec![*sample; usize::from(info.channels)])
        .collect();
    let samples = info.sample_rate as usize / 50;
    let (mut packet, mut out, mut all) = (Vec::new(), Vec::new(), Vec::new());
    for (number, block) in pcm.chunks(samples * usize::from(info.channels)).enumerate() {
        encoder.encode(block, &mut packet).unwrap();
        if lost.contains(&number) {
            decoder.conceal(samples, None, &mut out).unwrap();
        } else {
            decoder.decode(&packet, &mut out).unwrap();
        }
        assert_eq!(out.len(), block.len());
        all.extend(out.iter().step_by(usize::from(info.channels)));
    }
    all
}

#[test]
fn a_tone_passes_every_sound_codec() {
    for info in [opus(1), opus(2), g711(Codec::Pcmu), g711(Codec::Pcma)] {
        let pcm = tone(info, 440.0, &[]);
        let share = tone_share(&pcm[pcm.len() / 5..], info.sample_rate, 440.0);
        assert!(share > 0.97, "{info:?} {share}");
    }
}

#[test]
fn a_lost_packet_is_made_up() {
    let pcm = tone(opus(1), 440.0, &[20, 33]);
    let lost = &pcm[20 * 960..21 * 960];
    let power = lost.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / 960.0;
    assert!(power.sqrt() > 2_000.0, "{power}");
}

#[test]
fn the_packet_after_a_loss_brings_it_back() {
    // Like speech: a low tone that swells and fades, at a rate at which copies are sent.
    let settings = AudioSettings {
        info: opus(1),
        bitrate: 24_000,
    };
    let mut encoder = audio_encoder(settings, Content::Voice).unwrap();
    let pcm: Vec<i16> = sine(48_000, 180.0, 48_000)
        .iter()
        .enumerate()
        .map(|(n, sample)| (f64::from(*sample) * (n as f64 / 3_000.0).sin().abs()) as i16)
        .collect();
    let mut packets = Vec::new();
    for block in pcm.chunks(960) {
        let mut packet = Vec::new();
        encoder.encode(block, &mut packet).unwrap();
        packets.push(packet);
    }
    // How far a made-up packet is from the one that was lost, with and without the next one.
    let distance = |helped: bool| -> f64 {
        let mut sum = 0.0;
        for lost in 10..40 {
            let mut decoder = audio_decoder(opus(1)).unwrap();
            let (mut made, mut whole) = (Vec::new(), Vec::new());
            for packet in &packets[..lost] {
                decoder.decode(packet, &mut made).unwrap();
            }
            let next = helped.then_some(&packets[lost + 1][..]);
            decoder.conceal(960, next, &mut made).unwrap();
            let mut decoder = audio_decoder(opus(1)).unwrap();
            for packet in &packets[..=lost] {
                decoder.decode(packet, &mut whole).unwrap();
            }
            let pairs = made.iter().zip(&whole);
            sum += pairs
                .map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2))
                .sum::<f64>();
        }
        sum
    };
    let (helped, alone) = (distance(true), distance(false));
    assert!(helped < alone / 2.0, "{helped} {alone}");
}

#[test]
fn sound_in_wrong_portions_is_refused() {
    for info in [opus(1), g711(Codec::Pcmu)] {
        let mut encoder = audio_encoder(AudioSettings::new(info), Content::Voice).unwrap();
        let outcome = encoder.encode(&[0; 100], &mut Vec::new());
        assert!(matches!(outcome, Err(Error::Misuse(_))));
    }
    let wrong = AudioInfo {
        channels: 3,
        ..opus(1)
    };
    assert!(audio_decoder(wrong).is_err());
    let mut pcm = Vec::new();
    let mut decoder = audio_decoder(opus(1)).unwrap();
    assert!(decoder.decode(&[], &mut pcm).is_err());
    assert!(decoder.decode(&[0xff; 3], &mut pcm).is_err());
}

#[test]
fn opus_follows_its_bitrate() {
    let mut encoder = audio_encoder(AudioSettings::new(opus(1)), Content::Music).unwrap();
    let pcm = sine(48_000, 440.0, 960);
    let mut size = |bitrate: u32| {
        encoder.set_bitrate(bitrate);
        let mut packet = Vec::new();
        let sizes = (0..50).map(|_| {
            encoder.encode(&pcm, &mut packet).unwrap();
            packet.len()
        });
        sizes.sum::<usize>() * 8
    };
    let (high, low) = (size(64_000), size(12_000));
    assert!(high > 40_000 && low < 16_000, "{high} {low}");
}

#[test]
fn pictures_come_back() {
    let format = VideoFormat {
        width: 320,
        height: 240,
        fps: 25,
    };
    let settings = VideoSettings {
        profile_level: ProfileLevel::constrained_baseline(30),
        ..VideoSettings::new(h264(format))
    };
    let mut source = TestPicture::new(format).unwrap();
    let mut encoder = H264Encoder::new(settings, format).unwrap();
    let mut decoder = H264Decoder::new().unwrap();
    let mut picture = Picture::new(format.width, format.height);
    let (mut decoded, mut out) = (Picture::default(), Vec::new());
    for number in 0..10 {
        let pts = Duration::from_millis(number * 40);
        source.capture(pts, &mut picture).unwrap();
        if number == 5 {
            encoder.request_keyframe();
        }
        let outcome = encoder.encode(&picture, pts, &mut out).unwrap();
        let kinds = types(&out);
        if number % 5 == 0 {
            assert_eq!(outcome, Encoded::Key);
            assert_eq!(kinds[..3], [7, 8, 5]);
            let sps = NalUnits::new(&out).next().and_then(Sps::parse).unwrap();
            assert_eq!((sps.width, sps.height), (320, 240));
            assert_eq!(sps.profile_level.profile_idc(), 66);
            assert_eq!(sps.profile_level.level_idc(), 30);
            // Constrained: set 1 is honoured too.
            assert_eq!(sps.profile_level.0[1] & 0x40, 0x40);
        } else {
            assert_eq!(outcome, Encoded::Delta);
            assert!(kinds.iter().all(|kind| *kind == 1), "{kinds:?}");
        }
        assert!(NalUnits::new(&out).all(|nal| nal.len() <= 1_100));
        assert!(decoder.decode(&out, &mut decoded).unwrap());
        let likeness = psnr(&picture, &decoded);
        assert!(likeness > 30.0, "{number} {likeness}");
    }
}

/// A picture that is hard to encode: noise in blocks of four by four, new each time.
fn noise(picture: &mut Picture, seed: &mut u32) {
    for y in (0..picture.height()).step_by(4) {
        for x in (0..picture.width()).step_by(4) {
            *seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let luma = 60 + (*seed >> 25) as u8;
            picture.fill(x, y, 4, 4, [luma, 128, 128]);
        }
    }
}

#[test]
fn the_bitrate_of_pictures_can_be_changed() {
    let format = SMALL;
    let settings = VideoSettings {
        bitrate: 400_000,
        ..VideoSettings::new(h264(format))
    };
    let mut encoder = H264Encoder::new(settings, format).unwrap();
    let mut picture = Picture::new(format.width, format.height);
    let (mut seed, mut out, mut number) = (1, Vec::new(), 0);
    let mut run = |bitrate: u32| {
        encoder.set_bitrate(bitrate);
        let mut bits = 0;
        for frame in 0..75 {
            noise(&mut picture, &mut seed);
            let pts = Duration::from_millis(number * 40);
            number += 1;
            encoder.encode(&picture, pts, &mut out).unwrap();
            // The first second belongs to the change.
            if frame >= 25 {
                bits += out.len() * 8;
            }
        }
        bits / 2
    };
    let figures = [run(400_000), run(120_000), run(400_000)];
    let near = |figure: usize, target: usize| figure > target / 2 && figure < target * 5 / 4;
    assert!(near(figures[0], 400_000), "{figures:?}");
    assert!(near(figures[1], 120_000), "{figures:?}");
    assert!(near(figures[2], 400_000), "{figures:?}");
}

#[test]
fn a_large_noisy_keyframe_stays_in_packets() {
    let format = VideoFormat {
        width: 640,
        height: 480,
        fps: 25,
    };
    let settings = VideoSettings {
        bitrate: 6_000_000,
        ..VideoSettings::new(h264(format))
    };
    let mut encoder = H264Encoder::new(settings, format).unwrap();
    let mut decoder = H264Decoder::new().unwrap();
    let mut picture = Picture::new(format.width, format.height);
    let (mut decoded, mut seed, mut out) = (Picture::default(), 7, Vec::new());
    for number in 0..3 {
        noise(&mut picture, &mut seed);
        let pts = Duration::from_millis(number * 40);
        if encoder.encode(&picture, pts, &mut out).unwrap() == Encoded::Skipped {
            continue;
        }
        let largest = NalUnits::new(&out).map(<[u8]>::len).max().unwrap();
        assert!(largest <= 1_100, "{largest}");
        assert!(decoder.decode(&out, &mut decoded).unwrap());
    }
    assert!(out.len() > 10_000);
}

#[test]
fn levels_are_kept() {
    let large = VideoFormat {
        width: 1_280,
        height: 720,
        fps: 30,
    };
    let settings = VideoSettings {
        profile_level: ProfileLevel::constrained_baseline(30),
        ..VideoSettings::new(h264(large))
    };
    let Err(error) = H264Encoder::new(settings, large) else {
        panic!("level 3.0 took 720p");
    };
    assert!(error.to_string().contains("42e01e"), "{error}");
    assert_eq!(
        "42E01f".parse::<ProfileLevel>().unwrap(),
        ProfileLevel::default()
    );
    assert!("42e0".parse::<ProfileLevel>().is_err());
    assert!("+2e01f".parse::<ProfileLevel>().is_err());
}

#[test]
fn a_decoder_refuses_what_is_too_large() {
    let frames = clip(SMALL, 1, &[]);
    let mut decoder = H264Decoder::new().unwrap().with_max_pixels(160 * 127);
    let outcome = decoder.decode(&frames[0], &mut Picture::default());
    assert!(matches!(outcome, Err(Error::Malformed(_))));
}
