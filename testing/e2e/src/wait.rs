//! Waiting for conditions.

use std::thread;
use std::time::{Duration, Instant};

use crate::Outcome;

/// How often a condition is looked at.
pub(crate) const POLL: Duration = Duration::from_millis(50);

/// Waits until `look` finds something.
///
/// # Errors
/// When `patience` is over, with `what` in words.
pub fn until<T>(what: &str, patience: Duration, mut look: impl FnMut() -> Option<T>) -> Outcome<T> {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if begun.elapsed() > patience {
            return Err(format!("after {} s: {what}", patience.as_secs()));
        }
        thread::sleep(POLL);
    }
}
