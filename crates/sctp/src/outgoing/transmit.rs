//! Lays fragments into packets: first what was lost, then what is new.

use esp_wire::Instant;

use super::{
    Outgoing,
    flight::{Entry, NO_SEGMENT, State},
    queue::{Message, Policy},
};
use crate::{
    channel::{Channel, Channels, dcep},
    chunk::data::{Data, flag},
    packet::Builder,
};

/// The least piece of a message that is worth a chunk.
const LEAST_FRAGMENT: usize = 64;

/// Why a packet holds no more data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// There is nothing more to send.
    Empty,
    /// The next fragment needs a packet of its own.
    PacketFull,
    /// The congestion window is full.
    Window,
    /// The peer's window is full.
    PeerWindow,
    /// The pacer holds the rest back.
    Paced,
}

impl Outgoing {
    /// The packet size that the next fragment needs: larger than usual only when it was cut for a
    /// path that took more.
    pub(crate) fn needed_size(&mut self) -> usize {
        let header = self.header() + crate::packet::HEADER;
        let tsn = match self.flight.first_lost() {
            None if self.probe_due => self.flight.tail(),
            lost => lost,
        };
        match tsn.and_then(|tsn| self.flight.entry(tsn)) {
            Some(entry) => (header + usize::from(entry.len)).next_multiple_of(4),
            None => 0,
        }
    }

    /// True when the windows let at least `packets` full packets of waiting data go.
    pub(crate) fn has_bulk(&self, packets: usize) -> bool {
        let wanted = packets * self.packet_size;
        let open = self.congestion.window().saturating_sub(self.flight.bytes());
        let peer = self.peer_window.saturating_sub(self.flight.data());
        open.min(peer) >= wanted && self.store.unsent() >= wanted
    }

    /// True when the next fragment is a small message of its own, so that a train of packets below
    /// the full size wastes nothing.
    pub(crate) fn next_is_small(&mut self, channels: &mut Channels) -> bool {
        if self.flight.has_lost() || self.current.is_some() {
            return false;
        }
        let Some(key) = self.next_channel(channels) else {
            return false;
        };
        let front = channels
            .get(key)
            .and_then(|channel| channel.out.queue.front());
        let segment = front.and_then(|front| self.store.segments.get(*front));
        segment.is_some_and(|segment| {
            segment.last && segment.sent == 0 && segment.data.len() <= self.largest_fragment()
        })
    }

    /// Fills the rest of a packet.
    pub(crate) fn fill(
        &mut self,
        channels: &mut Channels,
        packet: &mut Builder<'_>,
        now: Instant,
    ) -> Stop {
        let start = packet.len();
        if self.pacing && !self.pacer.ready(now) && !self.probe_due && !self.grace {
            return match self.flight.has_lost()
                || self.scheduler.first().is_some()
                || self.current.is_some()
            {
                true => Stop::Paced,
                false => Stop::Empty,
            };
        }
        if self.probe_due {
            self.resend_tail(packet, now);
        }
        let stop = loop {
            if let Some(stop) = self.resend_lost(channels, packet, now) {
                break stop;
            }
        };
        let stop = match stop {
            Stop::Empty => loop {
                if let Some(stop) = self.send_new(channels, packet, now) {
                    break stop;
                }
            },
            stop => stop,
        };
        let sent = packet.len() - start;
        if sent > 0 {
            self.next_packet += 1;
            self.grace = false;
            self.pacer.spend(sent);
        }
        self.window_limited |= stop == Stop::Window;
        stop
    }

    /// Writes a chunk again; `false` when it does not fit or has no bytes any more.
    fn rewrite(&mut self, tsn: u64, packet: &mut Builder<'_>, now: Instant, flags: u8) -> bool {
        let Some(entry) = self.flight.entry(tsn).copied() else {
            return false;
        };
        let (Some(segment), Some(message)) = (
            self.store.segments.get(entry.segment),
            self.store.messages.get(entry.message),
        ) else {
            return false;
        };
        let from = entry.offset as usize;
        let Some(payload) = segment.data.get(from..from + usize::from(entry.len)) else {
            return false;
        };
        let chunk = Data {
            flags: entry.flags | flags,
            tsn: tsn as u32,
            stream: message.stream,
            message: message.number,
            ppid: message.ppid,
            fragment: entry.fragment,
            payload,
        };
        if !chunk.emit(packet, self.interleaved) {
            return false;
        }
        self.flight.resend(tsn, self.next_packet, now);
        self.counts.retransmitted += 1;
        true
    }

