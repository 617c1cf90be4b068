//! The sample tables of a file that is not in fragments (ISO/IEC 14496-12 §8.6, §8.7).

use esp_wire::Reader;

use super::boxes::{Boxes, short, version_and_flags};
use super::demux::{MAX_SAMPLES, Sample};
use crate::Error;

/// Joins the tables in `stbl` into a list of samples.
pub(super) fn parse(tables: &[u8], file_length: u64) -> Result<Vec<Sample>, Error> {
    let mut samples = sizes(tables)?;
    if samples.is_empty() {
        return Ok(samples);
    }
    set_times(Boxes::need(tables, b"stts")?, &mut samples)?;
    if let Some(payload) = Boxes::find(tables, b"ctts") {
        set_compositions(payload, &mut samples)?;
    }
    if let Some(payload) = Boxes::find(tables, b"stss") {
        set_sync(payload, &mut samples)?;
    }
    set_offsets(tables, &mut samples)?;
    let inside = |sample: &Sample| {
        sample
            .offset
            .checked_add(u64::from(sample.size))
            .is_some_and(|end| end <= file_length)
    };
    if !samples.iter().all(inside) {
        return Err(Error::malformed("the MP4 file is cut off"));
    }
    Ok(samples)
}

/// A reader after the version, the flags and the entry count, which is checked against the bytes.
fn entries<'a>(payload: &'a [u8], size: usize) -> Result<(Reader<'a>, usize), Error> {
    let mut reader = Reader::new(payload);
    version_and_flags(&mut reader)?;
    let count = reader.u32().map_err(short)? as usize;
    if count > reader.remaining() / size {
        return Err(Error::malformed("a table of the MP4 file is cut off"));
    }
    Ok((reader, count))
}

fn sizes(tables: &[u8]) -> Result<Vec<Sample>, Error> {
    let mut reader = Reader::new(Boxes::need(tables, b"stsz")?);
    version_and_flags(&mut reader)?;
    let same = reader.u32().map_err(short)?;
    let count = reader.u32().map_err(short)? as usize;
    if count > MAX_SAMPLES || same == 0 && count > reader.remaining() / 4 {
        return Err(Error::malformed(
            "the MP4 file's table of sizes is cut off or too large",
        ));
    }
    (0..count)
        .map(|_| {
            Ok(Sample {
                offset: 0,
                size: if same == 0 {
                    reader.u32().map_err(short)?
                } else {
                    same
                },
                decode_time: 0,
                composition: 0,
                duration: 0,
                // Without a table of sync samples, all of them are.
                sync: true,
            })
        })
        .collect()
}

fn set_times(payload: &[u8], samples: &mut [Sample]) -> Result<(), Error> {
    let (mut reader, runs) = entries(payload, 8)?;
    let mut left = samples.iter_mut();
    let mut time = 0_u64;
    for _ in 0..runs {
        let (count, duration) = (reader.u32().map_err(short)?, reader.u32().map_err(short)?);
        for sample in left.by_ref().take(count as usize) {
            sample.decode_time = time;
            sample.duration = duration;
            time = time.saturating_add(u64::from(duration));
        }
    }
    if left.next().is_some() {
        return Err(Error::malformed(
            "the MP4 file's table of times is too short",
        ));
    }
    Ok(())
}

fn set_compositions(payload: &[u8], samples: &mut [Sample]) -> Result<(), Error> {
    let (mut reader, runs) = entries(payload, 8)?;
    let mut left = samples.iter_mut();
    for _ in 0..runs {
        let (count, offset) = (reader.u32().map_err(short)?, reader.u32().map_err(short)?);
        for sample in left.by_ref().take(count as usize) {
            // Version 1 has signed offsets; files of version 0 with huge ones mean the same.
            sample.composition = offset as i32;
        }
    }
    Ok(())
}

fn set_sync(payload: &[u8], samples: &mut [Sample]) -> Result<(), Error> {
    let (mut reader, count) = entries(payload, 4)?;
    for sample in samples.iter_mut() {
        sample.sync = false;
    }
    for _ in 0..count {
        let number = reader.u32().map_err(short)? as usize;
        if let Some(sample) = number.checked_sub(1).and_then(|at| samples.get_mut(at)) {
            sample.sync = true;
        }
    }
    Ok(())
}

fn set_offsets(tables: &[u8], samples: &mut [Sample]) -> Result<(), Error> {
    let (mut chunks, chunk_count, wide) = match Boxes::find(tables, b"stco") {
        Some(payload) => {
            let (reader, count) = entries(payload, 4)?;
            (reader, count, false)
        }
        None => {
            let (reader, count) = entries(Boxes::need(tables, b"co64")?, 8)?;
            (reader, count, true)
        }
    };
    let (mut runs, mut runs_left) = entries(Boxes::need(tables, b"stsc")?, 12)?;
    let mut left = samples.iter_mut();
    let (mut in_chunk, mut next) = (0, None);
    for chunk in 1..=chunk_count as u64 {
        // The run that begins at this chunk, if one does.
        loop {
            if next.is_none() && runs_left > 0 {
                runs_left -= 1;
                let first = runs.u32().map_err(short)?;
                next = Some((first, runs.u32().map_err(short)?));
                runs.u32().map_err(short)?;
            }
            match next {
                Some((first, count)) if u64::from(first) <= chunk => {
                    in_chunk = count as usize;
                    next = None;
                }
                _ => break,
            }
        }
        let mut offset = if wide {
            chunks.u64().map_err(short)?
        } else {
            u64::from(chunks.u32().map_err(short)?)
        };
        for sample in left.by_ref().take(in_chunk) {
            sample.offset = offset;
            offset = offset.saturating_add(u64::from(sample.size));
        }
    }
    if left.next().is_some() {
        return Err(Error::malformed(
            "the MP4 file's table of chunks is too short",
        ));
    }
    Ok(())
}
