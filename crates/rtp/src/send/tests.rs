//! A stream sent: numbering, trains, stamps, retransmission, reports.

use std::time::Duration;

use esp_wire::Codec;

use super::*;
use crate::extension::{Extension, ExtensionMap};
use crate::packet::Packet;
use crate::rtcp::ReportBlock;

const SSRCS: LocalSsrcs = LocalSsrcs { ssrc: 7, rtx: 8 };

struct Bench {
    sender: Sender,
    plan: Plan,
    sent: SentPackets,
    map: PayloadMap,
    extensions: ExtensionMap,
}

impl Bench {
    fn new(map: PayloadMap, slots: usize) -> Self {
        let mut extensions = ExtensionMap::new();
        extensions.set(1, Extension::Mid);
        extensions.set(2, Extension::AbsSendTime);
        extensions.set(3, Extension::TransportCc);
        let mut sender = Sender::new(SSRCS, map.codec.kind(), slots, 2, [65_535, 1_000, 5]);
        sender.configure(Some(map), Template::new(7, "vid", &extensions));
        Bench {
            sender,
            plan: Plan::default(),
            sent: SentPackets::new(),
            map,
            extensions,
        }
    }

    fn send(&mut self, ms: u64, data: &[u8]) -> Result<(), Error> {
        let limit = self.sender.payload_limit(1_000);
        self.plan.make(&self.map, data, limit)?;
        let frame = Frame {
            pts: Duration::from_millis(ms),
            data,
        };
        self.sender
            .enqueue(Instant::from_millis(ms), frame, &self.plan, 1_000)
    }

    fn trains(&mut self, ms: u64, again: bool) -> Vec<Vec<Vec<u8>>> {
        let mut all = Vec::new();
        let mut train = Train::with_capacity(65_536);
        let mut stamps = Stamps {
            now: Instant::from_millis(ms),
            ntp: 0x0000_0001_8000_0000,
            sent: &mut self.sent,
            burst: 0,
        };
        let room = Room { head: 4, tail: 10 };
        while match again {
            true => self
                .sender
                .fill_resends(&mut stamps, &mut train, room, 20_000),
            false => self.sender.fill(&mut stamps, &mut train, room, 20_000),
        } > 0
        {
            all.push(train.segments().map(<[u8]>::to_vec).collect());
        }
        all
    }
}

fn idr(len: usize) -> Vec<u8> {
    [
        &[0, 0, 0, 1, 0x67, 1, 2, 0, 0, 0, 1, 0x68, 3, 0, 0, 0, 1][..],
        &vec![0x65; len],
    ]
    .concat()
}

#[test]
fn a_frame_leaves_in_few_trains_with_one_marker() {
    let mut bench = Bench::new(PayloadMap::new(Codec::H264, 96).with_rtx(97), 64);
    bench.send(0, &idr(10_000)).unwrap();
    let trains = bench.trains(0, false);
    assert_eq!(trains.len(), 2, "parameter sets, then all fragments");
    let packets: Vec<&Vec<u8>> = trains.iter().flatten().collect();
    for (index, bytes) in packets.iter().enumerate() {
        assert!(bytes.len() <= 998, "room for the RTX header");
        let packet = Packet::parse(bytes).unwrap();
        assert_eq!(packet.header.marker, index + 1 == packets.len());
        assert_eq!(packet.header.sequence, 0x7fff + index as u16);
        assert_eq!((packet.header.timestamp, packet.header.ssrc), (1_000, 7));
        let values = bench.extensions.values(packet.extensions);
        assert_eq!(values.mid, Some(&b"vid"[..]));
        assert_eq!(values.abs_send_time, Some(0x06_0000), "1.5 s in 6.18");
        assert_eq!(values.transport_seq, Some(1 + index as u16));
    }
}

#[test]
fn a_full_ring_blocks_and_a_frame_beyond_it_is_refused() {
    let mut bench = Bench::new(PayloadMap::new(Codec::H264, 96), 8);
    assert_eq!(
        bench.send(0, &idr(20_000)),
        Err(Misuse::FrameTooLarge.into())
    );
    bench.send(0, &idr(5_000)).unwrap();
    assert_eq!(bench.send(33, &idr(5_000)), Err(Error::WouldBlock));
    bench.trains(40, false);
    bench.send(66, &idr(5_000)).unwrap();
}