    /// RFC 8985 §7.3: the last packet once more, to be answered at once; not if its message must not be
    /// sent again.
    fn resend_tail(&mut self, packet: &mut Builder<'_>, now: Instant) {
        self.probe_due = false;
        if let Some(tsn) = self.flight.tail()
            && let Some(entry) = self.flight.entry(tsn).copied()
            && !self.gives_up(&entry, now)
        {
            self.rewrite(tsn, packet, now, flag::IMMEDIATE);
        }
    }

    /// Sends the lowest lost chunk again; `None` to go on.
    fn resend_lost(
        &mut self,
        channels: &mut Channels,
        packet: &mut Builder<'_>,
        now: Instant,
    ) -> Option<Stop> {
        let Some(tsn) = self.flight.first_lost() else {
            return Some(Stop::Empty);
        };
        let entry = *self.flight.entry(tsn)?;
        let message = self.store.messages.get(entry.message);
        if message.is_none_or(|message| message.abandoned) {
            // Taken back by the peer after its message was given up.
            self.flight.abandon(tsn);
            self.advance();
            return None;
        }
        if self.gives_up(&entry, now) {
            self.abandon(channels, entry.message);
            return None;
        }
        let size = (self.header() + usize::from(entry.len)).next_multiple_of(4);
        let in_flight = self.flight.bytes();
        if in_flight > 0 && !self.grace && in_flight + size > self.congestion.window() {
            return Some(Stop::Window);
        }
        let len = usize::from(entry.len);
        if self.flight.data() > 0 && self.flight.data() + len > self.peer_window {
            return Some(Stop::PeerWindow);
        }
        // RFC 7053 §4: what repairs a hole is to be answered at once.
        if size > packet.room() || !self.rewrite(tsn, packet, now, flag::IMMEDIATE) {
            return Some(Stop::PacketFull);
        }
        self.recovery.on_resent(tsn);
        None
    }

    /// The channel whose turn it is, with something to send.
    fn next_channel(&mut self, channels: &mut Channels) -> Option<u32> {
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
    fn send_new(
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
        let tsn = self.flight.next_tsn();
        let (window, peer_window) = (self.congestion.window(), self.peer_window);
        let (in_flight, data) = (self.flight.bytes(), self.flight.data());
        let (Some(channel), Some(segment), Some(message)) = (
            channels.get_mut(key),
            self.store.segments.get_mut(piece.segment),
            self.store.messages.get_mut(piece.message),
        ) else {
            return;
        };
        let mut flags = begin(message, channel, tsn, self.interleaved);
        message.last_tsn = tsn;
        let from = segment.sent;
        segment.sent += piece.len;
        segment.fragments += 1;
        channel.out.unsent -= piece.len;
        let segment_done = segment.sent == segment.data.len();
        let ended = segment_done && segment.last;
        if ended {
            flags |= flag::END;
            message.ended = true;
        }
        if segment_done {
            channel.out.queue.pop_front();
        }
        // RFC 7053 §4: the sender waits for the answer when a window is full.
        let waits =
            in_flight + piece.len >= window || data + piece.len + self.packet_size > peer_window;
        let immediate = if waits { flag::IMMEDIATE } else { 0 };
        let ppid = message.ppid;
        let fragment = message.next_fragment;
        message.next_fragment = fragment.wrapping_add(1);
        let chunk = Data {
            flags: flags | immediate,
            tsn: tsn as u32,
            stream: message.stream,
            message: message.number,
            ppid: message.ppid,
            fragment,
            payload: &segment.data[from..from + piece.len],
        };
        let written = chunk.emit(packet, self.interleaved);
        debug_assert!(written, "the room was measured");
        self.flight.push(Entry {
            segment: piece.segment,
            message: piece.message,
            offset: from as u32,
            len: piece.len as u16,
            flags,
            state: State::InFlight,
            sends: 1,
            fragment,
            packet: self.next_packet,
            sent_at: now,
        });
        self.store.note_sent(piece.len);
        if ppid != dcep::ppid::DCEP {
            channels.note_fell(key, piece.len);
        }
        self.pass_turn(channels, key, ended);
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

/// The next fragment of a channel.
#[derive(Clone, Copy, Debug)]
struct Piece {
    segment: u32,
    message: u32,
    policy: Policy,
    /// Zero when it does not fit.
    len: usize,
}
