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

fn association(seed: u64, delivery: Delivery) -> Association {
    let config = Config::default()
        .with_delivery(delivery)
        .with_buffers(BUFFER, BUFFER)
        .with_max_message_size(BUFFER)
        .with_max_channels(64);
    let mut side = Association::new(config, Origin::seeded(seed)).expect("a good setting");
    side.set_path(Room::default(), 1_160);
    side.set_dtls_role(seed == 1);
    side
}

impl Victim {
    /// An association that an honest peer has opened, who leaves.
    fn new(delivery: Delivery) -> Victim {
        let mut victim = association(1, delivery);
        let mut peer = association(2, delivery);
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
        self.now += Duration::from_millis(1);
        // It may have had enough of its peer.
        let _ = self.association.handle_input(self.now, &mut packet);
        drop(packet);
        self.association.handle_timeout(self.now);
        while self.association.poll_transmit(self.now, &mut self.train) {}
        while self.takes && self.association.poll_event().is_some() {}
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
