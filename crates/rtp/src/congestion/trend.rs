//! Whether queues grow: the trend of one-way delays against a threshold that adapts
//! (draft-ietf-rmcat-gcc-02 §5.3 to §5.5, with a line through the latest delays in place of its filter).

use std::time::Duration;

use super::groups::Step;

/// Points of the line.
const POINTS: usize = 20;
/// Weight of the sum of delays so far when a new one comes in.
const SMOOTHING: f64 = 0.9;
/// Steps beyond which the trend weighs no more.
const MOST_STEPS: u32 = 60;
/// Milliseconds that one step of full trend weighs.
const GAIN: f64 = 4.0;
/// Where the threshold begins and within what it stays, in milliseconds.
const THRESHOLD: f64 = 12.5;
const THRESHOLDS: (f64, f64) = (6.0, 600.0);
/// How fast the threshold follows a trend beyond it, and one within it, in parts a millisecond.
const FOLLOW_UP: f64 = 0.0087;
const FOLLOW_DOWN: f64 = 0.039;
/// A trend that is so far beyond the threshold does not move it.
const OUTLIER: f64 = 15.0;
/// Overuse must last so long, in milliseconds.
const OVERUSE_TIME: f64 = 10.0;
/// The least delay is looked for in so many milliseconds, and as many before.
const BASE_SPAN: f64 = 15_000.0;

/// What delays say about the use of the path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Usage {
    /// Queues neither grow nor shrink.
    #[default]
    Normal,
    /// Queues grow: more is sent than the path carries.
    Overuse,
    /// Queues shrink.
    Underuse,
}

/// The trend of one-way delays.
#[derive(Clone, Debug)]
pub(super) struct Trend {
    points: [(f64, f64); POINTS],
    count: u32,
    /// Sum of all changes of delay, and the same smoothed, in milliseconds.
    delay: f64,
    smoothed: f64,
    origin: f64,
    before: f64,
    threshold: f64,
    last_at: Option<f64>,
    over_time: f64,
    over_count: u32,
    usage: Usage,
    base: Base,
}

impl Trend {
    pub(super) fn new() -> Self {
        Trend {
            points: [(0.0, 0.0); POINTS],
            count: 0,
            delay: 0.0,
            smoothed: 0.0,
            origin: 0.0,
            before: 0.0,
            threshold: THRESHOLD,
            last_at: None,
            over_time: -1.0,
            over_count: 0,
            usage: Usage::Normal,
            base: Base::default(),
        }
    }

    pub(super) fn usage(&self) -> Usage {
        self.usage
    }

    /// How much longer packets wait than the least that was seen in the last 15 to 30 seconds.
    pub(super) fn queue(&self) -> Duration {
        let millis = (self.smoothed - self.base.least()).max(0.0);
        Duration::from_micros((millis * 1e3) as u64)
    }

    /// Takes the next step.
    pub(super) fn add(&mut self, step: Step) {
        if self.count == 0 {
            self.origin = step.at;
        }
        self.delay += step.arrived - step.sent;
        self.smoothed = SMOOTHING * self.smoothed + (1.0 - SMOOTHING) * self.delay;
        self.base.note(step.at, self.smoothed);
        self.points[self.count as usize % POINTS] = (step.at - self.origin, self.smoothed);
        self.count = match self.count + 1 {
            // It goes on counting places of the ring, far from its end.
            count if count as usize >= 1_000 * POINTS => (500 * POINTS) as u32,
            count => count,
        };
        let slope = match self.count as usize >= POINTS {
            true => self.slope().unwrap_or(self.before),
            false => 0.0,
        };
        self.judge(slope, step);
    }

    /// The slope of the line through the points, by least squares.
    fn slope(&self) -> Option<f64> {
        let count = POINTS as f64;
        let (sum_x, sum_y) = self
            .points
            .iter()
            .fold((0.0, 0.0), |(x, y), point| (x + point.0, y + point.1));
        let (mean_x, mean_y) = (sum_x / count, sum_y / count);
        let (mut over, mut under) = (0.0, 0.0);
        for (x, y) in self.points {
            over += (x - mean_x) * (y - mean_y);
            under += (x - mean_x) * (x - mean_x);
        }
        (under > 0.0).then(|| over / under)
    }

