//! The thread of a client, from its start to its goodbye.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::ThreadId;
use std::time::Duration;

use crate::Error;
use crate::mailbox::Mailbox;

/// A thread that works through a mailbox.
pub(crate) struct Running<T> {
    pub(crate) mailbox: Arc<Mailbox<T>>,
    /// Disconnected when the thread is done.
    done: Receiver<()>,
    thread: ThreadId,
}

impl<T> Running<T> {
    /// Starts it.
    ///
    /// # Errors
    /// [`Error::Misuse`] when the system has no thread for it.
    pub(crate) fn spawn(
        name: String,
        mailbox: Arc<Mailbox<T>>,
        run: impl FnOnce() + Send + 'static,
    ) -> Result<Self, Error> {
        let (finished, done) = channel();
        let thread = std::thread::Builder::new()
            .name(name)
            .spawn(move || {
                // Dropped last, when everything is over.
                let _finished = finished;
                run();
            })
            .map_err(|error| {
                Error::Misuse(format!(
                    "the system refuses what the signaling needs: {error}"
                ))
            })?;
        Ok(Running {
            mailbox,
            done,
            thread: thread.thread().id(),
        })
    }

    /// Says that it is over, and waits for the goodbye, unless that is said by the thread itself.
    ///
    /// # Errors
    /// [`Error::Unreachable`] when it takes longer.
    pub(crate) fn stop(self, patience: Duration, server: &str) -> Result<(), Error> {
        self.mailbox.stop();
        if self.thread == std::thread::current().id() {
            return Ok(());
        }
        match self.done.recv_timeout(patience) {
            Err(RecvTimeoutError::Timeout) => Err(Error::Unreachable(format!(
                "the {server} took too long to say goodbye; it will find us gone"
            ))),
            _ => Ok(()),
        }
    }
}
