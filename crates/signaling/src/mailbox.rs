//! What the application hands to the thread of a client.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use esp_wire::Signal;

use crate::Error;

/// One thing to do.
#[derive(Debug, PartialEq)]
pub(crate) enum Mail {
    Signal(Signal<'static>),
    /// A connection begins.
    Begins,
}

#[derive(Default)]
struct State {
    mail: VecDeque<Mail>,
    stop: bool,
    closed: bool,
}

/// A bounded queue with a word for the end.
pub(crate) struct Mailbox {
    most: usize,
    state: Mutex<State>,
    changed: Condvar,
}

impl Mailbox {
    pub(crate) fn new(most: usize) -> Self {
        Mailbox {
            most,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts something in.
    pub(crate) fn put(&self, mail: Mail) -> Result<(), Error> {
        let mut state = self.state();
        if state.closed || state.stop {
            return Err(Error::Closed);
        }
        if state.mail.len() >= self.most {
            return Err(Error::WouldBlock);
        }
        state.mail.push_back(mail);
        self.changed.notify_all();
        Ok(())
    }

    /// Says that it is over.
    pub(crate) fn stop(&self) {
        self.state().stop = true;
        self.changed.notify_all();
    }

    /// Nobody takes anything out any more.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.mail.clear();
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.state().stop
    }

    /// Takes what is there.
    pub(crate) fn take(&self) -> VecDeque<Mail> {
        std::mem::take(&mut self.state().mail)
    }

    /// Waits until the end, until `until`, or, with `for_mail`, until something is there.
    pub(crate) fn wait(&self, until: Option<Instant>, for_mail: bool) {
        let mut state = self.state();
        while !state.stop && (!for_mail || state.mail.is_empty()) {
            let Some(until) = until else {
                state = self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            (state, _) = self
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_is_bounded_and_ends() {
        let mailbox = Mailbox::new(1);
        mailbox.wait(Some(Instant::now()), true);
        assert_eq!(mailbox.put(Mail::Begins), Ok(()));
        assert_eq!(mailbox.put(Mail::Begins), Err(Error::WouldBlock));
        mailbox.wait(None, true);
        assert_eq!(mailbox.take(), [Mail::Begins]);
        std::thread::scope(|scope| {
            scope.spawn(|| mailbox.wait(Some(Instant::now() + Duration::from_secs(60)), false));
            mailbox.stop();
        });
        assert!(mailbox.is_stopping());
        assert_eq!(mailbox.put(Mail::Begins), Err(Error::Closed));
    }
}
