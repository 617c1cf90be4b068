//! The beginning of a slice header (H.264 §7.3.3).

use super::bits::BitReader;

/// What a slice is predicted from (H.264 table 7-6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SliceKind {
    /// From pictures before it.
    P,
    /// From pictures on both sides: these are sent in another order than they are shown.
    B,
    /// From itself.
    I,
    /// Switching slices of the extended profile.
    Switching,
}

/// The first fields of a slice header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SliceHead {
    /// The address of its first macroblock; 0 begins a picture.
    pub(crate) first_macroblock: u32,
    /// What it is predicted from.
    pub(crate) kind: SliceKind,
}

impl SliceHead {
    /// Reads the head of a slice from its NAL unit, of which a few bytes are enough.
    pub(crate) fn parse(nal: &[u8]) -> Option<SliceHead> {
        let mut bits = BitReader::new(nal.get(1..)?);
        let first_macroblock = bits.ue()?;
        let kind = match bits.ue()? {
            0 | 5 => SliceKind::P,
            1 | 6 => SliceKind::B,
            2 | 7 => SliceKind::I,
            3 | 4 | 8 | 9 => SliceKind::Switching,
            _ => return None,
        };
        Some(SliceHead {
            first_macroblock,
            kind,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        // first_mb_in_slice ue(0) = 1, slice_type ue(6) = 00111.
        let head = SliceHead::parse(&[0x41, 0b1001_1100]).unwrap();
        assert_eq!((head.first_macroblock, head.kind), (0, SliceKind::B));
        // ue(1) = 010, slice_type ue(7) = 0001000.
        let head = SliceHead::parse(&[0x65, 0b0100_0010, 0b0000_0000]).unwrap();
        assert_eq!((head.first_macroblock, head.kind), (1, SliceKind::I));
        assert_eq!(SliceHead::parse(&[0x41]), None);
    }
}
