//! The delivery threads: they call applications, each mailbox by one thread at a time.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::{io, mem, thread};

use crate::mailbox::Desk;
use crate::shard::Link;

/// Events that one mailbox delivers before the next one gets its turn.
const TURN: usize = 256;

#[derive(Default)]
struct Inner {
    ready: VecDeque<Arc<Link>>,
    idle: usize,
    threads: Vec<JoinHandle<()>>,
    stopping: bool,
}

/// Threads that drain mailboxes; one more starts when all are in a call, up to a limit.
pub(crate) struct Pool {
    inner: Mutex<Inner>,
    wake: Condvar,
    limit: usize,
}

impl Pool {
    pub(crate) fn start(limit: usize) -> io::Result<Arc<Self>> {
        let pool = Arc::new(Pool {
            inner: Mutex::default(),
            wake: Condvar::new(),
            limit: limit.max(1),
        });
        pool.grow(&mut pool.lock())?;
        Ok(pool)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn grow(self: &Arc<Self>, inner: &mut Inner) -> io::Result<()> {
        let pool = Arc::clone(self);
        let thread = thread::Builder::new()
            .name(format!("deliver-{}", inner.threads.len()))
            .spawn(move || pool.work())?;
        inner.threads.push(thread);
        Ok(())
    }

    /// Puts a mailbox in line.
    pub(crate) fn submit(self: &Arc<Self>, link: Arc<Link>) {
        let mut inner = self.lock();
        if inner.stopping {
            return;
        }
        inner.ready.push_back(link);
        if inner.idle < inner.ready.len() && inner.threads.len() < self.limit {
            // Without another thread the mailbox waits for a busy one.
            if let Err(error) = self.grow(&mut inner) {
                tracing::warn!(%error, "no thread for delivery");
            }
        }
        drop(inner);
        self.wake.notify_one();
    }

    fn next(&self) -> Option<Arc<Link>> {
        let mut inner = self.lock();
        loop {
            if inner.stopping {
                return None;
            }
            if let Some(link) = inner.ready.pop_front() {
                return Some(link);
            }
            inner.idle += 1;
            inner = self
                .wake
                .wait(inner)
                .unwrap_or_else(PoisonError::into_inner);
            inner.idle -= 1;
        }
    }

    fn work(self: Arc<Self>) {
        let mut desk = Desk::for_good();
        while let Some(link) = self.next() {
            match catch_unwind(AssertUnwindSafe(|| link.mailbox.deliver(TURN, &mut desk))) {
                Ok(true) => self.submit(link),
                Ok(false) => {}
                Err(_) => {
                    tracing::error!("a handler panicked; it is called no more");
                    let _ = catch_unwind(AssertUnwindSafe(|| link.mailbox.bury()));
                }
            }
        }
    }

    /// Ends the threads; a thread that is in a call ends after it.
    pub(crate) fn stop(&self) {
        let threads = {
            let mut inner = self.lock();
            inner.stopping = true;
            inner.ready.clear();
            mem::take(&mut inner.threads)
        };
        self.wake.notify_all();
        for thread in threads {
            // A callback may drop the last driver: its own thread cannot wait for itself.
            if thread.thread().id() != thread::current().id() && thread.join().is_err() {
                tracing::error!("a delivery thread panicked");
            }
        }
    }
}
