//! The few fields of a sequence parameter set that tell the size of the picture
//! (ITU-T H.264 §7.3.2.1.1).

use super::{nal_units, unit_type};

/// Width and height in pixels of the pictures that an Annex B access unit with a sequence
/// parameter set begins; `None` without one, or when it makes no sense.
pub fn picture_size(access_unit: &[u8]) -> Option<(u32, u32)> {
    let sps = nal_units(access_unit).find(|unit| unit[0] & 31 == unit_type::SPS)?;
    size_of(&mut Bits::new(sps.get(1..)?))
}

fn size_of(bits: &mut Bits<'_>) -> Option<(u32, u32)> {
    let profile = bits.take(8)?;
    bits.take(16)?; // constraint flags, level
    bits.unsigned()?; // seq_parameter_set_id
    let mut chroma = 1;
    let mut separate = false;
    if matches!(
        profile,
        100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135
    ) {
        chroma = bits.unsigned()?;
        separate = chroma == 3 && bits.flag()?;
        bits.unsigned()?; // bit_depth_luma_minus8
        bits.unsigned()?; // bit_depth_chroma_minus8
        bits.flag()?; // qpprime_y_zero_transform_bypass_flag
        if bits.flag()? {
            skip_scaling_matrices(bits, if chroma == 3 { 12 } else { 8 })?;
        }
    }
    bits.unsigned()?; // log2_max_frame_num_minus4
    skip_order_count(bits)?;
    bits.unsigned()?; // max_num_ref_frames
    bits.flag()?; // gaps_in_frame_num_value_allowed_flag
    let width = bits.unsigned()?.checked_add(1)?.checked_mul(16)?;
    let map_units = bits.unsigned()?.checked_add(1)?.checked_mul(16)?;
    let frames_only = bits.flag()?;
    if !frames_only {
        bits.flag()?; // mb_adaptive_frame_field_flag
    }
    bits.flag()?; // direct_8x8_inference_flag
    let fields = if frames_only { 1 } else { 2 };
    let height = map_units.checked_mul(fields)?;
    let mut crop = [0; 4];
    if bits.flag()? {
        for side in &mut crop {
            *side = bits.unsigned()?;
        }
    }
    // Table 6-1 and equations 7-19 to 7-22: units of cropping.
    let (across, down) = match chroma {
        _ if separate => (1, 1),
        1 => (2, 2),
        2 => (2, 1),
        _ => (1, 1),
    };
    let cut_across = crop[0].checked_add(crop[1])?.checked_mul(across)?;
    let cut_down = crop[2].checked_add(crop[3])?.checked_mul(down * fields)?;
    let size = (
        width.checked_sub(cut_across)?,
        height.checked_sub(cut_down)?,
    );
    (size.0 > 0 && size.1 > 0 && size.0 <= 16_384 && size.1 <= 16_384).then_some(size)
}

fn skip_scaling_matrices(bits: &mut Bits<'_>, count: usize) -> Option<()> {
    for index in 0..count {
        if !bits.flag()? {
            continue;
        }
        let (mut last, mut next) = (8, 8);
        for _ in 0..if index < 6 { 16 } else { 64 } {
            if next != 0 {
                next = (last + bits.signed()?).rem_euclid(256);
            }
            last = if next == 0 { last } else { next };
        }
    }
    Some(())
}

fn skip_order_count(bits: &mut Bits<'_>) -> Option<()> {
    match bits.unsigned()? {
        0 => {
            bits.unsigned()?;
        }
        1 => {
            bits.flag()?;
            bits.signed()?;
            bits.signed()?;
            for _ in 0..bits.unsigned()?.min(255) {
                bits.signed()?;
            }
        }
        _ => {}
    }
    Some(())
}

/// Reads bits of a NAL unit, without its emulation prevention bytes.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    zeros: u8,
    byte: u8,
    left: u8,
}

