//! The parameter sets of a file, and the slices that are refused.

use crate::Error;
use crate::h264::{BitReader, SliceHead, SliceKind, append_annex_b, kind, nal_type};

/// How often parameter sets may change in one file.
const MAX_SETS: usize = 1_024;

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

    /// Those that were kept under `number`, as a byte stream.
    pub(super) fn kept(&self, number: u16) -> Option<&[u8]> {
        self.kept.get(usize::from(number)).map(Vec::as_slice)
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
    let mut bits = BitReader::new(nal.get(at..).unwrap_or_default());
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

pub(super) fn b_frames() -> Error {
    Error::malformed(
        "it has B-frames, which are shown in another order than they are sent; \
         encode it without them (ffmpeg: -bf 0)",
    )
}
