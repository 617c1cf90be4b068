//! Lays trains out.
//!
//! A train is one of: a packet for no or another association (ABORT, INIT ACK, ...), a packet of the
//! handshake, or packets of this association: control chunks and a SACK first, then data. When there
//! is data for several packets, control goes alone before it, so that the packets of the train are
//! equal and leave in one go.

use std::collections::VecDeque;

use esp_wire::{Instant, Train};

use super::{Association, Phase, timeout::heartbeat};
use crate::{
    Why,
    chunk::{self, kind},
    outgoing::Stop,
    packet::{Builder, HEADER, Seal},
    surplus,
};

/// Control chunks that wait to be sent.
#[derive(Debug, Default)]
pub(super) struct Control {
    /// Encoded, with padding.
    chunks: VecDeque<Vec<u8>>,
    /// Whole packets with tags of their own.
    pub(super) replies: VecDeque<Vec<u8>>,
    pub(super) shutdown_due: bool,
    pub(super) shutdown_ack_due: bool,
    /// Channels whose `send` was refused.
    pub(super) blocked: VecDeque<u32>,
}

impl Control {
    /// Queues a chunk; too many are dropped, as if they had been lost.
    pub(super) fn push(&mut self, chunk: Vec<u8>) {
        super::push_bounded(&mut self.chunks, chunk);
    }

    /// Queues a chunk that goes before all others, unless it is first already.
    pub(super) fn push_first(&mut self, chunk: Vec<u8>) {
        if self.chunks.front() != Some(&chunk) {
            self.chunks.push_front(chunk);
        }
    }

    /// Queues an answer, as long as what waits fits into one packet of this size: a packet is never answered by several
    /// (RFC 9260 §12.4).
    pub(super) fn answer(&mut self, chunk: Vec<u8>, packet_size: usize) {
        let held: usize = self.chunks.iter().map(Vec::len).sum();
        if held == 0 || HEADER + held + chunk.len() <= packet_size {
            self.push(chunk);
        }
    }

    /// The packet size that a list of streams needs: larger than usual only when it was made for a path that took
    /// more, since RFC 6525 §5.1.1 wants it repeated as it is.
    fn needed_size(&self) -> usize {
        match self.chunks.front() {
            Some(chunk) if chunk.first() == Some(&kind::RE_CONFIG) => HEADER + chunk.len(),
            _ => 0,
        }
    }

    fn is_due(&self) -> bool {
        !self.chunks.is_empty() || self.shutdown_due || self.shutdown_ack_due
    }

    /// Gives memory back; so many channels there are.
    pub(super) fn give_back(&mut self, channels: usize) {
        surplus::shrink(&mut self.blocked, channels);
    }

    /// Forgets what belongs to the association; replies stay.
    pub(super) fn clear(&mut self) {
        self.chunks.clear();
        self.shutdown_due = false;
        self.shutdown_ack_due = false;
        self.blocked.clear();
    }
}

/// What goes into a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    ControlOnly,
    DataOnly,
    Both,
}

impl Association {
    /// Lays out the next train; `false` when there is nothing to send now.
    pub fn poll_transmit(&mut self, now: Instant, train: &mut Train) -> bool {
        if let Some(packet) = self.control.replies.pop_front() {
            train.begin(self.room, packet.len());
            self.stats.packets_sent += 1;
            return train.push(&packet);
        }
        match self.phase {
            Phase::Closed | Phase::Ended => false,
            Phase::CookieWait => self.transmit_init(train),
            Phase::CookieEchoed => self.transmit_echo(train),
            _ => self.transmit_early(train) || self.transmit(now, train),
        }
    }

    fn transmit_init(&mut self, train: &mut Train) -> bool {
        if !std::mem::take(&mut self.handshake.init_due) {
            return false;
        }
        let init = self.own_init(self.handshake.tag, self.handshake.tsn);
        self.stats.handshake_sent += 1;
        self.transmit_alone(train, 0, &[init.emit(kind::INIT)])
    }

    fn transmit_echo(&mut self, train: &mut Train) -> bool {
        if !std::mem::take(&mut self.handshake.echo_due) {
            return false;
        }
        let mut chunks = vec![chunk::encode(kind::COOKIE_ECHO, 0, &self.handshake.cookie)];
        // RFC 9260 §3.2.2: the report on unknown parameters comes along.
        chunks.extend(self.control.chunks.drain(..));
        self.stats.handshake_sent += 1;
        self.transmit_alone(train, self.peer.tag, &chunks)
    }

