//! The index of a file: its tracks and what they carry.

use esp_wire::Reader;

use super::FourCc;
use super::boxes::{Boxes, short, version_and_flags};
use super::demux::{Track, TrackKind};
use super::table;
use crate::Error;
use crate::h264;

const MAX_TRACKS: usize = 32;

/// What fragments use for what they do not say.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Defaults {
    pub(super) duration: u32,
    pub(super) size: u32,
    pub(super) flags: u32,
}

#[derive(Debug)]
pub(super) struct Moov {
    pub(super) tracks: Vec<Track>,
    /// One for each track.
    pub(super) defaults: Vec<Defaults>,
}

pub(super) fn parse(payload: &[u8], file_length: u64) -> Result<Moov, Error> {
    let mut tracks = Vec::new();
    for (kind, payload) in Boxes::new(payload) {
        if &kind == b"trak" && tracks.len() < MAX_TRACKS {
            tracks.push(parse_track(payload, file_length)?);
        }
    }
    let mut defaults = vec![Defaults::default(); tracks.len()];
    let extends = Boxes::find(payload, b"mvex").unwrap_or_default();
    for (kind, payload) in Boxes::new(extends) {
        if &kind == b"trex" {
            let (id, default) = parse_trex(payload).map_err(short)?;
            if let Some(index) = tracks.iter().position(|track: &Track| track.id == id) {
                defaults[index] = default;
            }
        }
    }
    Ok(Moov { tracks, defaults })
}

fn parse_trex(payload: &[u8]) -> Result<(u32, Defaults), esp_wire::ShortRead> {
    let mut reader = Reader::new(payload);
    reader.u32()?;
    let id = reader.u32()?;
    reader.u32()?;
    let defaults = Defaults {
        duration: reader.u32()?,
        size: reader.u32()?,
        flags: reader.u32()?,
    };
    Ok((id, defaults))
}

fn parse_track(payload: &[u8], file_length: u64) -> Result<Track, Error> {
    let id = parse_tkhd(Boxes::need(payload, b"tkhd")?)?;
    let media = Boxes::need(payload, b"mdia")?;
    let timescale = parse_mdhd(Boxes::need(media, b"mdhd")?)?;
    let tables = Boxes::need(Boxes::need(media, b"minf")?, b"stbl")?;
    let kind = parse_stsd(Boxes::need(tables, b"stsd")?)?;
    let samples = match kind {
        TrackKind::Other(_) => Vec::new(),
        _ => table::parse(tables, file_length)?,
    };
    Ok(Track {
        id,
        kind,
        timescale,
        samples,
    })
}

fn parse_tkhd(payload: &[u8]) -> Result<u32, Error> {
    let mut reader = Reader::new(payload);
    let (version, _) = version_and_flags(&mut reader)?;
    reader
        .take(if version == 1 { 16 } else { 8 })
        .map_err(short)?;
    reader.u32().map_err(short)
}

fn parse_mdhd(payload: &[u8]) -> Result<u32, Error> {
    let mut reader = Reader::new(payload);
    let (version, _) = version_and_flags(&mut reader)?;
    reader
        .take(if version == 1 { 16 } else { 8 })
        .map_err(short)?;
    match reader.u32().map_err(short)? {
        0 => Err(Error::malformed(
            "a track of the MP4 file has no time scale",
        )),
        timescale => Ok(timescale),
    }
}

fn parse_stsd(payload: &[u8]) -> Result<TrackKind, Error> {
    let mut reader = Reader::new(payload);
    version_and_flags(&mut reader)?;
    let count = reader.u32().map_err(short)?;
    let Some((code, entry)) = Boxes::new(reader.rest()).next() else {
        return Ok(TrackKind::Other(*b"none"));
    };
    match &code {
        b"avc1" | b"avc3" => {
            if count > 1 {
                return Err(Error::malformed(
                    "the MP4 file changes its parameter sets half way, which is not supported",
                ));
            }
            // 78 bytes of sizes and names come before the boxes of a picture's entry.
            let boxes = entry.get(78..).unwrap_or_default();
            parse_avcc(Boxes::need(boxes, b"avcC")?)
        }
        b"Opus" => {
            let channels = entry.get(17).copied().unwrap_or_default();
            Ok(TrackKind::Opus { channels })
        }
        _ => Ok(TrackKind::Other(code as FourCc)),
    }
}

/// The decoder configuration record (ISO/IEC 14496-15 §5.3.3.1).
fn parse_avcc(payload: &[u8]) -> Result<TrackKind, Error> {
    let mut reader = Reader::new(payload);
    let [version, _, _, _, lengths, count] = reader.array().map_err(short)?;
    let length_size = (lengths & 3) + 1;
    if version != 1 || length_size == 3 {
        return Err(Error::malformed("the MP4 file's avcC box is garbled"));
    }
    let mut parameter_sets = Vec::new();
    for _ in 0..count & 0x1f {
        let length = reader.u16().map_err(short)?;
        let set = reader.take(usize::from(length)).map_err(short)?;
        h264::append_annex_b(set, &mut parameter_sets);
    }
    for _ in 0..reader.u8().map_err(short)? {
        let length = reader.u16().map_err(short)?;
        let set = reader.take(usize::from(length)).map_err(short)?;
        h264::append_annex_b(set, &mut parameter_sets);
    }
    Ok(TrackKind::Avc {
        length_size,
        parameter_sets,
    })
}
