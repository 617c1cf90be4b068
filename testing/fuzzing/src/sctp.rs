//! Two SCTP associations: by packets, and by operations.

use std::collections::VecDeque;
use std::time::Duration;

use esp_sctp::{
    Association, ChannelConfig, ChannelHandle, Config, Delivery, Event, Reliability, Scheduling,
};
use esp_wire::{DataKind, Ecn, Instant, Origin, Room, Train};

use crate::Bytes;

/// Two associations and what is on its way between them.
pub(crate) struct Pair {
    config: Config,
    restarts: u64,
    pub(crate) now: Instant,
    pub(crate) sides: [Association; 2],
    /// Packets to each side.
    inbox: [VecDeque<Vec<u8>>; 2],
    channels: [Vec<ChannelHandle>; 2],
    /// What a packet to each side begins with, and the first TSN that it expects.
    pub(crate) heads: [[u8; 8]; 2],
    pub(crate) first: [u32; 2],
    train: Train,
    /// A DATA chunk was made up or changed: messages that nobody sent may come out.
    pub(crate) forged: bool,
    opened: usize,
}

/// Bytes as the chunks of packets to an end of an association that is up.
pub(crate) fn packets(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let setup = bytes.u8();
    let mut pair = Pair::connected(config(setup));
    pair.forged = true;
    if setup & 1 == 1 {
        pair.open(0, 0);
        pair.open(1, 1);
        pair.calm(100);
        pair.send(0, 0, 6_000);
        pair.send(1, 0, 50);
        pair.drain();
    }
    for _ in 0..60 {
        if bytes.is_empty() {
            break;
        }
        let code = bytes.u8();
        let side = usize::from(code & 1);
        match code >> 4 {
            0 => pair.advance(u64::from(bytes.u8()) * 8),
            1 => pair.arrive(side, usize::from(bytes.u8())),
            _ => {
                let chunks = bytes.short();
                pair.inject(side, chunks, code & 2 != 0, code & 4 != 0);
            }
        }
        pair.drain();
    }
    pair.check();
}

/// Steps of two associations and of the network between them.
pub(crate) fn association(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let setup = bytes.u8();
    let mut pair = if setup & 1 == 1 {
        Pair::connected(config(setup))
    } else {
        Pair::new(config(setup))
    };
    for _ in 0..300 {
        if bytes.is_empty() {
            break;
        }
        pair.step(&mut bytes);
        pair.drain();
    }
    pair.check();
}

fn config(bits: u8) -> Config {
    let scheduling = match bits >> 6 {
        0 => Scheduling::FirstComeFirstServed,
        1 => Scheduling::RoundRobin,
        2 => Scheduling::Priority,
        _ => Scheduling::WeightedFair,
    };
    let delivery = if bits & 2 == 0 {
        Delivery::Whole
    } else {
        Delivery::Parts
    };
    Config::default()
        .with_interleaving(bits & 4 == 0)
        .with_zero_checksum(bits & 8 == 0)
        .with_ecn(bits & 32 != 0)
        .with_pacing(bits & 16 != 0)
        .with_delivery(delivery)
        .with_scheduling(scheduling)
        .with_max_channels(16)
        .with_max_message_size(60_000)
        .with_buffers(70_000, 70_000)
}

/// A fresh association.
fn end(config: &Config, origin: Origin, client: bool) -> Association {
    let mut side = Association::new(config.clone(), origin).expect("a config that is right");
    side.set_path(Room { head: 13, tail: 16 }, 1_160);
    side.set_dtls_role(client);
    side.set_remote_max_message_size(60_000);
    side
}

impl Pair {
    pub(crate) fn new(config: Config) -> Self {
        let sides = [1, 2].map(|seed| end(&config, Origin::seeded(seed), seed == 1));
        Pair {
            config,
            restarts: 0,
            now: Instant::from_millis(1_000),
            sides,
            inbox: Default::default(),
            channels: Default::default(),
            heads: [[0x13, 0x88, 0x13, 0x88, 0, 0, 0, 0]; 2],
            first: [0; 2],
            train: Train::with_capacity(20_000),
            forged: false,
            opened: 0,
        }
    }

    pub(crate) fn connected(config: Config) -> Self {
        let mut pair = Pair::new(config);
        for side in [0, 1] {
            let begun = pair.sides[side].connect(pair.now);
            assert!(begun.is_ok());
        }
        pair.drain();
        pair.calm(400);
        assert!(pair.sides.iter().all(Association::is_connected));
        pair
    }

