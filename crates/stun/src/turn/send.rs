//! Data on its way out: ChannelData or a Send indication, in place (RFC 8656 §11.1, §12.5).

use std::net::SocketAddr;

use esp_wire::{Instant, Room, Train};

use crate::address::{self, Mask};
use crate::attribute::AttributeType;
use crate::header::{Class, HEADER_LEN, MAGIC_COOKIE, Method, TransactionId, type_field};
use crate::turn::frame::{CHANNEL_HEADER, channel_header};
use crate::turn::{TurnClient, TurnError};

/// Bytes of a Send indication before its data: header, DONT-FRAGMENT, XOR-PEER-ADDRESS, header of DATA.
const fn send_header(ipv4: bool, dont_fragment: bool) -> usize {
    HEADER_LEN + if dont_fragment { 4 } else { 0 } + 4 + if ipv4 { 8 } else { 20 } + 4
}

/// What the framing depends on besides the peer.
pub(crate) struct Framing {
    pub(crate) dont_fragment: bool,
    pub(crate) reliable: bool,
}

impl Framing {
    /// Room that it takes.
    pub(crate) fn room(&self, channel: bool, peer: SocketAddr) -> Room {
        match channel {
            true => Room {
                head: CHANNEL_HEADER,
                // RFC 8656 §12.5: padding is needed over streams only.
                tail: if self.reliable { 3 } else { 0 },
            },
            false => Room {
                head: send_header(peer.is_ipv4(), self.dont_fragment),
                tail: 3,
            },
        }
    }
}

impl TurnClient {
    /// Frames every datagram of a train for the relay to `peer`, and addresses it to the server.
    ///
    /// The train must have been laid out with [`TurnClient::room`]. A peer that the server does not
    /// let through yet gets nothing; that is the server's doing, nothing is reported here.
    pub fn wrap(
        &mut self,
        now: Instant,
        train: &mut Train,
        peer: SocketAddr,
    ) -> Result<(), TurnError> {
        if !self.is_allocated() {
            return Err(TurnError::NoAllocation);
        }
        if self.config.tcp {
            return Err(TurnError::Options("TCP relays carry no datagrams"));
        }
        if train.is_empty() {
            return Ok(());
        }
        match self.peers.channel_to(peer) {
            Some(number) => self.wrap_in_channel(train, number)?,
            None => self.wrap_in_indications(train, peer)?,
        }
        self.last_sent = now;
        train.set_destination(self.destination());
        Ok(())
    }

    fn wrap_in_channel(&self, train: &mut Train, number: u16) -> Result<(), TurnError> {
        let lengths = grow(train, CHANNEL_HEADER, self.is_reliable())?;
        let last = train.len() - 1;
        for (index, segment) in train.segments_mut().enumerate() {
            let len = lengths.of(index, last);
            segment[..CHANNEL_HEADER].copy_from_slice(&channel_header(number, len));
            segment[CHANNEL_HEADER + len..].fill(0);
        }
        Ok(())
    }

    fn wrap_in_indications(
        &mut self,
        train: &mut Train,
        peer: SocketAddr,
    ) -> Result<(), TurnError> {
        let dont_fragment = self.dont_fragment;
        let head = send_header(peer.is_ipv4(), dont_fragment);
        let lengths = grow(train, head, true)?;
        let last = train.len() - 1;
        for (index, segment) in train.segments_mut().enumerate() {
            let id = TransactionId::random(&mut self.rng);
            let len = lengths.of(index, last);
            write_send_header(segment, peer, id, len, dont_fragment);
            segment[head + len..].fill(0);
        }
        Ok(())
    }
}

/// Lengths of the data in a train, before it grew.
struct Lengths {
    full: usize,
    last: usize,
}

impl Lengths {
    fn of(&self, index: usize, last: usize) -> usize {
        match index == last {
            true => self.last,
            false => self.full,
        }
    }
}

/// Takes `head` bytes in front of each datagram and, if wanted, pads each to a multiple of four.
fn grow(train: &mut Train, head: usize, pad: bool) -> Result<Lengths, TurnError> {
    let lengths = Lengths {
        full: train.segment(0).len(),
        last: train.segment(train.len() - 1).len(),
    };
    if !pad {
        train.grow(head, 0)?;
        return Ok(lengths);
    }
    // The size of a train is that of its datagrams but the last; a lone one may be shorter.
    let size = train.payload_size();
    let tail = size.next_multiple_of(4) - size;
    train.grow(head, tail)?;
    train.set_last(head + lengths.last.next_multiple_of(4));
    Ok(lengths)
}

/// Writes what precedes the data of a Send indication; the segment ends where the message does.
fn write_send_header(
    segment: &mut [u8],
    peer: SocketAddr,
    id: TransactionId,
    len: usize,
    dont_fragment: bool,
) {
    let body = (segment.len() - HEADER_LEN) as u16;
    let kind = type_field(Class::Indication, Method::SEND);
    segment[..2].copy_from_slice(&kind.to_be_bytes());
    segment[2..4].copy_from_slice(&body.to_be_bytes());
    segment[4..8].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
    segment[8..HEADER_LEN].copy_from_slice(&id.0);
    let (address, address_len) = address::write(peer, Mask::Xor(id));
    let mut at = HEADER_LEN;
    if dont_fragment {
        segment[at..at + 2].copy_from_slice(&AttributeType::DONT_FRAGMENT.0.to_be_bytes());
        segment[at + 2..at + 4].fill(0);
        at += 4;
    }
    segment[at..at + 2].copy_from_slice(&AttributeType::XOR_PEER_ADDRESS.0.to_be_bytes());
    segment[at + 2..at + 4].copy_from_slice(&(address_len as u16).to_be_bytes());
    let at = at + 4;
    segment[at..at + address_len].copy_from_slice(&address[..address_len]);
    let at = at + address_len;
    segment[at..at + 2].copy_from_slice(&AttributeType::DATA.0.to_be_bytes());
    segment[at + 2..at + 4].copy_from_slice(&(len as u16).to_be_bytes());
}
