//! Writing MP4 files in fragments: what is on the disk can be played, whenever writing ends.

use std::io::Write;

use super::FourCc;
use crate::Error;
use crate::h264::{NalUnits, Sps, kind, nal_type};

/// What a track of a new file carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrackConfig {
    /// H.264 at 90,000 ticks a second.
    Avc {
        /// The sequence parameter set, a NAL unit.
        sps: Vec<u8>,
        /// The picture parameter set, a NAL unit.
        pps: Vec<u8>,
    },
    /// Opus at 48,000 ticks a second.
    Opus {
        /// 1 or 2.
        channels: u8,
    },
}

impl TrackConfig {
    /// Ticks a second of the track's times.
    pub const fn timescale(&self) -> u32 {
        match self {
            TrackConfig::Avc { .. } => 90_000,
            TrackConfig::Opus { .. } => 48_000,
        }
    }
}

/// Samples of one track that follow each other in a fragment.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// The track, counted from 0 in the order of [`FragmentWriter::new`].
    pub track: usize,
    /// When the first sample is decoded and shown, in ticks.
    pub time: u64,
    /// The samples.
    pub samples: &'a [RunSample],
    /// Their bytes, one after the other.
    pub data: &'a [u8],
}

/// One sample of a [`Run`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunSample {
    /// How long it lasts, in ticks.
    pub duration: u32,
    /// How many bytes it has.
    pub size: u32,
    /// Whether decoding can begin with it.
    pub sync: bool,
}

/// Writes a file: the head first, then fragments, each by one call of `write_all`.
#[derive(Debug)]
pub struct FragmentWriter<W> {
    file: W,
    sequence: u32,
    buffer: Vec<u8>,
}

impl<W: Write> FragmentWriter<W> {
    /// Writes the head of a file with these tracks.
    ///
    /// [`Error::Malformed`] when a parameter set is garbled.
    pub fn new(mut file: W, tracks: &[TrackConfig]) -> Result<Self, Error> {
        let mut buffer = Vec::with_capacity(1_024);
        put_box(&mut buffer, b"ftyp", |out| {
            out.extend_from_slice(b"iso5\0\0\x02\0iso5iso6mp41");
        });
        put_moov(&mut buffer, tracks)?;
        file.write_all(&buffer)?;
        file.flush()?;
        Ok(FragmentWriter {
            file,
            sequence: 0,
            buffer,
        })
    }

    /// Writes one fragment and hands it to the system; gives the number of bytes.
    pub fn write(&mut self, runs: &[Run<'_>]) -> Result<usize, Error> {
        self.sequence += 1;
        let buffer = &mut self.buffer;
        buffer.clear();
        let mut offsets = Vec::with_capacity(runs.len());
        put_box(buffer, b"moof", |out| {
            put_full(out, b"mfhd", 0, 0, |out| put32(out, self.sequence));
            for run in runs {
                put_box(out, b"traf", |out| offsets.push(put_traf(out, run)));
            }
        });
        let total: usize = runs.iter().map(|run| run.data.len()).sum();
        let size = u32::try_from(total + 8)
            .map_err(|_| Error::misuse("a fragment is larger than 4 GiB"))?;
        let mut data = buffer.len() + 8;
        for (at, run) in offsets.into_iter().zip(runs) {
            buffer[at..at + 4].copy_from_slice(&(data as u32).to_be_bytes());
            data += run.data.len();
        }
        put32(buffer, size);
        buffer.extend_from_slice(b"mdat");
        for run in runs {
            buffer.extend_from_slice(run.data);
        }
        self.file.write_all(buffer)?;
        self.file.flush()?;
        Ok(buffer.len())
    }

    /// The file.
    pub fn into_inner(self) -> W {
        self.file
    }
}

/// Appends the NAL units of a frame with lengths before them; parameter sets stay in the file's head.
pub(crate) fn to_lengths(frame: &[u8], out: &mut Vec<u8>) {
    for nal in NalUnits::new(frame) {
        if !matches!(nal_type(nal), kind::SPS | kind::PPS | kind::DELIMITER) {
            put32(out, nal.len() as u32);
            out.extend_from_slice(nal);
        }
    }
}

fn put16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_be_bytes());
}

