//! Cuts new fragments off the messages whose turn it is.

use esp_wire::Instant;

use super::{
    Outgoing, Stop,
    flight::{Entry, NO_SEGMENT, State},
    queue::{Message, Policy, Segment},
};
use crate::{
    channel::{Channel, Channels, dcep},
    chunk::data::{Data, flag},
    packet::Builder,
};

/// The least piece of a message that is worth a chunk.
const LEAST_FRAGMENT: usize = 64;

impl Outgoing {
    /// The channel whose turn it is, with something to send.
    pub(super) fn next_channel(&mut self, channels: &mut Channels) -> Option<u32> {
        if self.current.is_some() {
            return self.current;
        }
        while let Some(key) = self.scheduler.first() {
            match channels.get_mut(key) {
                Some(channel) if channel.may_send && !channel.out.queue.is_empty() => {
                    return Some(key);
                }
                Some(channel) => channel.out.scheduled = false,
                None => {}
            }
            self.scheduler.take_first();
        }
        None
    }

    /// Sends one new fragment; `None` to go on.
    pub(super) fn send_new(
        &mut self,
        channels: &mut Channels,
        packet: &mut Builder<'_>,
        now: Instant,
    ) -> Option<Stop> {
        let Some(key) = self.next_channel(channels) else {
            return Some(Stop::Empty);
        };
        let Some(piece) = self.next_piece(channels, key, packet) else {
            // A message in parts, begun in DATA chunks, waits for its next part.
            return Some(Stop::Empty);
        };
        if self.partial && piece.policy.expired(now) {
            self.abandon(channels, piece.message);
            return None;
        }
        if piece.len == 0 {
            return Some(Stop::PacketFull);
        }
        if self.flight.bytes() >= self.congestion.window() && !self.grace || self.flight.is_full() {
            return Some(Stop::Window);
        }
        // RFC 9260 §6.1 A: with nothing in flight one packet may probe a closed window.
        if self.flight.data() > 0 && self.flight.data() + piece.len > self.peer_window {
            return Some(Stop::PeerWindow);
        }
        self.emit_piece(channels, packet, now, key, piece);
        None
    }

    fn next_piece(&self, channels: &Channels, key: u32, packet: &Builder<'_>) -> Option<Piece> {
        let segment_key = *channels.get(key)?.out.queue.front()?;
        let segment = self.store.segments.get(segment_key)?;
        let message = self.store.messages.get(segment.message)?;
        let rest = segment.data.len() - segment.sent;
        let room = packet.room().saturating_sub(self.header());
        let lone = segment.last && !message.begun && rest <= self.largest_fragment();
        let len = match rest <= room {
            true => rest,
            // A message that fits into a packet is never split.
            false if lone => 0,
            false if room & !3 >= LEAST_FRAGMENT => room & !3,
            false => 0,
        };
        Some(Piece {
            segment: segment_key,
            message: segment.message,
            policy: message.policy,
            len,
        })
    }

    fn emit_piece(
        &mut self,
        channels: &mut Channels,
        packet: &mut Builder<'_>,
        now: Instant,
        key: u32,
        piece: Piece,
    ) {
        let immediate = if self.fills_window(piece.len) {
            flag::IMMEDIATE
        } else {
            0
        };
        let tsn = self.flight.next_tsn();
        let (Some(channel), Some(segment), Some(message)) = (
            channels.get_mut(key),
            self.store.segments.get_mut(piece.segment),
            self.store.messages.get_mut(piece.message),
        ) else {
            return;
        };
        let begun = begin(message, channel, tsn, self.interleaved);
        let cut = cut(message, channel, segment, piece.len);
        message.last_tsn = tsn;
        let flags = begun | if cut.ends { flag::END } else { 0 };
        let ppid = message.ppid;
        let chunk = Data {
            flags: flags | immediate,
            tsn: tsn as u32,
            stream: message.stream,
            message: message.number,
            ppid,
            fragment: cut.fragment,
            payload: &segment.data[cut.from..cut.from + piece.len],
        };
        let written = chunk.emit(packet, self.interleaved);
        debug_assert!(written, "the room was measured");
        self.flight.push(Entry {
            segment: piece.segment,
            message: piece.message,
            offset: cut.from as u32,
            len: piece.len as u16,
            flags,
            state: State::InFlight,
            sends: 1,
            fragment: cut.fragment,
            packet: self.next_packet,
            sent_at: now,
        });
        self.store.note_sent(piece.len);
        if ppid != dcep::ppid::DCEP {
            channels.note_fell(key, piece.len);
        }
        self.pass_turn(channels, key, cut.ends);
    }

    /// RFC 7053 §4: true when the sender waits for the answer, since `len` more bytes fill a window.
    fn fills_window(&self, len: usize) -> bool {
        self.flight.bytes() + len >= self.congestion.window()
            || self.flight.data() + len + self.packet_size > self.peer_window
    }

    /// Gives the turn to the next channel, unless a message in DATA chunks must go on.
    fn pass_turn(&mut self, channels: &mut Channels, key: u32, ended: bool) {
        if self.current.is_none() {
            self.scheduler.take_first();
            if let Some(channel) = channels.get_mut(key) {
                channel.out.scheduled = false;
            }
        }
        self.current = (!ended && !self.interleaved).then_some(key);
        self.schedule(channels, key);
    }

    /// A TSN that stands for the end of a message that was given up half sent.
    pub(super) fn push_placeholder(&mut self, message: u32, now: Instant) -> u64 {
        let tsn = self.flight.next_tsn();
        self.flight.push(Entry {
            segment: NO_SEGMENT,
            message,
            offset: 0,
            len: 0,
            flags: flag::END,
            state: State::Abandoned,
            sends: 0,
            fragment: 0,
            packet: 0,
            sent_at: now,
        });
        tsn
    }
}

/// The flags of a fragment's message; the first fragment gives it its number.
fn begin(message: &mut Message, channel: &mut Channel, tsn: u64, interleaved: bool) -> u8 {
    let order = match message.unordered {
        true => flag::UNORDERED,
        false => 0,
    };
    if message.begun {
        return order;
    }
    message.begun = true;
    message.first_tsn = tsn;
    message.stream = channel.stream.unwrap_or_default();
    message.number = channel.out.number(message.unordered, interleaved);
    order | flag::BEGIN
}

/// A piece of a segment that goes into a chunk.
#[derive(Clone, Copy, Debug)]
struct Cut {
    from: usize,
    fragment: u32,
    /// The message ends with it.
    ends: bool,
}

/// Takes the next `len` bytes of a channel's first segment.
fn cut(message: &mut Message, channel: &mut Channel, segment: &mut Segment, len: usize) -> Cut {
    let from = segment.sent;
    segment.sent += len;
    segment.fragments += 1;
    channel.out.unsent -= len;
    let done = segment.sent == segment.data.len();
    if done {
        channel.out.queue.pop_front();
    }
    let ends = done && segment.last;
    message.ended |= ends;
    let fragment = message.next_fragment;
    message.next_fragment = fragment.wrapping_add(1);
    Cut {
        from,
        fragment,
        ends,
    }
}

/// The next fragment of a channel.
#[derive(Clone, Copy, Debug)]
struct Piece {
    segment: u32,
    message: u32,
    policy: Policy,
    /// Zero when it does not fit.
    len: usize,
}
