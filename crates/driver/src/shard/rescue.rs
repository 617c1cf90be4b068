//! A shard's life, and how a defect in one peer is kept from the others.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::slot::Slot;
use super::{Shard, touch};

const DEFECT: &str = "a defect in the peer; see the log";
const NO_POLL: &str = "the system gives the driver no word of its sockets";

impl Shard {
    /// Runs until it is stopped. A peer that panics is given up; the others go on.
    pub(crate) fn run(mut self) {
        while !self.stopped {
            match catch_unwind(AssertUnwindSafe(|| self.turn(None))) {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::error!(%error, "the shard cannot wait for its sockets");
                    return self.give_up(NO_POLL);
                }
                Err(_) => match self.current.take() {
                    Some(place) => self.bury(place),
                    None => return self.give_up(DEFECT),
                },
            }
        }
    }

    /// Gives one peer up after a panic, and looks at all others: what the broken turn had noted is lost.
    fn bury(&mut self, place: usize) {
        tracing::error!(place, "a peer panicked and is given up");
        let removed = catch_unwind(AssertUnwindSafe(|| self.remove(place)));
        if let Ok(Some(slot)) = removed {
            self.report(&slot, DEFECT);
            // What panicked once may do so again when it is dropped.
            let _ = catch_unwind(AssertUnwindSafe(|| drop(slot)));
        }
        self.touched.clear();
        for (place, slot) in &mut self.slots {
            slot.touched = false;
            touch(&mut self.touched, slot, place);
        }
        self.readable.clear();
        for (token, known) in &mut self.registered {
            known.queued = true;
            self.readable.push_back(token);
        }
    }

    fn give_up(&mut self, reason: &str) {
        for (_, slot) in &self.slots {
            self.report(slot, reason);
        }
    }

    fn report(&self, slot: &Slot, reason: &str) {
        if slot.report_defect(reason)
            && let Some(pool) = &self.pool
        {
            pool.submit(Arc::clone(&slot.link));
        }
    }
}
