//! What the path is like: transport-wide feedback both ways, and how much the path carries.
//!
//! 1. Packets that leave are noted with their number, time and size (`sent`).
//! 2. The receiver notes when they arrive and says so in a message each 100 ms (`arrivals`).
//! 3. Feedback and notes together tell of each packet how long it was under way ([`PacketReport`]).
//! 4. A [`BandwidthEstimator`] makes a bitrate of that: [`PathEstimator`] unless told otherwise.
//! 5. The pacer keeps to the bitrate, and the application is told it, for its encoders.

mod aimd;
pub(crate) mod arrivals;
mod estimator;
mod fallback;
mod groups;
mod loss;
mod probe;
pub(crate) mod sent;
mod throughput;
mod trend;

use std::time::Duration;

use esp_wire::Instant;

pub use estimator::{BitrateLimits, PathEstimator};
pub use probe::Probe;
pub use trend::Usage;

/// What one transport-wide feedback message says about the packets that were sent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Observation {
    /// Packets that arrived.
    pub received: u32,
    /// Packets that did not; each counts once, and may still arrive.
    pub lost: u32,
    /// Bytes of the packets that arrived.
    pub bytes: u64,
    /// Time between the first and the last arrival.
    pub arrival_span: Duration,
    /// How much longer the last packet took than the first, in microseconds: above zero when a
    /// queue grows.
    pub delay_growth_us: i64,
    /// Time from sending the last packet that arrived until this feedback.
    pub rtt: Option<Duration>,
}

/// What feedback says about one packet; they come in the order in which they were sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketReport {
    /// When it left.
    pub sent: Instant,
    /// Its bytes, from the RTP header to the end of the payload.
    pub size: usize,
    /// When it arrived, in microseconds of the receiver's clock; `None` for a packet that is missing.
    pub arrived: Option<i64>,
    /// An earlier message said that it is missing.
    pub was_missing: bool,
    /// The probe that it belongs to.
    pub probe: Option<u16>,
}

/// What a receiver report says about what was sent (RFC 3550 §6.4.1).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LossReport {
    /// Share of packets lost since the report before, 0.0 to 1.0.
    pub fraction_lost: f64,
    /// Bits a second that were sent during the last second.
    pub sent_bitrate: u64,
}

/// How an estimate came about.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Estimate {
    /// Bits a second that all media together may use, RTP headers counted.
    pub bitrate: u64,
    /// Bits a second that arrived lately.
    pub acked: Option<u64>,
    /// What the delay says.
    pub usage: Usage,
    /// Time that packets wait in queues beyond the least that was seen.
    pub queue: Duration,
    /// Share of packets lost lately, 0.0 to 1.0.
    pub loss: f64,
    /// Round trips of feedback, smoothed.
    pub rtt: Option<Duration>,
    /// Probes that were evaluated.
    pub probes: u32,
}

/// Finds out how much the path carries, from what the receiver says of the packets.
///
/// It has no clock and sends nothing; inputs come in the order of time. What it says is heeded by
/// the pacer, and told to the application by [`Event::BitrateEstimate`](crate::Event::BitrateEstimate).
pub trait BandwidthEstimator: Send {
    /// Packets of so many bytes left.
    fn on_sent(&mut self, now: Instant, bytes: usize);

    /// Transport-wide feedback came. Never empty.
    fn on_feedback(&mut self, now: Instant, packets: &[PacketReport]);

    /// A receiver report came; of use where there is no transport-wide feedback.
    fn on_loss_report(&mut self, now: Instant, report: LossReport);

    /// The peer named a bitrate (REMB).
    fn on_remb(&mut self, now: Instant, bitrate: u64);

    /// Packets take another path from now on.
    fn on_path_change(&mut self, now: Instant);

    /// A burst that is to be sent now, to see whether the path carries more; asked for while video is sent.
    fn poll_probe(&mut self, now: Instant) -> Option<Probe>;

    /// Does what is due.
    fn handle_timeout(&mut self, now: Instant);

    /// When something is due.
    fn poll_timeout(&self) -> Option<Instant>;

    /// The estimate; `None` until the peer has told anything.
    fn estimate(&self) -> Option<Estimate>;
}
