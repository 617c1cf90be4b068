//! The pictures of a file: where they lie and how long they are shown.

use std::io::{Read, Seek};
use std::time::Duration;

use super::sets::{Sets, b_frames};
use crate::Error;
use crate::h264::NalUnits;
use crate::mp4::{Mp4, TrackKind};

/// More pictures than this are not indexed: a day and a half at 30 a second.
pub(super) const MAX_UNITS: usize = 4_000_000;

/// How long a picture of a file is shown at least and at most.
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(60);

/// How many pictures a second a byte stream has when it does not say.
const DEFAULT_FPS: u32 = 25;

/// One picture of the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unit {
    pub(super) offset: u64,
    pub(super) size: u32,
    pub(super) sync: bool,
    /// The parameter sets that hold for it.
    pub(super) sets: u16,
    pub(super) duration: Duration,
}

impl Unit {
    pub(super) fn new(offset: u64) -> Self {
        Unit {
            offset,
            size: 0,
            sync: false,
            sets: 0,
            duration: Duration::ZERO,
        }
    }
}

/// The H.264 track of an MP4: the size of its lengths, and its pictures.
pub(super) fn of_mp4<R: Read + Seek>(
    mp4: &Mp4<R>,
    sets: &mut Sets,
) -> Result<(u8, Vec<Unit>), Error> {
    let avc = mp4.tracks().iter().find_map(|track| match &track.kind {
        TrackKind::Avc {
            length_size,
            parameter_sets,
        } => Some((track, *length_size, parameter_sets)),
        _ => None,
    });
    let Some((track, length_size, parameter_sets)) = avc else {
        let others: Vec<String> = mp4
            .tracks()
            .iter()
            .map(|track| match &track.kind {
                TrackKind::Opus { .. } => "Opus".to_owned(),
                TrackKind::Other(code) => String::from_utf8_lossy(code).escape_debug().to_string(),
                TrackKind::Avc { .. } => "H.264".to_owned(),
            })
            .collect();
        return Err(Error::malformed(format!(
            "the MP4 file has no H.264 track (it has: {})",
            others.join(", ")
        )));
    };
    for nal in NalUnits::new(parameter_sets) {
        sets.add(nal);
    }
    sets.snapshot()?;
    let scale = u128::from(track.timescale);
    let nanos = |ticks: u128| (ticks * 1_000_000_000 / scale) as u64;
    let mut units = Vec::with_capacity(track.samples.len());
    for pair in track.samples.windows(2) {
        if pair[1].presentation_time() < pair[0].presentation_time() {
            return Err(b_frames());
        }
    }
    for (index, sample) in track.samples.iter().enumerate() {
        let start = sample.presentation_time();
        let end = match track.samples.get(index + 1) {
            Some(next) => next.presentation_time(),
            None => start.saturating_add(i64::from(sample.duration)),
        };
        // Differences of rounded times, so that rounding does not add up.
        let [start, end] = [start, end].map(|time| nanos(time.max(0) as u128));
        units.push(Unit {
            offset: sample.offset,
            size: sample.size,
            sync: sample.sync,
            sets: 0,
            duration: Duration::from_nanos(end.saturating_sub(start)).clamp(SHORTEST, LONGEST),
        });
    }
    Ok((length_size, units))
}

/// Gives every picture of a byte stream its time: what the stream says, or `fps`, or 25 a second.
pub(super) fn set_pace(units: &mut [Unit], said: Option<(u32, u32)>, fps: Option<u32>) {
    let said = said.filter(|(count, over)| *count <= over.saturating_mul(240) && over <= count);
    let (count, over) = match fps {
        Some(fps) => (fps.clamp(1, 240), 1),
        None => said.unwrap_or((DEFAULT_FPS, 1)),
    };
    let at = |index: usize| {
        let nanos = index as u128 * 1_000_000_000 * u128::from(over) / u128::from(count);
        Duration::from_nanos(nanos as u64)
    };
    for (index, unit) in units.iter_mut().enumerate() {
        unit.duration = at(index + 1) - at(index);
    }
}
