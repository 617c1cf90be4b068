//! One session, packet by packet.

use std::time::Duration;

use esp_rtp::packet::{Header, Packet};
use esp_rtp::rtcp::{self, Rtcp};
use esp_rtp::{
    Class, Config, Error, Event, Extension, MediaConfig, Misuse, PayloadMap, Session, TrackId,
};
use esp_wire::{Codec, Direction, Frame, Instant, Kind, Origin, Train, Writer};

use crate::link::{audio, h264, opus, picture, sound, video};

fn session(media: &[MediaConfig]) -> Session {
    let mut session = Session::new(Config::default(), Origin::seeded(1)).unwrap();
    session.set_media(Instant::ZERO, media).unwrap();
    session
}

fn rtp(ssrc: u32, payload_type: u8, sequence: u16, mid: Option<&[u8]>, payload: &[u8]) -> Vec<u8> {
    let header = Header {
        marker: true,
        payload_type,
        sequence,
        timestamp: u32::from(sequence) * 960,
        ssrc,
    };
    let mut bytes = vec![0; 1_500];
    let mut out = Writer::new(&mut bytes);
    let elements: Vec<(u8, &[u8])> = mid.iter().map(|mid| (4, *mid)).collect();
    header.write(&mut out, &elements).unwrap();
    out.put(payload).unwrap();
    let len = out.len();
    bytes.truncate(len);
    bytes
}

fn events(session: &mut Session) -> Vec<String> {
    let mut all = Vec::new();
    while let Some(event) = session.poll_event() {
        all.push(match event {
            Event::TrackStarted { track, codec, ssrc } => format!("{} {codec} {ssrc}", track.0),
            Event::Frame { track, data, .. } => format!("{} {}", track.0, data.len()),
            other => format!("{other:?}"),
        });
    }
    all
}

#[test]
fn packets_are_routed_by_mid_then_ssrc_then_payload_type() {
    let mut second = audio(opus());
    second.mid = "b".into();
    let mut session = session(&[audio(opus()), second, video(h264())]);
    for (ssrc, pt, mid, data) in [
        (1, 111, Some(&b"b"[..]), &sound(1)[..]),
        (1, 111, None, &sound(2)),
        (2, 111, None, &sound(3)), // both m-sections have it: dropped
        (3, 96, None, &picture(0, 10, true)[4..10]),
        (4, 111, Some(b"zz"), &sound(4)), // nobody's MID
        (5, 77, None, b"x"),
    ] {
        session.handle_rtp(Instant::ZERO, &mut rtp(ssrc, pt, ssrc as u16, mid, data));
    }
    let all = events(&mut session);
    assert_eq!(all[..2], ["1 opus 1", "1 65"]);
    assert!(all.contains(&"2 H264 3".to_owned()), "{all:?}");
    let dropped = session.stats().dropped;
    assert_eq!((dropped.unrouted, dropped.malformed_rtp), (3, 0));
}

#[test]
fn a_codec_may_change_within_a_stream() {
    let mut media = audio(opus());
    media.recv.push(PayloadMap::new(Codec::Pcmu, 0));
    let mut session = session(&[media]);
    session.handle_rtp(Instant::ZERO, &mut rtp(1, 111, 1, None, &sound(1)));
    session.handle_rtp(Instant::ZERO, &mut rtp(1, 13, 2, None, b"comfort noise"));
    session.handle_rtp(Instant::ZERO, &mut rtp(1, 0, 3, None, &[1; 160]));
    assert_eq!(
        events(&mut session),
        ["0 opus 1", "0 65", "0 PCMU 1", "0 160"]
    );
}

#[test]
fn streams_are_bounded() {
    let mut session = session(&[audio(opus())]);
    for ssrc in 0..100 {
        session.handle_rtp(Instant::ZERO, &mut rtp(ssrc, 111, 1, None, &sound(1)));
    }
    let stats = session.stats();
    assert_eq!(stats.tracks[0].received.len(), 16);
    assert_eq!(stats.dropped.too_many_streams, 84);
}

