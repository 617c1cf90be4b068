//! The estimator that is used by default: delays decide, losses and the peer's word bound.

use std::time::Duration;

use esp_wire::Instant;

use super::aimd::{Measured, RateControl};
use super::fallback::LossBound;
use super::groups::{Grouped, Groups};
use super::loss::{LossControl, Verdict};
use super::probe::{Probe, Probes};
use super::throughput::Throughput;
use super::trend::{Trend, Usage};
use super::{BandwidthEstimator, Estimate, LossReport, PacketReport};

/// Without any feedback for so long, and so many round trips, half is sent.
const SILENCE: Duration = Duration::from_millis(1_500);
const SILENCE_TRIPS: u32 = 4;
/// The round trip until one was measured.
const FIRST_RTT: Duration = Duration::from_millis(100);
/// Less than this share of the estimate, in percent, counts as not using it.
const USED: u64 = 65;

/// Bounds of an estimate, in bits a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BitrateLimits {
    /// It never falls below this, default 50 kbit/s.
    pub min: u64,
    /// Where it begins, default 300 kbit/s.
    pub start: u64,
    /// It never exceeds this, default 20 Mbit/s.
    pub max: u64,
}

impl Default for BitrateLimits {
    fn default() -> Self {
        BitrateLimits {
            min: 50_000,
            start: 300_000,
            max: 20_000_000,
        }
    }
}

impl BitrateLimits {
    /// What must hold, and what is wrong otherwise.
    pub(crate) fn rules(self) -> [(bool, &'static str); 3] {
        [
            (self.min >= 10_000, "the least bitrate is below 10 kbit/s"),
            (
                self.min <= self.start && self.start <= self.max,
                "the bitrates are not in order: min, start, max",
            ),
            (
                self.max <= 10_000_000_000,
                "the largest bitrate is above 10 Gbit/s",
            ),
        ]
    }
}

/// Estimates by the trend of one-way delays, with losses as a bound, and bursts that look for more.
#[derive(Clone, Debug)]
pub struct PathEstimator {
    limits: BitrateLimits,
    groups: Groups,
    trend: Trend,
    throughput: Throughput,
    rate: RateControl,
    loss: LossControl,
    probes: Probes,
    fallback: LossBound,
    remb: Option<u64>,
    rtt: Option<Duration>,
    /// Transport-wide feedback has come.
    has_feedback: bool,
    /// When silence becomes a sign.
    silent_at: Option<Instant>,
}

impl PathEstimator {
    /// An estimator that knows nothing yet.
    pub fn new(limits: BitrateLimits) -> Self {
        PathEstimator {
            limits,
            groups: Groups::default(),
            trend: Trend::new(),
            throughput: Throughput::new(),
            rate: RateControl::new(limits.start),
            loss: LossControl::new(),
            probes: Probes::new(),
            fallback: LossBound::default(),
            remb: None,
            rtt: None,
            has_feedback: false,
            silent_at: None,
        }
    }

    fn take_packets(&mut self, now: Instant, packets: &[PacketReport]) {
        let mut last = None;
        for packet in packets {
            self.loss.note(packet);
            let Some(arrived) = packet.arrived else {
                continue;
            };
            last = Some(packet.sent);
            self.throughput.add(arrived, packet.size);
            self.probes.note(packet);
            match self.groups.add(packet.sent, arrived) {
                Grouped::Waits => {}
                Grouped::Step(step) => self.trend.add(step),
                Grouped::AnotherClock => self.trend = Trend::new(),
            }
        }
        if let Some(sent) = last {
            let seen = now - sent;
            self.rtt = Some(match self.rtt {
                Some(rtt) => (rtt * 7 + seen) / 8,
                None => seen,
            });
        }
    }

    fn round_trip(&self) -> Duration {
        self.rtt.unwrap_or(FIRST_RTT)
    }

    fn heed_losses(&mut self, now: Instant, acked: Option<u64>) {
        match self.loss.judge(now, acked, self.rate.bitrate()) {
            Verdict::Fine => {}
            Verdict::Lower(bitrate) => {
                let before = self.rate.bitrate();
                self.rate.set(bitrate.min(before));
                self.probes.on_lowered(now, before, bitrate);
            }
            Verdict::Full(acked) => self.rate.note_full(now, acked),
            Verdict::Restore(bitrate) => self.rate.set(bitrate.max(self.rate.bitrate())),
        }
    }
}

impl BandwidthEstimator for PathEstimator {
    fn on_sent(&mut self, now: Instant, _: usize) {
        if self.has_feedback && self.silent_at.is_none() {
            let trips = self.round_trip() * SILENCE_TRIPS;
            self.silent_at = Some(now + SILENCE.max(trips));
        }
    }

    fn on_feedback(&mut self, now: Instant, packets: &[PacketReport]) {
        self.has_feedback = true;
        self.silent_at = None;
        self.take_packets(now, packets);
        let acked = self.throughput.bits();
        let measured = Measured {
            usage: self.trend.usage(),
            acked,
            queue: self.trend.queue(),
            rtt: self.round_trip(),
        };
        let (lowered, before) = (self.rate.decreased(), self.rate.bitrate());
        self.rate.step(now, measured);
        if self.rate.decreased() != lowered {
            self.probes.on_lowered(now, before, self.rate.bitrate());
        }
        if let Some(found) = self.probes.result(now, self.rate.bitrate())
            && found > self.rate.bitrate()
        {
            self.rate.set(found);
        }
        self.heed_losses(now, acked);
        self.rate.clamp(self.limits.min, self.limits.max);
    }

    fn on_loss_report(&mut self, _: Instant, report: LossReport) {
        self.fallback.on_report(report);
    }

    fn on_remb(&mut self, _: Instant, bitrate: u64) {
        self.remb = Some(bitrate);
    }

    fn on_path_change(&mut self, _: Instant) {
        self.groups = Groups::default();
        self.trend = Trend::new();
        self.throughput = Throughput::new();
        self.loss = LossControl::new();
        self.rate = RateControl::new(self.rate.bitrate());
        self.probes.restart();
        self.rtt = None;
        self.silent_at = None;
    }

    fn poll_probe(&mut self, now: Instant) -> Option<Probe> {
        if !self.probes.is_due(now) || self.trend.usage() != Usage::Normal {
            return None;
        }
        let estimate = self.rate.bitrate();
        let acked = self.throughput.bits();
        let used = acked.is_some_and(|acked| acked * 100 >= estimate * USED);
        self.probes
            .poll(now, estimate, self.limits.max, acked, used)
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.silent_at.is_some_and(|at| at <= now) {
            self.silent_at = None;
            let before = self.rate.bitrate();
            self.rate.set(before / 2);
            self.rate.clamp(self.limits.min, self.limits.max);
            self.probes.on_lowered(now, before, self.rate.bitrate());
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.silent_at
    }

    fn estimate(&self) -> Option<Estimate> {
        let own = match self.has_feedback {
            true => Some(self.rate.bitrate()),
            false => self
                .fallback
                .bound()
                .map(|bound| bound.clamp(self.limits.min, self.limits.max)),
        };
        let bitrate = own.into_iter().chain(self.remb).min()?;
        Some(Estimate {
            bitrate,
            acked: self.throughput.bits(),
            usage: self.trend.usage(),
            queue: self.trend.queue(),
            loss: self.loss.latest(),
            rtt: self.rtt,
            probes: self.probes.evaluated(),
        })
    }
}
