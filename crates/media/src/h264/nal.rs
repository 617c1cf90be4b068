//! NAL units in a byte stream (H.264 Annex B).

/// The NAL unit types that matter here (H.264 table 7-1).
pub(crate) mod kind {
    /// A slice of a picture that is not IDR.
    pub(crate) const SLICE: u8 = 1;
    /// The first partition of a slice (extended profile).
    pub(crate) const PARTITION_A: u8 = 2;
    /// The last partition of a slice (extended profile).
    pub(crate) const PARTITION_C: u8 = 4;
    /// A slice of an IDR picture.
    pub(crate) const IDR: u8 = 5;
    /// Supplemental enhancement information.
    pub(crate) const SEI: u8 = 6;
    /// A sequence parameter set.
    pub(crate) const SPS: u8 = 7;
    /// A picture parameter set.
    pub(crate) const PPS: u8 = 8;
    /// An access unit delimiter.
    pub(crate) const DELIMITER: u8 = 9;
}

/// The type of a NAL unit, 0 for an empty one.
pub fn nal_type(nal: &[u8]) -> u8 {
    nal.first().map_or(0, |header| header & 0x1f)
}

/// The NAL units of a byte stream, without start codes and trailing zeros.
#[derive(Clone, Debug)]
pub struct NalUnits<'a> {
    rest: &'a [u8],
}

impl<'a> NalUnits<'a> {
    /// The units of `stream`; bytes before the first start code are passed over.
    pub fn new(stream: &'a [u8]) -> Self {
        let start = find_start(stream).map_or(stream.len(), |at| at + 3);
        NalUnits {
            rest: &stream[start..],
        }
    }
}

impl<'a> Iterator for NalUnits<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while !self.rest.is_empty() {
            let (nal, rest) = match find_start(self.rest) {
                Some(at) => (&self.rest[..at], &self.rest[at + 3..]),
                None => (self.rest, &[][..]),
            };
            self.rest = rest;
            let end = nal
                .iter()
                .rposition(|byte| *byte != 0)
                .map_or(0, |at| at + 1);
            if end > 0 {
                return Some(&nal[..end]);
            }
        }
        None
    }
}

/// Where 00 00 01 begins.
fn find_start(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    // Every start code has its 01 at the third byte or after: skip from one candidate to the next.
    while let Some(&third) = bytes.get(at + 2) {
        match third {
            0 => at += 1,
            1 if bytes[at] == 0 && bytes[at + 1] == 0 => return Some(at),
            _ => at += 3,
        }
    }
    None
}

/// Appends a NAL unit with its start code.
pub(crate) fn append_annex_b(nal: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&[0, 0, 0, 1]);
    out.extend_from_slice(nal);
}

/// Whether a frame holds an IDR slice.
pub(crate) fn is_keyframe(frame: &[u8]) -> bool {
    NalUnits::new(frame).any(|nal| nal_type(nal) == kind::IDR)
}

/// The first sequence and picture parameter set of a frame.
pub(crate) fn parameter_sets(frame: &[u8]) -> Option<(&[u8], &[u8])> {
    let find = |wanted| NalUnits::new(frame).find(|nal| nal_type(nal) == wanted);
    Some((find(kind::SPS)?, find(kind::PPS)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_split() {
        let stream = [
            9, 0, 0, 0, 1, 0x67, 1, 2, 0, 0, 0, 1, 0x68, 3, 0, 0, 1, 0, 0, 1, 0x65, 0, 0, 3, 1, 0,
            0,
        ];
        let units: Vec<&[u8]> = NalUnits::new(&stream).collect();
        assert_eq!(units, [&[0x67, 1, 2][..], &[0x68, 3], &[0x65, 0, 0, 3, 1]]);
        assert!(is_keyframe(&stream));
        assert_eq!(
            parameter_sets(&stream),
            Some((&[0x67, 1, 2][..], &[0x68, 3][..]))
        );
        assert_eq!(NalUnits::new(&[1, 2, 3]).next(), None);
        assert_eq!(NalUnits::new(&[0, 0, 1]).next(), None);
    }
}
