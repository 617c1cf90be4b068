//! What the levels carry (H.264 table A-1).

/// level_idc, macroblocks a second, macroblocks a picture, kbit/s (of the VCL, baseline and main).
const LEVELS: [(u8, u32, u32, u32); 17] = [
    (10, 1_485, 99, 64),
    (9, 1_485, 99, 128),
    (11, 3_000, 396, 192),
    (12, 6_000, 396, 384),
    (13, 11_880, 396, 768),
    (20, 11_880, 396, 2_000),
    (21, 19_800, 792, 4_000),
    (22, 20_250, 1_620, 4_000),
    (30, 40_500, 1_620, 10_000),
    (31, 108_000, 3_600, 14_000),
    (32, 216_000, 5_120, 20_000),
    (40, 245_760, 8_192, 20_000),
    (41, 245_760, 8_192, 50_000),
    (42, 522_240, 8_704, 50_000),
    (50, 589_824, 22_080, 135_000),
    (51, 983_040, 36_864, 240_000),
    (52, 2_073_600, 36_864, 240_000),
];

fn macroblocks(width: u32, height: u32) -> (u64, u64) {
    (
        u64::from(width.div_ceil(16)),
        u64::from(height.div_ceil(16)),
    )
}

fn carries(level: (u8, u32, u32, u32), width: u32, height: u32, fps: u32) -> bool {
    let (across, down) = macroblocks(width, height);
    let (_, a_second, a_picture, _) = level;
    let side = u64::from(a_picture) * 8;
    across * down <= u64::from(a_picture)
        && across * down * u64::from(fps) <= u64::from(a_second)
        // §A.3.1: neither side exceeds the square root of eight times the picture size.
        && across * across <= side
        && down * down <= side
}

/// Whether `level_idc` (9 is level 1b) carries pictures of this size and pace.
pub(crate) fn fits(level_idc: u8, width: u32, height: u32, fps: u32) -> bool {
    // A level between two of the table promises what the lower one does.
    let known = LEVELS.iter().rev().find(|level| level.0 <= level_idc);
    known.is_some_and(|level| carries(*level, width, height, fps))
}

/// The bits a second that `level_idc` allows.
pub(crate) fn max_bitrate(level_idc: u8) -> u32 {
    let known = LEVELS.iter().rev().find(|level| level.0 <= level_idc);
    known.map_or(64_000, |level| level.3 * 1_000)
}

/// The least level that carries pictures of this size and pace; 5.2 when none does.
pub(crate) fn least_level(width: u32, height: u32, fps: u32) -> u8 {
    LEVELS
        .iter()
        .filter(|level| level.0 != 9)
        .find(|level| carries(**level, width, height, fps))
        .map_or(52, |level| level.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_find_their_level() {
        assert_eq!(least_level(176, 144, 15), 10);
        assert_eq!(least_level(640, 480, 25), 30);
        assert_eq!(least_level(640, 480, 30), 30);
        assert_eq!(least_level(640, 480, 60), 31);
        assert_eq!(least_level(1280, 720, 30), 31);
        assert_eq!(least_level(1920, 1080, 30), 40);
        assert!(fits(31, 1280, 720, 30));
        assert!(!fits(31, 1280, 720, 31));
        assert!(!fits(30, 16, 16 * 1620, 1));
        assert!(fits(9, 176, 144, 15));
        assert!(!fits(8, 176, 144, 15));
    }
}
