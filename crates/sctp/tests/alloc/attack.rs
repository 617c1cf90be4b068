//! A peer that sends what costs most: every byte that it makes us keep is counted.

use std::{cell::Cell, time::Duration};

use esp_sctp::{Association, Config, Delivery};
use esp_wire::{Instant, Origin, Room, Train};

use crate::LIVE;

/// Receive buffer and largest message.
const BUFFER: usize = 64 << 10;
/// What an association may hold beside its buffer: tables, queues, answers that wait.
const BESIDE: i64 = 256 << 10;

const BEGIN: u8 = 2;
const END: u8 = 1;
const UNORDERED: u8 = 4;

/// One I-DATA chunk.
#[derive(Clone, Copy, Debug)]
struct Piece {
    tsn: u32,
    stream: u16,
    message: u32,
    flags: u8,
    fragment: u32,
    len: usize,
}

struct Victim {
    association: Association,
    /// Ports and tag of packets to it, and the first TSN that it expects.
    header: [u8; 8],
    first: u32,
    now: Instant,
    train: Train,
    takes: bool,
}

fn association(seed: u64, delivery: Delivery, channels: usize) -> Association {
    let config = Config::default()
        .with_delivery(delivery)
        .with_buffers(BUFFER, BUFFER)
        .with_max_message_size(BUFFER)
        .with_max_channels(channels);
    let mut side = Association::new(config, Origin::seeded(seed)).expect("a good setting");
    side.set_path(Room::default(), 1_160);
    side.set_dtls_role(seed == 1);
    side
}

impl Victim {
    /// An association that an honest peer has opened, who leaves.
    fn new(delivery: Delivery) -> Victim {
        Victim::with_channels(delivery, 64)
    }

    /// One that allows so many channels.
    fn with_channels(delivery: Delivery, channels: usize) -> Victim {
        let mut victim = association(1, delivery, channels);
        let mut peer = association(2, delivery, channels);
        let mut train = Train::with_capacity(20_000);
        let mut now = Instant::from_millis(1);
        peer.connect(now).expect("a fresh association");
        let (mut header, mut first) = ([0; 8], 0);
        while !(victim.is_connected() && peer.is_connected()) {
            now += Duration::from_millis(1);
            while peer.poll_transmit(now, &mut train) {
                let packet = train.segment_mut(0);
                header.copy_from_slice(&packet[..8]);
                if packet[12] == 1 {
                    first = u32::from_be_bytes([packet[28], packet[29], packet[30], packet[31]]);
                }
                victim.handle_input(now, packet).expect("a sound peer");
            }
            while victim.poll_transmit(now, &mut train) {
                let packet = train.segment_mut(0);
                peer.handle_input(now, packet).expect("a sound peer");
            }
        }
        Victim {
            association: victim,
            header,
            first,
            now,
            train,
            takes: true,
        }
    }

    fn attack(&mut self, pieces: &[Piece]) {
        let mut packet = self.header.to_vec();
        packet.extend([0; 4]);
        for piece in pieces {
            packet.extend([64, piece.flags]);
            packet.extend((20 + piece.len as u16).to_be_bytes());
            packet.extend(self.first.wrapping_add(piece.tsn).to_be_bytes());
            packet.extend(piece.stream.to_be_bytes());
            packet.extend([0; 2]);
            packet.extend(piece.message.to_be_bytes());
            let word = if piece.flags & BEGIN != 0 {
                53
            } else {
                piece.fragment
            };
            packet.extend(word.to_be_bytes());
            packet.resize(packet.len() + piece.len, 7);
            packet.resize(packet.len().next_multiple_of(4), 0);
        }
        self.take(packet);
    }

    fn take(&mut self, mut packet: Vec<u8>) {
        self.now += Duration::from_millis(1);
        // It may have had enough of its peer.
        let _ = self.association.handle_input(self.now, &mut packet);
        drop(packet);
        self.association.handle_timeout(self.now);
        while self.association.poll_transmit(self.now, &mut self.train) {}
        while self.takes && self.association.poll_event().is_some() {}
    }

    /// Sends packets of these chunks, and gives the most memory that was held beyond the start.
    fn flood(&mut self, packets: impl Iterator<Item = Vec<u8>>) -> i64 {
        let before = LIVE.with(Cell::get);
        let mut most = 0;
        for chunks in packets {
            let mut packet = self.header.to_vec();
            packet.extend([0; 4]);
            packet.extend(&chunks);
            drop(chunks);
            self.take(packet);
            most = most.max(LIVE.with(Cell::get) - before);
        }
        most
    }

