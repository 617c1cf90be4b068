//! From presentation times to ticks, and from the session's time to ticks for sender reports.

use std::time::Duration;

use esp_wire::{Codec, Frame, Instant, Kind};

use crate::clock::ticks_of;
use crate::format::audio_ticks;

/// Sound whose time is off by less than this goes on without a seam.
const SEAM: Duration = Duration::from_millis(40);
/// A presentation time that is off by more than this begins a new mapping.
const JUMP: Duration = Duration::from_millis(500);

/// The time of one stream.
#[derive(Debug, Default)]
pub(super) struct MediaClock {
    /// Where sound goes on: ticks behind the last packet.
    expected: Option<u64>,
    /// Session time less media time, in nanoseconds, of the frames that were quickest.
    base: Option<i128>,
}

impl MediaClock {
    /// Ticks of a frame, and whether they leave a gap in sound.
    pub(super) fn ticks(&mut self, now: Instant, codec: Codec, frame: Frame<'_>) -> (u64, bool) {
        let rate = codec.clock_rate();
        let exact = ticks_of(frame.pts, rate);
        let mut ticks = exact;
        let mut jumped = false;
        if codec.kind() == Kind::Audio {
            // Captured times tremble; a decoder would hear that as lost or doubled samples.
            if let Some(expected) = self.expected {
                if expected.abs_diff(exact) <= ticks_of(SEAM, rate) {
                    ticks = expected;
                } else {
                    jumped = true;
                }
            }
            let samples = audio_ticks(codec, frame.data).unwrap_or(0);
            self.expected = Some(ticks.wrapping_add(u64::from(samples)));
        }
        self.map(now, nanos_of(ticks, rate));
        (ticks, jumped)
    }

    /// The frames that came quickest after their capture tell where media time stands; a slow
    /// drift upwards lets the mapping follow a capture clock that runs slower than ours.
    fn map(&mut self, now: Instant, media: i128) {
        let seen = i128::from(now.as_nanos()) - media;
        let jump = JUMP.as_nanos() as i128;
        self.base = Some(match self.base {
            Some(base) if (seen - base).abs() <= jump => {
                if seen < base {
                    seen
                } else {
                    base + (seen - base) / 512
                }
            }
            _ => seen,
        });
    }

    /// Ticks that belong to `now`.
    pub(super) fn ticks_at(&self, now: Instant, codec: Codec) -> Option<u64> {
        let media = i128::from(now.as_nanos()) - self.base?;
        let ticks = media * i128::from(codec.clock_rate()) / 1_000_000_000;
        // Wraps as RTP timestamps do.
        Some(ticks as u64)
    }
}

fn nanos_of(ticks: u64, rate: u32) -> i128 {
    i128::from(ticks) * 1_000_000_000 / i128::from(rate.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(pts_ms: u64, data: &[u8]) -> Frame<'_> {
        Frame {
            pts: Duration::from_millis(pts_ms),
            data,
        }
    }

    #[test]
    fn trembling_sound_goes_on_without_a_seam() {
        let mut clock = MediaClock::default();
        let data = [0; 160];
        let times = [0, 21, 39, 62, 200, 220];
        let ticks: Vec<_> = times
            .iter()
            .map(|pts| clock.ticks(Instant::from_millis(*pts), Codec::Pcmu, frame(*pts, &data)))
            .collect();
        assert_eq!(
            ticks,
            [
                (0, false),
                (160, false),
                (320, false),
                (480, false),
                (1_600, true),
                (1_760, false)
            ]
        );
    }

    #[test]
    fn reports_follow_the_quickest_frames() {
        let mut clock = MediaClock::default();
        assert_eq!(clock.ticks_at(Instant::ZERO, Codec::H264), None);
        // Captured at 1,000 ms of our time; encoding takes 30 ms, once 10 ms.
        for (pts, late) in [(0, 30), (33, 30), (66, 10), (100, 30)] {
            clock.ticks(
                Instant::from_millis(1_000 + pts + late),
                Codec::H264,
                frame(pts, &[1]),
            );
        }
        let ticks = clock
            .ticks_at(Instant::from_millis(1_110), Codec::H264)
            .unwrap();
        assert!((9_000 - 10..=9_000).contains(&ticks), "{ticks}");
    }
}
