//! A call over a link: frames arrive as they were sent, in step, and are reported on.

use std::time::Duration;

use esp_rtp::{
    Buffers, Config, EncodedSize, EndReason, FrameInfo, PayloadMap, Side, TransformError,
    Transformer,
};
use esp_wire::Codec;

use crate::link::*;

/// Ten seconds of pictures (30 a second) and sound (50 a second), both ways.
fn call(pair: &mut Pair, seconds: u64) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let (mut pictures, mut sounds) = (Vec::new(), Vec::new());
    for ms in 0..seconds * 1_000 {
        pair.run_to(ms);
        if ms % 33 == 0 {
            let index = pictures.len() as u32;
            let keyframe = index.is_multiple_of(60);
            let len = if keyframe { 20_000 } else { 3_000 };
            pictures.push(picture(index, len, keyframe));
            for side in 0..2 {
                pair.send(side, "v", pictures.last().unwrap());
            }
        }
        if ms % 20 == 0 {
            sounds.push(sound(sounds.len() as u32));
            for side in 0..2 {
                pair.send(side, "a", sounds.last().unwrap());
            }
        }
    }
    pair.run_to(seconds * 1_000 + 500);
    (pictures, sounds)
}

fn data(frames: &[(esp_wire::Instant, Got)]) -> Vec<Vec<u8>> {
    frames.iter().map(|(_, got)| got.data.clone()).collect()
}

#[test]
fn over_a_good_link_every_frame_arrives_as_it_was() {
    let media = [
        audio(opus()),
        video(h264().with_rtx(97).with_feedback().with_twcc()),
    ];
    let mut pair = Pair::new(1, &Config::default(), &media);
    let (pictures, sounds) = call(&mut pair, 5);
    for side in 0..2 {
        let video = pair.frames(side, "v");
        let audio = pair.frames(side, "a");
        assert!(data(&video) == pictures && data(&audio) == sounds);
        for (index, (_, got)) in video.iter().enumerate() {
            assert_eq!(got.keyframe, index % 60 == 0);
            let expected = Duration::from_millis(33 * index as u64);
            assert!(got.pts.abs_diff(expected) < Duration::from_micros(20));
        }
        for (index, (at, got)) in audio.iter().enumerate() {
            assert_eq!(got.pts, Duration::from_millis(20 * index as u64));
            assert_eq!(
                at.as_nanos() / 1_000_000,
                20 * index as u64 + 20,
                "never held"
            );
        }
        let stats = pair.sessions[side].stats();
        assert_eq!(stats.dropped, esp_rtp::Dropped::default());
        for track in stats.tracks {
            assert_eq!(track.received.len(), 1);
            assert_eq!((track.received[0].lost, track.received[0].nacked), (0, 0));
            let rtt = track.sent.rtt.unwrap().as_millis();
            assert!((39..=41).contains(&rtt), "{rtt}");
            assert_eq!(track.sent.remote_lost, 0);
            assert!(track.sent.bitrate > 20_000);
        }
        let feedback = pair.happened[side]
            .iter()
            .filter_map(|(_, what)| match what {
                Happened::Feedback(seen) => Some(seen),
                _ => None,
            });
        let (received, lost) = feedback.fold((0, 0), |sum, seen| {
            (sum.0 + seen.received, sum.1 + seen.lost)
        });
        assert!(received > 500 && lost == 0, "{received} {lost}");
    }
    assert!(pair.trains[0].iter().any(|count| *count >= 8), "GSO works");
}

#[test]
fn what_the_path_carries_is_told_where_the_peer_tells_of_packets() {
    for observed in [true, false] {
        let mut payload = h264().with_rtx(97).with_feedback();
        payload.twcc = observed;
        let mut pair = Pair::new(9, &Config::default(), &[audio(opus()), video(payload)]);
        call(&mut pair, 3);
        for side in 0..2 {
            let told = pair.happened[side]
                .iter()
                .filter_map(|(_, what)| match what {
                    Happened::Estimate(bitrate) => Some(*bitrate),
                    _ => None,
                });
            let stats = pair.sessions[side].stats();
            let padding: u64 = stats.tracks.iter().map(|track| track.sent.padding).sum();
            if !observed {
                assert_eq!((told.count(), stats.estimate, padding), (0, None, 0));
                assert_eq!(stats.feedback_sent, 0);
                continue;
            }
            // Some 800 kbit/s are sent over a link that has no limit.
            let best = told.max().unwrap();
            assert!(best > 1_000_000, "{best}");
            let estimate = stats.estimate.unwrap();
            assert!(estimate.bitrate > 800_000 && estimate.loss == 0.0);
            assert!(estimate.probes > 0 && padding < 200, "{padding}");
            assert!(stats.feedback_sent > 20);
            assert_eq!(stats.tracks[1].received[0].lost, 0);
        }
    }
}