#[test]
fn a_restarted_sender_is_followed() {
    let mut session = session(&[audio(opus())]);
    for sequence in [10, 11, 30_000, 30_001, 30_002] {
        session.handle_rtp(Instant::ZERO, &mut rtp(1, 111, sequence, None, &sound(1)));
    }
    assert_eq!(events(&mut session).len(), 1 + 2 + 2);
    assert_eq!(session.stats().tracks[0].received[0].late, 1);
}

#[test]
fn a_burst_beyond_the_buffer_goes_on_with_what_is_there() {
    let mut session = session(&[audio(opus())]);
    session.handle_rtp(Instant::ZERO, &mut rtp(1, 111, 0, None, &sound(1)));
    for sequence in 2..500 {
        session.handle_rtp(Instant::ZERO, &mut rtp(1, 111, sequence, None, &sound(1)));
    }
    let stats = session.stats().tracks[0].received[0].clone();
    assert_eq!((stats.frames, stats.skipped), (499, 1));
    session.handle_rtp(Instant::ZERO, &mut rtp(1, 111, 2_000, None, &sound(1)));
    let stats = session.stats().tracks[0].received[0].clone();
    assert_eq!((stats.frames, stats.skipped), (500, 1_501));
}

#[test]
fn local_ssrcs_are_known_before_negotiation_and_stay() {
    let mut session = Session::new(Config::default(), Origin::seeded(1)).unwrap();
    let before = session.local_ssrcs("v");
    assert_ne!(before.ssrc, before.rtx);
    assert_ne!(before, session.local_ssrcs("a"));
    session.set_media(Instant::ZERO, &[video(h264())]).unwrap();
    session.set_media(Instant::ZERO, &[]).unwrap();
    session.set_media(Instant::ZERO, &[video(h264())]).unwrap();
    assert_eq!(session.local_ssrcs("v"), before);
    assert_eq!(session.track("v"), Some(TrackId(0)));
    assert_eq!(session.mid(TrackId(0)), Some("v"));
    let data = picture(0, 10, true);
    let frame = Frame {
        pts: Duration::ZERO,
        data: &data,
    };
    session
        .send_frame(Instant::ZERO, TrackId(0), frame)
        .unwrap();
    let mut train = Train::with_capacity(10_000);
    assert_eq!(
        session.poll_transmit(Instant::ZERO, &mut train),
        Some(Class::Rtp)
    );
    let packet = Packet::parse(train.segment(0)).unwrap();
    assert_eq!(packet.header.ssrc, before.ssrc);
}

#[test]
fn misuse_is_refused_and_changes_nothing() {
    let mut session = session(&[audio(opus())]);
    let refused = |session: &mut Session, media: &[MediaConfig]| {
        session.set_media(Instant::ZERO, media).unwrap_err()
    };
    let twice = [audio(opus()), audio(opus())];
    assert_eq!(refused(&mut session, &twice), Misuse::BadMid.into());
    let rtcp = [audio(PayloadMap::new(Codec::Opus, 72))];
    assert_eq!(
        refused(&mut session, &rtcp),
        Misuse::BadPayloadType(72).into()
    );
    let turned = [audio(h264())];
    assert_eq!(refused(&mut session, &turned), Misuse::BadCodec.into());
    let many: Vec<MediaConfig> = (0..40)
        .map(|index| MediaConfig::new(&index.to_string(), Kind::Audio))
        .collect();
    assert_eq!(refused(&mut session, &many), Misuse::TooManyTracks.into());
    let frame = Frame {
        pts: Duration::ZERO,
        data: &sound(1),
    };
    assert!(session.send_frame(Instant::ZERO, TrackId(0), frame).is_ok());
    assert_eq!(
        session.send_frame(Instant::ZERO, TrackId(1), frame),
        Err(Misuse::UnknownTrack.into())
    );
    let mut only_in = audio(opus());
    only_in.direction = Direction::RecvOnly;
    session.set_media(Instant::ZERO, &[only_in]).unwrap();
    assert_eq!(
        session.send_frame(Instant::ZERO, TrackId(0), frame),
        Err(Error::Misuse(Misuse::NotSending))
    );
    assert!(Session::new(Config::default().with_pacing(0, 0), Origin::seeded(1)).is_err());
}

