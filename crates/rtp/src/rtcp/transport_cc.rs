//! Transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1): which packets
//! of the whole transport arrived, and when.
//!
//! Times are ticks of 250 µs. A message holds statuses in chunks of 16 bits, then one delta of 8 or 16 bits
//! for each packet that arrived, the first against a reference time in units of 64 ms (256 ticks).

use esp_wire::{Reader, ShortRead, Writer};

use super::{feedback, packet_type};
use crate::packet::BadPacket;

/// Ticks in a second.
pub const TICKS: u32 = 4_000;
/// Ticks of one unit of the reference time.
pub(crate) const REFERENCE: i64 = 256;
/// Reference times are a counter of 24 bits.
pub(crate) const WRAP: i64 = 1 << 24;

/// Status of one packet.
const MISSING: u8 = 0;
const SMALL: u8 = 1;
const LARGE: u8 = 2;

/// A checked transport-wide feedback message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransportFeedback<'a> {
    /// Who says so.
    pub sender: u32,
    /// A stream of the transport.
    pub media: u32,
    /// Transport-wide number of the first packet.
    pub base: u16,
    /// How many packets it speaks of.
    pub count: u16,
    /// Reference time, 24 bits with sign, in units of 64 ms.
    pub reference: i32,
    /// Counter of feedback messages.
    pub number: u8,
    chunks: &'a [u8],
    deltas: &'a [u8],
}

impl<'a> TransportFeedback<'a> {
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, BadPacket> {
        let mut reader = Reader::new(body);
        let sender = reader.u32()?;
        let media = reader.u32()?;
        let base = reader.u16()?;
        let count = reader.u16()?;
        let reference = (reader.u24()? << 8) as i32 >> 8;
        let number = reader.u8()?;
        let rest = reader.rest();
        let (mut statuses, mut delta_bytes) = (0, 0);
        while statuses < usize::from(count) {
            let chunk = Chunk(reader.u16()?);
            let used = chunk.len().min(usize::from(count) - statuses);
            for index in 0..used {
                delta_bytes += match chunk.status(index) {
                    SMALL => 1,
                    LARGE => 2,
                    _ => 0,
                };
            }
            statuses += used.max(1);
        }
        let chunks = &rest[..rest.len() - reader.remaining()];
        Ok(TransportFeedback {
            sender,
            media,
            base,
            count,
            reference,
            number,
            chunks,
            deltas: reader.take(delta_bytes)?,
        })
    }

    /// Every packet's transport-wide number, and its arrival in ticks on the receiver's clock.
    pub fn packets(self) -> impl Iterator<Item = (u16, Option<i64>)> + 'a {
        let (chunks, _) = self.chunks.as_chunks::<2>();
        let mut deltas = Reader::new(self.deltas);
        let mut time = i64::from(self.reference) * REFERENCE;
        chunks
            .iter()
            .flat_map(|bytes| {
                let chunk = Chunk(u16::from_be_bytes(*bytes));
                (0..chunk.len()).map(move |index| chunk.status(index))
            })
            .take(usize::from(self.count))
            .enumerate()
            .map(move |(index, status)| {
                let delta = match status {
                    SMALL => deltas.u8().ok().map(i64::from),
                    LARGE => deltas.u16().ok().map(|delta| i64::from(delta as i16)),
                    _ => None,
                };
                time += delta.unwrap_or(0);
                (self.base.wrapping_add(index as u16), delta.map(|_| time))
            })
    }
}

/// A chunk of statuses.
#[derive(Clone, Copy)]
struct Chunk(u16);

impl Chunk {
    fn len(self) -> usize {
        match self.0 >> 14 {
            0 | 1 => usize::from(self.0 & 0x1fff),
            2 => 14,
            _ => 7,
        }
    }

