//! PCMU and PCMA (RFC 3551 §4.5.14): one byte a sample, 8,000 a second, any number in a packet.

use std::time::Duration;

use super::{Piece, Plan, Shape};
use crate::clock::ticks_of;

/// Samples a second.
pub const RATE: u32 = 8_000;

pub(super) fn plan(plan: &mut Plan, ptime: Duration, frame: &[u8], limit: usize) {
    let samples = usize::try_from(ticks_of(ptime, RATE)).unwrap_or(usize::MAX);
    let size = samples.min(limit).max(1);
    for start in (0..frame.len()).step_by(size) {
        plan.pieces.push(Piece {
            shape: Shape::Bytes { start },
            len: size.min(frame.len() - start),
            ticks: start as u32,
        });
    }
}
