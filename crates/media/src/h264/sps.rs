//! Sequence parameter sets (H.264 §7.3.2.1, Annex E).

use super::bits::BitReader;
use crate::capture::ProfileLevel;

/// What a sequence parameter set says about the pictures that follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sps {
    /// Profile, constraints and level.
    pub profile_level: ProfileLevel,
    /// Pixels, cropped as shown.
    pub width: u32,
    /// Pixels, cropped as shown.
    pub height: u32,
    /// Frames a second as numerator and denominator, when it says so.
    pub frame_rate: Option<(u32, u32)>,
    /// Whether pictures may be fields.
    pub interlaced: bool,
}

/// More than any level allows, so that arithmetic below stays small.
const MAX_MACROBLOCKS: u32 = 1_024;

impl Sps {
    /// Reads a NAL unit of type 7; `None` when it ends early or says what no level allows.
    pub fn parse(nal: &[u8]) -> Option<Sps> {
        let mut bits = BitReader::new(nal.get(1..)?);
        let [profile, flags, level] = [bits.bits(8)?, bits.bits(8)?, bits.bits(8)?];
        bits.ue()?;
        let chroma = if has_chroma_format(profile) {
            read_chroma_format(&mut bits)?
        } else {
            1
        };
        bits.ue()?;
        skip_picture_order(&mut bits)?;
        bits.ue()?;
        bits.bit()?;
        let across = bounded(bits.ue()?)?;
        let down = bounded(bits.ue()?)?;
        let frames_only = bits.bit()?;
        if !frames_only {
            bits.bit()?;
        }
        let fields = if frames_only { 1 } else { 2 };
        bits.bit()?;
        let [left, right, top, bottom] = if bits.bit()? {
            [bits.ue()?, bits.ue()?, bits.ue()?, bits.ue()?]
        } else {
            [0; 4]
        };
        // Table 6-1 and (7-19) to (7-22): cropping counts in chroma samples and, for fields, in pairs of rows.
        let unit_x = if matches!(chroma, 1 | 2) { 2 } else { 1 };
        let unit_y = fields * if chroma == 1 { 2 } else { 1 };
        let crop = |size: u32, a: u32, b: u32, unit: u32| {
            let away = a.checked_add(b)?.checked_mul(unit)?;
            size.checked_sub(away).filter(|left| *left > 0)
        };
        let width = crop(across * 16, left, right, unit_x)?;
        let height = crop(down * 16 * fields, top, bottom, unit_y)?;
        Some(Sps {
            profile_level: ProfileLevel([profile as u8, flags as u8, level as u8]),
            width,
            height,
            frame_rate: read_frame_rate(&mut bits),
            interlaced: !frames_only,
        })
    }
}

fn bounded(minus_one: u32) -> Option<u32> {
    (minus_one < MAX_MACROBLOCKS).then(|| minus_one + 1)
}

fn has_chroma_format(profile: u32) -> bool {
    matches!(
        profile,
        100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135
    )
}

/// chroma_format_idc and what hangs on it, as far as the scaling matrices.
fn read_chroma_format(bits: &mut BitReader<'_>) -> Option<u32> {
    let chroma = bits.ue()?;
    if chroma > 3 {
        return None;
    }
    if chroma == 3 {
        bits.bit()?;
    }
    bits.ue()?;
    bits.ue()?;
    bits.bit()?;
    if bits.bit()? {
        for list in 0..if chroma == 3 { 12 } else { 8 } {
            if bits.bit()? {
                skip_scaling_list(bits, if list < 6 { 16 } else { 64 })?;
            }
        }
    }
    Some(chroma)
}

fn skip_scaling_list(bits: &mut BitReader<'_>, size: u32) -> Option<()> {
    let (mut last, mut next) = (8_i32, 8_i32);
    for _ in 0..size {
        if next != 0 {
            next = last.wrapping_add(bits.se()?).rem_euclid(256);
        }
        last = if next == 0 { last } else { next };
    }
    Some(())
}

fn skip_picture_order(bits: &mut BitReader<'_>) -> Option<()> {
    match bits.ue()? {
        0 => {
            bits.ue()?;
        }
        1 => {
            bits.bit()?;
            bits.se()?;
            bits.se()?;
            let count = bits.ue()?;
            if count > 255 {
                return None;
            }
            for _ in 0..count {
                bits.se()?;
            }
        }
        2 => {}
        _ => return None,
    }
    Some(())
}

/// The timing of the usability information; a frame lasts two ticks (§E.2.1).
fn read_frame_rate(bits: &mut BitReader<'_>) -> Option<(u32, u32)> {
    const EXTENDED_ASPECT: u32 = 255;
    if !bits.bit()? {
        return None;
    }
    if bits.bit()? && bits.bits(8)? == EXTENDED_ASPECT {
        bits.bits(32)?;
    }
    if bits.bit()? {
        bits.bit()?;
    }
    if bits.bit()? {
        bits.bits(4)?;
        if bits.bit()? {
            bits.bits(24)?;
        }
    }
    if bits.bit()? {
        bits.ue()?;
        bits.ue()?;
    }
    if !bits.bit()? {
        return None;
    }
    let (tick, scale) = (bits.bits(32)?, bits.bits(32)?);
    let two = tick.checked_mul(2).filter(|two| *two > 0)?;
    (scale > 0).then_some((scale, two))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_set_by_hand() {
        // 42 c0 1e; ids and order counts; 40 by 23 macroblocks, the last 8 rows cropped (360 rows).
        // 1 1 1 1(poc 0, ue 0) 010(refs 1) 0 000000101000..: written bit by bit below.
        let mut text = String::new();
        for code in [
            "1",           // seq_parameter_set_id 0
            "1",           // log2_max_frame_num 4
            "1",           // pic_order_cnt_type 0
            "1",           // log2_max_pic_order_cnt_lsb 4
            "010",         // max_num_ref_frames 1
            "0",           // gaps
            "00000101000", // width 40 - 1
            "000010111",   // height 23 - 1
            "1",           // frames only
            "1",           // direct 8x8
            "1",           // cropping
            "1",
            "1",
            "1",
            "00101", // 0 0 0 4: eight rows
            "1",     // usability information
            "0",
            "0",
            "0",
            "0",
            "1",                                // timing
            "00000000000000000000000000000001", // one tick
            "00000000000000000000000000110010", // of 1/50 s
            "1",
        ] {
            text.push_str(code);
        }
        while !text.len().is_multiple_of(8) {
            text.push('0');
        }
        let mut payload = vec![0x42, 0xc0, 0x1e];
        for byte in text.as_bytes().chunks(8) {
            let byte = std::str::from_utf8(byte).unwrap();
            payload.push(u8::from_str_radix(byte, 2).unwrap());
        }
        // Emulation prevention, as an encoder writes it.
        let mut nal = vec![0x67];
        let mut zeros = 0;
        for byte in payload {
            if zeros >= 2 && byte <= 3 {
                nal.push(3);
                zeros = 0;
            }
            zeros = if byte == 0 { zeros + 1 } else { 0 };
            nal.push(byte);
        }
        let sps = Sps::parse(&nal).unwrap();
        assert_eq!((sps.width, sps.height), (640, 360));
        assert_eq!(sps.profile_level.to_string(), "42c01e");
        assert_eq!(sps.frame_rate, Some((50, 2)));
        assert!(!sps.interlaced);
        for end in 0..nal.len() - 12 {
            let _ = Sps::parse(&nal[..end]);
        }
    }
}
