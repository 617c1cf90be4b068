//! How much the path carries: what is told to the estimator, and who heeds what it says.

use std::time::Duration;

use esp_wire::{Deadline, Instant, Kind};

use super::events::Notice;
use super::rate::RateMeter;
use super::{Session, Track, Why};
use crate::congestion::{
    BandwidthEstimator, BitrateLimits, Estimate, LossReport, PacketReport, PathEstimator, Probe,
};
use crate::pacing::Pacer;
use crate::rtcp;

/// The application is told of a bitrate that is so much lower or higher, in percent of what it was told.
const LOWER: u64 = 97;
const HIGHER: u64 = 105;
/// Of a smaller change it is told after so long.
const PATIENCE: Duration = Duration::from_secs(1);
/// A burst that has not left after so long is given up.
const BURST: Duration = Duration::from_millis(200);

/// A burst that leaves.
#[derive(Clone, Copy, Debug)]
struct Burst {
    id: u16,
    bytes: usize,
    packets: usize,
    until: Instant,
}

/// The estimator, and what it was asked.
pub(super) struct Bandwidth {
    pub(super) estimator: Box<dyn BandwidthEstimator>,
    reports: Vec<PacketReport>,
    burst: Option<Burst>,
    /// What the application was told, and when.
    told: Option<(u64, Instant)>,
    /// Retransmissions, which take their part of the bitrate.
    pub(super) resent: RateMeter,
}

impl Bandwidth {
    pub(super) fn new(limits: BitrateLimits) -> Self {
        Bandwidth {
            estimator: Box::new(PathEstimator::new(limits)),
            reports: Vec::new(),
            burst: None,
            told: None,
            resent: RateMeter::default(),
        }
    }

    /// The name of the burst that leaves, zero for none.
    pub(super) fn burst(&self) -> u16 {
        self.burst.map_or(0, |burst| burst.id)
    }

    /// Begins a burst if one is due.
    pub(super) fn begin_burst(&mut self, now: Instant, pacer: &mut Pacer) -> bool {
        if self.burst.is_some_and(|burst| burst.until <= now) {
            self.end_burst(now, pacer);
        }
        if self.burst.is_some() {
            return false;
        }
        let Some(probe) = self.estimator.poll_probe(now) else {
            return false;
        };
        let Probe {
            id,
            bitrate,
            bytes,
            packets,
        } = probe;
        pacer.set_burst(now, Some(bitrate));
        self.burst = Some(Burst {
            id,
            bytes,
            packets: packets as usize,
            until: now + BURST,
        });
        true
    }

    /// What of the budget a burst may use at most.
    pub(super) fn budget(&self, budget: usize) -> usize {
        match self.burst {
            Some(burst) => budget.min(burst.bytes.max(1)),
            None => budget,
        }
    }

    /// Notes what left; a burst ends with its last packet.
    pub(super) fn on_sent(&mut self, now: Instant, pacer: &mut Pacer, bytes: usize, count: usize) {
        self.estimator.on_sent(now, bytes);
        let Some(burst) = &mut self.burst else {
            return;
        };
        burst.bytes = burst.bytes.saturating_sub(bytes);
        burst.packets = burst.packets.saturating_sub(count);
        if burst.bytes == 0 && burst.packets == 0 {
            self.end_burst(now, pacer);
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Deadline<Why>> {
        let why = Why::Bandwidth;
        let at = self.estimator.poll_timeout()?;
        Some(Deadline { at, why })
    }

    /// Ends the burst, if there is one.
    pub(super) fn end_burst(&mut self, now: Instant, pacer: &mut Pacer) {
        if self.burst.take().is_some() {
            pacer.set_burst(now, None);
        }
    }
}

/// Whether the peer tells of a track's packets when they arrive.
pub(super) fn is_observed(track: &Track) -> bool {
    track.sender.is_numbered() && track.sender.map.is_some_and(|map| map.twcc)
}

impl Session {
    /// Tells the pacer the sum of all encoders' bitrates, in bits a second; of use until
    /// the path is known.
    pub fn set_send_bitrate(&mut self, bitrate: u64) {
        self.pacer.set_target(bitrate);
    }

    /// Has another estimator say how much the path carries.
    pub fn set_estimator(&mut self, estimator: Box<dyn BandwidthEstimator>) {
        self.bandwidth.estimator = estimator;
    }

    /// How much the path carries, as far as is known.
    pub fn estimate(&self) -> Option<Estimate> {
        self.bandwidth.estimator.estimate()
    }

    /// Tells that packets take another path from now on: what was learned of delays is void.
    pub fn path_changed(&mut self, now: Instant) {
        self.seen = self.seen.max(now);
        self.bandwidth.end_burst(now, &mut self.pacer);
        self.bandwidth.estimator.on_path_change(now);
    }

    pub(super) fn on_transport_feedback(
        &mut self,
        now: Instant,
        feedback: rtcp::TransportFeedback<'_>,
    ) {
        let reports = &mut self.bandwidth.reports;
        let seen = self.sent.observe(now, feedback, reports);
        if reports.is_empty() {
            return;
        }
        // A short span says nothing about a rate.
        if seen.arrival_span.as_millis() >= 10 {
            let bits = u128::from(seen.bytes) * 8_000 / seen.arrival_span.as_millis();
            self.acked_bitrate = u64::try_from(bits).ok();
        }
        self.bandwidth.estimator.on_feedback(now, reports);
        let event = Notice::TransportFeedback(seen);
        self.events.notice(event, &mut self.dropped.unread_events);
        self.tell_estimate(now);
    }

    /// A receiver report on a stream of ours; the fallback where nothing tells of single packets.
    pub(super) fn on_losses(&mut self, now: Instant, index: usize) {
        let track = &self.tracks[index];
        if track.kind != Kind::Video || self.tracks.iter().any(is_observed) {
            return;
        }
        let figures = track.sender.figures(now);
        let report = LossReport {
            fraction_lost: figures.remote_fraction_lost,
            sent_bitrate: figures.bitrate,
        };
        self.bandwidth.estimator.on_loss_report(now, report);
        self.tell_estimate(now);
    }

    pub(super) fn on_remb(&mut self, now: Instant, bitrate: u64) {
        self.remb = Some(bitrate);
        let hint = Notice::BitrateHint { bitrate };
        self.events.notice(hint, &mut self.dropped.unread_events);
        self.bandwidth.estimator.on_remb(now, bitrate);
        self.tell_estimate(now);
    }

    pub(super) fn handle_bandwidth_timeout(&mut self, now: Instant) {
        let due = self.bandwidth.estimator.poll_timeout();
        if due.is_some_and(|at| at <= now) {
            self.bandwidth.estimator.handle_timeout(now);
            self.tell_estimate(now);
        }
    }

    /// The pacer heeds the estimate, and the application is told of it when it has changed.
    fn tell_estimate(&mut self, now: Instant) {
        let bitrate = self.estimate().map(|estimate| estimate.bitrate);
        self.pacer.set_estimate(now, bitrate);
        let Some(bitrate) = bitrate else {
            return;
        };
        // A half is left for new media in any case.
        let bitrate = bitrate - self.bandwidth.resent.bits(now).min(bitrate / 2);
        if let Some((told, at)) = self.bandwidth.told {
            let near = bitrate * 100 > told * LOWER && bitrate * 100 < told * HIGHER;
            if bitrate == told || near && now - at < PATIENCE {
                return;
            }
        }
        self.bandwidth.told = Some((bitrate, now));
        let event = Notice::BitrateEstimate { bitrate };
        self.events.notice(event, &mut self.dropped.unread_events);
    }
}
