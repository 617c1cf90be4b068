//! Losses: what is requested when, what is repaired, what is skipped, and what follows.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use esp_rtp::packet::Packet;
use esp_rtp::rtcp::{self, Rtcp};
use esp_rtp::{Class, Config, Error, JitterConfig, PayloadMap, TrackId};
use esp_wire::{Frame, Instant};
use proptest::prelude::*;

use crate::link::*;

/// Pictures at 30 a second from side 0; one that the far side asks for is a keyframe.
fn stream(pair: &mut Pair, from_ms: u64, to_ms: u64, index: &mut u32) {
    let mut ms = from_ms;
    while ms < to_ms {
        pair.run_to(ms);
        let asked = pair.times(0, &Happened::KeyframeRequested(TrackId(0)));
        let keyframe = *index == 0
            || asked
                .iter()
                .any(|at| *at + Duration::from_millis(33) > pair.now);
        pair.send(0, "v", &picture(*index, 4_000, keyframe));
        *index += 1;
        ms += 33;
    }
    pair.run_to(to_ms);
}

/// The number of a picture, whose bytes must all be right.
fn index_of(frame: &[u8]) -> u32 {
    let keyframe = frame.len() > 4_012;
    let digits = &frame[if keyframe { 21 } else { 6 }..];
    let index = (0..5).fold(0, |index, digit| {
        index | u32::from(digits[digit] & 63) << (6 * digit)
    });
    assert!(*frame == picture(index, 4_000, keyframe));
    index
}

#[test]
fn losses_are_repaired_by_rtx_and_by_plain_retransmission() {
    for payload in [h264().with_rtx(97).with_feedback(), h264().with_feedback()] {
        let mut pair = Pair::new(11, &Config::default(), &[video(payload)]);
        pair.quality = Quality {
            delay: Duration::from_millis(10),
            jitter: Duration::from_millis(6),
            loss: 0.05,
            duplicates: 0.02,
        };
        let mut index = 0;
        stream(&mut pair, 0, 10_000, &mut index);
        let frames = pair.frames(1, "v");
        let stats = pair.sessions[1].stats().tracks[0].received[0].clone();
        assert!(
            frames.len() as u32 >= index - 8,
            "{} of {index}: {stats:?}",
            frames.len()
        );
        assert!(stats.nacked > 40, "{stats:?}");
        let sent = pair.sessions[0].stats().tracks[0].sent.clone();
        assert!(
            sent.retransmitted >= 40 && sent.remote_fraction_lost < 0.3,
            "{sent:?}"
        );
        assert!(frames.windows(2).all(|pair| pair[0].1.pts < pair[1].1.pts));
        let order: Vec<u32> = frames.iter().map(|(_, got)| index_of(&got.data)).collect();
        assert!(order.is_sorted());
        if payload.rtx_pt.is_some() {
            assert!(stats.recovered > 40, "{stats:?}");
            assert!(stats.rtt.unwrap() < Duration::from_millis(40));
        }
    }
}

/// Notes the feedback of a side, and drops one RTP packet of side 0 as often as told.
fn watch(pair: &mut Pair, drop_sequence: u16, copies: usize) -> Rc<RefCell<Vec<String>>> {
    let log = Rc::new(RefCell::new(Vec::new()));
    let seen = log.clone();
    let mut left = copies;
    pair.filter = Some(Box::new(move |_, class, bytes| {
        if class == Class::Rtp {
            let packet = Packet::parse(bytes).unwrap();
            let original = match packet.header.payload_type {
                97 => u16::from_be_bytes([packet.payload[0], packet.payload[1]]),
                _ => packet.header.sequence,
            };
            let hit = original == drop_sequence && left > 0;
            left -= usize::from(hit);
            return hit;
        }
        for packet in rtcp::packets(bytes).flatten() {
            match packet {
                Rtcp::Nack(nack) => seen
                    .borrow_mut()
                    .push(format!("nack {:?}", nack.sequences().collect::<Vec<_>>())),
                Rtcp::Pli { .. } => seen.borrow_mut().push("pli".into()),
                Rtcp::Fir(fir) => seen
                    .borrow_mut()
                    .push(format!("fir {}", fir.entries().count())),
                _ => {}
            }
        }
        false
    }));
    log
}

