use std::time::Duration;

use esp_wire::Instant;

/// An idle library names a moment years away; what is later than this means never.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// Maps virtual time to the library's `std::time::Instant`, of which only differences matter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    base: std::time::Instant,
    origin: Instant,
}

impl Clock {
    pub(crate) fn new(origin: Instant) -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "there is no other way to make a std Instant; it only anchors differences"
        )]
        let base = std::time::Instant::now();
        Clock { base, origin }
    }

    pub(crate) fn to_library(self, at: Instant) -> std::time::Instant {
        self.base
            .checked_add(at.since(self.origin))
            .unwrap_or(self.base)
    }

    /// The same moment here; `None` when it stands for never.
    pub(crate) fn moment(self, at: std::time::Instant, now: Instant) -> Option<Instant> {
        let at = self.origin + at.saturating_duration_since(self.base);
        (at.since(now) < NEVER).then_some(at)
    }
}
