//! The settings that all clients of servers have.

use std::time::Duration;

use crate::Trust;

/// How a client tries again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// The first delay after a failure; it doubles with every further one.
    pub first: Duration,
    /// The longest delay after a failure.
    pub most: Duration,
    /// The delay after the room was found full.
    pub full: Duration,
    /// Failures in a row after which it gives up; none: never.
    pub attempts: Option<u32>,
}

impl Default for Retry {
    fn default() -> Self {
        Retry {
            first: Duration::from_millis(250),
            most: Duration::from_secs(10),
            full: Duration::from_secs(2),
            attempts: None,
        }
    }
}

/// Belief and patience.
#[derive(Clone, Debug)]
pub(crate) struct Common {
    pub(crate) trust: Trust,
    pub(crate) retry: Retry,
    pub(crate) request_timeout: Duration,
    pub(crate) goodbye: Duration,
    pub(crate) queue: usize,
}

impl Default for Common {
    fn default() -> Self {
        Common {
            trust: Trust::Public,
            retry: Retry::default(),
            request_timeout: Duration::from_secs(10),
            goodbye: Duration::from_secs(5),
            queue: 256,
        }
    }
}

impl Common {
    /// How long each request of the goodbye may take.
    pub(crate) fn goodbye_part(&self) -> Duration {
        self.request_timeout.min(self.goodbye / 5 * 2)
    }
}

/// The methods that set what is in the field `common`.
macro_rules! common_settings {
    () => {
        /// With this belief in certificates; of public authorities by default.
        pub fn with_trust(mut self, trust: $crate::Trust) -> Self {
            self.common.trust = trust;
            self
        }

        /// With these delays between attempts; a longer `Retry-After` of the server counts, where it may send one.
        pub fn with_retry(mut self, retry: $crate::Retry) -> Self {
            self.common.retry = retry;
            self
        }

        /// With this patience for one request, or for the opening of a WebSocket; 10 s by default.
        pub fn with_request_timeout(mut self, timeout: std::time::Duration) -> Self {
            self.common.request_timeout = timeout;
            self
        }

        /// With this patience for the goodbye of [`Signaling::stop`](crate::Signaling::stop), of which each request
        /// may take two fifths; 5 s by default.
        pub fn with_goodbye(mut self, timeout: std::time::Duration) -> Self {
            self.common.goodbye = timeout;
            self
        }

        /// With this many messages waiting to be sent at most; 256 by default.
        pub fn with_queue(mut self, messages: usize) -> Self {
            self.common.queue = messages.max(1);
            self
        }
    };
}

pub(crate) use common_settings;
