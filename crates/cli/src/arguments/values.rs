//! How numbers are written on the command line.

use std::ops::RangeInclusive;
use std::time::Duration;

/// A number of bytes: 1000, 64K, 100M, 2G.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is not a number of bytes; write 1000, 64K, 100M or 2G");
    let (number, unit) = match text.trim_end_matches(['b', 'B']).to_ascii_uppercase() {
        text if text.ends_with('K') => (text, 1 << 10),
        text if text.ends_with('M') => (text, 1 << 20),
        text if text.ends_with('G') => (text, 1 << 30),
        text => (text, 1_u64),
    };
    let number: u64 = number
        .trim_end_matches(['K', 'M', 'G'])
        .parse()
        .map_err(|_| wrong())?;
    number.checked_mul(unit).ok_or_else(wrong)
}

/// A range of ports: 50000-50100.
pub(super) fn ports(text: &str) -> Result<RangeInclusive<u16>, String> {
    let range = text.split_once('-').and_then(|(first, last)| {
        let range = first.trim().parse::<u16>().ok()?..=last.trim().parse().ok()?;
        (*range.start() > 0 && !range.is_empty()).then_some(range)
    });
    range.ok_or_else(|| format!("{text:?} is not a range of ports; write 50000-50100"))
}

/// A number of seconds: 10, 0.5.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    text.parse()
        .ok()
        .filter(|seconds: &f64| *seconds <= 1e9)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| format!("{text:?} is not a number of seconds"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_seconds() {
        assert_eq!(size("0"), Ok(0));
        assert_eq!(size("64k"), Ok(65_536));
        assert_eq!(size("1GB"), Ok(1 << 30));
        for text in ["", "K", "-1", "1T", "99999999999G"] {
            assert!(size(text).is_err(), "{text}");
        }
        assert_eq!(ports("5-9"), Ok(5..=9));
        for text in ["", "5", "0-9", "9-5", "1-70000", "a-b"] {
            assert!(ports(text).is_err(), "{text}");
        }
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for text in ["", "-1", "NaN", "inf", "x"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