impl<'a> Bits<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Bits {
            bytes,
            at: 0,
            zeros: 0,
            byte: 0,
            left: 0,
        }
    }

    fn flag(&mut self) -> Option<bool> {
        if self.left == 0 {
            let mut byte = *self.bytes.get(self.at)?;
            self.at += 1;
            if self.zeros >= 2 && byte == 3 {
                self.zeros = 0;
                byte = *self.bytes.get(self.at)?;
                self.at += 1;
            }
            self.zeros = if byte == 0 { self.zeros + 1 } else { 0 };
            self.byte = byte;
            self.left = 8;
        }
        self.left -= 1;
        Some((self.byte >> self.left) & 1 == 1)
    }

    fn take(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0, |value, _| Some((value << 1) | u32::from(self.flag()?)))
    }

    /// ue(v), §9.1.
    fn unsigned(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        Some((1 << zeros) - 1 + self.take(zeros)?)
    }

    /// se(v), §9.1.1.
    fn signed(&mut self) -> Option<i32> {
        let value = i64::from(self.unsigned()?);
        let half = (value + 1) / 2;
        i32::try_from(if value % 2 == 1 { half } else { -half })
            .ok()
            .filter(|value| value.abs() < 1 << 20)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Writes bits for a parameter set.
    #[derive(Default)]
    struct Out(Vec<bool>);

    impl Out {
        fn bits(mut self, value: u32, count: u32) -> Self {
            self.0
                .extend((0..count).rev().map(|bit| value >> bit & 1 == 1));
            self
        }

        fn ue(self, value: u32) -> Self {
            let len = 32 - (value + 1).leading_zeros();
            self.bits(0, len - 1).bits(value + 1, len)
        }

        fn unit(mut self) -> Vec<u8> {
            self.0.push(true);
            let mut unit = vec![0, 0, 0, 1, 0x67];
            let mut zeros = 0;
            for chunk in self.0.chunks(8) {
                let byte = (0..8).fold(0, |byte, bit| {
                    (byte << 1) | u8::from(chunk.get(bit).copied().unwrap_or(false))
                });
                if zeros == 2 && byte <= 3 {
                    unit.push(3);
                    zeros = 0;
                }
                zeros = if byte == 0 { zeros + 1 } else { 0 };
                unit.push(byte);
            }
            unit
        }
    }

    fn baseline(width: u32, height: u32) -> Vec<u8> {
        let (across, down) = (width.next_multiple_of(16), height.next_multiple_of(16));
        Out::default()
            .bits(0x42_00_1f, 24)
            .ue(0)
            .ue(0)
            .ue(2)
            .ue(1)
            .bits(0, 1)
            .ue(across / 16 - 1)
            .ue(down / 16 - 1)
            .bits(0b111, 3)
            .ue(0)
            .ue((across - width) / 2)
            .ue(0)
            .ue((down - height) / 2)
            .unit()
    }

    #[test]
    fn high_profile_with_matrices_and_fields() {
        let sps = Out::default()
            .bits(0x64_00_28, 24)
            .ue(0)
            .ue(1)
            .ue(0)
            .ue(0)
            .bits(0b01, 2)
            .bits(1, 1);
        let mut sps = sps;
        for _ in 0..16 {
            sps = sps.bits(1, 1); // se(0)
        }
        let sps = sps
            .bits(0, 7)
            .ue(0)
            .ue(0)
            .ue(0)
            .ue(4)
            .bits(0, 1)
            .ue(119)
            .ue(33)
            .bits(0b001, 3)
            .bits(1, 1)
            .ue(0)
            .ue(0)
            .ue(0)
            .ue(2)
            .unit();
        assert_eq!(picture_size(&sps), Some((1_920, 1_080)));
    }

    proptest! {
        #[test]
        fn sizes_round_trip(width in 1u32..2_000, height in 1u32..1_200) {
            let (width, height) = (width * 2, height * 2);
            prop_assert_eq!(picture_size(&baseline(width, height)), Some((width, height)));
        }

        #[test]
        fn noise_never_panics(noise in prop::collection::vec(any::<u8>(), 0..60)) {
            picture_size(&[&[0, 0, 1, 0x67, 100][..], &noise].concat());
            picture_size(&[&[0, 0, 1, 0x67, 66][..], &noise].concat());
        }
    }
}
