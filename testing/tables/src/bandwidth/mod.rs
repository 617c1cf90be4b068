//! What a sender of sound and pictures makes of a link: how soon it finds its rate, how well it uses it,
//! and how long packets wait.

mod path;

use std::fmt::Write;
use std::time::Duration;

use esp_netsim::Link;
use esp_wire::Instant;

pub use path::{Path, Sample};

/// What the link does besides carrying so many bits a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    /// A queue of 300 ms.
    Plain,
    /// Every fiftieth packet is lost.
    Loss2,
    /// Every tenth packet is lost.
    Loss10,
    /// Up to 30 ms more delay.
    Jitter,
    /// Every hundredth packet comes 20 ms late.
    Reordering,
    /// A queue of three seconds.
    Bufferbloat,
    /// A queue of 40 ms.
    Shallow,
    /// A third of the rate from second 20 to 40, with a queue of a second.
    Dip,
    /// Two flows, the second from second 10 on.
    Two,
}

/// One row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// Bits a second, IP and UDP headers counted.
    pub rate: u64,
    /// What else happens.
    pub weather: Weather,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// When the estimate first reached three quarters of the rate.
    pub found: Option<Duration>,
    /// Mean estimate of all flows together in the last third, as a part of the rate.
    pub used: f64,
    /// Wait in the queue in the last third: that of 19 of 20 samples, and of all.
    pub wait: (Duration, Duration),
    /// The dip: from its begin until the queue is below 150 ms for two seconds, and from its end until three
    /// quarters of the rate are estimated again.
    pub dip: Option<(Duration, Duration)>,
    /// Share of the weaker of two flows in the last third.
    pub share: f64,
    /// Pictures shown, of those made.
    pub shown: f64,
}

/// How long a run lasts.
const RUN: Duration = Duration::from_secs(60);
/// The dip.
const DIP: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(40));
/// A round trip is twice as long.
const DELAY: Duration = Duration::from_millis(25);

impl Case {
    fn link(self) -> Link {
        let bytes = |millis: u64| (self.rate / 8_000 * millis) as usize;
        let plain = Link::delayed(DELAY).with_rate(self.rate, bytes(300));
        match self.weather {
            Weather::Plain | Weather::Two => plain,
            Weather::Loss2 => plain.with_loss(0.02),
            Weather::Loss10 => plain.with_loss(0.1),
            Weather::Jitter => plain.with_jitter(Duration::from_millis(30)),
            Weather::Reordering => plain.with_reordering(0.01, Duration::from_millis(20)),
            Weather::Bufferbloat => plain.with_rate(self.rate, bytes(3_000)),
            Weather::Shallow => plain.with_rate(self.rate, bytes(40).max(6_000)),
            Weather::Dip => plain.with_rate(self.rate, bytes(333)),
        }
    }

    /// The run itself.
    pub fn path(self, seed: u64) -> Path {
        let starts: &[Duration] = match self.weather {
            Weather::Two => &[Duration::ZERO, Duration::from_secs(10)],
            _ => &[Duration::ZERO],
        };
        let mut path = Path::new(seed, self.link(), 4 * self.rate, starts);
        if self.weather == Weather::Dip {
            path.run_to(DIP.0);
            path.link.link.rate = Some(self.rate / 3);
            path.run_to(DIP.1);
            path.link.link.rate = Some(self.rate);
        }
        path.run_to(RUN);
        path
    }

    /// Runs it and looks.
    pub fn run(self, seed: u64) -> Outcome {
        let path = self.path(seed);
        let samples = &path.samples;
        let total = |sample: &Sample| sample.estimates.iter().sum::<u64>();
        let reached = |from: Duration| {
            let high = |sample: &&Sample| total(sample) * 4 >= self.rate * 3;
            let since = |sample: &&Sample| sample.at - Instant::ZERO > from;
            let first = samples.iter().filter(since).find(high)?;
            Some(first.at - (Instant::ZERO + from))
        };
        let last = &samples[samples.len() * 2 / 3..];
        let mean =
            |of: &dyn Fn(&Sample) -> u64| last.iter().map(of).sum::<u64>() / last.len() as u64;
        let mut waits: Vec<Duration> = last.iter().map(|sample| sample.queue).collect();
        waits.sort_unstable();
        let used = mean(&total);
        let least = mean(&|sample| sample.estimates.iter().copied().min().unwrap_or(0));
        Outcome {
            found: reached(Duration::ZERO),
            used: used as f64 / self.rate as f64,
            wait: (waits[waits.len() * 19 / 20], waits[waits.len() - 1]),
            dip: (self.weather == Weather::Dip)
                .then(|| (calm(samples), reached(DIP.1).unwrap_or(RUN))),
            share: least as f64 / used.max(1) as f64,
            shown: path.shown(),
        }
    }
}