    /// A packet of the handshake, which always has its checksum (RFC 9653 §5.2).
    fn transmit_alone(&mut self, train: &mut Train, tag: u32, chunks: &[Vec<u8>]) -> bool {
        let size: usize = chunks.iter().map(Vec::len).sum();
        train.begin(self.room, HEADER + size);
        let address = self.address(tag);
        train.push_with(|slot| {
            let mut builder = Builder::new(slot, address);
            for chunk in chunks {
                builder.encoded(chunk);
            }
            builder.finish(Seal::Crc32c)
        });
        self.stats.packets_sent += 1;
        true
    }

    /// A probe of the path's MTU, alone in its train since it is larger than the other packets.
    fn transmit_probe(&mut self, now: Instant, train: &mut Train) -> bool {
        let rto = self.out.rto.timeout();
        let (probe, at) = self.pmtu.probe(now, rto, &mut self.rng);
        self.timers.set(Why::PathMtu, at);
        let Some((size, nonce)) = probe else {
            return false;
        };
        train.begin(self.room, size);
        if train.payload_size() < size {
            // The train does not hold it: the same as a path that does not.
            return false;
        }
        let heartbeat = heartbeat(now, nonce);
        let address = self.address(self.peer.tag);
        let seal = self.seal();
        train.push_with(|slot| {
            let mut packet = Builder::new(slot, address);
            packet.encoded(&heartbeat);
            let room = packet.room();
            if let Some(padding) = packet.chunk(kind::PAD, 0, room) {
                padding.fill(0);
            }
            packet.finish(seal)
        });
        self.stats.packets_sent += 1;
        true
    }

    pub(super) fn seal(&self) -> Seal {
        match self.zero_checksum {
            true => Seal::Zero,
            false => Seal::Crc32c,
        }
    }

    /// Lays a train out. Messages that are given up meanwhile may be what something waited for: the peer must be told to
    /// skip them, a channel may close, a shutdown may go on.
    fn transmit(&mut self, now: Instant, train: &mut Train) -> bool {
        loop {
            let given_up = self.out.given_up();
            let sent = self.lay_out(now, train);
            let fewer = self.out.given_up() > given_up;
            if fewer {
                self.after_progress(now);
            }
            if sent || !fewer {
                return sent;
            }
        }
    }

    fn lay_out(&mut self, now: Instant, train: &mut Train) -> bool {
        if self.pmtu.is_due() && self.phase == Phase::Established && self.transmit_probe(now, train)
        {
            return true;
        }
        let control = self.control.needed_size();
        let size = self.packet_size.max(self.out.needed_size()).max(control);
        let sends_data = self.phase.sends_data();
        let urgent = self.control.is_due()
            || self.mark_is_due()
            || self.inc.tracker.is_due()
            || self.out.skip_is_due();
        let bulk = control > self.packet_size || (sends_data && self.out.has_bulk(2));
        let content = match (urgent, bulk) {
            (true, true) => Content::ControlOnly,
            (false, true) => Content::DataOnly,
            (_, false) => Content::Both,
        };
        train.begin(self.room, size);
        if size > self.packet_size {
            // RFC 9260 §6.9: a chunk that was cut for larger packets is never cut again.
            train.allow_fragments();
        }
        let packets = self.out.packets();
        let mut stop = self.push_packet(now, train, content);
        if train.is_empty() && content == Content::ControlOnly {
            stop = self.push_packet(now, train, Content::Both);
        }
        if train.is_empty() {
            self.after_transmit(now, stop);
            return false;
        }
        if content == Content::ControlOnly {
            self.arm(now);
            return true;
        }
        // Others follow this packet, so that its loss would be noticed at once.
        let lone = self.out.packets() > packets
            && self.marks.tries_again(self.out.newest_arrived())
            && self.out.has_bulk(3);
        if lone {
            self.mark_lone(train, packets);
        } else {
            stop = self.lengthen(now, train, stop, size);
            if self.out.packets() > packets {
                self.mark(train, packets);
            }
        }
        self.after_transmit(now, stop);
        true
    }