#[test]
fn a_nack_brings_the_packet_in_the_rtx_stream() {
    let mut bench = Bench::new(PayloadMap::new(Codec::H264, 96).with_rtx(97), 64);
    bench.send(0, &idr(3_000)).unwrap();
    let first: Vec<_> = bench.trains(0, false).concat();
    let lost = [0x8000, 0x8001, 9];
    bench
        .sender
        .on_nack(Instant::from_millis(50), lost.into_iter());
    let again: Vec<_> = bench.trains(50, true).concat();
    assert_eq!(again.len(), 2);
    for (index, bytes) in again.iter().enumerate() {
        let packet = Packet::parse(bytes).unwrap();
        let original = Packet::parse(&first[1 + index]).unwrap();
        assert_eq!((packet.header.ssrc, packet.header.payload_type), (8, 97));
        assert_eq!(packet.header.sequence, 5 + index as u16);
        assert_eq!(packet.header.timestamp, original.header.timestamp);
        assert_eq!(packet.header.marker, original.header.marker);
        assert_eq!(packet.payload[..2], original.header.sequence.to_be_bytes());
        assert_eq!(&packet.payload[2..], original.payload);
    }
    let stats = bench.sender.figures(Instant::ZERO);
    assert_eq!(
        (stats.nacked, stats.retransmitted, stats.not_resent),
        (3, 2, 1)
    );
}

#[test]
fn without_rtx_the_same_bytes_leave_again_and_not_for_ever() {
    let mut bench = Bench::new(PayloadMap::new(Codec::Opus, 111), 64);
    bench.send(0, &[0xfc, 1, 2, 3]).unwrap();
    let first = bench.trains(0, false);
    for (ms, expected) in [(50, 1), (52, 0), (100, 1), (150, 0)] {
        let nacked = std::iter::once(0x7fff);
        bench.sender.on_nack(Instant::from_millis(ms), nacked);
        let again = bench.trains(ms, true);
        assert_eq!(again.len(), expected, "at {ms} ms");
        assert!(again.iter().all(|train| *train == first[0]));
    }
}

#[test]
fn sound_is_cut_and_marked_where_it_begins() {
    let mut bench = Bench::new(PayloadMap::new(Codec::Pcmu, 0), 64);
    for (ms, len) in [(0, 400), (50, 160), (1_000, 160)] {
        bench.send(ms, &vec![1; len]).unwrap();
        bench.sender.last_sent = Some(Instant::from_millis(ms));
    }
    let packets = bench.trains(0, false).concat();
    let seen: Vec<_> = packets
        .iter()
        .map(|bytes| {
            let packet = Packet::parse(bytes).unwrap();
            let timestamp = packet.header.timestamp - 1_000;
            (packet.header.marker, timestamp, packet.payload.len())
        })
        .collect();
    assert_eq!(
        seen,
        [
            (true, 0, 160),
            (false, 160, 160),
            (false, 320, 80),
            (false, 400, 160),
            (true, 8_000, 160)
        ]
    );
}

#[test]
fn a_report_block_gives_the_round_trip() {
    let mut bench = Bench::new(PayloadMap::new(Codec::Opus, 111), 64);
    let block = ReportBlock {
        ssrc: 7,
        fraction_lost: 128,
        lost: 5,
        jitter: 480,
        last_sr: 0x0001_0000,
        since_last_sr: 0x0000_8000,
        ..ReportBlock::default()
    };
    bench.sender.on_report(0x0000_0001_c000_0000, &block);
    let stats = bench.sender.figures(Instant::ZERO);
    assert_eq!(stats.rtt, Some(Duration::from_millis(250)));
    assert_eq!(stats.remote_jitter, Duration::from_millis(10));
    assert_eq!((stats.remote_lost, stats.remote_fraction_lost), (5, 0.5));
}

#[test]
fn a_sender_report_maps_the_moment_to_the_stream() {
    let mut bench = Bench::new(PayloadMap::new(Codec::Opus, 111), 64);
    assert_eq!(bench.sender.report(Instant::ZERO, 0), None);
    bench.send(2_000, &[0xfc, 0]).unwrap();
    bench.trains(2_000, false);
    let info = bench
        .sender
        .report(Instant::from_millis(2_500), 42)
        .unwrap();
    assert_eq!((info.ntp, info.packets, info.octets), (42, 1, 2));
    assert_eq!(info.rtp, 1_000 + 2_500 * 48);
}
