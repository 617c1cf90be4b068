//! Lays fragments into packets: first what was lost, then what is new ([`super::fragment`]).

use esp_wire::Instant;

use super::Outgoing;
use crate::{
    channel::Channels,
    chunk::data::{Data, flag},
    packet::{Builder, HEADER},
};

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
        let header = self.header() + HEADER;
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

    /// The congestion window. Chunks of small messages need more than one packet to fill that of a single one, which
    /// takes a header as well (RFC 9260 §7.2.3).
    fn window(&self) -> usize {
        let window = self.congestion.window();
        match window <= self.packet_size {
            true => window.min(self.packet_size - HEADER),
            false => window,
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
        if in_flight > 0 && !self.grace && in_flight + size > self.window() {
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
}