    /// More packets of data behind the first, as long as it was full.
    fn lengthen(&mut self, now: Instant, train: &mut Train, mut stop: Stop, size: usize) -> Stop {
        if stop == Stop::PacketFull
            && train.segment(0).len() < size
            && self.out.next_is_small(&mut self.channels)
        {
            train.settle();
        }
        while stop == Stop::PacketFull && train.vacancy() > 0 {
            let before = train.len();
            stop = self.push_packet(now, train, Content::DataOnly);
            if train.len() == before {
                break;
            }
        }
        stop
    }

    /// Timers that follow from what was sent, and what held the rest back.
    fn after_transmit(&mut self, now: Instant, stop: Stop) {
        match stop {
            Stop::Paced => self.timers.set(Why::Pacing, self.out.paced_until()),
            _ => self.timers.stop(Why::Pacing),
        }
        self.arm(now);
        if self.out.awaits_acknowledgement() && !self.timers.is_set(Why::Probe) {
            self.arm_probe(now);
        }
        self.after_loss();
    }

    fn arm_probe(&mut self, now: Instant) {
        if let Some(delay) = self.out.probe_delay(super::timeout::PEER_SACK_DELAY) {
            self.timers.set(Why::Probe, now + delay);
        }
    }

    /// Messages given up while packets were filled may let others in.
    fn after_loss(&mut self) {
        if !self.control.blocked.is_empty() {
            self.invite_writers();
        }
    }

    fn push_packet(&mut self, now: Instant, train: &mut Train, content: Content) -> Stop {
        let mut stop = Stop::Empty;
        train.push_with(|slot| {
            let (len, why) = self.fill_packet(now, slot, content);
            stop = why;
            len
        });
        stop
    }

    fn fill_packet(&mut self, now: Instant, slot: &mut [u8], content: Content) -> (usize, Stop) {
        let address = self.address(self.peer.tag);
        let mut packet = Builder::new(slot, address);
        if content != Content::DataOnly {
            self.fill_control(now, &mut packet);
        }
        let stop = match content {
            Content::ControlOnly => Stop::PacketFull,
            _ if self.phase.sends_data() => {
                self.fill_data(now, &mut packet, content == Content::Both)
            }
            _ => Stop::Empty,
        };
        if packet.is_empty() {
            return (0, stop);
        }
        self.stats.packets_sent += 1;
        (packet.finish(self.seal()), stop)
    }

    fn fill_control(&mut self, now: Instant, packet: &mut Builder<'_>) {
        while let Some(chunk) = self.control.chunks.front() {
            if !packet.encoded(chunk) {
                if packet.is_empty() {
                    // Larger than any packet: an echo of something that the peer sent. Drop it.
                    self.control.chunks.pop_front();
                    continue;
                }
                return;
            }
            self.control.chunks.pop_front();
        }
        self.fill_reduced(packet);
        if self.control.shutdown_ack_due && packet.chunk(kind::SHUTDOWN_ACK, 0, 4).is_some() {
            self.control.shutdown_ack_due = false;
        }
        if self.control.shutdown_due
            && let Some(value) = packet.chunk(kind::SHUTDOWN, 0, 8)
        {
            let cumulative = self.inc.tracker.cumulative() as u32;
            value.copy_from_slice(&cumulative.to_be_bytes());
            self.control.shutdown_due = false;
        }
        if self.inc.tracker.is_due() {
            self.fill_sack(now, packet);
        }
        if self.out.skip_is_due() {
            self.out.emit_skip(packet, now);
        }
    }

    pub(super) fn fill_sack(&mut self, now: Instant, packet: &mut Builder<'_>) {
        self.fill_echo(packet);
        let window = self.inc.window();
        if self.inc.tracker.emit(packet, window, now) {
            self.stats.sacks_sent += 1;
            self.timers.stop(Why::Sack);
        }
    }

    fn fill_data(&mut self, now: Instant, packet: &mut Builder<'_>, with_sack: bool) -> Stop {
        // RFC 9260 §6.2: a delayed SACK goes along with data.
        if with_sack && self.inc.tracker.is_delayed() && self.out.has_data() {
            self.fill_sack(now, packet);
        }
        self.out.fill(&mut self.channels, packet, now)
    }
}
