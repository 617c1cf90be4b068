//! The system's clock and random source, as engines see them.

use std::io;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use esp_wire::{Instant, Origin};

/// Turns the system's monotonic clock into the counter that engines share.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    base: std::time::Instant,
}

impl Clock {
    /// A clock; all clocks of a process tell the same time, and the first began at zero.
    pub fn new() -> Self {
        static BEGAN: OnceLock<std::time::Instant> = OnceLock::new();
        Clock {
            base: *BEGAN.get_or_init(std::time::Instant::now),
        }
    }

    /// The time now.
    pub fn now(&self) -> Instant {
        Instant::ZERO + self.base.elapsed()
    }

    /// What an engine is born with: now, the calendar, 256 bits from the system.
    pub fn origin(&self) -> io::Result<Origin> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(io::Error::other)?;
        Ok(Origin {
            now: self.now(),
            // A clock set before 1970 counts as 1970.
            unix: SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or(Duration::ZERO),
            seed,
        })
    }
}

impl Default for Clock {
    fn default() -> Self {
        Clock::new()
    }
}
