//! One stream sent.
//!
//! 1. A frame is planned, numbered, and laid into the ring of packets.
//! 2. Packets leave in order, stamped at the moment they leave.
//! 3. They stay in the ring until newer ones need their place; a NACK queues them again.
//! 4. They leave again, in the RTX stream (RFC 4588) or byte for byte as before.

mod clock;
mod header;
mod history;
mod padding;
mod resend;

use std::collections::VecDeque;
use std::time::Duration;

use esp_wire::{Frame, Instant, Kind, Room, Train};

use crate::congestion::sent::SentPackets;
use crate::format::Plan;
use crate::rtcp::SenderInfo;
use crate::session::rate::RateMeter;
use crate::{Error, LocalSsrcs, Misuse, PayloadMap, SendStats};

use clock::MediaClock;
pub(crate) use header::Template;
use history::History;

/// A pause in sound after which the marker bit is set again (RFC 3551 §4.1).
const TALK_PAUSE: Duration = Duration::from_millis(200);

/// What packets are stamped with when they leave.
pub(crate) struct Stamps<'a> {
    pub(crate) now: Instant,
    pub(crate) ntp: u64,
    pub(crate) sent: &'a mut SentPackets,
    /// The burst that packets belong to, zero for none.
    pub(crate) burst: u16,
}

/// One stream sent. It lives as long as the session, since its sequence numbers must never
/// repeat under one SRTP key.
pub(crate) struct Sender {
    pub(crate) ssrcs: LocalSsrcs,
    pub(crate) kind: Kind,
    pub(crate) map: Option<PayloadMap>,
    pub(crate) stats: SendStats,
    template: Template,
    history: History,
    /// The next packet to be laid into the ring.
    next: u64,
    /// The next packet to leave for the first time.
    unsent: u64,
    /// Bytes of those that wait to leave for the first time.
    unsent_bytes: usize,
    timestamp_offset: u32,
    clock: MediaClock,
    resend: VecDeque<u64>,
    rtx_sequence: u16,
    max_resends: u16,
    rate: RateMeter,
    last_sent: Option<Instant>,
}

impl Sender {
    pub(crate) fn new(
        ssrcs: LocalSsrcs,
        kind: Kind,
        slots: usize,
        max_resends: u16,
        random: [u32; 3],
    ) -> Self {
        // RFC 3711 §3.3.1: a start below 2^15 keeps the first lost packets from confusing the
        // rollover counters.
        let first = u64::from(random[0] & 0x7fff) + 0x1_0000;
        Sender {
            ssrcs,
            kind,
            map: None,
            stats: SendStats {
                ssrc: ssrcs.ssrc,
                ..SendStats::default()
            },
            template: Template::default(),
            history: History::new(slots),
            next: first,
            unsent: first,
            unsent_bytes: 0,
            timestamp_offset: random[1],
            clock: MediaClock::default(),
            resend: VecDeque::new(),
            rtx_sequence: random[2] as u16 & 0x7fff,
            max_resends,
            rate: RateMeter::default(),
            last_sent: None,
        }
    }

    /// Takes what was negotiated; `None` stops the stream.
    pub(crate) fn configure(&mut self, map: Option<PayloadMap>, template: Template) {
        self.map = map;
        self.template = template;
        if map.is_none() {
            self.unsent = self.next;
            self.unsent_bytes = 0;
            self.resend.clear();
        }
    }

    /// Payload bytes that a packet of `max_packet` bytes can hold.
    pub(crate) fn payload_limit(&self, max_packet: usize) -> usize {
        let rtx = self.map.and_then(|map| map.rtx_pt).map_or(0, |_| 2);
        max_packet.saturating_sub(self.template.len() + rtx)
    }

