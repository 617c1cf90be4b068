//! A pair whose first side is sent made-up packets, and what it answers.

use std::{cell::RefCell, rc::Rc};

use esp_sctp::Config;

use crate::link::{Link, Net};

/// Chunk types.
pub(crate) const INIT: u8 = 1;
pub(crate) const INIT_ACK: u8 = 2;
pub(crate) const SACK: u8 = 3;
pub(crate) const HEARTBEAT: u8 = 4;
pub(crate) const HEARTBEAT_ACK: u8 = 5;
pub(crate) const ABORT: u8 = 6;
pub(crate) const SHUTDOWN: u8 = 7;
pub(crate) const SHUTDOWN_ACK: u8 = 8;
pub(crate) const ERROR: u8 = 9;
pub(crate) const COOKIE_ECHO: u8 = 10;
pub(crate) const COOKIE_ACK: u8 = 11;
pub(crate) const SHUTDOWN_COMPLETE: u8 = 14;
pub(crate) const I_DATA: u8 = 64;
pub(crate) const RE_CONFIG: u8 = 130;
pub(crate) const FORWARD_TSN: u8 = 192;

/// A chunk as it was seen, with the tag of its packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sighted {
    pub(crate) tag: u32,
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) value: Vec<u8>,
}

impl Sighted {
    /// Code and value of the first cause of an ERROR or ABORT.
    pub(crate) fn cause(&self) -> Option<(u16, &[u8])> {
        let [high, low, len_high, len_low, ..] = *self.value else {
            return None;
        };
        let len = usize::from(u16::from_be_bytes([len_high, len_low]));
        Some((u16::from_be_bytes([high, low]), &self.value[4..len]))
    }
}

/// The chunks of a packet.
pub(crate) fn chunks(packet: &[u8]) -> Vec<Sighted> {
    let tag = word(packet, 4);
    let mut rest = &packet[12..];
    let mut chunks = Vec::new();
    while rest.len() >= 4 {
        let len = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
        chunks.push(Sighted {
            tag,
            kind: rest[0],
            flags: rest[1],
            value: rest[4..len].to_vec(),
        });
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
    chunks
}

pub(crate) fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// A chunk, padded.
pub(crate) fn chunk(kind: u8, flags: u8, value: &[u8]) -> Vec<u8> {
    let mut chunk = vec![kind, flags];
    chunk.extend((4 + value.len() as u16).to_be_bytes());
    chunk.extend(value);
    chunk.resize(chunk.len().next_multiple_of(4), 0);
    chunk
}

/// A parameter or cause, padded.
pub(crate) fn parameter(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut parameter = kind.to_be_bytes().to_vec();
    parameter.extend((4 + value.len() as u16).to_be_bytes());
    parameter.extend(value);
    parameter.resize(parameter.len().next_multiple_of(4), 0);
    parameter
}

/// The value of an INIT or INIT ACK.
pub(crate) fn init(tag: u32, window: u32, streams: [u16; 2], tsn: u32, more: &[u8]) -> Vec<u8> {
    let mut value = tag.to_be_bytes().to_vec();
    value.extend(window.to_be_bytes());
    value.extend(streams[0].to_be_bytes());
    value.extend(streams[1].to_be_bytes());
    value.extend(tsn.to_be_bytes());
    value.extend(more);
    value
}

/// A packet with a checksum.
pub(crate) fn packet(tag: u32, chunks: &[Vec<u8>]) -> Vec<u8> {
    let mut packet = vec![0x13, 0x88, 0x13, 0x88];
    packet.extend(tag.to_be_bytes());
    packet.extend([0; 4]);
    packet.extend(chunks.concat());
    seal(&mut packet);
    packet
}

/// Puts the checksum right.
pub(crate) fn seal(packet: &mut [u8]) {
    packet[8..12].fill(0);
    let sum = crc32c::crc32c(packet);
    packet[8..12].copy_from_slice(&sum.to_le_bytes());
}

pub(crate) struct Forge {
    pub(crate) net: Net,
    /// Tags of packets to each side, and the first TSN of each.
    pub(crate) tags: [u32; 2],
    pub(crate) first: [u32; 2],
    sent: Rc<RefCell<Vec<Vec<u8>>>>,
    /// Nothing that the first side sends arrives.
    pub(crate) silent: Rc<RefCell<bool>>,
}

impl Forge {
    /// A pair that has not begun.
    pub(crate) fn new(configs: [Config; 2]) -> Forge {
        let mut net = Net::new(8, configs, Link::default());
        let sent = Rc::new(RefCell::new(Vec::new()));
        let silent = Rc::new(RefCell::new(false));
        let (kept, mute) = (Rc::clone(&sent), Rc::clone(&silent));
        net.filter = Some(Box::new(move |from, packet| {
            if from == 0 {
                kept.borrow_mut().push(packet.to_vec());
            }
            from == 0 && *mute.borrow()
        }));
        Forge {
            net,
            tags: [0; 2],
            first: [0; 2],
            sent,
            silent,
        }
    }

    /// A pair that has shaken hands; the second side does nothing more.
    pub(crate) fn connected(config: Config) -> Forge {
        let mut forge = Forge::new([config.clone(), config]);
        // Each side's INIT says its tag and its first TSN.
        for side in 0..2 {
            let init = forge.net.sides[side].local_init();
            forge.tags[side] = word(&init, 4);
            forge.first[side] = word(&init, 16);
        }
        forge.net.connect();
        forge.net.run(std::time::Duration::from_secs(1));
        *forge.silent.borrow_mut() = true;
        forge.sent.borrow_mut().clear();
        forge
    }

    /// Hands these chunks to the first side with this tag; gives what it answers at once.
    pub(crate) fn say(&mut self, tag: u32, chunks: &[Vec<u8>]) -> Vec<Sighted> {
        self.sent.borrow_mut().clear();
        self.net.inject(0, packet(tag, chunks));
        self.net.flush();
        self.heard()
    }

    /// The same with the right tag.
    pub(crate) fn tell(&mut self, chunks: &[Vec<u8>]) -> Vec<Sighted> {
        self.say(self.tags[0], chunks)
    }

    /// What the first side has sent since.
    pub(crate) fn heard(&mut self) -> Vec<Sighted> {
        let sent = std::mem::take(&mut *self.sent.borrow_mut());
        sent.iter().flat_map(|packet| chunks(packet)).collect()
    }

    /// Whole packets that the first side has sent since.
    pub(crate) fn packets(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut *self.sent.borrow_mut())
    }
}

/// Of which kinds they are.
pub(crate) fn kinds(heard: &[Sighted]) -> Vec<u8> {
    heard.iter().map(|chunk| chunk.kind).collect()
}
