//! One stream received.
//!
//! 1. A packet gets its unwrapped number; in order it goes on at once, early it waits in the buffer.
//! 2. What is missing before it is requested (NACK), first after a moment for reordering.
//! 3. A gap that outlasts the timeout is skipped; what waits behind it goes on.
//! 4. Packets in order become frames; after a loss video waits for a keyframe and asks for one.

mod assemble;
mod delivery;
pub(crate) mod jitter;
mod keyframe;
mod nack;
mod reports;

use std::time::Duration;

use esp_wire::{Codec, Deadline, Instant, Kind};

use crate::clock::SequenceUnwrap;
use crate::rtcp::{ReportBlock, SenderInfo};
use crate::session::rate::RateMeter;
use crate::{Config, PayloadMap, ReceiveStats, TrackId, Why};

use assemble::{Assembler, Outcome};
use delivery::Delivery;
pub(crate) use delivery::Output;
use jitter::{Incoming, JitterBuffer, MAX_PAYLOAD};
pub(crate) use keyframe::{KeyframeRequests, Method};
use nack::NackList;
use reports::Reception;

/// A jump forward of more packets than this is a restart if the next packet agrees (RFC 3550
/// §A.1, MAX_DROPOUT).
const MAX_DROPOUT: u64 = 3_000;
/// The same backwards (MAX_MISORDER, wider since packets may be retransmitted).
const MAX_MISORDER: u64 = 1_000;

/// One stream received.
pub(crate) struct Receiver {
    pub(crate) ssrc: u32,
    pub(crate) track: TrackId,
    /// The SSRC of its retransmissions, once known.
    pub(crate) rtx_ssrc: Option<u32>,
    unwrap: SequenceUnwrap,
    /// The next packet in order.
    expected: Option<u64>,
    highest: u64,
    /// Where a restarted sender would go on.
    restart: Option<u64>,
    jitter: JitterBuffer,
    pub(crate) nacks: NackList,
    wants_nack: bool,
    reception: Reception,
    assembler: Assembler,
    delivery: Delivery,
    gap_at: Option<Instant>,
    /// Packets right before the next one were given up.
    gap: bool,
    heard: Instant,
    rate: RateMeter,
    cache_timeout: Duration,
    stream_timeout: Duration,
}

impl Receiver {
    pub(crate) fn new(
        now: Instant,
        ssrc: u32,
        track: TrackId,
        kind: Kind,
        config: &Config,
    ) -> Self {
        let habits = config.jitter(kind);
        let jitter = JitterBuffer::new(habits.cache_size);
        Receiver {
            ssrc,
            track,
            rtx_ssrc: None,
            unwrap: SequenceUnwrap::default(),
            expected: None,
            highest: 0,
            restart: None,
            nacks: NackList::new(jitter.window(), habits.resend_delay),
            jitter,
            wants_nack: false,
            reception: Reception::default(),
            assembler: Assembler::new(config.max_frame_size),
            delivery: Delivery::new(now, ssrc, track, kind, config),
            gap_at: None,
            // Where a stream is joined is nowhere in particular.
            gap: true,
            heard: now,
            rate: RateMeter::default(),
            cache_timeout: habits.cache_timeout,
            stream_timeout: config.stream_timeout,
        }
    }

    /// Notes what was negotiated for what the stream carries now.
    pub(crate) fn configure(&mut self, map: &PayloadMap) {
        self.wants_nack = map.nack;
        self.delivery.keyframes.method = match (map.pli, map.fir) {
            (true, _) => Some(Method::Pli),
            (false, true) => Some(Method::Fir),
            (false, false) => None,
        };
    }

    /// Gives the parameter sets that SDP carried.
    pub(crate) fn set_parameter_sets(&mut self, annex_b: &[u8]) {
        self.assembler.set_parameter_sets(annex_b);
    }

