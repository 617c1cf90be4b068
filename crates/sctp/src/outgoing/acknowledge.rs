//! What a SACK and a timeout do.

use esp_wire::Instant;

use super::{
    Outgoing,
    flight::{Entry, NO_SEGMENT, State},
};
use crate::{
    PeerMisbehaved,
    channel::Channels,
    chunk::sack::{self, Sack},
    congestion::Acknowledged,
    serial,
};

/// Chunks beside a SACK may take the room of so many gap blocks.
const BESIDE: usize = 8;

/// What a SACK meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SackEffect {
    /// Something was acknowledged for the first time.
    pub(crate) progress: bool,
    /// The cumulative acknowledgement moved.
    pub(crate) advanced: bool,
    /// The SACK is older than one that came before it.
    pub(crate) stale: bool,
}

/// Sums over the entries that one SACK acknowledged.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    bytes: usize,
    /// Packet, time and freshness of the newest of which a SACK could have told at once.
    newest: Option<(u64, Instant, bool)>,
}

impl Outgoing {
    /// RFC 9260 §6.2.1.
    pub(crate) fn on_sack(
        &mut self,
        channels: &mut Channels,
        now: Instant,
        sack: &Sack<'_>,
    ) -> Result<SackEffect, PeerMisbehaved> {
        let cumulative = serial::unwrap32(self.flight.cumulative(), sack.cumulative);
        if cumulative >= self.flight.next_tsn() {
            return Err(PeerMisbehaved::AcknowledgedUnsent);
        }
        // Reports of duplicates are worth reading even when the SACK was overtaken by a later one.
        for tsn in sack.duplicates() {
            self.recovery
                .on_duplicate(serial::unwrap32(cumulative, tsn));
        }
        if cumulative < self.flight.cumulative() {
            return Ok(SackEffect {
                stale: true,
                ..SackEffect::default()
            });
        }
        let in_flight = self.flight.bytes();
        let advanced = cumulative > self.flight.cumulative();
        let before = self.recovery.newest();
        let mut sum = Sum::default();
        self.take_cumulative(channels, now, cumulative, before, &mut sum);
        self.take_blocks(now, cumulative, sack, before, &mut sum);
        let was_cut = self.recovery.is_cut();
        let cut = sack.block_count() + BESIDE >= sack::capacity(self.packet_size);
        let reach = cut.then(|| self.flight.highest_acknowledged());
        self.recovery.set_reach(reach);
        let was_closed = self.peer_window == 0;
        self.peer_window = sack.window as usize;
        if was_closed && self.peer_window > 0 {
            self.resend_window_probe();
        }
        let progress = sum.bytes > 0;
        self.learn(now, in_flight, &sum, was_cut);
        self.find_losses(channels, now);
        self.advance();
        self.repeat_skip(now, self.rto.smoothed().unwrap_or_default());
        Ok(SackEffect {
            progress,
            advanced,
            stale: false,
        })
    }

    fn take_cumulative(
        &mut self,
        channels: &mut Channels,
        now: Instant,
        cumulative: u64,
        before: u64,
        sum: &mut Sum,
    ) {
        while let Some(entry) = self.flight.pop_acknowledged(cumulative) {
            if matches!(entry.state, State::InFlight | State::Lost) {
                self.count(self.flight.cumulative(), &entry, before, now, sum);
            }
            let done = match entry.segment {
                NO_SEGMENT => self.store.release(entry.message),
                segment => self.store.finish_fragment(segment),
            };
            if let Some(channel) = done {
                channels.message_done(channel);
            }
        }
        self.flight.trim();
    }

    fn take_blocks(
        &mut self,
        now: Instant,
        cumulative: u64,
        sack: &Sack<'_>,
        before: u64,
        sum: &mut Sum,
    ) {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.seen.clear();
        let end = self.flight.next_tsn() - 1;
        for (first, last) in sack.blocks() {
            // RFC 9260 §3.3.4: offsets begin at 2, since the TSN behind the cumulative one is missing.
            if first == 0 || last < first {
                continue;
            }
            let first = cumulative + u64::from(first);
            let last = (cumulative + u64::from(last)).min(end);
            if first > last {
                continue;
            }
            scratch.seen.add_with(first, last, |_, _| {});
            self.flight.cover(first, last, &mut scratch.fresh);
        }
        for (first, last) in scratch.fresh.drain(..) {
            for tsn in first..=last {
                if let Some(entry) = self.flight.acknowledge(tsn)
                    && matches!(entry.state, State::InFlight | State::Lost)
                {
                    self.count(tsn, &entry, before, now, sum);
                }
            }
        }
        // The TSN behind the cumulative one was reported before and is missing now: the peer took
        // back what it had (RFC 9260 §6.2.1), and all that this SACK does not report goes again.
        let front = self.flight.entry(cumulative + 1);
        if sack.complete
            && front.is_some_and(|entry| entry.state == State::Acked)
            && self.flight.uncover(&scratch.seen) > 0
        {
            self.skipping.rewind(cumulative);
        }
        self.scratch = scratch;
    }