    /// Lays a planned frame into the ring.
    pub(crate) fn enqueue(
        &mut self,
        now: Instant,
        frame: Frame<'_>,
        plan: &Plan,
        max_packet: usize,
    ) -> Result<(), Error> {
        let map = self.map.ok_or(Misuse::NotSending)?;
        let count = plan.pieces.len();
        if count > self.history.capacity() {
            return Err(Misuse::FrameTooLarge.into());
        }
        if count > self.history.capacity() - self.pending() {
            return Err(Error::WouldBlock);
        }
        let (ticks, jumped) = self.clock.ticks(now, map.codec, frame);
        let talks = jumped || self.last_sent.is_none_or(|last| now - last > TALK_PAUSE);
        for (index, piece) in plan.pieces.iter().enumerate() {
            let marker = match self.kind {
                Kind::Video => index + 1 == count,
                Kind::Audio => index == 0 && talks,
            };
            let timestamp = self
                .timestamp_offset
                .wrapping_add(ticks as u32)
                .wrapping_add(piece.ticks);
            let reserve = match self.kind {
                Kind::Video => max_packet,
                Kind::Audio => self.template.len() + piece.len,
            };
            let bytes = self.history.occupy(self.next, reserve, self.template.len());
            self.template
                .write(marker, map.pt, self.next as u16, timestamp, bytes);
            plan.write(index, frame.data, bytes);
            self.unsent_bytes += bytes.len();
            self.next += 1;
        }
        self.stats.frames += 1;
        Ok(())
    }

    /// Packets that wait to leave.
    pub(crate) fn pending(&self) -> usize {
        (self.next - self.unsent) as usize
    }

    /// Packets that can wait at once.
    pub(crate) fn places(&self) -> usize {
        self.history.capacity()
    }

    /// Bytes of the packets that wait to leave, retransmissions included.
    pub(crate) fn pending_bytes(&self) -> usize {
        let again = self.resend.iter();
        let again = again.filter_map(|number| self.history.slot(*number));
        self.unsent_bytes + again.map(|slot| slot.bytes.len()).sum::<usize>()
    }

    /// Whether a retransmission waits to leave.
    pub(crate) fn has_resends(&self) -> bool {
        !self.resend.is_empty()
    }

    /// Fills `train` with the next packets while `budget` bytes last (the first goes in any
    /// case) and returns their bytes; zero when there is none.
    pub(crate) fn fill(
        &mut self,
        stamps: &mut Stamps<'_>,
        train: &mut Train,
        room: Room,
        budget: usize,
    ) -> usize {
        let mut used = 0;
        while let Some(slot) = self.history.slot_mut(self.unsent) {
            if self.unsent == self.next {
                break;
            }
            let len = slot.bytes.len();
            if used == 0 {
                train.begin(room, len);
                if train.payload_size() < len {
                    // The caller's train cannot hold such a packet; keeping it would block forever.
                    self.unsent += 1;
                    self.unsent_bytes -= len;
                    continue;
                }
            } else if train.vacancy() == 0 || len > train.payload_size() || used + len > budget {
                break;
            }
            self.template.stamp(&mut slot.bytes, stamps);
            slot.sent_at = Some(stamps.now);
            self.stats.packets += 1;
            self.stats.bytes += (len - slot.header) as u64;
            self.rate.add(stamps.now, len - slot.header);
            train.push(&slot.bytes);
            self.last_sent = Some(stamps.now);
            self.unsent += 1;
            self.unsent_bytes -= len;
            used += len;
        }
        used
    }

    /// Whether anything was ever sent.
    pub(crate) fn has_sent(&self) -> bool {
        self.stats.packets > 0
    }

    /// Whether something was sent in the last `span`.
    pub(crate) fn sent_within(&self, now: Instant, span: Duration) -> bool {
        self.last_sent.is_some_and(|last| now - last <= span)
    }

    /// The sender's part of a report at `now` (RFC 3550 §6.4.1).
    pub(crate) fn report(&self, now: Instant, ntp: u64) -> Option<SenderInfo> {
        let map = self.map?;
        let ticks = self.clock.ticks_at(now, map.codec)?;
        Some(SenderInfo {
            ntp,
            rtp: self.timestamp_offset.wrapping_add(ticks as u32),
            packets: self.stats.packets as u32,
            octets: self.stats.bytes as u32,
        })
    }

    /// Figures at `now`.
    pub(crate) fn figures(&self, now: Instant) -> SendStats {
        SendStats {
            bitrate: self.rate.bits(now),
            queued: self.pending(),
            ..self.stats.clone()
        }
    }
}

#[cfg(test)]
mod tests;
