//! H.264 (RFC 6184): Annex B access units become single NAL units, STAP-A and FU-A, and back.

mod sps;

use std::ops::Range;

use super::{Piece, Plan, Shape};
use crate::Malformed;

pub use sps::picture_size;

/// NAL unit types (ITU-T H.264 table 7-1, RFC 6184 §5.4).
mod unit_type {
    pub(super) const SLICE: u8 = 1;
    pub(super) const IDR: u8 = 5;
    pub(super) const SEI: u8 = 6;
    pub(super) const SPS: u8 = 7;
    pub(super) const PPS: u8 = 8;
    pub(super) const DELIMITER: u8 = 9;
    pub(super) const LAST: u8 = 23;
    pub(super) const STAP_A: u8 = 24;
    pub(super) const FU_A: u8 = 28;
}

const START_CODE: [u8; 4] = [0, 0, 0, 1];
const START: u8 = 0x80;
const END: u8 = 0x40;

/// Where a NAL unit lies in its access unit.
pub(crate) type Span = (usize, usize);

/// The NAL units of an Annex B byte stream, without start codes and trailing zeros.
pub fn nal_units(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    spans(stream).map(|range| &stream[range])
}

fn spans(stream: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut next = start_code(stream, 0);
    std::iter::from_fn(move || {
        loop {
            let start = next? + 3;
            next = start_code(stream, start);
            let end = next.unwrap_or(stream.len());
            // Zeros before a start code belong to it, and a NAL unit never ends with one.
            let zeros = stream[start..end]
                .iter()
                .rev()
                .take_while(|byte| **byte == 0)
                .count();
            if start < end - zeros {
                return Some(start..end - zeros);
            }
        }
    })
}

/// Where the next `00 00 01` begins.
fn start_code(stream: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(&third) = stream.get(at + 2) {
        match third {
            1 if stream[at] == 0 && stream[at + 1] == 0 => return Some(at),
            0 => at += 1,
            _ => at += 3,
        }
    }
    None
}

pub(super) fn plan(plan: &mut Plan, mode: u8, frame: &[u8], limit: usize) -> Result<(), Malformed> {
    if start_code(frame, 0).is_none() {
        return Err(Malformed::NoStartCode);
    }
    // Types that RFC 6184 gives to its own payloads cannot be carried.
    plan.units.extend(
        spans(frame)
            .filter(|unit| (1..=unit_type::LAST).contains(&(frame[unit.start] & 31)))
            .map(|unit| (unit.start, unit.end)),
    );
    if plan.units.is_empty() {
        return Err(Malformed::Empty);
    }
    let mut index = 0;
    while let Some(&(start, end)) = plan.units.get(index) {
        let len = end - start;
        if len > limit {
            if mode == 0 || limit < 3 {
                return Err(Malformed::TooLongForPacket);
            }
            fragment(plan, frame[start], start..end, limit);
            index += 1;
            continue;
        }
        let (count, total) = aggregate(&plan.units[index..], limit);
        let (shape, len, count) = if mode == 0 || count < 2 {
            (Shape::Bytes { start }, len, 1)
        } else {
            let first = index;
            (Shape::Aggregate { first, count }, total, count)
        };
        plan.pieces.push(Piece {
            shape,
            len,
            ticks: 0,
        });
        index += count;
    }
    Ok(())
}

/// How many of `units` fit a STAP-A, and its length.
fn aggregate(units: &[Span], limit: usize) -> (usize, usize) {
    let mut total = 1;
    let mut count = 0;
    for (start, end) in units {
        let grown = total + 2 + (end - start);
        if grown > limit {
            break;
        }
        total = grown;
        count += 1;
    }
    (count, total)
}

/// Cuts a NAL unit into FU-As: all but the last have the same length, none is much shorter.
fn fragment(plan: &mut Plan, unit_header: u8, unit: Range<usize>, limit: usize) {
    let indicator = (unit_header & 0xe0) | unit_type::FU_A;
    let kind = unit_header & 31;
    // RFC 6184 §5.8: the NAL unit's header is not in the fragments.
    let body = unit.start + 1..unit.end;
    let count = body.len().div_ceil(limit - 2);
    let size = body.len().div_ceil(count);
    for start in body.clone().step_by(size) {
        let len = size.min(body.end - start);
        let first = if start == body.start { START } else { 0 };
        let last = if start + len == body.end { END } else { 0 };
        plan.pieces.push(Piece {
            shape: Shape::Fragment {
                start,
                indicator,
                header: first | last | kind,
            },
            len: len + 2,
            ticks: 0,
        });
    }
}

pub(super) fn write_aggregate(units: &[Span], frame: &[u8], out: &mut Vec<u8>) {
    // RFC 6184 §5.7: F is set if any unit has it, NRI is the highest of all.
    let (forbidden, importance) = units.iter().fold((0, 0), |(f, nri), (start, _)| {
        (f | (frame[*start] & 0x80), nri.max(frame[*start] & 0x60))
    });
    out.push(forbidden | importance | unit_type::STAP_A);
    for &(start, end) in units {
        out.extend_from_slice(&((end - start) as u16).to_be_bytes());
        out.extend_from_slice(&frame[start..end]);
    }
}