    /// Takes a packet, from the stream itself or out of its RTX stream.
    pub(crate) fn on_packet(
        &mut self,
        now: Instant,
        sequence: u16,
        packet: &Incoming<'_>,
        repaired: bool,
        out: &mut Output<'_>,
    ) {
        self.heard = now;
        self.delivery.stats.packets += 1;
        self.delivery.stats.bytes += packet.payload.len() as u64;
        self.rate.add(now, packet.payload.len());
        let number = self.unwrap.unwrap(sequence);
        if !repaired {
            if !self.is_plausible(number) {
                self.delivery.stats.late += 1;
                return;
            }
            self.unwrap.note(number);
            let codec = packet.content.map(|(codec, _)| codec);
            let rate = codec
                .or(self.delivery.codec())
                .map_or(90_000, Codec::clock_rate);
            self.reception.note(now, number, packet.timestamp, rate);
        }
        let fresh = self.sort_in(now, number, packet, out);
        self.delivery.stats.recovered += u64::from(repaired && fresh);
    }

    /// RFC 3550 §A.1: a wild jump counts only when the next packet follows it.
    fn is_plausible(&mut self, number: u64) -> bool {
        let Some(expected) = self.expected else {
            return true;
        };
        let near = number + MAX_MISORDER >= expected && number <= expected + MAX_DROPOUT;
        if near {
            self.restart = None;
            return true;
        }
        if self.restart != Some(number) {
            self.restart = Some(number + 1);
            return false;
        }
        self.restart = None;
        self.unwrap.restart(number);
        self.jitter.clear();
        self.nacks.clear();
        self.reception.restart();
        self.delivery.rebase();
        if self.assembler.reset() {
            self.delivery.stats.broken_frames += 1;
        }
        self.expected = None;
        self.gap = true;
        self.gap_at = None;
        true
    }

    /// Puts a packet into its place; `false` when it is of no use.
    fn sort_in(
        &mut self,
        now: Instant,
        number: u64,
        packet: &Incoming<'_>,
        out: &mut Output<'_>,
    ) -> bool {
        let expected = *self.expected.get_or_insert_with(|| {
            self.highest = number;
            number
        });
        if number < expected || self.jitter.contains(number) {
            self.delivery.stats.late += 1;
            return false;
        }
        if number != expected && packet.payload.len() > MAX_PAYLOAD {
            out.dropped.oversized += 1;
            return false;
        }
        self.nacks.note_arrival(now, number);
        if number > self.highest {
            if self.wants_nack && number - self.highest <= self.jitter.window() {
                self.nacks.note_gap(now, self.highest + 1, number);
            }
            self.highest = number;
        }
        while number - self.expected.unwrap_or(number) >= self.jitter.window() {
            let waits = self
                .jitter
                .first(self.expected.unwrap_or(number), Duration::ZERO);
            self.skip_to(now, waits.map_or(number, |(first, _)| first), out);
        }
        if self.expected == Some(number) {
            self.deliver(now, packet, out);
            self.drain(now, out);
        } else {
            self.jitter.insert(now, number, packet);
        }
        self.watch_gap();
        true
    }

    /// Gives up what lies before `number`, and goes on there.
    fn skip_to(&mut self, now: Instant, number: u64, out: &mut Output<'_>) {
        let skipped = number.saturating_sub(self.expected.unwrap_or(number));
        self.delivery.stats.skipped += skipped;
        self.expected = Some(number);
        self.gap = true;
        self.delivery.on_gap(now);
        self.nacks.forget_before(number);
        self.drain(now, out);
    }

    /// Takes the packet that is next in order.
    fn deliver(&mut self, now: Instant, packet: &Incoming<'_>, out: &mut Output<'_>) {
        self.expected = self.expected.map(|number| number + 1);
        let gap = std::mem::take(&mut self.gap);
        pass_on(
            &mut self.assembler,
            &mut self.delivery,
            now,
            packet,
            gap,
            out,
        );
    }

    /// Takes all packets that are in order by now.
    fn drain(&mut self, now: Instant, out: &mut Output<'_>) {
        while let Some(expected) = self.expected
            && let Some(packet) = self.jitter.take(expected)
        {
            self.expected = Some(expected + 1);
            let gap = std::mem::take(&mut self.gap);
            pass_on(
                &mut self.assembler,
                &mut self.delivery,
                now,
                &packet,
                gap,
                out,
            );
        }
    }

