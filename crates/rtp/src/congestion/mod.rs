//! What the path is like: transport-wide feedback both ways, and the place of bandwidth estimation.

pub(crate) mod arrivals;
pub(crate) mod sent;

use std::time::Duration;

/// What one transport-wide feedback message says about the packets that were sent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Observation {
    /// Packets that arrived.
    pub received: u32,
    /// Packets that did not.
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