#[test]
fn sound_and_pictures_are_in_step() {
    let media = [audio(opus()), video(h264())];
    let mut pair = Pair::new(2, &Config::default(), &media);
    call(&mut pair, 3);
    // Both were captured at pts after the origin's calendar.
    let unix = esp_wire::Origin::seeded(1).unix;
    for mid in ["a", "v"] {
        let frames = pair.frames(1, mid);
        let told: Vec<_> = frames
            .iter()
            .filter_map(|(_, got)| Some((got.pts, got.captured?)))
            .collect();
        assert!(
            told.len() > frames.len() * 9 / 10,
            "{mid}: reports come early"
        );
        for (pts, captured) in told {
            let off = captured.abs_diff(unix + pts);
            assert!(off < Duration::from_millis(1), "{mid}: {off:?}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_call() {
    let media = [audio(opus()), video(h264().with_rtx(97).with_feedback())];
    let run = || {
        let mut pair = Pair::new(3, &Config::default(), &media);
        pair.quality.loss = 0.03;
        pair.quality.jitter = Duration::from_millis(10);
        call(&mut pair, 2);
        (pair.happened, pair.trains)
    };
    assert!(run() == run());
}

#[test]
fn g711_in_both_laws() {
    for codec in [Codec::Pcma, Codec::Pcmu] {
        let media = [audio(PayloadMap::new(codec, 8))];
        let mut pair = Pair::new(4, &Config::default(), &media);
        let mut sent = Vec::new();
        for index in 0..20u64 {
            pair.run_to(index * 40);
            let samples: Vec<u8> = (0..320).map(|at| (at as u8) ^ index as u8).collect();
            pair.send(0, "a", &samples);
            sent.extend(samples);
        }
        pair.run_to(2_000);
        let frames = pair.frames(1, "a");
        assert_eq!(frames.len(), 40, "20 ms each");
        assert_eq!(data(&frames).concat(), sent);
        assert!(pair.happened[1][0].1 == Happened::Started(esp_rtp::TrackId(0), codec));
    }
}

#[test]
fn goodbye_ends_the_streams() {
    let media = [audio(opus()), video(h264())];
    let mut pair = Pair::new(5, &Config::default(), &media);
    call(&mut pair, 1);
    let now = pair.now;
    pair.sessions[0].close(now);
    pair.run_to(2_000);
    for track in [0, 1] {
        let ended = Happened::Ended(esp_rtp::TrackId(track), EndReason::Bye);
        assert_eq!(pair.times(1, &ended).len(), 1);
    }
}

#[test]
fn silence_ends_a_stream_and_the_negotiation_does() {
    let config = Config {
        stream_timeout: Duration::from_secs(5),
        ..Config::default()
    };
    let media = [audio(opus()), video(h264())];
    let mut pair = Pair::new(6, &config, &media);
    call(&mut pair, 1);
    let now = pair.now;
    pair.sessions[1].set_media(now, &media[1..]).unwrap();
    pair.run_to(20_000);
    let ended = |track, reason| Happened::Ended(esp_rtp::TrackId(track), reason);
    assert_eq!(pair.times(1, &ended(0, EndReason::Removed)).len(), 1);
    assert_eq!(pair.times(1, &ended(1, EndReason::Timeout)).len(), 1);
}

struct Xor;

impl Transformer for Xor {
    fn encoded_size(&mut self, info: FrameInfo, frame: &[u8]) -> EncodedSize {
        assert_eq!(info.codec, Codec::Opus);
        EncodedSize {
            size: frame.len(),
            in_place: true,
        }
    }

    fn transform(&mut self, _: FrameInfo, buffers: Buffers<'_>) -> Result<usize, TransformError> {
        let Buffers::InPlace { data, original } = buffers else {
            return Err(TransformError);
        };
        data[1..original].iter_mut().for_each(|byte| *byte ^= 0x55);
        Ok(original)
    }
}

#[test]
fn transformers_see_whole_frames_on_both_sides() {
    let media = [audio(opus())];
    let mut pair = Pair::new(7, &Config::default(), &media);
    pair.sessions[0].set_transformer(Side::Sender, Some(Box::new(Xor)));
    pair.send(0, "a", &sound(1));
    pair.run_to(100);
    assert_ne!(pair.frames(1, "a")[0].1.data, sound(1));
    pair.sessions[1].set_transformer(Side::Receiver, Some(Box::new(Xor)));
    pair.send(0, "a", &sound(2));
    pair.run_to(200);
    assert_eq!(pair.frames(1, "a")[1].1.data, sound(2));
}

#[test]
fn a_negotiated_limit_is_told_by_remb() {
    let config = Config {
        max_receive_bitrate: Some(2_000_000),
        ..Config::default()
    };
    let mut payload = h264();
    payload.remb = true;
    let mut pair = Pair::new(8, &config, &[video(payload)]);
    pair.send(0, "v", &picture(0, 3_000, true));
    pair.run_to(3_000);
    assert!(!pair.times(0, &Happened::Bitrate(2_000_000)).is_empty());
    assert_eq!(pair.sessions[0].stats().remb, Some(2_000_000));
}