    fn status(self, index: usize) -> u8 {
        let bits = match self.0 >> 14 {
            0 | 1 => self.0 >> 13,
            2 => (self.0 >> (13 - index)) & 1,
            _ => self.0 >> (12 - 2 * index),
        };
        (bits & 3) as u8
    }
}

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Who says so.
    pub sender: u32,
    /// A stream of the transport.
    pub media: u32,
    /// Transport-wide number of the first packet.
    pub base: u16,
    /// Counter of feedback messages.
    pub number: u8,
}

/// Writes a message about up to `count` packets, where `arrival(i)` gives the ticks at which
/// packet `base + i` arrived, and returns how many packets it covers.
///
/// It covers fewer than `count` when they do not fit or lie too far apart in time. At least one must have arrived.
pub fn write_transport_cc(
    out: &mut Writer<'_>,
    subject: Subject,
    count: usize,
    arrival: impl Fn(usize) -> Option<i64>,
) -> Result<usize, ShortRead> {
    // 20 bytes of head; at worst each packet takes 2 bytes of delta and 2/7 bytes of status.
    let fits = out.room().saturating_sub(32) * 7 / 16;
    let first = (0..count).find_map(&arrival).ok_or(ShortRead)?;
    let reference = first.div_euclid(REFERENCE);
    let delta_at = |index: usize, time: i64| arrival(index).map(|at| at - time);
    let covered = {
        let mut time = reference * REFERENCE;
        let mut covered = 0;
        for index in 0..count.min(fits).min(usize::from(u16::MAX)) {
            if let Some(delta) = delta_at(index, time) {
                if i16::try_from(delta).is_err() {
                    break;
                }
                time += delta;
            }
            covered = index + 1;
        }
        covered
    };
    if covered == 0 {
        return Err(ShortRead);
    }
    let start = out.len();
    out.put(&[0x80 | feedback::TRANSPORT_CC, packet_type::RTPFB, 0, 0])?;
    out.u32(subject.sender)?;
    out.u32(subject.media)?;
    out.u16(subject.base)?;
    out.u16(covered as u16)?;
    out.u24(reference.rem_euclid(WRAP) as u32)?;
    out.u8(subject.number)?;
    write_chunks(out, covered, reference * REFERENCE, &arrival)?;
    let mut time = reference * REFERENCE;
    for index in 0..covered {
        if let Some(delta) = delta_at(index, time) {
            time += delta;
            match u8::try_from(delta) {
                Ok(small) => out.u8(small)?,
                Err(_) => out.u16(delta as i16 as u16)?,
            }
        }
    }
    let padding = (out.len() - start).next_multiple_of(4) - (out.len() - start);
    if padding > 0 {
        let pad = out.reserve(padding)?;
        pad.fill(0);
        pad[padding - 1] = padding as u8;
        out.written()[start] |= 0x20;
    }
    let words = ((out.len() - start) / 4 - 1) as u16;
    out.written()[start + 2..start + 4].copy_from_slice(&words.to_be_bytes());
    Ok(covered)
}

fn write_chunks(
    out: &mut Writer<'_>,
    count: usize,
    mut time: i64,
    arrival: &impl Fn(usize) -> Option<i64>,
) -> Result<(), ShortRead> {
    let mut statuses = (0..count)
        .map(|index| match arrival(index) {
            None => MISSING,
            Some(at) => {
                let delta = at - time;
                time = at;
                if u8::try_from(delta).is_ok() {
                    SMALL
                } else {
                    LARGE
                }
            }
        })
        .peekable();
    // A run takes one chunk; what breaks a short run goes into a vector of seven symbols.
    let mut pending = [MISSING; 7];
    let mut held = 0;
    while let Some(status) = statuses.next() {
        if held == 0 {
            let mut run = 1usize;
            while run < 0x1fff && statuses.peek() == Some(&status) {
                statuses.next();
                run += 1;
            }
            if run >= 7 || statuses.peek().is_none() {
                out.u16((u16::from(status) << 13) | run as u16)?;
                continue;
            }
            pending[..run].fill(status);
            held = run;
        } else {
            pending[held] = status;
            held += 1;
        }
        if held == 7 {
            out.u16(vector(&pending))?;
            held = 0;
        }
    }
    if held > 0 {
        pending[held..].fill(MISSING);
        out.u16(vector(&pending))?;
    }
    Ok(())
}

