//! A moving test picture: colour bars, a clock, the frame's number, a bar that runs across.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::Error;
use crate::font;
use crate::raw::{Picture, VideoFormat, VideoSource};

const WHITE: [u8; 3] = [235, 128, 128];
const BLACK: [u8; 3] = [16, 128, 128];

/// White, yellow, cyan, green, magenta, red, blue at three quarters (BT.601, luma and differences).
const BARS: [[u8; 3]; 7] = [
    [180, 128, 128],
    [162, 44, 142],
    [131, 156, 44],
    [112, 72, 58],
    [84, 184, 198],
    [65, 100, 212],
    [35, 212, 114],
];

/// Draws a picture that shows whether pictures arrive, in order and when.
///
/// Its clock is the time of day in UTC, to the millisecond, at which the picture was made.
#[derive(Clone, Debug)]
pub struct TestPicture {
    format: VideoFormat,
    background: Picture,
    number: u64,
    /// The time of day at `pts` zero; the system's clock when it is not set.
    day: Option<Duration>,
}

impl TestPicture {
    /// 640x480 at 25 pictures a second.
    pub const DEFAULT: VideoFormat = VideoFormat {
        width: 640,
        height: 480,
        fps: 25,
    };

    /// Pictures of this size and pace; sides are rounded down to multiples of 16.
    ///
    /// [`Error::Misuse`] when a side is not between 64 and 4096 or the pace not between 1 and 120.
    pub fn new(format: VideoFormat) -> Result<Self, Error> {
        let fits = |side| (64..=4_096).contains(&side);
        if !fits(format.width) || !fits(format.height) || !(1..=120).contains(&format.fps) {
            return Err(Error::misuse(format!(
                "no test picture of {}x{} at {} a second",
                format.width, format.height, format.fps
            )));
        }
        let format = VideoFormat {
            width: format.width & !15,
            height: format.height & !15,
            fps: format.fps,
        };
        Ok(TestPicture {
            format,
            background: background(format),
            number: 0,
            day: None,
        })
    }

    /// Shows `day` (time since midnight) at `pts` zero instead of the system's time.
    pub fn with_clock(mut self, day: Duration) -> Self {
        self.day = Some(day);
        self
    }

    fn clock(&self, pts: Duration) -> String {
        let since = match self.day {
            Some(day) => day + pts,
            None => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default(),
        };
        let (seconds, millis) = (since.as_secs() % 86_400, since.subsec_millis());
        let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
        format!("{hours:02}:{minutes:02}:{:02}.{millis:03}", seconds % 60)
    }
}

impl VideoSource for TestPicture {
    fn format(&self) -> VideoFormat {
        self.format
    }

    fn capture(&mut self, pts: Duration, picture: &mut Picture) -> Result<bool, Error> {
        picture.copy_from(&self.background);
        let (width, height) = (picture.width(), picture.height());
        // The clock is twelve letters wide; it takes two thirds of the width.
        let scale = (width * 2 / 3 / (12 * font::ADVANCE)).max(1);
        let left = ((width - 12 * font::ADVANCE * scale) / 2) & !1;
        // Two lines in the middle of the dark field.
        let top = (height * 2 / 5).saturating_sub((font::HEIGHT + 1) * scale) & !1;
        let clock = self.clock(pts);
        font::draw(picture, left, top, scale, &clock, WHITE);
        let number = format!("FRAME {:06}", self.number % 1_000_000);
        let below = top + (font::HEIGHT + 2) * scale;
        font::draw(picture, left, below, scale, &number, WHITE);
        // The bar crosses in four seconds, whatever the pace.
        let period = 4 * u64::from(self.format.fps);
        let span = (width - width / 16) as u64;
        let at = (self.number % period * span / period) as usize & !1;
        picture.fill(at, height * 13 / 16, width / 16, height / 8, WHITE);
        self.number += 1;
        Ok(true)
    }
}

fn background(format: VideoFormat) -> Picture {
    let mut picture = Picture::new(format.width, format.height);
    let (width, height) = (picture.width(), picture.height());
    let bar = (width / BARS.len() + 1) & !1;
    for (index, colour) in BARS.into_iter().enumerate() {
        picture.fill(index * bar, 0, width, (height * 3 / 4) & !1, colour);
    }
    picture.fill(
        (width / 10) & !1,
        (height / 5) & !1,
        (width * 4 / 5) & !1,
        (height * 2 / 5) & !1,
        BLACK,
    );
    picture
}
