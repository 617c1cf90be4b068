//! What the system says of a process, from `/proc`.

use std::fs;
use std::process::{self, Command};
use std::time::Duration;

use crate::Outcome;

/// Threads, descriptors and memory of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holdings {
    /// Its threads.
    pub threads: usize,
    /// Its open descriptors.
    pub descriptors: usize,
    /// Bytes of memory that are resident.
    pub resident: usize,
}

impl Holdings {
    /// Counts them now.
    ///
    /// # Errors
    /// Where there is no `/proc`.
    pub fn now() -> Outcome<Self> {
        let statm = read("/proc/self/statm")?;
        let pages: usize = statm
            .split_whitespace()
            .nth(1)
            .and_then(|pages| pages.parse().ok())
            .ok_or("/proc/self/statm has no second number")?;
        const PAGE: usize = 4_096;
        Ok(Holdings {
            threads: count("/proc/self/task")?,
            // The directory that is being read is a descriptor too.
            descriptors: count("/proc/self/fd")?.saturating_sub(1),
            resident: pages * PAGE,
        })
    }
}

/// The processor time that a process has used, all its threads together.
///
/// # Errors
/// When there is no such process.
pub fn cpu_time(process: u32) -> Outcome<Duration> {
    cpu_of(&format!("/proc/{process}/stat"))
}

/// The processor time in a `stat` file, of a process or of a thread.
pub(crate) fn cpu_of(path: &str) -> Outcome<Duration> {
    let stat = read(path)?;
    // The name, in parentheses, may hold spaces; the times are the 14th and 15th field in all.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: u64 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    const TICKS_A_SECOND: u64 = 100;
    Ok(Duration::from_millis(ticks * 1_000 / TICKS_A_SECOND))
}

/// Sends a signal (`INT`, `KILL`, …) to a process of ours.
pub(crate) fn signal(process: &process::Child, name: &str) -> Outcome<()> {
    let status = Command::new("kill")
        .args(["-s", name, &process.id().to_string()])
        .status()
        .map_err(|error| format!("`kill` could not be started: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("`kill -s {name}` failed ({status})"))
    }
}

fn count(directory: &str) -> Outcome<usize> {
    let entries = fs::read_dir(directory).map_err(|error| format!("{directory}: {error}"))?;
    Ok(entries.count())
}

fn read(path: &str) -> Outcome<String> {
    fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))
}