/// The sequence number of the first packet that side 0 sends.
fn first_sequence(payload: PayloadMap) -> u16 {
    let mut pair = Pair::new(12, &Config::default(), &[video(payload)]);
    let first = Rc::new(RefCell::new(None));
    let seen = first.clone();
    pair.filter = Some(Box::new(move |_, class, bytes| {
        if class == Class::Rtp {
            let sequence = Packet::parse(bytes).unwrap().header.sequence;
            seen.borrow_mut().get_or_insert(sequence);
        }
        false
    }));
    pair.send(0, "v", &picture(0, 100, true));
    pair.run_to(1);
    let sequence = *first.borrow();
    sequence.unwrap()
}

#[test]
fn a_lost_packet_is_requested_after_a_moment_and_repaired() {
    let payload = h264().with_rtx(97).with_feedback();
    let lost = first_sequence(payload) + 3;
    let mut pair = Pair::new(12, &Config::default(), &[video(payload)]);
    let log = watch(&mut pair, lost, 1);
    pair.send(0, "v", &picture(0, 4_000, true));
    pair.run_to(300);
    // Asked for at 25 ms, and again at 45 ms, since nobody knows the round-trip time yet.
    assert_eq!(*log.borrow(), vec![format!("nack [{lost}]"); 2]);
    let frames = pair.frames(1, "v");
    // 20 ms there, 5 ms for reordering, 20 ms back and 20 ms there again.
    assert_eq!(frames.len(), 1);
    assert_eq!(frames[0].0, Instant::from_millis(65));
}

#[test]
fn a_packet_that_stays_lost_is_skipped_in_time_and_a_keyframe_asked_for() {
    for (fir, word) in [(false, "pli"), (true, "fir 1")] {
        let mut payload = h264().with_rtx(97).with_feedback();
        payload.pli = !fir;
        let first = first_sequence(payload);
        let mut pair = Pair::new(12, &Config::default(), &[video(payload)]);
        // The fourth picture's second packet; each picture has 4 or 5 packets.
        let lost = first + 5 + 4 * 2 + 1;
        let log = watch(&mut pair, lost, 100);
        let mut index = 0;
        stream(&mut pair, 0, 600, &mut index);
        let log = log.borrow();
        let nacks = log.iter().filter(|line| line.starts_with("nack")).count();
        assert!((3..=5).contains(&nacks), "{log:?}");
        assert_eq!(
            log.iter().filter(|line| *line == word).count(),
            1,
            "{log:?}"
        );
        let frames = pair.frames(1, "v");
        let order: Vec<u32> = frames.iter().map(|(_, got)| index_of(&got.data)).collect();
        assert_eq!(order[..3], [0, 1, 2]);
        assert!(frames[3].1.keyframe && order[3] > 3, "{order:?}");
        assert!(order[3..].windows(2).all(|pair| pair[1] == pair[0] + 1));
        // The gap is seen at 119 ms, skipped 100 ms later, and the request takes 20 ms.
        let asked = pair.times(0, &Happened::KeyframeRequested(TrackId(0)));
        assert_eq!(asked, [Instant::from_millis(99 + 20 + 100 + 20)]);
        let stats = pair.sessions[1].stats().tracks[0].received[0].clone();
        assert_eq!((stats.skipped, stats.broken_frames), (1, 1));
        assert!(stats.skipped_frames >= 3, "{stats:?}");
    }
}

#[test]
fn without_waiting_pictures_go_on_after_a_loss() {
    let config = Config {
        wait_for_keyframe: false,
        ..Config::default()
    };
    let payload = h264();
    let first = first_sequence(payload);
    let mut pair = Pair::new(12, &config, &[video(payload)]);
    watch(&mut pair, first + 5 + 4 * 2 + 1, 1);
    let mut index = 0;
    stream(&mut pair, 0, 600, &mut index);
    let order: Vec<u32> = pair
        .frames(1, "v")
        .iter()
        .map(|(_, got)| index_of(&got.data))
        .collect();
    assert_eq!(order[..4], [0, 1, 2, 4]);
}

