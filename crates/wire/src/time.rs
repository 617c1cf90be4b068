//! Virtual time: a counter of nanoseconds, where it began, and deadlines that say why.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

/// A point in time, in nanoseconds since an arbitrary start that all engines of one process share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The start of the counter.
    pub const ZERO: Instant = Instant(0);

    /// The instant that lies `nanos` ns after the start.
    pub const fn from_nanos(nanos: u64) -> Self {
        Instant(nanos)
    }

    /// The instant that lies `millis` ms after the start.
    pub const fn from_millis(millis: u64) -> Self {
        Instant(millis * 1_000_000)
    }

    /// Nanoseconds since the start.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Time since `earlier`, zero when `earlier` is later.
    pub const fn since(self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;

    fn add(self, by: Duration) -> Instant {
        let nanos = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        Instant(self.0.saturating_add(nanos))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, by: Duration) {
        *self = *self + by;
    }
}

impl Sub<Duration> for Instant {
    type Output = Instant;

    fn sub(self, by: Duration) -> Instant {
        let nanos = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        Instant(self.0.saturating_sub(nanos))
    }
}

impl Sub for Instant {
    type Output = Duration;

    /// Time since `earlier`, zero when `earlier` is later.
    fn sub(self, earlier: Instant) -> Duration {
        self.since(earlier)
    }
}

/// What an engine is born with: the time, the calendar and a secret seed.
///
/// The same origin and the same inputs give the same outputs. `Debug` never shows the seed.
#[derive(Clone)]
pub struct Origin {
    /// The moment of birth.
    pub now: Instant,
    /// Time since 1970-01-01T00:00:00Z at `now`, for NTP timestamps and expiry dates.
    pub unix: Duration,
    /// 256 bits from the system's random source; in tests, any constant.
    pub seed: [u8; 32],
}

impl Origin {
    /// An origin for tests: time zero, 2026-01-01, and a seed filled from `seed`.
    pub fn seeded(seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        Origin {
            now: Instant::ZERO,
            unix: Duration::from_secs(1_767_225_600),
            seed: bytes,
        }
    }

    /// Time since 1970-01-01T00:00:00Z at `now`.
    pub fn unix_at(&self, now: Instant) -> Duration {
        self.unix + now.since(self.now)
    }

    /// An origin for a part of this engine: same clock, a seed of its own derived from `label`.
    pub fn fork(&self, label: &str) -> Origin {
        Origin {
            now: self.now,
            unix: self.unix,
            seed: crate::Rng::new(self.seed).fork(label).seed(),
        }
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Origin")
            .field("now", &self.now)
            .field("unix", &self.unix)
            .finish_non_exhaustive()
    }
}

/// When an engine wants to be woken, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline<W> {
    /// The moment to call `handle_timeout`.
    pub at: Instant,
    /// The timer that fires then.
    pub why: W,
}

impl<W> Deadline<W> {
    /// The same moment under the name that an outer engine gives to it.
    pub fn map<V>(self, name: impl FnOnce(W) -> V) -> Deadline<V> {
        Deadline {
            at: self.at,
            why: name(self.why),
        }
    }

    /// The earlier of two deadlines, the first when they are equal.
    pub fn earlier(a: Option<Self>, b: Option<Self>) -> Option<Self> {
        match (a, b) {
            (Some(a), Some(b)) if b.at < a.at => Some(b),
            (Some(a), _) => Some(a),
            (None, b) => b,
        }
    }
}
