//! Waiting for a moment, or for the end.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Takes a lock; a thread that panicked while it held it left nothing half done.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets a thread sleep until a moment, and others end that sleep.
#[derive(Debug, Default)]
pub(crate) struct Pacer {
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl Pacer {
    /// Waits until `at`; true when it is over before.
    pub(crate) fn wait_until(&self, at: Instant) -> bool {
        let mut stopped = lock(&self.stopped);
        while !*stopped {
            let left = at.saturating_duration_since(Instant::now());
            if left == Duration::ZERO {
                return false;
            }
            stopped = self
                .changed
                .wait_timeout(stopped, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        true
    }

    /// Ends all waiting, now and later.
    pub(crate) fn stop(&self) {
        *lock(&self.stopped) = true;
        self.changed.notify_all();
    }
}
