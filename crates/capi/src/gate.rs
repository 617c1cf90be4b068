//! Callbacks that end with what they belong to.

use std::cell::Cell;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

thread_local! {
    /// How many functions of the program this thread is in that the library called.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// Whether this thread is in a function of the program that the library called: then nothing may be waited for that
/// may wait for that function.
pub(crate) fn is_within() -> bool {
    DEPTH.get() > 0
}

/// Calls a function of the program.
pub(crate) fn calling<T>(call: impl FnOnce() -> T) -> T {
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            DEPTH.set(DEPTH.get().saturating_sub(1));
        }
    }
    DEPTH.set(DEPTH.get() + 1);
    let _leave = Leave;
    call()
}

/// What callbacks pass until it is closed; several tasks may be inside at a time.
#[derive(Default)]
pub(crate) struct Gate {
    inside: Mutex<Inside>,
    left: Condvar,
}

#[derive(Default)]
struct Inside {
    closed: bool,
    threads: Vec<ThreadId>,
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls a function of the program; `None` when the gate is closed.
    pub(crate) fn call<T>(&self, call: impl FnOnce() -> T) -> Option<T> {
        struct Leave<'a>(&'a Gate, ThreadId);
        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                let mut inside = self.0.lock();
                if let Some(at) = inside.threads.iter().position(|thread| *thread == self.1) {
                    inside.threads.swap_remove(at);
                }
                drop(inside);
                self.0.left.notify_all();
            }
        }
        let me = thread::current().id();
        let mut inside = self.lock();
        if inside.closed {
            return None;
        }
        inside.threads.push(me);
        drop(inside);
        let _leave = Leave(self, me);
        Some(calling(call))
    }

    /// Lets nobody in any more, and waits until the other tasks have left.
    pub(crate) fn close(&self) {
        let me = thread::current().id();
        let mut inside = self.lock();
        inside.closed = true;
        while inside.threads.iter().any(|thread| *thread != me) {
            inside = self
                .left
                .wait(inside)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn a_gate_is_closed_when_the_others_have_left() {
        let gate = Arc::new(Gate::default());
        let (entered, inside) = channel();
        let (leave, leaves) = channel::<()>();
        let left = Arc::new(AtomicBool::new(false));
        let (its_gate, its_left) = (Arc::clone(&gate), Arc::clone(&left));
        let other = thread::spawn(move || {
            its_gate.call(|| {
                entered.send(is_within()).unwrap();
                leaves.recv().unwrap();
                its_left.store(true, Ordering::SeqCst);
            })
        });
        assert_eq!(inside.recv(), Ok(true));
        // From within a callback of one's own, too.
        let mine = gate.call(|| {
            leave.send(()).unwrap();
            gate.close();
            assert!(left.load(Ordering::SeqCst));
            is_within()
        });
        assert_eq!((mine, is_within()), (Some(true), false));
        assert_eq!(gate.call(|| ()), None);
        assert_eq!(other.join().unwrap(), Some(()));
    }
}