#[test]
fn feedback_is_compound_unless_reduced_size_was_negotiated() {
    for reduced in [false, true] {
        let mut media = video(h264().with_feedback());
        media.reduced_size = reduced;
        let mut session = session(&[media]);
        let unit = &picture(0, 10, false)[4..];
        session.handle_rtp(Instant::ZERO, &mut rtp(1, 96, 1, None, unit));
        let mut train = Train::with_capacity(10_000);
        let class = session.poll_transmit(Instant::ZERO, &mut train);
        assert_eq!(class, Some(Class::Rtcp));
        let all: Vec<Rtcp<'_>> = rtcp::packets(train.segment(0))
            .map(Result::unwrap)
            .collect();
        match (reduced, &all[..]) {
            (true, [Rtcp::Pli { media: 1, .. }]) => {}
            (
                false,
                [
                    Rtcp::ReceiverReport { .. },
                    Rtcp::Sdes(_),
                    Rtcp::Pli { media: 1, .. },
                ],
            ) => {}
            other => panic!("{other:?}"),
        }
        assert_eq!(session.poll_transmit(Instant::ZERO, &mut train), None);
    }
}

#[test]
fn extensions_speak_of_rotation_and_level() {
    let mut media = audio(opus());
    media.extensions.push((5, Extension::AudioLevel));
    let mut session = session(&[media]);
    let header = Header {
        payload_type: 111,
        ssrc: 1,
        ..Header::default()
    };
    let mut bytes = [0; 100];
    let mut out = Writer::new(&mut bytes);
    header.write(&mut out, &[(5, &[0x80 | 30])]).unwrap();
    out.put(&sound(1)).unwrap();
    let len = out.len();
    session.handle_rtp(Instant::ZERO, &mut bytes[..len]);
    session.poll_event();
    match session.poll_event() {
        Some(Event::Frame { audio_level, .. }) => assert_eq!(audio_level, Some(30)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn parameter_sets_of_sdp_go_before_a_keyframe_without_any() {
    let sets = &picture(0, 0, true)[..15];
    let idr = [0x65, 0x9a, 1, 2, 3];
    for told in [false, true] {
        let mut session = session(&[video(h264().with_feedback())]);
        if told {
            session.set_parameter_sets(TrackId(0), sets).unwrap();
        }
        session.handle_rtp(Instant::ZERO, &mut rtp(1, 96, 1, None, &idr));
        session.poll_event();
        match (told, session.poll_event()) {
            (false, None) => {}
            (true, Some(Event::Frame { data, keyframe, .. })) => {
                assert!(keyframe);
                assert_eq!(data, [sets, &[0, 0, 0, 1], &idr].concat());
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn rtcp_may_have_a_room_of_its_own() {
    let mut session = session(&[video(h264().with_feedback())]);
    let room = |tail| esp_wire::Room { head: 4, tail };
    session.set_path(room(10), 1_000);
    session.set_rtcp_room(room(14));
    let unit = &picture(0, 10, false)[4..];
    session.handle_rtp(Instant::ZERO, &mut rtp(1, 96, 1, None, unit));
    let mut train = Train::with_capacity(10_000);
    let class = session.poll_transmit(Instant::ZERO, &mut train);
    assert_eq!((class, train.room()), (Some(Class::Rtcp), room(14)));
    let data = picture(0, 10, true);
    let frame = Frame {
        pts: Duration::ZERO,
        data: &data,
    };
    session
        .send_frame(Instant::ZERO, TrackId(0), frame)
        .unwrap();
    let class = session.poll_transmit(Instant::ZERO, &mut train);
    assert_eq!((class, train.room()), (Some(Class::Rtp), room(10)));
}