    /// Sends all pieces, twenty a packet, and gives the most memory that was held beyond the start.
    fn cost(&mut self, pieces: impl Iterator<Item = Piece>) -> i64 {
        let before = LIVE.with(Cell::get);
        let mut most = 0;
        let mut packet = Vec::with_capacity(20);
        for piece in pieces {
            packet.push(piece);
            if packet.len() == 20 {
                self.attack(&packet);
                packet.clear();
                most = most.max(LIVE.with(Cell::get) - before);
            }
        }
        assert!(most > BUFFER as i64, "{most}: nothing was kept");
        most
    }
}

/// Twice the buffer, as `Config::receive_buffer` says, and what stands beside it.
fn bound() -> i64 {
    2 * BUFFER as i64 + BESIDE
}

fn piece(tsn: u32, flags: u8) -> Piece {
    Piece {
        tsn,
        stream: 5,
        message: 0,
        flags,
        fragment: tsn,
        len: 1,
    }
}

#[test]
fn holes_cost_bounded_memory() {
    for delivery in [Delivery::Whole, Delivery::Parts] {
        for step in [2, 3, 16] {
            let mut victim = Victim::new(delivery);
            let pieces = (1..200_000 / step).map(|index| Piece {
                message: index,
                ..piece(index * step, BEGIN | END | UNORDERED)
            });
            let cost = victim.cost(pieces);
            assert!(cost <= bound(), "{delivery:?} {step}: {cost}");
        }
    }
}

#[test]
fn tiny_fragments_cost_bounded_memory() {
    for delivery in [Delivery::Whole, Delivery::Parts] {
        // Beginnings of many messages, on many streams, and middles that belong to none.
        for (streams, flags) in [(1, BEGIN), (500, BEGIN), (1, 0), (500, BEGIN | UNORDERED)] {
            let mut victim = Victim::new(delivery);
            let pieces = (0..150_000).map(|index| Piece {
                stream: (index % streams) as u16,
                message: index / streams,
                ..piece(index, flags)
            });
            let cost = victim.cost(pieces);
            assert!(cost <= bound(), "{delivery:?} {streams} {flags}: {cost}");
        }
    }
}

#[test]
fn a_message_that_never_ends_costs_bounded_memory() {
    for (delivery, takes) in [
        (Delivery::Whole, true),
        (Delivery::Parts, true),
        (Delivery::Parts, false),
    ] {
        for len in [1, 50] {
            let mut victim = Victim::new(delivery);
            victim.takes = takes;
            let pieces = (0..100_000).map(|index| Piece {
                len,
                ..piece(index, if index == 0 { BEGIN } else { 0 })
            });
            let cost = victim.cost(pieces);
            assert!(cost <= bound(), "{delivery:?} {takes} {len}: {cost}");
        }
    }
}

#[test]
fn messages_that_nobody_takes_cost_bounded_memory() {
    let mut victim = Victim::new(Delivery::Whole);
    victim.takes = false;
    let pieces = (0..150_000).map(|index| Piece {
        message: index,
        ..piece(index, BEGIN | END | UNORDERED)
    });
    let cost = victim.cost(pieces);
    assert!(cost <= bound(), "{cost}");
    assert!(victim.association.is_connected());
}

/// What a channel may cost beside its names and messages, and how many the floods may open.
const CHANNEL: i64 = 1_024;
const CHANNELS: usize = 4_000;

/// What the association may hold when all channels are taken.
fn crowd() -> i64 {
    bound() + (CHANNELS as i64 + 64) * CHANNEL
}

fn chunk(kind: u8, flags: u8, value: &[u8]) -> Vec<u8> {
    let mut chunk = vec![kind, flags];
    chunk.extend((4 + value.len() as u16).to_be_bytes());
    chunk.extend(value);
    chunk.resize(chunk.len().next_multiple_of(4), 0);
    chunk
}

/// A whole message in an I-DATA chunk.
fn message(tsn: u32, stream: u16, number: u32, ppid: u32, payload: &[u8]) -> Vec<u8> {
    let mut value = tsn.to_be_bytes().to_vec();
    value.extend(stream.to_be_bytes());
    value.extend([0; 2]);
    value.extend(number.to_be_bytes());
    value.extend(ppid.to_be_bytes());
    value.extend(payload);
    chunk(64, BEGIN | END, &value)
}

fn open(label: usize) -> Vec<u8> {
    let mut open = vec![3, 0, 1, 0, 0, 0, 0, 0];
    open.extend((label as u16).to_be_bytes());
    open.extend([0; 2]);
    open.resize(open.len() + label, b'l');
    open
}

#[test]
fn a_byte_on_every_stream_costs_bounded_memory() {
    for takes in [true, false] {
        let mut victim = Victim::with_channels(Delivery::Whole, CHANNELS);
        victim.takes = takes;
        let first = victim.first;
        let cost = victim.flood((0..65_535).map(|index| {
            let tsn = first.wrapping_add(u32::from(index));
            message(tsn, index, 0, 53, b"x")
        }));
        assert!(cost <= crowd(), "{takes}: {cost}");
        assert!(victim.association.is_connected());
    }
}

