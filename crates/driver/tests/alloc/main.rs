//! What a peer takes of the heap, and what a flow takes of it, counted over all threads of the process.
#![allow(unsafe_code, reason = "a global allocator that counts")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod counting;
mod ends;
mod flows;
mod idle;

use std::sync::Mutex;

/// One at a time: the counters belong to all.
static TURN: Mutex<()> = Mutex::new(());