    fn step(&mut self, bytes: &mut Bytes<'_>) {
        let code = bytes.u8();
        let side = usize::from(code >> 7);
        match code & 0x1f {
            0 => drop(self.sides[side].connect(self.now)),
            1 | 2 => self.open(side, bytes.u8()),
            3..=5 => {
                let (channel, size) = (bytes.u8(), usize::from(bytes.u16()));
                self.send(side, channel, size);
            }
            6 => {
                if let Some(channel) = self.channel(side, bytes.u8()) {
                    let data = [1; 200];
                    let part = &data[..usize::from(bytes.u8()).min(200)];
                    let last = bytes.flag();
                    let kind = DataKind::Binary;
                    let _ = self.sides[side].send_part(self.now, channel, kind, part, last);
                }
            }
            7 => {
                if let Some(channel) = self.channel(side, bytes.u8()) {
                    let _ = self.sides[side].close_channel(self.now, channel);
                }
            }
            8..=10 => self.arrive(side, usize::from(bytes.u8() % 32)),
            11 => {
                let inbox = &mut self.inbox[side];
                let count = usize::from(bytes.u8() % 8).min(inbox.len());
                inbox.drain(..count);
            }
            12 => {
                let inbox = &mut self.inbox[side];
                inbox.extend(inbox.front().cloned());
            }
            13 => {
                let inbox = &mut self.inbox[side];
                let first = inbox.pop_front();
                inbox.extend(first);
            }
            14 | 15 => self.advance(u64::from(bytes.u8()) * 4),
            16 => self.advance(u64::from(bytes.u16())),
            17 => self.calm(u64::from(bytes.u8()) * 4),
            _ => self.odd_step(code & 0x1f, side, bytes),
        }
    }

    fn odd_step(&mut self, code: u8, side: usize, bytes: &mut Bytes<'_>) {
        match code {
            18 => self.sides[side].set_delivery(bytes.flag()),
            19 => {
                if let Some(channel) = self.channel(side, bytes.u8()) {
                    self.sides[side].pause_receive(channel, bytes.flag());
                }
            }
            20 => {
                if let Some(mut packet) = self.inbox[side].pop_front() {
                    bytes.change(&mut packet);
                    packet[8..12].fill(0);
                    self.forged = true;
                    let _ = self.sides[side].handle_input(self.now, &mut packet);
                }
            }
            29 => {
                if let Some(mut packet) = self.inbox[side].pop_front() {
                    let _ = self.sides[side].handle_marked_input(self.now, Ecn::Ce, &mut packet);
                }
            }
            21 => {
                self.forged = true;
                let chunks = bytes.short();
                self.inject(side, chunks, bytes.flag(), false);
            }
            22 => self.sides[side].shutdown(self.now),
            23 => self.sides[side].abort(self.now, "x"),
            24 => self.sides[side].set_dtls_role(bytes.flag()),
            25 => {
                let size = usize::from(bytes.u16() % 2_000);
                self.sides[side].set_path(Room { head: 13, tail: 16 }, size);
            }
            26 => {
                if let Some(channel) = self.channel(side, bytes.u8()) {
                    let bytes = usize::from(bytes.u16());
                    self.sides[side].set_buffered_amount_low_threshold(channel, bytes);
                    let _ = self.sides[side].buffered_amount(channel);
                }
            }
            27 => self.sides[side].handle_timeout(self.now),
            28 => {
                let most = bytes.u16();
                // The other side takes 60,000 bytes, whatever this one is told.
                self.forged |= most == 0 || most > 60_000;
                self.sides[side].set_remote_max_message_size(u64::from(most));
            }
            30 => self.send_owned(side, bytes),
            31 => self.begin_anew(side, bytes.flag()),
            _ => self.arrive(side, 1),
        }
    }

    /// Hands a buffer over that may have far more room than content, as a whole message or as a part.
    fn send_owned(&mut self, side: usize, bytes: &mut Bytes<'_>) {
        let (shape, size) = (bytes.u8(), usize::from(bytes.u16()));
        if let Some(channel) = self.channel(side, shape >> 4) {
            let (now, kind) = (self.now, DataKind::Binary);
            let mut data = Vec::with_capacity(size << (shape & 3));
            data.resize(size, 1);
            let end = &mut self.sides[side];
            let sent = match shape & 12 {
                0 => end.send_part_owned(now, channel, kind, &mut data, false),
                4 => end.send_part_owned(now, channel, kind, &mut data, true),
                _ => end.send_owned(now, channel, kind, &mut data),
            };
            assert!(data.is_empty() || (sent.is_err() && data.len() == size));
        }
    }

    /// A side that has lost all it knew begins anew.
    fn begin_anew(&mut self, side: usize, again: bool) {
        if self.restarts >= 8 {
            return;
        }
        self.restarts += 1;
        let seed = 10 + self.restarts + side as u64 * 100;
        let origin = Origin {
            now: self.now,
            ..Origin::seeded(seed)
        };
        self.sides[side] = end(&self.config, origin, side == 0);
        self.channels[side].clear();
        if again {
            let begun = self.sides[side].connect(self.now);
            assert!(begun.is_ok());
        }
    }

    fn channel(&self, side: usize, index: u8) -> Option<ChannelHandle> {
        let channels = &self.channels[side];
        (!channels.is_empty()).then(|| channels[usize::from(index) % channels.len()])
    }