    fn count(&mut self, tsn: u64, entry: &Entry, before: u64, now: Instant, sum: &mut Sum) {
        sum.bytes += (usize::from(entry.len) + self.header()).next_multiple_of(4);
        self.recovery
            .on_acknowledged(tsn, entry, before, now, self.rto.least());
        if self.recovery.was_in_reach(tsn)
            && sum.newest.is_none_or(|(packet, ..)| entry.packet > packet)
        {
            sum.newest = Some((entry.packet, entry.sent_at, entry.sends == 1));
        }
    }

    /// Round trip, congestion window and pace.
    fn learn(&mut self, now: Instant, in_flight: usize, sum: &Sum, was_cut: bool) {
        let rtt = match sum.newest {
            Some((_, sent_at, true)) => {
                let rtt = now.since(sent_at);
                self.rto.sample(rtt);
                Some(rtt)
            }
            // RFC 9260 §6.3.1 C5: no sample for the timeout from what was sent twice. But where SACKs are full,
            // repairs alone are acknowledged at once, and the window must feel the queue.
            Some((_, sent_at, false)) if was_cut => {
                Some(now.since(sent_at)).filter(|rtt| *rtt >= self.rto.least())
            }
            _ => None,
        };
        if self.recovery.take_spurious() {
            self.counts.spurious += 1;
            self.congestion.on_spurious(now);
        }
        if sum.bytes == 0 {
            return;
        }
        self.rto.progress();
        self.recovery.probed = false;
        let slow_start = self.congestion.in_slow_start();
        let window = self.congestion.window();
        let limited = self.window_limited
            || in_flight + self.packet_size >= window
            || (slow_start && in_flight * 2 >= window);
        self.window_limited = false;
        let acknowledged = Acknowledged {
            bytes: sum.bytes,
            rtt,
            window_limited: limited,
            in_recovery: self.recovery.is_recovering(),
            round_ended: self.recovery.round_ended(self.next_packet),
        };
        self.congestion.on_acknowledged(now, acknowledged);
        self.update_pace();
    }

    pub(super) fn update_pace(&mut self) {
        if self.pacing {
            // While a queue drains its delay is felt for a round trip more, which must not slow down what comes after.
            let least = self.rto.least();
            let rtt = self.rto.smoothed().map(|rtt| rtt.min(least + least / 4));
            self.pacer.update(
                self.congestion.window(),
                rtt,
                self.congestion.in_slow_start(),
                self.packet_size,
            );
        }
    }

    /// Looks for losses after a SACK, or when the reordering timer expired.
    pub(crate) fn find_losses(&mut self, channels: &mut Channels, now: Instant) {
        let mut lost = std::mem::take(&mut self.scratch.lost);
        let least = self.rto.least();
        let smoothed = self.rto.smoothed().unwrap_or_default();
        let found = self
            .recovery
            .detect(&mut self.flight, now, least, smoothed, &mut lost);
        self.reorder_at = found.reorder_at;
        if !lost.is_empty() {
            self.recovery
                .on_losses(lost.len(), found.congestion, self.next_packet);
            self.congestion.on_lost(lost.len());
            if found.congestion {
                let window = self.congestion.window();
                self.congestion.on_congestion(now);
                self.counts.congestion += u64::from(self.congestion.window() < window);
                self.grace = true;
                self.update_pace();
            }
        }
        self.give_up_lost(channels, now, &mut lost);
        self.scratch.lost = lost;
    }

    /// A queue marked a packet of ours instead of dropping it.
    pub(crate) fn on_marked(&mut self, now: Instant) {
        self.congestion.on_marked(now);
        self.counts.congestion += 1;
        self.update_pace();
    }

    fn give_up_lost(&mut self, channels: &mut Channels, now: Instant, lost: &mut Vec<u64>) {
        for tsn in lost.drain(..) {
            if let Some(entry) = self.flight.entry(tsn).copied()
                && entry.state == State::Lost
                && self.gives_up(&entry, now)
            {
                self.abandon(channels, entry.message);
            }
        }
    }

    /// The window opened again: the probe that it refused goes at once.
    fn resend_window_probe(&mut self) {
        for tsn in self.flight.cumulative() + 1..self.flight.next_tsn() {
            self.flight.lose(tsn);
        }
    }

    /// The retransmission timer expired (RFC 9260 §6.3.3); false when it was a window probe's.
    pub(crate) fn on_timeout(&mut self, channels: &mut Channels, now: Instant) {
        self.counts.timeouts += 1;
        // What was lost before may have expired since, and is given up along with the rest.
        let mut lost = std::mem::take(&mut self.scratch.lost);
        let mut count = 0;
        for tsn in self.flight.cumulative() + 1..self.flight.next_tsn() {
            count += usize::from(self.flight.lose(tsn).is_some());
            lost.push(tsn);
        }
        self.rto.back_off();
        if count > 0 && !self.is_probing_window() {
            let began = !self.recovery.is_recovering();
            self.recovery.on_losses(count, began, self.next_packet);
            self.counts.congestion += u64::from(began);
            self.congestion.on_lost(count);
            self.congestion.on_timeout(now);
            self.update_pace();
        }
        self.probe_due = false;
        self.recovery.probed = false;
        self.reorder_at = None;
        self.grace = true;
        self.give_up_lost(channels, now, &mut lost);
        self.scratch.lost = lost;
        self.advance();
        self.force_skip();
    }
}