#[test]
fn channels_with_long_names_cost_bounded_memory() {
    let mut victim = Victim::with_channels(Delivery::Whole, CHANNELS);
    let (first, open) = (victim.first, open(16_000));
    let cost = victim.flood((0..32_767).map(|index| {
        let tsn = first.wrapping_add(u32::from(index));
        message(tsn, 2 * index + 1, 0, 50, &open)
    }));
    // All names together have as many bytes as receive memory at most.
    assert!(cost <= crowd() + BUFFER as i64, "{cost}");
    assert!(cost > BUFFER as i64 / 2);
}

#[test]
fn channels_that_are_opened_and_reset_without_end_cost_bounded_memory() {
    for label in [0, 500] {
        let mut victim = Victim::with_channels(Delivery::Whole, CHANNELS);
        let (first, open) = (victim.first, open(label));
        let mut tsn = first;
        let cost = victim.flood((0..40_000u32).map(|index| {
            let stream = (2 * (index % 32_000) + 1) as u16;
            let mut chunks = message(tsn, stream, 0, 50, &open);
            let mut value = vec![0, 13, 0, 18];
            value.extend(first.wrapping_add(index).to_be_bytes());
            value.extend([0; 4]);
            value.extend(tsn.to_be_bytes());
            value.extend(stream.to_be_bytes());
            chunks.extend(chunk(130, 0, &value));
            tsn = tsn.wrapping_add(1);
            chunks
        }));
        let names = if label == 0 { 0 } else { BUFFER as i64 };
        assert!(cost <= crowd() + names, "{label}: {cost}");
    }
}

#[test]
fn jumps_over_messages_of_all_streams_cost_bounded_memory() {
    let mut victim = Victim::with_channels(Delivery::Whole, CHANNELS);
    let first = victim.first;
    let cost = victim.flood((1..3_000u32).map(|index| {
        let mut value = first.wrapping_add(index * 60_000).to_be_bytes().to_vec();
        for place in 0..100 {
            value.extend((((index * 100 + place) % 65_535) as u16).to_be_bytes());
            value.extend((index as u16 & 1).to_be_bytes());
            value.extend((index * 7).to_be_bytes());
        }
        chunk(194, 0, &value)
    }));
    assert!(cost <= crowd(), "{cost}");
    assert!(victim.association.is_connected());
}

#[test]
fn what_must_be_answered_costs_bounded_memory_when_nothing_leaves() {
    let mut victim = Victim::new(Delivery::Whole);
    let before = LIVE.with(Cell::get);
    let mut most = 0;
    let mut ask = |tag: &[u8], chunk: Vec<u8>| {
        let mut packet = victim.header[..4].to_vec();
        packet.extend(tag);
        packet.extend([0; 4]);
        packet.extend(chunk);
        let _ = victim.association.handle_input(victim.now, &mut packet);
        drop(packet);
        most = most.max(LIVE.with(Cell::get) - before);
    };
    let tag = victim.header[4..8].to_vec();
    for index in 0..3_000u32 {
        // HEARTBEATs, unknown chunks, requests, and handshakes of others.
        ask(&tag, chunk(4, 0, &[7; 1_100]));
        ask(&tag, chunk(0xff, 0, &[7; 1_100]));
        let mut value = vec![0, 15, 0, 8];
        value.extend(index.to_be_bytes());
        ask(&tag, chunk(130, 0, &value));
        let mut init = (index + 1).to_be_bytes().to_vec();
        init.extend([0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1]);
        ask(&[0; 4], chunk(1, 0, &init));
    }
    assert!(most <= BESIDE, "{most}");
}

#[test]
fn buffers_of_another_size_do_not_stay_beside_what_is_held() {
    // Many small messages are taken, and leave free buffers; then large ones are held.
    let mut victim = Victim::new(Delivery::Whole);
    let first = victim.first;
    let before = LIVE.with(Cell::get);
    victim.takes = false;
    let small = (0..680).map(|index| {
        let tsn = first.wrapping_add(index);
        message(tsn, 5, index, 53, &[1; 60])
    });
    victim.flood(small);
    victim.takes = true;
    victim.flood(std::iter::once(chunk(0xbf, 0, &[])));
    victim.takes = false;
    let large = (680..760).map(|index| {
        let tsn = first.wrapping_add(index);
        message(tsn, 5, index, 53, &[1; 1_100])
    });
    victim.flood(large);
    let held = LIVE.with(Cell::get) - before;
    assert!(held > BUFFER as i64 && held <= bound(), "{held}");
    let kept = held - victim.association.stats().receive_buffered as i64;
    assert!(kept <= BUFFER as i64, "{kept}");
}
