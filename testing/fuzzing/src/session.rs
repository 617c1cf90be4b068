//! Two RTP sessions by operations.

use std::time::Duration;

use esp_rtp::{Class, Config, Event, Extension, MediaConfig, PayloadMap, Session};
use esp_wire::{Codec, Direction, Frame, Instant, Kind, Origin, Room, Train};

use crate::Bytes;

struct World {
    now: Instant,
    sessions: [Session; 2],
    flight: Vec<(usize, Class, Vec<u8>)>,
    train: Train,
    index: u32,
}

/// Steps of two sessions and of the network between them; memory stays bounded and time passes.
pub(crate) fn steps(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let sessions = [1, 2].map(|seed| {
        let mut session =
            Session::new(Config::default(), Origin::seeded(seed)).expect("a config that is right");
        session
            .set_media(Instant::ZERO, &media(3))
            .expect("media that are right");
        session
    });
    let mut world = World {
        now: Instant::ZERO,
        sessions,
        flight: Vec::new(),
        train: Train::with_capacity(20_000),
        index: 0,
    };
    for _ in 0..300 {
        if bytes.is_empty() {
            break;
        }
        world.step(&mut bytes);
    }
    world.drain();
    let stats = world.sessions[1].stats();
    for stream in stats.tracks.iter().flat_map(|track| &track.received) {
        assert!(stream.buffered <= 267);
    }
}

fn media(which: u8) -> Vec<MediaConfig> {
    let h264 = PayloadMap::new(Codec::H264, 96).with_rtx(97);
    let video = MediaConfig::new("v", Kind::Video)
        .with_codec(Direction::SendRecv, h264.with_feedback().with_twcc())
        .with_extension(4, Extension::Mid)
        .with_extension(2, Extension::AbsSendTime)
        .with_extension(3, Extension::TransportCc)
        .with_reduced_size();
    let audio = |codec, pt| {
        MediaConfig::new("a", Kind::Audio)
            .with_codec(Direction::SendRecv, PayloadMap::new(codec, pt))
            .with_extension(4, Extension::Mid)
    };
    match which % 4 {
        0 => vec![video],
        1 => vec![audio(Codec::Opus, 111)],
        2 => vec![audio(Codec::Pcmu, 0), video],
        _ => vec![audio(Codec::Opus, 111), video],
    }
}

impl World {
    fn step(&mut self, bytes: &mut Bytes<'_>) {
        let code = bytes.u8();
        let side = usize::from(code >> 7);
        match code & 0x1f {
            0 => {
                let (key, len) = (bytes.flag(), bytes.u16() % 6_000);
                let unit = self.picture(usize::from(len), key);
                self.send(side, "v", &unit);
            }
            1 => self.send(side, "a", &[&[0xfc][..], &[7; 60]].concat()),
            2 => {
                let frame = bytes.short();
                self.send(side, if code & 0x20 == 0 { "v" } else { "a" }, frame);
            }
            3..=5 => (0..bytes.u8() % 32).for_each(|_| self.deliver()),
            6 => {
                let count = usize::from(bytes.u8() % 8).min(self.flight.len());
                self.flight.drain(..count);
            }
            7 if self.flight.len() > 1 => {
                let other = usize::from(bytes.u8()) % self.flight.len();
                self.flight.swap(0, other);
            }
            8 => self.flight.extend(self.flight.first().cloned()),
            9 => {
                if let Some((_, _, packet)) = self.flight.first_mut() {
                    bytes.change(packet);
                }
            }
            10 => self.sessions[side].handle_rtcp(self.now, &mut bytes.short().to_vec()),
            11 => self.sessions[side].handle_rtp(self.now, &mut bytes.short().to_vec()),
            12..=15 => self.forge(side, bytes),
            16..=18 => self.now += Duration::from_millis(u64::from(bytes.u8())),
            19 | 20 => self.timeout(),
            21 => {
                let room = Room { head: 36, tail: 20 };
                self.sessions[side].set_path(room, usize::from(bytes.u16()));
            }
            22 => {
                let media = media(bytes.u8());
                let done = self.sessions[side].set_media(self.now, &media);
                assert!(done.is_ok(), "{:?}", done.err());
            }
            23 => self.now += Duration::from_millis(u64::from(bytes.u16())),
            24 => {
                let track = self.sessions[side].track("v");
                if let Some(track) = track {
                    let _ = self.sessions[side].request_keyframe(self.now, track);
                }
            }
            _ => self.drain(),
        }
    }

    /// A packet with a head that fits and any payload.
    fn forge(&mut self, side: usize, bytes: &mut Bytes<'_>) {
        let (shape, sequence) = (bytes.u8(), bytes.u16());
        let pt = [96, 97, 111, 0][usize::from(shape & 3)];
        let marker = (shape & 4) << 5;
        let local = self.sessions[1 - side].local_ssrcs(if pt < 100 { "v" } else { "a" });
        let ssrc = match (shape & 8 == 0, pt) {
            (true, 97) => local.rtx,
            (true, _) => local.ssrc,
            _ => u32::from(shape),
        };
        let time = u32::from(sequence >> (shape >> 5)).wrapping_mul(960);
        let mut packet = vec![0x80, marker | pt];
        packet.extend(sequence.to_be_bytes());
        packet.extend(time.to_be_bytes());
        packet.extend(ssrc.to_be_bytes());
        packet.extend(bytes.short());
        self.sessions[side].handle_rtp(self.now, &mut packet);
    }

    fn picture(&mut self, len: usize, keyframe: bool) -> Vec<u8> {
        self.index += 1;
        let mut unit = Vec::new();
        if keyframe {
            unit.extend_from_slice(&[0, 0, 0, 1, 0x67, 0x42, 1, 2, 0, 0, 0, 1, 0x68, 0xce, 7]);
        }
        unit.extend_from_slice(&[0, 0, 0, 1, if keyframe { 0x65 } else { 0x41 }, 0x9a]);
        unit.extend((0..len).map(|at| (at as u8).wrapping_add(self.index as u8) | 1));
        unit
    }

    fn send(&mut self, side: usize, mid: &str, data: &[u8]) {
        let pts = self.now - Instant::ZERO;
        if let Some(track) = self.sessions[side].track(mid) {
            let _ = self.sessions[side].send_frame(self.now, track, Frame { pts, data });
        }
    }

    fn deliver(&mut self) {
        if self.flight.is_empty() {
            return;
        }
        let (to, class, mut packet) = self.flight.remove(0);
        match class {
            Class::Rtp => self.sessions[to].handle_rtp(self.now, &mut packet),
            Class::Rtcp => self.sessions[to].handle_rtcp(self.now, &mut packet),
        }
    }

    fn timeout(&mut self) {
        for session in &mut self.sessions {
            session.handle_timeout(self.now);
            let next = session.poll_timeout();
            assert!(next.is_none_or(|next| next.at > self.now), "{next:?}");
        }
    }

    fn drain(&mut self) {
        for side in 0..2 {
            let mut trains = 0;
            while let Some(class) = self.sessions[side].poll_transmit(self.now, &mut self.train) {
                trains += 1;
                assert!(trains < 2_000, "output without end");
                for segment in self.train.segments() {
                    self.flight.push((1 - side, class, segment.to_vec()));
                }
            }
            while let Some(event) = self.sessions[side].poll_event() {
                if let Event::Frame { data, .. } = event {
                    assert!(!data.is_empty());
                }
            }
        }
        self.flight.truncate(500);
    }
}