fn put32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_be_bytes());
}

fn put_all(out: &mut Vec<u8>, values: &[u32]) {
    for value in values {
        put32(out, *value);
    }
}

fn put_box(out: &mut Vec<u8>, kind: &FourCc, fill: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    put32(out, 0);
    out.extend_from_slice(kind);
    fill(out);
    let size = (out.len() - start) as u32;
    out[start..start + 4].copy_from_slice(&size.to_be_bytes());
}

fn put_full(
    out: &mut Vec<u8>,
    kind: &FourCc,
    version: u8,
    flags: u32,
    fill: impl FnOnce(&mut Vec<u8>),
) {
    put_box(out, kind, |out| {
        put32(out, u32::from(version) << 24 | flags);
        fill(out);
    });
}

/// Puts the content of a `traf`; gives the place of the data offset, which is not known yet.
fn put_traf(out: &mut Vec<u8>, run: &Run<'_>) -> usize {
    const BASE_IS_FRAGMENT: u32 = 0x02_0000;
    // Data offset; duration, size and flags of each sample.
    const RUN_FLAGS: u32 = 0x701;
    const SYNC: u32 = 0x0200_0000;
    const NOT_SYNC: u32 = 0x0101_0000;
    put_full(out, b"tfhd", 0, BASE_IS_FRAGMENT, |out| {
        put32(out, run.track as u32 + 1);
    });
    put_full(out, b"tfdt", 1, 0, |out| {
        out.extend_from_slice(&run.time.to_be_bytes());
    });
    let mut offset = 0;
    put_full(out, b"trun", 0, RUN_FLAGS, |out| {
        put32(out, run.samples.len() as u32);
        offset = out.len();
        put32(out, 0);
        for sample in run.samples {
            put32(out, sample.duration);
            put32(out, sample.size);
            put32(out, if sample.sync { SYNC } else { NOT_SYNC });
        }
    });
    offset
}

/// A unit matrix in fixed point (§6.2.2).
const MATRIX: [u32; 9] = [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000];

fn put_moov(out: &mut Vec<u8>, tracks: &[TrackConfig]) -> Result<(), Error> {
    let mut outcome = Ok(());
    put_box(out, b"moov", |out| {
        put_full(out, b"mvhd", 0, 0, |out| {
            // Times of making and change, time scale, duration, rate, volume.
            put_all(out, &[0, 0, 1_000, 0, 0x1_0000]);
            put16(out, 0x100);
            out.extend_from_slice(&[0; 10]);
            put_all(out, &MATRIX);
            out.extend_from_slice(&[0; 24]);
            put32(out, tracks.len() as u32 + 1);
        });
        for (index, track) in tracks.iter().enumerate() {
            put_box(out, b"trak", |out| {
                if let Err(error) = put_trak(out, index as u32 + 1, track) {
                    outcome = Err(error);
                }
            });
        }
        put_box(out, b"mvex", |out| {
            for id in 1..=tracks.len() as u32 {
                put_full(out, b"trex", 0, 0, |out| {
                    put_all(out, &[id, 1, 0, 0, 0]);
                });
            }
        });
    });
    outcome
}

