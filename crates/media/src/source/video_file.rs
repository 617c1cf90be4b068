//! A file of H.264, sent as it is in a loop: a byte stream (Annex B) or an MP4.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use esp_wire::{Codec, VideoInfo};

use super::{AccessUnit, EncodedVideoSource, byte_stream};
use crate::Error;
use crate::capture::SupportedVideo;
use crate::h264::{
    NalUnits, SliceHead, SliceKind, Sps, append_annex_b, is_keyframe, kind, nal_type,
};
use crate::mp4::{Mp4, TrackKind, to_annex_b};

/// More pictures than this are not indexed: a day and a half at 30 a second.
pub(super) const MAX_UNITS: usize = 4_000_000;

/// The largest picture that is sent, in bytes.
const MAX_UNIT_SIZE: u32 = 8 << 20;

/// How often parameter sets may change in one file.
const MAX_SETS: usize = 1_024;

/// How long a picture of a file is shown at least and at most.
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(60);

/// How many pictures of an MP4 are looked at before it is taken.
const LOOK_AT: usize = 60;

/// How many pictures a second a byte stream has when it does not say.
const DEFAULT_FPS: u32 = 25;

/// Sends a file of H.264 in a loop.
///
/// Its pictures must be sent in the order in which they are shown: a file with B-frames is refused.
#[derive(Debug)]
pub struct VideoFile {
    path: PathBuf,
    store: Store,
    units: Vec<Unit>,
    sets: Sets,
    format: SupportedVideo,
    /// The picture with which every round begins, an IDR.
    first: usize,
    next: usize,
    raw: Vec<u8>,
}

#[derive(Debug)]
enum Store {
    ByteStream(File),
    Mp4 {
        file: Mp4<BufReader<File>>,
        length_size: u8,
    },
}

/// One picture of the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unit {
    pub(super) offset: u64,
    pub(super) size: u32,
    pub(super) sync: bool,
    /// The parameter sets that hold for it.
    pub(super) sets: u16,
    duration: Duration,
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

/// The parameter sets of a file: those in force, and those that were in force at an IDR.
#[derive(Debug, Default)]
pub(super) struct Sets {
    current: Vec<Vec<u8>>,
    kept: Vec<Vec<u8>>,
}

impl Sets {
    /// A parameter set takes the place of the one with its type and number.
    pub(super) fn add(&mut self, nal: &[u8]) {
        let key = |nal: &[u8]| (nal_type(nal), set_number(nal));
        match self.current.iter().position(|old| key(old) == key(nal)) {
            Some(at) => self.current[at] = nal.to_vec(),
            // H.264 §7.4.2: 32 sequence and 256 picture parameter sets.
            None if self.current.len() < 288 => self.current.push(nal.to_vec()),
            None => {}
        }
    }

    /// Keeps those in force; gives their number.
    pub(super) fn snapshot(&mut self) -> Result<u16, Error> {
        let mut all = Vec::new();
        for wanted in [kind::SPS, kind::PPS] {
            for nal in self.current.iter().filter(|nal| nal_type(nal) == wanted) {
                append_annex_b(nal, &mut all);
            }
        }
        if self.kept.last() != Some(&all) {
            if self.kept.len() == MAX_SETS {
                return Err(Error::malformed("its parameter sets change too often"));
            }
            self.kept.push(all);
        }
        Ok((self.kept.len() - 1) as u16)
    }
}

/// The number of a parameter set within its type.
fn set_number(nal: &[u8]) -> u32 {
    let at = if nal_type(nal) == kind::SPS { 4 } else { 1 };
    let mut bits = crate::h264::BitReader::new(nal.get(at..).unwrap_or_default());
    bits.ue().unwrap_or(u32::MAX)
}

/// Refuses slices that WebRTC's receivers do not take or that are not sent in the order shown.
pub(super) fn check_slice(nal: &[u8]) -> Result<(), Error> {
    let slice = match nal_type(nal) {
        kind::PARTITION_A..=kind::PARTITION_C => None,
        kind::SLICE | kind::IDR => SliceHead::parse(nal),
        _ => return Ok(()),
    };
    match slice.map(|slice| slice.kind) {
        Some(SliceKind::P | SliceKind::I) => Ok(()),
        Some(SliceKind::B) => Err(b_frames()),
        Some(SliceKind::Switching) | None => Err(Error::malformed(
            "it is garbled, or in the extended profile, which no browser plays",
        )),
    }
}

fn b_frames() -> Error {
    Error::malformed(
        "it has B-frames, which are shown in another order than they are sent; \
         encode it without them (ffmpeg: -bf 0)",
    )
}

impl VideoFile {
    /// Opens a file.
    ///
    /// `fps` is the pace of a byte stream that does not say its own; 25 without it. The error names
    /// the file and says what is wrong with it.
    pub fn open(path: impl AsRef<Path>, fps: Option<u32>) -> Result<Self, Error> {
        let path = path.as_ref();
        VideoFile::load(path, fps).map_err(|error| error.in_file(path))
    }