/// What an access unit holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// A sequence parameter set.
    pub sps: bool,
    /// A picture parameter set.
    pub pps: bool,
    /// A slice of an IDR picture.
    pub idr: bool,
    /// A slice of any picture.
    pub slice: bool,
}

impl Contents {
    /// What an Annex B access unit holds.
    pub fn of(access_unit: &[u8]) -> Self {
        let mut contents = Contents::default();
        for unit in nal_units(access_unit) {
            contents.note(unit[0] & 31);
        }
        contents
    }

    fn note(&mut self, kind: u8) {
        self.sps |= kind == unit_type::SPS;
        self.pps |= kind == unit_type::PPS;
        self.idr |= kind == unit_type::IDR;
        self.slice |= (unit_type::SLICE..=unit_type::IDR).contains(&kind);
    }
}

/// Whether a payload begins an access unit for sure: parameter sets, SEI, a delimiter, or the
/// slice with the picture's first macroblock.
pub(crate) fn begins_access_unit(payload: &[u8]) -> bool {
    let (kind, body) = match payload {
        [head, rest @ ..] if head & 31 == unit_type::STAP_A => match rest {
            [_, _, unit, body @ ..] => (unit & 31, body),
            _ => return false,
        },
        [head, fragment, body @ ..] if head & 31 == unit_type::FU_A => {
            if fragment & START == 0 {
                return false;
            }
            (fragment & 31, body)
        }
        [head, body @ ..] => (head & 31, body),
        [] => return false,
    };
    match kind {
        unit_type::SEI..=unit_type::DELIMITER => true,
        // ITU-T H.264 §7.3.3: first_mb_in_slice is ue(v), and zero is a lone one bit.
        unit_type::SLICE..=unit_type::IDR => body.first().is_some_and(|byte| byte & 0x80 != 0),
        _ => false,
    }
}

/// Puts payloads together to an access unit in Annex B.
#[derive(Debug, Default)]
pub(crate) struct Assembly {
    pub(crate) contents: Contents,
    in_fragment: bool,
}

/// A payload that cannot be part of a whole access unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

impl Assembly {
    /// Appends the NAL units of `payload` to `frame`.
    pub(crate) fn push(&mut self, payload: &[u8], frame: &mut Vec<u8>) -> Result<(), Broken> {
        let (&head, rest) = payload.split_first().ok_or(Broken)?;
        let kind = head & 31;
        if self.in_fragment && kind != unit_type::FU_A {
            return Err(Broken);
        }
        match kind {
            1..=unit_type::LAST => self.unit(payload, frame),
            unit_type::STAP_A => self.aggregate(rest, frame)?,
            unit_type::FU_A => self.fragment(head, rest, frame)?,
            // RFC 6184 §5.2: reserved types are ignored; the interleaved ones were not negotiated.
            0 | 30 | 31 => {}
            _ => return Err(Broken),
        }
        Ok(())
    }

    fn unit(&mut self, unit: &[u8], frame: &mut Vec<u8>) {
        self.contents.note(unit[0] & 31);
        frame.extend_from_slice(&START_CODE);
        frame.extend_from_slice(unit);
    }

    fn aggregate(&mut self, mut rest: &[u8], frame: &mut Vec<u8>) -> Result<(), Broken> {
        if rest.is_empty() {
            return Err(Broken);
        }
        while let Some((size, behind)) = rest.split_first_chunk() {
            let size = usize::from(u16::from_be_bytes(*size));
            let (unit, behind) = behind.split_at_checked(size).ok_or(Broken)?;
            if unit.is_empty() || !(1..=unit_type::LAST).contains(&(unit[0] & 31)) {
                return Err(Broken);
            }
            self.unit(unit, frame);
            rest = behind;
        }
        if rest.is_empty() { Ok(()) } else { Err(Broken) }
    }

    fn fragment(&mut self, indicator: u8, rest: &[u8], frame: &mut Vec<u8>) -> Result<(), Broken> {
        let (&header, body) = rest.split_first().ok_or(Broken)?;
        let starts = header & START != 0;
        if starts == self.in_fragment {
            return Err(Broken);
        }
        if starts {
            let kind = header & 31;
            if !(1..=unit_type::LAST).contains(&kind) {
                return Err(Broken);
            }
            self.contents.note(kind);
            frame.extend_from_slice(&START_CODE);
            frame.push((indicator & 0xe0) | kind);
        }
        frame.extend_from_slice(body);
        self.in_fragment = header & END == 0;
        Ok(())
    }

    /// Whether the access unit may end here.
    pub(crate) fn is_whole(&self) -> bool {
        !self.in_fragment
    }
}

#[cfg(test)]
mod tests;