/// From the begin of the dip until the queue is below 150 ms for two seconds.
fn calm(samples: &[Sample]) -> Duration {
    let begin = Instant::ZERO + DIP.0;
    let first = samples.iter().position(|sample| sample.at >= begin);
    let dip = &samples[first.unwrap_or(samples.len())..];
    let calm = |window: &[Sample]| {
        let short = |sample: &Sample| sample.queue < Duration::from_millis(150);
        window.iter().all(short)
    };
    // The first samples are those before the queue has filled.
    let full = dip
        .iter()
        .position(|sample| sample.queue >= Duration::from_millis(150));
    let dip = &dip[full.unwrap_or(0)..];
    let first = dip.windows(40).find(|window| calm(window));
    first.map_or(RUN, |window| window[0].at - begin)
}

/// All rows.
pub fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for weather in [
        Weather::Plain,
        Weather::Bufferbloat,
        Weather::Shallow,
        Weather::Loss2,
        Weather::Loss10,
        Weather::Jitter,
        Weather::Reordering,
        Weather::Dip,
        Weather::Two,
    ] {
        // A third of 300 kbit/s, or half, carries no picture beside the sound.
        let slow = !matches!(weather, Weather::Dip | Weather::Two);
        let rates = [300_000, 1_000_000, 3_000_000];
        let rates = rates.into_iter().filter(|rate| slow || *rate > 300_000);
        all.extend(rates.map(|rate| Case { rate, weather }));
    }
    all
}

/// The row of a case.
pub fn row(case: Case) -> String {
    let it = case.run(1);
    let seconds = |time: Duration| format!("{:.1}", time.as_secs_f64());
    let found = it.found.map_or("-".to_owned(), seconds);
    let (down, up) = match it.dip {
        Some((down, up)) => (seconds(down), seconds(up)),
        None => ("-".to_owned(), "-".to_owned()),
    };
    let share = match case.weather {
        Weather::Two => format!("{:.2}", it.share),
        _ => "-".to_owned(),
    };
    format!(
        "| {:?} | {} | {found} | {:.2} | {} | {} | {down} | {up} | {share} | {:.0} |\n",
        case.weather,
        case.rate / 1_000,
        it.used,
        it.wait.0.as_millis(),
        it.wait.1.as_millis(),
        it.shown * 100.0
    )
}

/// The whole table.
pub fn table() -> String {
    let mut out = String::from(HEAD);
    for case in cases() {
        let _ = write!(out, "{}", row(case));
    }
    out
}

const HEAD: &str = "# Bandwidth

Written by `cargo xtask tables bandwidth`. A sender of sound (32 kbit/s) and pictures (25 a second, keyframes of four
pictures when asked for) over a link with a round trip of 50 ms, in virtual time, for a minute; the encoder follows the
estimate, up to four times the rate of the link. Rates count IP and UDP headers, estimates do not. The queue holds 300 ms
unless told otherwise:

- Bufferbloat: it holds 3 s. Shallow: 40 ms, four packets at least. Loss2, Loss10: 2 and 10 % of packets are lost by chance.
- Jitter: up to 30 ms. Reordering: one packet of a hundred comes 20 ms late.
- Dip: a third of the rate from second 20 to 40. Two: two flows, the second from second 10 on.

Found: when three quarters of the rate were estimated first. Used: mean estimate of the last 20 s. Wait: what would have
waited in the queue then, 95th percentile and most. Calm: from the begin of the dip until packets wait less than 150 ms
for two seconds. Back: from its end until three quarters of the rate are estimated again. Weaker: share of the weaker flow. Shown:
pictures that came whole and in time, of those that were made.

| weather | kbit/s | found s | used | wait ms | most ms | calm s | back s | weaker | shown % |
|---|---|---|---|---|---|---|---|---|---|
";

#[cfg(test)]
mod tests;
