//! Who is busy: the processor time of each thread of this process and of those that it has started.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::{Duration, Instant};

use crate::process::cpu_of;

/// One thread: its process and itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Thread {
    process: u32,
    thread: u32,
}

/// The processor time of all threads at one moment.
#[derive(Clone, Debug)]
pub struct Load {
    at: Instant,
    threads: BTreeMap<Thread, (String, Duration)>,
}

/// How busy a thread was.
#[derive(Clone, Debug, PartialEq)]
pub struct Busy {
    /// Whether it is one of this very process.
    pub ours: bool,
    /// What it is called, behind the name of its process.
    pub name: String,
    /// Its processor time, as a part of what one core has.
    pub share: f64,
}

impl Load {
    /// Looks at all of them. What ends meanwhile is left out.
    pub fn now() -> Self {
        let own = std::process::id();
        let mut threads = BTreeMap::new();
        for process in family(own) {
            let role = match process == own {
                true => "here".to_owned(),
                false => role(process),
            };
            for thread in numbers(&format!("/proc/{process}/task")) {
                let path = format!("/proc/{process}/task/{thread}");
                let Ok(cpu) = cpu_of(&format!("{path}/stat")) else {
                    continue;
                };
                let name = fs::read_to_string(format!("{path}/comm")).unwrap_or_default();
                let name = format!("{role}: {}", name.trim_end());
                threads.insert(Thread { process, thread }, (name, cpu));
            }
        }
        Load {
            at: Instant::now(),
            threads,
        }
    }

    /// How busy each thread was between `self` and `later`, the busiest first.
    pub fn until(&self, later: &Load) -> Vec<Busy> {
        let seconds = later.at.duration_since(self.at).as_secs_f64();
        let own = std::process::id();
        let mut all: Vec<Busy> = later
            .threads
            .iter()
            .map(|(thread, (name, cpu))| {
                let before = self.threads.get(thread).map_or(Duration::ZERO, |it| it.1);
                Busy {
                    ours: thread.process == own,
                    name: name.clone(),
                    share: cpu.saturating_sub(before).as_secs_f64() / seconds,
                }
            })
            .collect();
        all.sort_by(|one, other| other.share.total_cmp(&one.share));
        all
    }
}

/// A process and all that descend from it.
fn family(root: u32) -> BTreeSet<u32> {
    let parents: Vec<(u32, u32)> = numbers("/proc")
        .into_iter()
        .filter_map(|process| Some((process, parent(process)?)))
        .collect();
    let mut family = BTreeSet::from([root]);
    loop {
        let before = family.len();
        for (process, parent) in &parents {
            if family.contains(parent) {
                family.insert(*process);
            }
        }
        if family.len() == before {
            return family;
        }
    }
}

fn parent(process: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

/// What a process of a browser does, as its command line says.
fn role(process: u32) -> String {
    let line = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
    let words: Vec<String> = line
        .split(|byte| *byte == 0)
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect();
    let chromium = words.iter().find_map(|word| word.strip_prefix("--type="));
    // Firefox names what a process does in its last words.
    let firefox = words.iter().rev().find(|word| !word.is_empty());
    match (chromium, firefox) {
        (Some(role), _) => role.to_owned(),
        (None, Some(word)) if words.iter().any(|it| it == "-contentproc") => word.clone(),
        _ => "browser".to_owned(),
    }
}

/// The names in a directory that are numbers.
fn numbers(directory: &str) -> Vec<u32> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_thread_is_seen() {
        let before = Load::now();
        let begun = Instant::now();
        let mut words = 0_usize;
        let busy = loop {
            words += format!("{:?}", begun.elapsed()).len();
            let after = before.until(&Load::now());
            if let Some(busy) = after.into_iter().find(|it| it.ours && it.share > 0.0) {
                break busy;
            }
        };
        assert!(words > 0);
        assert!(busy.name.starts_with("here: "), "{}", busy.name);
    }
}
