//! Reading MP4 files, whole or in fragments.

use std::io::{Read, Seek, SeekFrom};

use super::FourCc;
use super::boxes::{read_header, read_payload};
use super::{fragment, moov};
use crate::Error;

/// More samples than this are not indexed (a day of pictures is 2.6 million).
pub(super) const MAX_SAMPLES: usize = 4_000_000;

/// The largest sample that is read, in bytes.
const MAX_SAMPLE_SIZE: u32 = 16 << 20;

const MAX_MOOV: u64 = 128 << 20;
const MAX_MOOF: u64 = 16 << 20;
const MAX_BOXES: usize = 1 << 20;

/// An MP4 file with its index in memory; the samples are read when they are wanted.
#[derive(Debug)]
pub struct Mp4<R> {
    file: R,
    tracks: Vec<Track>,
}

/// One track of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    /// Its number in the file.
    pub id: u32,
    /// What it carries.
    pub kind: TrackKind,
    /// Ticks a second of its times.
    pub timescale: u32,
    /// Its samples in decoding order.
    pub samples: Vec<Sample>,
}

/// What a track carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrackKind {
    /// H.264 in NAL units with lengths before them.
    Avc {
        /// The size of each length, in bytes: 1, 2 or 4.
        length_size: u8,
        /// The parameter sets, as a byte stream with start codes; may be empty when they come in band.
        parameter_sets: Vec<u8>,
    },
    /// Opus.
    Opus {
        /// 1 or 2, or more.
        channels: u8,
    },
    /// Something else, by the code of its sample entry.
    Other(FourCc),
}

/// One sample: for video a picture, for audio a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Where it begins in the file.
    pub offset: u64,
    /// How many bytes it has.
    pub size: u32,
    /// When it is decoded, in ticks.
    pub decode_time: u64,
    /// How much later it is shown, in ticks.
    pub composition: i32,
    /// How long it lasts, in ticks.
    pub duration: u32,
    /// Whether decoding can begin with it.
    pub sync: bool,
}

impl Sample {
    /// When it is shown, in ticks.
    pub fn presentation_time(&self) -> i64 {
        i64::try_from(self.decode_time)
            .unwrap_or(i64::MAX)
            .saturating_add(i64::from(self.composition))
    }
}

impl<R: Read + Seek> Mp4<R> {
    /// Reads the index of a file.
    ///
    /// A file that was cut off within its fragments is read as far as it goes.
    pub fn open(mut file: R) -> Result<Self, Error> {
        let length = file.seek(SeekFrom::End(0))?;
        let mut found: Option<moov::Moov> = None;
        let mut at = 0;
        for _ in 0..MAX_BOXES {
            let Some(header) = read_header(&mut file, at, length)? else {
                break;
            };
            at = header.end;
            let cut = header.end > length;
            match (&header.kind, &mut found) {
                (b"moov", None) if !cut => {
                    let payload = read_payload(&mut file, header, MAX_MOOV)?;
                    found = Some(moov::parse(&payload, length)?);
                }
                (b"moof", Some(moov)) if !cut => {
                    let payload = read_payload(&mut file, header, MAX_MOOF)?;
                    fragment::parse(&payload, header.start, length, moov)?;
                }
                _ => {}
            }
        }
        let moov = found.ok_or_else(|| Error::malformed("the MP4 file has no index (moov)"))?;
        Ok(Mp4 {
            file,
            tracks: moov.tracks,
        })
    }

    /// The tracks in the order of the file.
    pub fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    /// Reads a sample's bytes as they are stored into `out`, replacing its content.
    pub fn read(&mut self, sample: &Sample, out: &mut Vec<u8>) -> Result<(), Error> {
        if sample.size > MAX_SAMPLE_SIZE {
            return Err(Error::malformed("a sample of the MP4 file is too large"));
        }
        out.clear();
        out.resize(sample.size as usize, 0);
        self.file.seek(SeekFrom::Start(sample.offset))?;
        self.file.read_exact(out)?;
        Ok(())
    }
}

/// Turns NAL units with lengths before them into a byte stream with start codes.
pub(crate) fn to_annex_b(sample: &[u8], length_size: u8, out: &mut Vec<u8>) -> Result<(), Error> {
    let mut rest = sample;
    while !rest.is_empty() {
        let (length, after) = rest
            .split_at_checked(usize::from(length_size))
            .ok_or_else(|| Error::malformed("a picture of the MP4 file is garbled"))?;
        let length = length
            .iter()
            .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        let (nal, after) = after
            .split_at_checked(length)
            .ok_or_else(|| Error::malformed("a picture of the MP4 file is garbled"))?;
        if !nal.is_empty() {
            crate::h264::append_annex_b(nal, out);
        }
        rest = after;
    }
    Ok(())
}