    pub(crate) fn open(&mut self, side: usize, shape: u8) {
        // Handles of channels that are gone stay known; they are tried as well.
        if self.opened >= 200 {
            return;
        }
        self.opened += 1;
        let mut config = ChannelConfig::new("label").with_priority(u16::from(shape) << 4);
        config.ordered = shape & 1 == 0;
        config.reliability = match shape >> 1 & 3 {
            0 | 1 => Reliability::Reliable,
            2 => Reliability::MaxRetransmits(u16::from(shape >> 5)),
            _ => Reliability::MaxLifetime(Duration::from_millis(u64::from(shape))),
        };
        if shape & 8 != 0 {
            config = config.negotiated(u16::from(shape >> 4));
        }
        if let Ok(channel) = self.sides[side].open_channel(self.now, config) {
            self.channels[side].push(channel);
        }
    }

    pub(crate) fn send(&mut self, side: usize, channel: u8, size: usize) {
        if let Some(channel) = self.channel(side, channel) {
            let kind = [DataKind::Binary, DataKind::Text][size & 1];
            let data = vec![b'a' + side as u8; size];
            let _ = self.sides[side].send(self.now, channel, kind, &data);
        }
    }

    /// Hands a packet with these chunks to a side.
    pub(crate) fn inject(&mut self, side: usize, chunks: &[u8], sealed: bool, tagless: bool) {
        let mut packet = self.heads[side].to_vec();
        if tagless {
            packet[4..].fill(0);
        }
        packet.extend([0; 4]);
        packet.extend(chunks);
        packet.resize(packet.len().next_multiple_of(4), 0);
        if sealed {
            let sum = crc32c::crc32c(&packet);
            packet[8..12].copy_from_slice(&sum.to_le_bytes());
        }
        let _ = self.sides[side].handle_input(self.now, &mut packet);
    }

    fn arrive(&mut self, side: usize, count: usize) {
        for _ in 0..count {
            let Some(mut packet) = self.inbox[side].pop_front() else {
                return;
            };
            let done = self.sides[side].handle_input(self.now, &mut packet);
            assert!(done.is_ok() || self.forged, "{:?}", done.err());
        }
    }

    fn advance(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        for round in 0.. {
            assert!(round < 5_000, "a deadline never passes");
            let timers = self.sides.iter().filter_map(Association::poll_timeout);
            let Some(next) = timers.map(|next| next.at).min().filter(|at| *at < end) else {
                break;
            };
            self.now = self.now.max(next);
            for side in &mut self.sides {
                side.handle_timeout(self.now);
            }
            self.drain();
        }
        self.now = end;
    }

    /// Lets time pass while everything arrives.
    pub(crate) fn calm(&mut self, ms: u64) {
        for _ in 0..ms / 4 {
            for side in [0, 1] {
                let count = self.inbox[side].len();
                self.arrive(side, count);
            }
            self.drain();
            self.advance(4);
        }
    }

    pub(crate) fn drain(&mut self) {
        for side in [0, 1] {
            let mut trains = 0;
            while self.sides[side].poll_transmit(self.now, &mut self.train) {
                trains += 1;
                assert!(trains < 5_000, "it never stops sending");
                assert!(!self.train.is_empty());
                for packet in self.train.segments() {
                    assert!(packet.len().is_multiple_of(4));
                    self.heads[1 - side].copy_from_slice(&packet[..8]);
                    if let Some((1 | 2, chunk)) = packet[12..].split_first()
                        && let Some(tsn) = chunk.get(15..19)
                    {
                        // INIT and INIT ACK say with which TSN their sender begins.
                        self.first[1 - side] = u32::from_be_bytes([tsn[0], tsn[1], tsn[2], tsn[3]]);
                    }
                    if self.inbox[1 - side].len() < 400 {
                        self.inbox[1 - side].push_back(packet.to_vec());
                    }
                }
            }
            while let Some(event) = self.sides[side].poll_event() {
                match event {
                    Event::ChannelOpen { channel, .. } if self.channels[side].len() < 400 => {
                        self.channels[side].push(channel);
                    }
                    Event::Message { data, .. } | Event::MessagePart { data, .. } => {
                        let theirs = |byte: &u8| *byte == b'b' - side as u8 || *byte == 1;
                        assert!(self.forged || data.iter().all(theirs), "nobody sent this");
                    }
                    _ => {}
                }
            }
        }
    }

    /// What holds at any time.
    pub(crate) fn check(&self) {
        for side in &self.sides {
            let stats = side.stats();
            // A message as large as the buffer is rounded up; one in parts that all others wait for may take
            // as much again; what opens channels, and what answers that, is queued beside the messages.
            let most = 2 * 74_000 + (200 + 64) * 192;
            assert!(stats.send_buffered <= most, "{}", stats.send_buffered);
            assert!(
                stats.receive_buffered <= 2 * 70_000,
                "{}",
                stats.receive_buffered
            );
            if side.has_ended() {
                assert!(side.poll_timeout().is_none(), "a timer after the end");
            }
        }
    }
}