fn put_trak(out: &mut Vec<u8>, id: u32, track: &TrackConfig) -> Result<(), Error> {
    let size = match track {
        TrackConfig::Avc { sps, .. } => {
            let sps = Sps::parse(sps)
                .ok_or_else(|| Error::malformed("the sequence parameter set is garbled"))?;
            Some((sps.width, sps.height))
        }
        TrackConfig::Opus { .. } => None,
    };
    // Enabled, in the movie.
    put_full(out, b"tkhd", 0, 3, |out| {
        put_all(out, &[0, 0, id, 0, 0, 0, 0]);
        put32(out, 0);
        put16(out, if size.is_none() { 0x100 } else { 0 });
        put16(out, 0);
        put_all(out, &MATRIX);
        let (width, height) = size.unwrap_or_default();
        put32(out, width << 16);
        put32(out, height << 16);
    });
    put_box(out, b"mdia", |out| {
        put_full(out, b"mdhd", 0, 0, |out| {
            put_all(out, &[0, 0, track.timescale(), 0]);
            // Language: undetermined.
            put16(out, 0x55c4);
            put16(out, 0);
        });
        put_full(out, b"hdlr", 0, 0, |out| {
            put32(out, 0);
            out.extend_from_slice(if size.is_some() { b"vide" } else { b"soun" });
            out.extend_from_slice(&[0; 12]);
            out.push(0);
        });
        put_box(out, b"minf", |out| put_minf(out, track, size));
    });
    Ok(())
}

fn put_minf(out: &mut Vec<u8>, track: &TrackConfig, size: Option<(u32, u32)>) {
    if size.is_some() {
        put_full(out, b"vmhd", 0, 1, |out| out.extend_from_slice(&[0; 8]));
    } else {
        put_full(out, b"smhd", 0, 0, |out| out.extend_from_slice(&[0; 4]));
    }
    put_box(out, b"dinf", |out| {
        put_full(out, b"dref", 0, 0, |out| {
            put32(out, 1);
            // The data is in this file.
            put_full(out, b"url ", 0, 1, |_| {});
        });
    });
    put_box(out, b"stbl", |out| {
        put_full(out, b"stsd", 0, 0, |out| {
            put32(out, 1);
            match track {
                TrackConfig::Avc { sps, pps } => put_avc1(out, sps, pps, size.unwrap_or_default()),
                TrackConfig::Opus { channels } => put_opus(out, *channels),
            }
        });
        for kind in [b"stts", b"stsc", b"stco"] {
            put_full(out, kind, 0, 0, |out| put32(out, 0));
        }
        put_full(out, b"stsz", 0, 0, |out| out.extend_from_slice(&[0; 8]));
    });
}

fn put_avc1(out: &mut Vec<u8>, sps: &[u8], pps: &[u8], (width, height): (u32, u32)) {
    put_box(out, b"avc1", |out| {
        out.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 1]);
        out.extend_from_slice(&[0; 16]);
        put16(out, width as u16);
        put16(out, height as u16);
        // 72 dots an inch both ways, one frame a sample, no name, 24 bits, no palette.
        put_all(out, &[0x48_0000, 0x48_0000, 0]);
        put16(out, 1);
        out.extend_from_slice(&[0; 32]);
        put16(out, 24);
        put16(out, 0xffff);
        put_box(out, b"avcC", |out| {
            // Version, profile, constraints and level as in the set, lengths of four bytes, one set.
            out.push(1);
            out.extend_from_slice(&sps[1..4]);
            out.extend_from_slice(&[0xff, 0xe1]);
            put16(out, sps.len() as u16);
            out.extend_from_slice(sps);
            out.push(1);
            put16(out, pps.len() as u16);
            out.extend_from_slice(pps);
            if matches!(sps[1], 100 | 110 | 122 | 144) {
                // 4:2:0 of 8 bits, no extension sets.
                out.extend_from_slice(&[0xfd, 0xf8, 0xf8, 0]);
            }
        });
    });
}

/// The entry and configuration of "Encapsulation of Opus in ISO Base Media File Format".
fn put_opus(out: &mut Vec<u8>, channels: u8) {
    put_box(out, b"Opus", |out| {
        out.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 1]);
        out.extend_from_slice(&[0; 8]);
        put16(out, u16::from(channels));
        put16(out, 16);
        put32(out, 0);
        put32(out, 48_000 << 16);
        put_box(out, b"dOps", |out| {
            // Version, channels, nothing to skip (the recording begins anywhere), rate, gain, mapping.
            out.extend_from_slice(&[0, channels, 0, 0]);
            put32(out, 48_000);
            out.extend_from_slice(&[0, 0, 0]);
        });
    });
}