    fn watch_gap(&mut self) {
        let first = self
            .expected
            .and_then(|expected| self.jitter.first(expected, self.cache_timeout));
        self.gap_at = first.map(|(_, at)| at);
    }

    /// Does what is due; `true` when the stream is over.
    pub(crate) fn handle_timeout(&mut self, now: Instant, out: &mut Output<'_>) -> bool {
        while self.gap_at.is_some_and(|at| at <= now)
            && let Some(expected) = self.expected
            && let Some((first, _)) = self.jitter.first(expected, Duration::ZERO)
        {
            self.skip_to(now, first, out);
            self.watch_gap();
        }
        self.nacks.handle_timeout(now);
        self.delivery.keyframes.handle_timeout(now);
        self.is_silent(now)
    }

    /// Whether nothing came for long.
    pub(crate) fn is_silent(&self, now: Instant) -> bool {
        self.silent_at() <= now
    }

    fn silent_at(&self) -> Instant {
        self.heard + self.stream_timeout
    }

    /// When something is due, and what.
    pub(crate) fn poll_timeout(&self) -> Option<Deadline<Why>> {
        let keyframe = self.delivery.keyframes.next_at();
        [
            (self.gap_at, Why::Gap),
            (self.nacks.next_at(), Why::Nack),
            (keyframe, Why::Keyframe),
            (Some(self.silent_at()), Why::Silence),
        ]
        .into_iter()
        .filter_map(|(at, why)| Some(Deadline { at: at?, why }))
        .min_by_key(|deadline| deadline.at)
    }

    /// Whether a request for a keyframe waits to leave.
    pub(crate) fn wants_keyframe(&self) -> bool {
        self.delivery.keyframes.request().is_some()
    }

    /// Its requests for keyframes.
    pub(crate) fn keyframes(&mut self) -> &mut KeyframeRequests {
        &mut self.delivery.keyframes
    }

    /// Counts requests that left.
    pub(crate) fn count_requests(&mut self, nacks: usize, keyframes: u64) {
        self.delivery.stats.nacked += nacks as u64;
        self.delivery.stats.keyframe_requests += keyframes;
    }

    /// Takes a sender report about it.
    pub(crate) fn on_sender_report(&mut self, now: Instant, info: SenderInfo) {
        self.heard = self.heard.max(now);
        self.reception.note_sender(now, info);
        self.delivery.sender = self.reception.sender();
    }

    /// Its block of a report.
    pub(crate) fn report(&mut self, now: Instant) -> ReportBlock {
        self.reception.block(now, self.ssrc)
    }

    /// Figures at `now`.
    pub(crate) fn figures(&self, now: Instant) -> ReceiveStats {
        let codec = self.delivery.codec();
        ReceiveStats {
            ssrc: self.ssrc,
            codec,
            lost: self.reception.lost(),
            jitter: self
                .reception
                .jitter(codec.map_or(90_000, Codec::clock_rate)),
            rtt: self.nacks.rtt(),
            bitrate: self.rate.bits(now),
            buffered: self.jitter.held(),
            ..self.delivery.stats.clone()
        }
    }
}

/// Hands the next packet in order to the assembler, or out as a frame of sound.
fn pass_on(
    assembler: &mut Assembler,
    delivery: &mut Delivery,
    now: Instant,
    packet: &Incoming<'_>,
    gap: bool,
    out: &mut Output<'_>,
) {
    if delivery.starts(packet, out) {
        assembler.reset();
    }
    match packet.content {
        Some((codec, payload_type)) if codec.kind() == Kind::Audio => {
            delivery.sound(now, codec, payload_type, packet, out);
        }
        _ => assembler.push(packet, gap, &mut |outcome| match outcome {
            Outcome::Whole(finished, data) => delivery.picture(now, finished, data, out),
            Outcome::Broken => delivery.on_broken(now),
        }),
    }
}

#[cfg(test)]
mod tests;