    fn load(path: &Path, fps: Option<u32>) -> Result<Self, Error> {
        let mut file = File::open(path)?;
        let mut head = [0; 8];
        let count = file.read(&mut head)?;
        file.seek(SeekFrom::Start(0))?;
        let is_box = |kind: &[u8]| {
            [
                &b"ftyp"[..],
                b"styp",
                b"moov",
                b"moof",
                b"free",
                b"skip",
                b"wide",
                b"mdat",
            ]
            .contains(&kind)
        };
        let mut sets = Sets::default();
        let (store, mut units) = if count == 8 && is_box(&head[4..]) {
            open_mp4(file, &mut sets)?
        } else if head[..count].starts_with(&[0, 0, 1]) || head[..count].starts_with(&[0, 0, 0]) {
            let units = byte_stream::index(&file, &mut sets)?;
            (Store::ByteStream(file), units)
        } else {
            return Err(Error::malformed(
                "it is neither an MP4 file nor an H.264 byte stream",
            ));
        };
        let first = units
            .iter()
            .position(|unit| unit.sync)
            .ok_or_else(|| Error::malformed("it holds no IDR picture of H.264"))?;
        let sps = sets
            .kept
            .get(usize::from(units[first].sets))
            .and_then(|sets| NalUnits::new(sets).find(|nal| nal_type(nal) == kind::SPS))
            .and_then(Sps::parse)
            .ok_or_else(|| Error::malformed("it has no usable sequence parameter set"))?;
        if matches!(store, Store::ByteStream(_)) {
            set_pace(&mut units, sps.frame_rate, fps);
        }
        let mut source = VideoFile {
            path: path.to_owned(),
            format: format(&units, &sps),
            store,
            units,
            sets,
            first,
            next: first,
            raw: Vec::new(),
        };
        source.look()?;
        Ok(source)
    }

    /// How long one round takes.
    pub fn duration(&self) -> Duration {
        self.units[self.first..]
            .iter()
            .map(|unit| unit.duration)
            .sum()
    }

    /// Reads the first pictures, so that what cannot be sent is refused at once.
    fn look(&mut self) -> Result<(), Error> {
        let mut out = Vec::new();
        for index in self.first..self.units.len().min(self.first + LOOK_AT) {
            self.read(index, &mut out)?;
            for nal in NalUnits::new(&out) {
                check_slice(nal)?;
            }
            if index == self.first && !is_keyframe(&out) {
                return Err(Error::malformed("it does not begin with an IDR picture"));
            }
        }
        Ok(())
    }

    /// Reads a picture with its parameter sets before it when it is an IDR.
    fn read(&mut self, index: usize, out: &mut Vec<u8>) -> Result<(), Error> {
        let unit = self.units[index];
        if unit.size > MAX_UNIT_SIZE {
            return Err(Error::malformed("a picture is too large"));
        }
        out.clear();
        match &mut self.store {
            Store::ByteStream(file) => {
                self.raw.resize(unit.size as usize, 0);
                file.seek(SeekFrom::Start(unit.offset))?;
                file.read_exact(&mut self.raw)?;
                prepend_sets(&self.sets, unit.sets, &self.raw, out);
                out.extend_from_slice(&self.raw);
            }
            Store::Mp4 { file, length_size } => {
                let sample = crate::mp4::Sample {
                    offset: unit.offset,
                    size: unit.size,
                    decode_time: 0,
                    composition: 0,
                    duration: 0,
                    sync: unit.sync,
                };
                file.read(&sample, &mut self.raw)?;
                to_annex_b(&self.raw, *length_size, out)?;
                self.raw.clear();
                std::mem::swap(&mut self.raw, out);
                prepend_sets(&self.sets, unit.sets, &self.raw, out);
                out.extend_from_slice(&self.raw);
            }
        }
        Ok(())
    }

    fn seek_keyframe(&mut self) {
        let ahead = self.units[self.next..].iter().position(|unit| unit.sync);
        self.next = ahead.map_or(self.first, |steps| self.next + steps);
    }
}

/// Puts the parameter sets of an IDR into `out` unless it carries its own.
fn prepend_sets(sets: &Sets, number: u16, unit: &[u8], out: &mut Vec<u8>) {
    if is_keyframe(unit)
        && crate::h264::parameter_sets(unit).is_none()
        && let Some(kept) = sets.kept.get(usize::from(number))
    {
        out.extend_from_slice(kept);
    }
}

impl EncodedVideoSource for VideoFile {
    fn format(&self) -> SupportedVideo {
        self.format
    }

    fn next_unit(&mut self, keyframe: bool, out: &mut Vec<u8>) -> Result<AccessUnit, Error> {
        // A sync sample that is no IDR is passed over; the first one is an IDR.
        for _ in 0..self.units.len() {
            if keyframe {
                self.seek_keyframe();
            }
            let index = self.next;
            let read = self.read(index, out);
            read.map_err(|error| error.in_file(&self.path))?;
            self.next = index + 1;
            if self.next == self.units.len() {
                self.next = self.first;
            }
            let is_key = is_keyframe(out);
            if keyframe && !is_key {
                self.units[index].sync = false;
                continue;
            }
            return Ok(AccessUnit {
                duration: self.units[index].duration,
                keyframe: is_key,
            });
        }
        Err(Error::malformed("it holds no IDR picture of H.264").in_file(&self.path))
    }
}

fn open_mp4(file: File, sets: &mut Sets) -> Result<(Store, Vec<Unit>), Error> {
    let mp4 = Mp4::open(BufReader::new(file))?;
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
    Ok((
        Store::Mp4 {
            file: mp4,
            length_size,
        },
        units,
    ))
}

/// Gives every picture of a byte stream its time: what the stream says, or `fps`, or 25 a second.
fn set_pace(units: &mut [Unit], said: Option<(u32, u32)>, fps: Option<u32>) {
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

fn format(units: &[Unit], sps: &Sps) -> SupportedVideo {
    let total: Duration = units.iter().map(|unit| unit.duration).sum();
    let fps = (units.len() as f64 / total.as_secs_f64().max(0.001)).round();
    SupportedVideo {
        info: VideoInfo {
            codec: Codec::H264,
            width: sps.width,
            height: sps.height,
            fps: (fps as u32).clamp(1, 240),
        },
        profile_level: sps.profile_level,
        adjustable: false,
    }
}
