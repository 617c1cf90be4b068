//! An allocator that counts, and tells who allocates while it is asked to.

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};

static HELD: AtomicI64 = AtomicI64::new(0);
static WATCHED: AtomicBool = AtomicBool::new(false);
static FOUND: Mutex<Vec<Backtrace>> = Mutex::new(Vec::new());

thread_local! {
    /// What watches allocates itself.
    static WATCHING: Cell<bool> = const { Cell::new(false) };
}

struct Counting;

fn count(bytes: i64) {
    HELD.fetch_add(bytes, Ordering::Relaxed);
    if bytes > 0 && WATCHED.load(Ordering::Relaxed) && !WATCHING.replace(true) {
        let trace = Backtrace::force_capture();
        FOUND
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(trace);
        WATCHING.set(false);
    }
}

// SAFETY: every call goes on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as i64));
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(-(layout.size() as i64));
        count(size as i64);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes of heap that the process holds.
pub(crate) fn held() -> i64 {
    HELD.load(Ordering::Relaxed)
}

/// Who allocated during a stretch of work, and how often.
#[derive(Debug, Default)]
pub(crate) struct Allocations {
    /// In our crates.
    pub(crate) ours: BTreeMap<String, usize>,
    /// Inside the DTLS library.
    pub(crate) library: BTreeMap<String, usize>,
}

/// Notes who allocates while `work` runs, on any thread; what the test's own machinery takes is left out.
pub(crate) fn watch<T>(work: impl FnOnce() -> T) -> (T, Allocations) {
    WATCHED.store(true, Ordering::SeqCst);
    let done = work();
    WATCHED.store(false, Ordering::SeqCst);
    let found = std::mem::take(&mut *FOUND.lock().unwrap_or_else(PoisonError::into_inner));
    let mut allocations = Allocations::default();
    for trace in found {
        let trace = trace.to_string();
        let whose = match trace {
            _ if trace.contains("dimpl::") => &mut allocations.library,
            _ if trace.contains("esp_") => &mut allocations.ours,
            _ => continue,
        };
        *whose.entry(shortened(&trace)).or_default() += 1;
    }
    (done, allocations)
}

/// The innermost functions of ours, or of what they use.
fn shortened(trace: &str) -> String {
    let names = trace
        .lines()
        .filter_map(|line| line.trim().split_once(": "));
    let names = names.map(|(_, name)| name);
    let ours = names.filter(|name| name.contains("esp_") || name.contains("dimpl"));
    ours.take(5).collect::<Vec<_>>().join(" <- ")
}
