//! A file of H.264, sent as it is in a loop: a byte stream (Annex B) or an MP4.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use esp_wire::{Codec, VideoInfo};

use super::sets::{Sets, check_slice};
use super::units::{Unit, of_mp4, set_pace};
use super::{AccessUnit, EncodedVideoSource, ReadSeek, byte_stream};
use crate::Error;
use crate::capture::{ProfileLevel, SupportedVideo};
use crate::h264::{NalUnits, Sps, is_keyframe, kind, nal_type};
use crate::mp4::{Mp4, to_annex_b};

/// The largest picture that is sent, in bytes.
const MAX_UNIT_SIZE: u32 = 8 << 20;

/// How many pictures of an MP4 are looked at before it is taken.
const LOOK_AT: usize = 60;

/// Sends a file of H.264 in a loop.
///
/// Its pictures must be sent in the order in which they are shown: a file with B-frames is refused.
pub struct VideoFile {
    path: Option<PathBuf>,
    store: Store,
    units: Vec<Unit>,
    sets: Sets,
    format: SupportedVideo,
    /// The picture with which every round begins, an IDR.
    first: usize,
    next: usize,
    raw: Vec<u8>,
}

type Bytes = Box<dyn ReadSeek>;

enum Store {
    ByteStream(Bytes),
    Mp4 { file: Mp4<Bytes>, length_size: u8 },
}

/// The codes with which MP4 files begin.
const BOXES: [&[u8]; 8] = [
    b"ftyp", b"styp", b"moov", b"moof", b"free", b"skip", b"wide", b"mdat",
];

impl VideoFile {
    /// Opens a file.
    ///
    /// `fps` is the pace of a byte stream that does not say its own; 25 without it. The error names
    /// the file and says what is wrong with it.
    pub fn open(path: impl AsRef<Path>, fps: Option<u32>) -> Result<Self, Error> {
        let path = path.as_ref();
        let open = || {
            let file = BufReader::new(File::open(path)?);
            VideoFile::from_reader(file, fps)
        };
        let mut source = open().map_err(|error| error.in_file(path))?;
        source.path = Some(path.to_owned());
        Ok(source)
    }

    /// The same from anything that can be read and sought in.
    pub fn from_reader(
        reader: impl Read + Seek + Send + 'static,
        fps: Option<u32>,
    ) -> Result<Self, Error> {
        let mut bytes: Bytes = Box::new(reader);
        let mut head = Vec::new();
        bytes.by_ref().take(8).read_to_end(&mut head)?;
        bytes.seek(SeekFrom::Start(0))?;
        let mut sets = Sets::default();
        let (store, units) = if head.get(4..).is_some_and(|kind| BOXES.contains(&kind)) {
            let file = Mp4::open(bytes)?;
            let (length_size, units) = of_mp4(&file, &mut sets)?;
            (Store::Mp4 { file, length_size }, units)
        } else if head.starts_with(&[0, 0, 1]) || head.starts_with(&[0, 0, 0]) {
            let units = byte_stream::index(&mut bytes, &mut sets)?;
            (Store::ByteStream(bytes), units)
        } else {
            return Err(Error::malformed(
                "it is neither an MP4 file nor an H.264 byte stream",
            ));
        };
        let first = units
            .iter()
            .position(|unit| unit.sync)
            .ok_or_else(|| Error::malformed("it holds no IDR picture of H.264"))?;
        let mut source = VideoFile {
            path: None,
            store,
            units,
            sets,
            format: SupportedVideo {
                info: VideoInfo {
                    codec: Codec::H264,
                    width: 0,
                    height: 0,
                    fps: 0,
                },
                profile_level: ProfileLevel::default(),
                adjustable: false,
            },
            first,
            next: first,
            raw: Vec::new(),
        };
        source.look(fps)?;
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
    fn look(&mut self, fps: Option<u32>) -> Result<(), Error> {
        let mut out = Vec::new();
        for index in self.first..self.units.len().min(self.first + LOOK_AT) {
            self.read(index, &mut out)?;
            for nal in NalUnits::new(&out) {
                check_slice(nal)?;
            }
            if index == self.first {
                if !is_keyframe(&out) {
                    return Err(Error::malformed("it does not begin with an IDR picture"));
                }
                self.set_format(&out, fps)?;
            }
        }
        Ok(())
    }

    /// Takes the format from the first picture.
    fn set_format(&mut self, keyframe: &[u8], fps: Option<u32>) -> Result<(), Error> {
        let sps = NalUnits::new(keyframe)
            .find(|nal| nal_type(nal) == kind::SPS)
            .and_then(Sps::parse)
            .ok_or_else(|| Error::malformed("it has no usable sequence parameter set"))?;
        // Baseline, main, extended, high; the others are of 10 bits, 4:2:2, 4:4:4 or several views.
        if !matches!(sps.profile_level.profile_idc(), 66 | 77 | 88 | 100) {
            return Err(Error::malformed(format!(
                "no browser plays its profile ({}); encode it as baseline, main or high, 4:2:0",
                sps.profile_level
            )));
        }
        if matches!(self.store, Store::ByteStream(_)) {
            set_pace(&mut self.units, sps.frame_rate, fps);
        }
        let total: Duration = self.units.iter().map(|unit| unit.duration).sum();
        let fps = (self.units.len() as f64 / total.as_secs_f64().max(0.001)).round();
        self.format.profile_level = sps.profile_level;
        self.format.info.width = sps.width;
        self.format.info.height = sps.height;
        self.format.info.fps = (fps as u32).clamp(1, 240);
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

    fn name(&self, error: Error) -> Error {
        match &self.path {
            Some(path) => error.in_file(path),
            None => error,
        }
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
        && let Some(kept) = sets.kept(number)
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
            read.map_err(|error| self.name(error))?;
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
        Err(self.name(Error::malformed("it holds no IDR picture of H.264")))
    }
}
