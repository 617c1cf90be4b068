//! Sound and pictures between two peers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use esp_peer::rtp::{Buffers, EncodedSize, FrameInfo, TransformError};
use esp_peer::{Error, PeerConfig, RtpTransformer, State, TransformerSide};
use esp_wire::{Codec, Direction, Frame};

use crate::station::{World, everything};

/// A picture: parameter sets and one slice, its bytes told apart by `number`.
fn picture(number: u8, len: usize, key: bool) -> Vec<u8> {
    let mut unit = Vec::new();
    if key {
        unit.extend_from_slice(&[0, 0, 0, 1, 0x67, 0x42, 0xe0, 0x1f, 0x96]);
        unit.extend_from_slice(&[0, 0, 0, 1, 0x68, 0xce, 0x3c, 0x80]);
    }
    unit.extend_from_slice(&[0, 0, 0, 1, if key { 0x65 } else { 0x41 }]);
    unit.extend((0..len).map(|at| (at as u8).wrapping_add(number) | 1));
    unit
}

fn connected(seed: u64, offers: PeerConfig, answers: PeerConfig) -> World {
    let mut world = World::new(seed, Duration::from_millis(20), offers, answers);
    world.connect();
    world
}

/// Sends `count` pictures and packets of sound from the offerer, 40 ms apart.
fn send(world: &mut World, count: u8) -> Vec<Vec<u8>> {
    let mut pictures = Vec::new();
    for number in 0..count {
        let pts = Duration::from_millis(40 * u64::from(number));
        let unit = picture(number, 5_000, number == 0);
        world.at_a(|peer, now| {
            peer.send_video(now, Frame { pts, data: &unit }).unwrap();
            peer.send_audio(
                now,
                Frame {
                    pts,
                    data: &[number; 60],
                },
            )
            .unwrap();
        });
        pictures.push(unit);
        world.net.run_for(Duration::from_millis(40));
    }
    world.net.run_for(Duration::from_millis(500));
    pictures
}

#[test]
fn frames_arrive_whole_and_in_order() {
    let mut world = connected(1, everything(), everything());
    let pictures = send(&mut world, 25);
    let b = world.b();
    let received: Vec<&Vec<u8>> = b.video.iter().map(|(_, data)| data).collect();
    assert_eq!(received, pictures.iter().collect::<Vec<_>>());
    assert_eq!(b.audio.len(), 25);
    assert!(b.has(State::RemoteAudioTrackAdded) && b.has(State::RemoteVideoTrackAdded));
    let step = b.video[1].0 - b.video[0].0;
    assert_eq!(step, Duration::from_millis(40));
}

#[test]
fn what_the_path_carries_is_told() {
    let mut world = connected(8, everything(), everything());
    send(&mut world, 50);
    let report = world.at_a(|peer, now| peer.report(now));
    let estimate = report.rtp.unwrap().estimate.unwrap();
    assert!(estimate.bitrate > 900_000, "{estimate:?}");
    let best = world.a().bitrates.iter().max();
    assert!(best >= Some(&900_000), "{:?}", world.a().bitrates);
    // The other side only listens.
    assert!(world.b().bitrates.is_empty());
    let report = world.at_b(|peer, now| peer.report(now));
    assert!(report.rtp.unwrap().feedback_sent > 10);
}

#[test]
fn lost_packets_are_asked_for_again() {
    let mut world = connected(2, everything(), everything());
    world.net.loss(0.03);
    send(&mut world, 50);
    let report = world.at_a(|peer, now| peer.report(now));
    assert!(
        world.b().video.len() >= 45,
        "{} of 50",
        world.b().video.len()
    );
    assert!(format!("{:?}", report.rtp).contains("retransmitted"));
}

#[test]
fn a_keyframe_can_be_asked_for() {
    let mut world = connected(3, everything(), everything());
    send(&mut world, 3);
    world.at_b(|peer, now| peer.request_keyframe(now).unwrap());
    world.run_until(|a, _| a.has(State::VideoPliReceived));
}

#[test]
fn the_codec_that_the_offerer_prefers_is_used() {
    let mut offers = everything();
    offers.audio.rotate_left(1);
    let world = connected(4, offers, everything());
    for station in [world.a(), world.b()] {
        let audio = station.negotiated.unwrap().audio.unwrap();
        assert_eq!(audio.codec, Codec::Pcmu);
    }
}

#[test]
fn one_way_media_is_refused_the_other_way() {
    let mut answers = everything();
    answers.video_direction = Direction::RecvOnly;
    let mut world = connected(5, everything(), answers);
    let unit = picture(0, 100, true);
    let frame = Frame {
        pts: Duration::ZERO,
        data: &unit,
    };
    assert!(world.b().negotiated.unwrap().video.is_none());
    let refused = world.at_b(|peer, now| peer.send_video(now, frame));
    assert!(refused.is_err());
    world.at_a(|peer, now| peer.send_video(now, frame).unwrap());
    world.run_until(|_, b| b.video.len() == 1);
}

#[test]
fn frames_before_the_connection_are_refused() {
    let mut world = World::new(6, Duration::ZERO, everything(), everything());
    let refused = world.at_a(|peer, now| {
        peer.send_audio(
            now,
            Frame {
                pts: Duration::ZERO,
                data: &[1],
            },
        )
    });
    assert!(matches!(refused, Err(Error::WrongState(_))));
}

/// Changes every byte, and counts frames.
struct Mask(Arc<AtomicU32>);

impl RtpTransformer for Mask {
    fn encoded_size(&mut self, _: FrameInfo, frame: &[u8]) -> EncodedSize {
        EncodedSize {
            size: frame.len(),
            in_place: true,
        }
    }

    fn transform(&mut self, _: FrameInfo, buffers: Buffers<'_>) -> Result<usize, TransformError> {
        let Buffers::InPlace { data, original } = buffers else {
            return Err(TransformError);
        };
        self.0.fetch_add(1, Ordering::Relaxed);
        data[..original].iter_mut().for_each(|byte| *byte ^= 0x55);
        Ok(original)
    }
}

#[test]
fn transformers_see_every_frame_and_outlive_a_call() {
    let mut world = World::new(7, Duration::from_millis(5), everything(), everything());
    let (out, back) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let mask =
        |count: &Arc<AtomicU32>| Some(Box::new(Mask(Arc::clone(count))) as Box<dyn RtpTransformer>);
    world.at_a(|peer, _| {
        peer.set_rtp_transformer(TransformerSide::Sender, mask(&out))
            .unwrap()
    });
    world.at_b(|peer, _| {
        peer.set_rtp_transformer(TransformerSide::Receiver, mask(&back))
            .unwrap()
    });
    for round in 1..=2 {
        world.connect();
        world.at_a(|peer, now| {
            let frame = Frame {
                pts: Duration::ZERO,
                data: b"plain sound",
            };
            peer.send_audio(now, frame).unwrap();
        });
        world.run_until(|_, b| b.audio.len() == round);
        assert_eq!(world.b().audio[round - 1].1, b"plain sound");
        world.at_a(|peer, now| peer.disconnect(now).unwrap());
        world.run_until(|_, b| b.has(State::Disconnected));
        for host in [world.offerer, world.answerer] {
            world.net.endpoint_mut(host).states.clear();
        }
    }
    assert_eq!(out.load(Ordering::Relaxed), 2);
    assert_eq!(back.load(Ordering::Relaxed), 2);
}