fn vector(symbols: &[u8; 7]) -> u16 {
    symbols
        .iter()
        .fold(3, |bits, symbol| (bits << 2) | u16::from(*symbol))
}

#[cfg(test)]
mod tests {
    use super::super::{Rtcp, packets};
    use super::*;
    use proptest::prelude::*;

    const SUBJECT: Subject = Subject {
        sender: 1,
        media: 2,
        base: 65_534,
        number: 3,
    };

    fn parsed(bytes: &[u8]) -> TransportFeedback<'_> {
        match packets(bytes).next() {
            Some(Ok(Rtcp::TransportCc(feedback))) => feedback,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_message_of_the_draft_is_read() {
        let bytes = [
            0x8f, 205, 0, 7, 0, 0, 0, 1, 0, 0, 0, 2, 0, 5, 0, 11, 0, 0, 2, 9, 0x20,
            0x02, // run: 2 small
            0xc8, 0x00, // two-bit vector: missing..., 3rd symbol... see below
            0x9f, 0xff, // one-bit vector, used for the rest
            1, 2, 0xff, 0xfe, 4, 4,
        ];
        // 0xc800 = 11 00 10 00 00 00 00 00: second symbol is 2 (large), the others missing.
        let feedback = parsed(&bytes);
        let all: Vec<_> = feedback.packets().collect();
        assert_eq!(
            (feedback.base, feedback.reference, feedback.number),
            (5, 2, 9)
        );
        assert_eq!(all.len(), 11);
        assert_eq!(all[0], (5, Some(513)));
        assert_eq!(all[1], (6, Some(515)));
        assert_eq!(all[2], (7, None));
        assert_eq!(all[3], (8, Some(513)));
        // 0x9fff: the first symbol (14 bits after the two of the type) is 0, the next is 1.
        assert_eq!(all[9], (14, None));
        assert_eq!(all[10], (15, Some(517)));
    }

    #[test]
    fn statuses_without_deltas_are_refused() {
        let bytes = [
            0x8f, 205, 0, 5, 0, 0, 0, 1, 0, 0, 0, 2, 0, 5, 0, 9, 0, 0, 2, 9, 0x20, 0x09, 1, 2,
        ];
        assert_eq!(packets(&bytes).next(), Some(Err(BadPacket)));
    }

    #[test]
    fn it_stops_where_time_jumps_too_far() {
        let arrivals = [Some(100), Some(200), Some(100_000)];
        let mut bytes = [0; 200];
        let mut out = Writer::new(&mut bytes);
        let covered = write_transport_cc(&mut out, SUBJECT, 3, |index| arrivals[index]).unwrap();
        assert_eq!(covered, 2);
    }

    proptest! {
        #[test]
        fn messages_round_trip(start in 0i64..10_000_000,
                               steps in prop::collection::vec(prop::option::weighted(0.8, -300i64..600), 1..300)) {
            let mut time = start;
            let mut arrivals: Vec<Option<i64>> = steps.iter().map(|step| step.map(|step| {
                time += step;
                time
            })).collect();
            arrivals[0] = Some(start);
            let mut bytes = [0; 1200];
            let mut out = Writer::new(&mut bytes);
            let covered = write_transport_cc(&mut out, SUBJECT, arrivals.len(), |index| arrivals[index]).unwrap();
            prop_assert_eq!(covered, arrivals.len());
            prop_assert_eq!(out.len() % 4, 0);
            let feedback = parsed(out.written());
            prop_assert_eq!(usize::from(feedback.count), covered);
            for (index, (number, arrival)) in feedback.packets().enumerate() {
                prop_assert_eq!(number, SUBJECT.base.wrapping_add(index as u16));
                prop_assert_eq!(arrival, arrivals[index]);
            }
        }
    }
}
