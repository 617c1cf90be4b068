//! Movie fragments (ISO/IEC 14496-12 §8.8).

use esp_wire::{Reader, ShortRead};

use super::boxes::{Boxes, short};
use super::demux::{MAX_SAMPLES, Sample, TrackKind};
use super::moov::{Defaults, Moov};
use crate::Error;

const NOT_SYNC: u32 = 0x0001_0000;

/// The head of a track's part in a fragment.
struct Head {
    track: u32,
    base: Option<u64>,
    base_is_fragment: bool,
    duration: Option<u32>,
    size: Option<u32>,
    flags: Option<u32>,
}

/// Appends the samples of the fragment that begins at `start` to the tracks of `moov`.
pub(super) fn parse(
    payload: &[u8],
    start: u64,
    file_length: u64,
    moov: &mut Moov,
) -> Result<(), Error> {
    // Where data goes on when a track's part does not say where it begins.
    let mut after = start;
    for (kind, payload) in Boxes::new(payload) {
        if &kind != b"traf" {
            continue;
        }
        let head = parse_tfhd(Boxes::need(payload, b"tfhd")?).map_err(short)?;
        let base = match head.base {
            Some(base) => base,
            None if head.base_is_fragment => start,
            None => after,
        };
        let Some(index) = moov.tracks.iter().position(|track| track.id == head.track) else {
            continue;
        };
        let old = moov.defaults[index];
        let defaults = Defaults {
            duration: head.duration.unwrap_or(old.duration),
            size: head.size.unwrap_or(old.size),
            flags: head.flags.unwrap_or(old.flags),
        };
        let track = &mut moov.tracks[index];
        if matches!(track.kind, TrackKind::Other(_)) {
            continue;
        }
        let ended = track.samples.last().map_or(0, |sample| {
            sample
                .decode_time
                .saturating_add(u64::from(sample.duration))
        });
        let mut run = RunReader {
            time: match Boxes::find(payload, b"tfdt") {
                Some(payload) => parse_tfdt(payload).map_err(short)?,
                None => ended,
            },
            base,
            offset: base,
            file_length,
            defaults,
        };
        for (kind, payload) in Boxes::new(payload) {
            if &kind == b"trun" {
                run.parse(payload, &mut track.samples)?;
            }
        }
        after = run.offset;
    }
    Ok(())
}

fn parse_tfhd(payload: &[u8]) -> Result<Head, ShortRead> {
    let mut reader = Reader::new(payload);
    let flags = reader.u32()? & 0xff_ffff;
    let track = reader.u32()?;
    let has = |bit: u32| flags & bit != 0;
    let base = if has(1) { Some(reader.u64()?) } else { None };
    if has(2) {
        reader.u32()?;
    }
    let mut optional = |bit| {
        if has(bit) {
            reader.u32().map(Some)
        } else {
            Ok(None)
        }
    };
    Ok(Head {
        track,
        base,
        base_is_fragment: has(0x02_0000),
        duration: optional(8)?,
        size: optional(0x10)?,
        flags: optional(0x20)?,
    })
}

fn parse_tfdt(payload: &[u8]) -> Result<u64, ShortRead> {
    let mut reader = Reader::new(payload);
    if reader.u32()? >> 24 == 1 {
        reader.u64()
    } else {
        reader.u32().map(u64::from)
    }
}

/// Reads the runs of one track's part, one after the other.
struct RunReader {
    time: u64,
    base: u64,
    offset: u64,
    file_length: u64,
    defaults: Defaults,
}

impl RunReader {
    fn parse(&mut self, payload: &[u8], samples: &mut Vec<Sample>) -> Result<(), Error> {
        let mut reader = Reader::new(payload);
        let flags = reader.u32().map_err(short)? & 0xff_ffff;
        let has = |bit: u32| flags & bit != 0;
        let count = reader.u32().map_err(short)? as usize;
        if count > MAX_SAMPLES - samples.len().min(MAX_SAMPLES) {
            return Err(Error::malformed("the MP4 file has too many samples"));
        }
        if has(1) {
            let offset = reader.u32().map_err(short)? as i32;
            self.offset = self.base.saturating_add_signed(i64::from(offset));
        }
        let mut first = if has(4) {
            Some(reader.u32().map_err(short)?)
        } else {
            None
        };
        for _ in 0..count {
            let mut optional = |bit, default| {
                if has(bit) {
                    reader.u32().map_err(short)
                } else {
                    Ok(default)
                }
            };
            let duration = optional(0x100, self.defaults.duration)?;
            let size = optional(0x200, self.defaults.size)?;
            let flags = optional(0x400, self.defaults.flags)?;
            let composition = optional(0x800, 0)? as i32;
            let sample = Sample {
                offset: self.offset,
                size,
                decode_time: self.time,
                composition,
                duration,
                sync: first.take().unwrap_or(flags) & NOT_SYNC == 0,
            };
            self.offset = self.offset.saturating_add(u64::from(size));
            self.time = self.time.saturating_add(u64::from(duration));
            // A file that was still being written when it was cut off ends before its last samples.
            if self.offset <= self.file_length {
                samples.push(sample);
            }
        }
        Ok(())
    }
}
