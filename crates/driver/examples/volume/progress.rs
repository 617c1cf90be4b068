//! How far it has come, and what it takes.

use std::io::{IsTerminal, Write, stderr};
use std::time::Instant;

/// A line on the error output that counts to 100 %, and the time that it took.
pub(crate) struct Progress {
    what: &'static str,
    total: u64,
    began: Instant,
    shown: u64,
}

impl Progress {
    pub(crate) fn new(what: &'static str, total: u64) -> Self {
        let progress = Progress {
            what,
            total: total.max(1),
            began: Instant::now(),
            shown: 0,
        };
        progress.show(0);
        progress
    }

    /// So much of the total is done.
    pub(crate) fn at(&mut self, done: u64) {
        let percent = done * 100 / self.total;
        if percent > self.shown {
            self.shown = percent;
            self.show(percent);
        }
    }

    fn show(&self, percent: u64) {
        // Elsewhere than on a terminal, a line that is written over and over is none.
        if stderr().is_terminal() {
            eprint!("\r{}: {percent} % of {} ", self.what, self.total);
            let _ = stderr().flush();
        }
    }

    /// All is done; seconds that it took.
    pub(crate) fn end(self) -> f64 {
        let seconds = self.began.elapsed().as_secs_f64();
        if stderr().is_terminal() {
            eprint!("\r\x1b[K");
        }
        println!("{}: {}, {seconds:.1} s", self.what, self.total);
        seconds
    }
}

/// KiB of this process that are resident, where the system tells.
pub(crate) fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.unwrap_or(0)
}