    fn judge(&mut self, slope: f64, step: Step) {
        let weighed = f64::from(self.count.min(MOST_STEPS)) * slope * GAIN;
        if weighed > self.threshold {
            // When it began nobody knows: half the step is a fair guess.
            self.over_time = match self.over_time < 0.0 {
                true => step.sent / 2.0,
                false => self.over_time + step.sent,
            };
            self.over_count += 1;
            if self.over_time > OVERUSE_TIME && self.over_count > 1 && slope >= self.before {
                self.over_time = 0.0;
                self.over_count = 0;
                self.usage = Usage::Overuse;
            }
        } else {
            self.over_time = -1.0;
            self.over_count = 0;
            self.usage = match weighed < -self.threshold {
                true => Usage::Underuse,
                false => Usage::Normal,
            };
        }
        self.before = slope;
        self.adapt(weighed.abs(), step.at);
    }

    /// RMCAT's reason: a fixed threshold is starved by flows that fill queues.
    fn adapt(&mut self, weighed: f64, at: f64) {
        let passed = at - self.last_at.replace(at).unwrap_or(at);
        if weighed > self.threshold + OUTLIER {
            return;
        }
        let pace = match weighed < self.threshold {
            true => FOLLOW_DOWN,
            false => FOLLOW_UP,
        };
        self.threshold += pace * (weighed - self.threshold) * passed.clamp(0.0, 100.0);
        self.threshold = self.threshold.clamp(THRESHOLDS.0, THRESHOLDS.1);
    }
}

/// The least delay of the present span and the one before.
#[derive(Clone, Debug, Default)]
struct Base {
    began: Option<f64>,
    now: f64,
    before: f64,
}

impl Base {
    fn note(&mut self, at: f64, delay: f64) {
        match self.began {
            None => {
                self.began = Some(at);
                (self.now, self.before) = (delay, delay);
            }
            Some(began) if at - began > BASE_SPAN => {
                self.began = Some(at);
                self.before = self.now;
                self.now = delay;
            }
            Some(_) => self.now = self.now.min(delay),
        }
    }

    fn least(&self) -> f64 {
        self.now.min(self.before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps of 10 ms whose delay changes as told, and how often each use was seen.
    fn run(trend: &mut Trend, steps: u32, mut change: impl FnMut(u32) -> f64) -> [u32; 3] {
        let mut seen = [0; 3];
        for index in 0..steps {
            let arrived = 10.0 + change(index);
            let at = trend.last_at.unwrap_or(0.0) + arrived;
            trend.add(Step {
                sent: 10.0,
                arrived,
                at,
            });
            seen[trend.usage() as usize] += 1;
        }
        seen
    }

    #[test]
    fn a_growing_queue_is_overuse_and_a_shrinking_one_underuse() {
        let mut trend = Trend::new();
        assert_eq!(run(&mut trend, 100, |_| 0.0), [100, 0, 0]);
        let [_, over, _] = run(&mut trend, 60, |_| 1.0);
        assert!(over > 10, "{over}");
        assert!((40..=60).contains(&trend.queue().as_millis()));
        let [_, _, under] = run(&mut trend, 60, |_| -1.0);
        assert!(under > 10, "{under}");
    }

    #[test]
    fn trembling_is_neither() {
        let mut trend = Trend::new();
        let mut last = 0.0;
        let mut state = 1u32;
        let [normal, ..] = run(&mut trend, 3_000, |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let delay = f64::from(state >> 16) / 65_536.0 * 9.0;
            std::mem::replace(&mut last, delay) - delay
        });
        assert!(normal > 2_900, "{normal} of 3000");
    }

    #[test]
    fn the_least_delay_is_forgotten_after_a_while() {
        let mut trend = Trend::new();
        run(&mut trend, 100, |_| 0.0);
        run(&mut trend, 100, |index| if index == 0 { 80.0 } else { 0.0 });
        assert!(trend.queue().as_millis() > 70);
        run(&mut trend, 3_100, |_| 0.0);
        assert!(trend.queue().as_millis() < 5);
    }
}
