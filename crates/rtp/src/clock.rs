//! Counters that wrap: sequence numbers, RTP timestamps, NTP time.

use std::time::Duration;

/// Seconds between 1900 (NTP) and 1970 (Unix).
const NTP_UNIX: u64 = 2_208_988_800;

/// Turns 16-bit sequence numbers into a counter that never wraps, by the nearest value.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SequenceUnwrap {
    last: Option<u64>,
}

impl SequenceUnwrap {
    /// The counter's value nearest to the highest one noted.
    pub(crate) fn unwrap(&self, sequence: u16) -> u64 {
        match self.last {
            // One turn above zero, so that what came before the first packet has a value too.
            None => u64::from(sequence) + 0x1_0000,
            Some(last) => {
                let step = sequence.wrapping_sub(last as u16) as i16;
                last.saturating_add_signed(i64::from(step))
            }
        }
    }

    /// Notes a value as the highest seen.
    pub(crate) fn note(&mut self, value: u64) {
        self.last = Some(self.last.map_or(value, |last| last.max(value)));
    }

    /// Begins anew at `value`.
    pub(crate) fn restart(&mut self, value: u64) {
        self.last = Some(value);
    }
}

/// Turns 32-bit RTP timestamps into ticks since the first one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TimestampUnwrap {
    last: Option<(u32, i64)>,
}

impl TimestampUnwrap {
    /// Ticks of `timestamp` since the first one; negative when it lies before it.
    pub(crate) fn ticks(&mut self, timestamp: u32) -> i64 {
        let (last, ticks) = self.last.unwrap_or((timestamp, 0));
        let step = i64::from(timestamp.wrapping_sub(last) as i32);
        let ticks = ticks.saturating_add(step);
        if step > 0 || self.last.is_none() {
            self.last = Some((timestamp, ticks));
        }
        ticks
    }
}

/// Ticks of a clock with `rate` Hz in `time`.
pub(crate) fn ticks_of(time: Duration, rate: u32) -> u64 {
    let ticks = time.as_nanos() * u128::from(rate) / 1_000_000_000;
    u64::try_from(ticks).unwrap_or(u64::MAX)
}

/// Time of `ticks` of a clock with `rate` Hz; zero when negative.
pub(crate) fn time_of(ticks: i64, rate: u32) -> Duration {
    let ticks = u128::from(ticks.max(0).unsigned_abs());
    let nanos = ticks * 1_000_000_000 / u128::from(rate.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// The 64-bit NTP timestamp of a time since 1970 (RFC 3550 §4).
pub(crate) fn ntp_of(unix: Duration) -> u64 {
    let seconds = unix.as_secs().wrapping_add(NTP_UNIX);
    let fraction = (u64::from(unix.subsec_nanos()) << 32) / 1_000_000_000;
    (seconds << 32) | fraction
}

/// The time since 1970 of a 64-bit NTP timestamp of the era that ends in 2036, or of the next one.
pub(crate) fn unix_of(ntp: u64) -> Duration {
    let seconds = ntp >> 32;
    let era = if seconds < NTP_UNIX { 1 << 32 } else { 0 };
    let nanos = ((ntp & 0xffff_ffff) * 1_000_000_000) >> 32;
    Duration::new(seconds + era - NTP_UNIX, nanos as u32)
}

/// The middle 32 bits of an NTP timestamp: 16.16 seconds (RFC 3550 §6.4.1, LSR).
pub(crate) fn ntp_middle(ntp: u64) -> u32 {
    (ntp >> 16) as u32
}

/// A time as 16.16 seconds (RFC 3550 §6.4.1, DLSR).
pub(crate) fn short_of(time: Duration) -> u32 {
    let value = (time.as_nanos() << 16) / 1_000_000_000;
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// The time of a 16.16 seconds value.
pub(crate) fn time_of_short(value: u32) -> Duration {
    Duration::from_nanos((u64::from(value) * 1_000_000_000) >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_go_over_the_edge_both_ways() {
        let mut unwrap = SequenceUnwrap::default();
        let first = unwrap.unwrap(65_534);
        unwrap.note(first);
        assert_eq!(unwrap.unwrap(1), first + 3);
        unwrap.note(first + 3);
        assert_eq!(unwrap.unwrap(65_533), first - 1);
        unwrap.note(first - 1);
        assert_eq!(unwrap.unwrap(2), first + 4);
    }

    #[test]
    fn timestamps_count_from_the_first() {
        let mut unwrap = TimestampUnwrap::default();
        assert_eq!(unwrap.ticks(u32::MAX - 99), 0);
        assert_eq!(unwrap.ticks(100), 200);
        assert_eq!(unwrap.ticks(u32::MAX - 199), -100);
        assert_eq!(unwrap.ticks(200), 300);
    }

    #[test]
    fn ntp_time_round_trips_and_outlives_2036() {
        for seconds in [0, 1_767_225_600, 2_085_978_496, 3_000_000_000] {
            let unix = Duration::new(seconds, 500_000_000);
            assert_eq!(unix_of(ntp_of(unix)), unix);
        }
        assert_eq!(ntp_of(Duration::ZERO) >> 32, NTP_UNIX);
        assert_eq!(short_of(Duration::from_millis(1_500)), 0x0001_8000);
        assert_eq!(time_of_short(0x0001_8000), Duration::from_millis(1_500));
    }

    #[test]
    fn ticks_and_times_agree() {
        assert_eq!(ticks_of(Duration::from_millis(20), 48_000), 960);
        assert_eq!(time_of(960, 48_000), Duration::from_millis(20));
        assert_eq!(time_of(-5, 48_000), Duration::ZERO);
    }
}
