//! What the application hands to the thread of a client.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::Error;

struct State<T> {
    mail: VecDeque<T>,
    stop: bool,
    closed: bool,
}

/// A bounded queue of things to do, with a word for the end.
pub(crate) struct Mailbox<T> {
    most: usize,
    state: Mutex<State<T>>,
    changed: Condvar,
}

impl<T> Mailbox<T> {
    pub(crate) fn new(most: usize) -> Self {
        Mailbox {
            most,
            state: Mutex::new(State {
                mail: VecDeque::new(),
                stop: false,
                closed: false,
            }),
            changed: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts something in.
    pub(crate) fn put(&self, mail: T) -> Result<(), Error> {
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

    /// Puts something in as soon as there is room; whether it was before the end.
    pub(crate) fn put_through(&self, mail: T) -> bool {
        let state = self.state();
        let waits =
            |state: &mut State<T>| state.mail.len() >= self.most && !state.stop && !state.closed;
        let waited = self.changed.wait_while(state, waits);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        if state.closed || state.stop {
            return false;
        }
        state.mail.push_back(mail);
        self.changed.notify_all();
        true
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
        self.changed.notify_all();
    }

    /// Whether nobody takes anything out any more, or is about to.
    pub(crate) fn is_over(&self) -> bool {
        let state = self.state();
        state.stop || state.closed
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.state().stop
    }

    /// Takes what is there.
    pub(crate) fn take(&self) -> VecDeque<T> {
        let mail = std::mem::take(&mut self.state().mail);
        // There is room.
        self.changed.notify_all();
        mail
    }

    /// Waits until the end, until `until`, or, with `for_mail`, until something is there.
    pub(crate) fn wait(&self, until: Option<Instant>, for_mail: bool) {
        let mut state = self.state();
        while !state.stop && !state.closed && (!for_mail || state.mail.is_empty()) {
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
        assert_eq!(mailbox.put(7), Ok(()));
        assert_eq!(mailbox.put(7), Err(Error::WouldBlock));
        mailbox.wait(None, true);
        assert_eq!(mailbox.take(), [7]);
        std::thread::scope(|scope| {
            assert!(mailbox.put_through(1));
            let waiting = scope.spawn(|| mailbox.put_through(2));
            while !waiting.is_finished() {
                for taken in mailbox.take() {
                    assert!([1, 2].contains(&taken));
                }
            }
            assert!(waiting.join().unwrap());
        });
        std::thread::scope(|scope| {
            scope.spawn(|| mailbox.wait(Some(Instant::now() + Duration::from_secs(60)), false));
            mailbox.stop();
        });
        assert!(mailbox.is_stopping());
        assert_eq!(mailbox.put(7), Err(Error::Closed));
        assert!(mailbox.is_over() && !mailbox.put_through(7));
    }
}