#[test]
fn sound_skips_a_loss_and_goes_on() {
    let mut pair = Pair::new(13, &Config::default(), &[audio(opus())]);
    let mut count = 0;
    pair.filter = Some(Box::new(move |side, class, _| {
        count += usize::from(side == 0 && class == Class::Rtp);
        class == Class::Rtp && count == 5
    }));
    for index in 0..50 {
        pair.run_to(index * 20);
        pair.send(0, "a", &sound(index as u32));
    }
    pair.run_to(2_000);
    let frames = pair.frames(1, "a");
    assert_eq!(frames.len(), 49);
    assert_eq!(frames[3].1.data, sound(3));
    assert_eq!(frames[4].1.data, sound(5));
    assert_eq!(frames[4].1.pts, Duration::from_millis(100));
    assert_eq!(
        frames[4].0,
        Instant::from_millis(100 + 20 + 100),
        "100 ms of patience"
    );
}

#[test]
fn keyframes_can_be_asked_for_and_come_at_a_period() {
    let config = Config::default().with_video(JitterConfig {
        pli_send_interval: Duration::from_secs(1),
        cache_size: 400_000,
        ..JitterConfig::default()
    });
    let mut pair = Pair::new(14, &config, &[video(h264().with_feedback())]);
    let mut index = 0;
    stream(&mut pair, 0, 3_500, &mut index);
    let asked = || Happened::KeyframeRequested(TrackId(0));
    assert_eq!(pair.times(0, &asked()).len(), 3);
    let now = pair.now;
    pair.sessions[1].request_keyframe(now, TrackId(0)).unwrap();
    pair.sessions[1].request_keyframe(now, TrackId(0)).unwrap();
    stream(&mut pair, 3_500, 3_900, &mut index);
    assert_eq!(pair.times(0, &asked()).len(), 4);
    assert!(pair.sessions[1].request_keyframe(now, TrackId(9)).is_err());
}

#[test]
fn a_blocked_path_blocks_the_sender_within_bounds() {
    let mut pair = Pair::new(15, &Config::default(), &[video(h264())]);
    let data = picture(0, 20_000, true);
    let frame = Frame {
        pts: Duration::ZERO,
        data: &data,
    };
    let session = &mut pair.sessions[0];
    let mut sent = 0;
    while session.send_frame(Instant::ZERO, TrackId(0), frame).is_ok() {
        sent += 1;
    }
    assert_eq!(
        session.send_frame(Instant::ZERO, TrackId(0), frame),
        Err(Error::WouldBlock)
    );
    assert_eq!(sent, 13, "256 packets");
    pair.run_to(1_000);
    assert_eq!(pair.frames(1, "v").len(), 13);
    pair.send(0, "v", &data);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever the link did, all is well soon after it is good again.
    #[test]
    fn after_any_weather_every_picture_comes_again(
        seed in 100u64..1_000_000, loss in 0.0f64..0.3, duplicates in 0.0f64..0.2,
        delay in 1u64..150, jitter in 0u64..60, rtx: bool, nack: bool) {
        let mut payload = h264().with_feedback();
        payload.nack = nack;
        payload.rtx_pt = rtx.then_some(97);
        let mut pair = Pair::new(seed, &Config::default(), &[video(payload)]);
        pair.quality = Quality {
            delay: Duration::from_millis(delay),
            jitter: Duration::from_millis(jitter),
            loss,
            duplicates,
        };
        let mut index = 0;
        stream(&mut pair, 0, 3_000, &mut index);
        pair.quality = Quality::GOOD;
        stream(&mut pair, 3_000, 5_000, &mut index);
        let fine_from = index;
        stream(&mut pair, 5_000, 7_000, &mut index);
        pair.run_to(7_500);
        let order: Vec<u32> = pair
            .frames(1, "v")
            .iter()
            .map(|(_, got)| index_of(&got.data))
            .collect();
        prop_assert!(order.windows(2).all(|pair| pair[0] < pair[1]), "{order:?}");
        let fine: Vec<u32> = order.into_iter().filter(|index| *index >= fine_from).collect();
        prop_assert_eq!(fine, (fine_from..index).collect::<Vec<_>>());
    }
}
