//! Bits and Exp-Golomb codes of a raw byte sequence payload (H.264 §7.2, §9.1).

/// Reads bits from the bytes of a NAL unit, leaving out emulation prevention bytes.
pub(crate) struct BitReader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Bits of the present byte that have been read.
    bit: u32,
    zeros: u32,
}

impl<'a> BitReader<'a> {
    /// A reader over a NAL unit's bytes after its header.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        BitReader {
            bytes,
            at: 0,
            bit: 0,
            zeros: 0,
        }
    }

    /// One bit; `None` at the end.
    pub(crate) fn bit(&mut self) -> Option<bool> {
        if self.bit == 0 {
            // H.264 §7.4.1: 03 after two zero bytes is not part of the payload.
            if self.zeros >= 2 && self.bytes.get(self.at) == Some(&3) {
                self.at += 1;
                self.zeros = 0;
            }
        }
        let byte = *self.bytes.get(self.at)?;
        let value = byte >> (7 - self.bit) & 1 != 0;
        self.bit += 1;
        if self.bit == 8 {
            self.bit = 0;
            self.at += 1;
            self.zeros = if byte == 0 { self.zeros + 1 } else { 0 };
        }
        Some(value)
    }

    /// `count` bits, at most 32, most significant first.
    pub(crate) fn bits(&mut self, count: u32) -> Option<u32> {
        let mut value = 0_u32;
        for _ in 0..count.min(32) {
            value = value << 1 | u32::from(self.bit()?);
        }
        Some(value)
    }

    /// An unsigned Exp-Golomb code, `ue(v)`.
    pub(crate) fn ue(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.bit()? {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        let rest = self.bits(zeros)?;
        Some(((1_u64 << zeros) - 1) as u32 + rest)
    }

    /// A signed Exp-Golomb code, `se(v)`.
    pub(crate) fn se(&mut self) -> Option<i32> {
        let code = i64::from(self.ue()?);
        let size = (code + 1) / 2;
        i32::try_from(if code % 2 == 1 { size } else { -size }).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_golomb() {
        // 1 010 011 00100 00101 0001000 and padding.
        let bytes = [0b1010_0110, 0b0100_0010, 0b1000_1000, 0];
        let mut reader = BitReader::new(&bytes);
        let codes: Vec<u32> = (0..6).map(|_| reader.ue().unwrap()).collect();
        assert_eq!(codes, [0, 1, 2, 3, 4, 7]);
        let mut reader = BitReader::new(&bytes);
        let codes: Vec<i32> = (0..6).map(|_| reader.se().unwrap()).collect();
        assert_eq!(codes, [0, 1, -1, 2, -2, 4]);
        assert_eq!(BitReader::new(&[0; 9]).ue(), None);
    }

    #[test]
    fn emulation_prevention_is_left_out() {
        let mut reader = BitReader::new(&[0, 0, 3, 1, 0, 0, 3]);
        assert_eq!(reader.bits(24), Some(1));
        assert_eq!(reader.bits(16), Some(0));
        assert_eq!(reader.bit(), None);
    }
}
