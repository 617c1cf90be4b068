//! Fragments become messages.
//!
//! Fragments that follow each other are kept as one run of bytes. A message with all fragments in
//! order is one run that grows, so each byte is copied once. What comes behind a hole starts a run
//! of its own, and is copied once more when the run with the message's beginning reaches it; runs
//! without a beginning are never joined, so that no order of arrival costs more than that.

use std::{collections::BTreeMap, ops::Bound};

use crate::{chunk::data::Data, pool::Pool};

/// What bookkeeping of a run costs, in bytes.
pub(super) const OVERHEAD: usize = 256;
/// While fewer runs are open, a message gets the size of the last one at once.
const FORESIGHT: usize = 4;

/// Where a fragment belongs: for I-DATA its message and fragment number, for DATA its TSN alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) stream: u16,
    pub(crate) unordered: bool,
    pub(crate) number: u64,
    pub(crate) index: u64,
}

impl Key {
    fn same_message(&self, other: &Key) -> bool {
        (self.stream, self.unordered, self.number) == (other.stream, other.unordered, other.number)
    }
}

#[derive(Debug)]
struct Run {
    /// Index behind the last fragment.
    next: u64,
    begins: bool,
    ends: bool,
    /// Parts of the message were delivered.
    opened: bool,
    bytes: Vec<u8>,
    label: Label,
}

/// What a message is besides its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Label {
    pub(crate) stream: u16,
    pub(crate) unordered: bool,
    /// SSN or MID, unwrapped.
    pub(crate) number: u64,
    pub(crate) ppid: u32,
}

/// A message, or a part of one.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) label: Label,
    pub(crate) bytes: Vec<u8>,
    pub(crate) first: bool,
    pub(crate) last: bool,
}

/// A message grew beyond its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLarge;

/// All open runs.
#[derive(Debug)]
pub(crate) struct Reassembly {
    runs: BTreeMap<Key, Run>,
    /// Bytes of all runs with their overhead.
    held: usize,
    limit: usize,
    foresight: usize,
    /// The most that is reserved for a message that has just begun.
    foreseen: usize,
}

impl Reassembly {
    /// Messages may have `limit` bytes; at most `foreseen` are reserved for one of which little has come.
    pub(crate) fn new(limit: usize, foreseen: usize) -> Self {
        Reassembly {
            runs: BTreeMap::new(),
            held: 0,
            limit,
            foresight: 0,
            foreseen: foreseen.min(1 << 20),
        }
    }

    /// Bytes charged for what is incomplete.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// Takes a fragment; returns the message that it completes.
    pub(crate) fn insert(
        &mut self,
        pool: &mut Pool,
        key: Key,
        label: Label,
        data: &Data<'_>,
    ) -> Result<Option<Received>, TooLarge> {
        if data.begins() && data.ends() {
            let mut bytes = pool.take(data.payload.len());
            bytes.extend_from_slice(data.payload);
            return self.within(bytes.len()).map(|()| {
                Some(Received {
                    label,
                    bytes,
                    first: true,
                    last: true,
                })
            });
        }
        let Some(at) = self.place(pool, key, label, data)? else {
            return Ok(None);
        };
        self.join(pool, at)?;
        Ok(self.complete(at))
    }

    fn within(&self, len: usize) -> Result<(), TooLarge> {
        match len <= self.limit {
            true => Ok(()),
            false => Err(TooLarge),
        }
    }

    /// Puts a fragment into a run; returns the run's key when it has the message's beginning.
    fn place(
        &mut self,
        pool: &mut Pool,
        key: Key,
        label: Label,
        data: &Data<'_>,
    ) -> Result<Option<Key>, TooLarge> {
        if let Some((first, run)) = self.runs.range_mut(..=key).next_back()
            && first.same_message(&key)
        {
            if run.next > key.index {
                return Ok(None);
            }
            let fits = run.label.stream == label.stream && run.label.unordered == label.unordered;
            if run.next == key.index && !data.begins() && !run.ends && fits {
                pool.grow(&mut run.bytes, data.payload.len());
                run.bytes.extend_from_slice(data.payload);
                run.next += 1;
                run.ends = data.ends();
                self.held += data.payload.len();
                let (first, begins, len) = (*first, run.begins, run.bytes.len());
                self.within(len)?;
                return Ok(begins.then_some(first));
            }
        }
        let foresight = match data.begins() && self.runs.len() < FORESIGHT {
            true => self.foresight,
            false => 0,
        };
        let mut bytes = pool.take(data.payload.len().max(foresight));
        bytes.extend_from_slice(data.payload);
        self.held += bytes.len() + OVERHEAD;
        self.within(bytes.len())?;
        let run = Run {
            next: key.index + 1,
            begins: data.begins(),
            ends: data.ends(),
            opened: false,
            bytes,
            label,
        };
        self.runs.insert(key, run);
        Ok(data.begins().then_some(key))
    }

    /// Appends to the run at `at` what follows it.
    fn join(&mut self, pool: &mut Pool, at: Key) -> Result<(), TooLarge> {
        loop {
            let Some(run) = self.runs.get(&at) else {
                return Ok(());
            };
            if run.ends || self.runs.len() == 1 {
                return Ok(());
            }
            let key = Key {
                index: run.next,
                ..at
            };
            let (stream, unordered) = (run.label.stream, run.label.unordered);
            match self.runs.get(&key) {
                Some(next)
                    if !next.begins
                        && next.label.stream == stream
                        && next.label.unordered == unordered => {}
                _ => return Ok(()),
            }
            let (Some(next), Some(run)) = (self.runs.remove(&key), self.runs.get_mut(&at)) else {
                return Ok(());
            };
            pool.grow(&mut run.bytes, next.bytes.len());
            run.bytes.extend_from_slice(&next.bytes);
            run.next = next.next;
            run.ends = next.ends;
            let len = run.bytes.len();
            pool.give(next.bytes);
            self.held -= OVERHEAD;
            self.within(len)?;
        }
    }

    fn complete(&mut self, at: Key) -> Option<Received> {
        if !self.runs.get(&at)?.ends {
            return None;
        }
        let run = self.runs.remove(&at)?;
        self.held -= run.bytes.len() + OVERHEAD;
        self.foresight = run.bytes.len().next_power_of_two().min(self.foreseen);
        Some(Received {
            label: run.label,
            bytes: run.bytes,
            first: !run.opened,
            last: true,
        })
    }

    /// The run that has the beginning of the message to which this fragment belongs.
    pub(crate) fn beginning_of(&self, key: Key) -> Option<(Key, Label, usize)> {
        let (first, run) = self.runs.range(..=key).next_back()?;
        (first.same_message(&key) && run.begins).then_some((*first, run.label, run.bytes.len()))
    }

    /// Beginnings of messages, for delivery in parts when memory runs out.
    pub(crate) fn beginnings(&self) -> impl Iterator<Item = (Key, Label)> {
        self.runs
            .iter()
            .filter(|(_, run)| run.begins && !run.bytes.is_empty())
            .map(|(key, run)| (*key, run.label))
    }

    /// Takes what a message has so far, as a part.
    pub(crate) fn take_part(&mut self, pool: &mut Pool, at: Key) -> Option<Received> {
        let run = self.runs.get_mut(&at)?;
        let bytes = std::mem::replace(&mut run.bytes, pool.take(1_024));
        let first = !run.opened;
        run.opened = true;
        self.held -= bytes.len();
        Some(Received {
            label: run.label,
            bytes,
            first,
            last: false,
        })
    }

    fn discard(&mut self, pool: &mut Pool, key: Key) -> Option<Label> {
        let run = self.runs.remove(&key)?;
        self.held -= run.bytes.len() + OVERHEAD;
        pool.give(run.bytes);
        run.opened.then_some(run.label)
    }

    /// Discards what cannot be completed when all DATA chunks up to this TSN are skipped; `opened`
    /// gets messages of which parts were delivered. A message that begins before the TSN and is
    /// whole up to it may still go on.
    pub(crate) fn discard_through(
        &mut self,
        pool: &mut Pool,
        tsn: u64,
        mut opened: impl FnMut(Label),
    ) {
        let through = Key {
            stream: 0,
            unordered: false,
            number: 0,
            index: tsn,
        };
        let mut kept = 0;
        loop {
            let mut below = self.runs.range(..=through);
            let Some((key, run)) = below.nth(kept) else {
                return;
            };
            let key = *key;
            if run.begins && run.next > tsn {
                kept += 1;
            } else if let Some(label) = self.discard(pool, key) {
                opened(label);
            }
        }
    }

    /// Discards all fragments in I-DATA chunks of a stream's messages up to `number`.
    pub(crate) fn discard_messages(
        &mut self,
        pool: &mut Pool,
        stream: u16,
        unordered: bool,
        number: u64,
        mut opened: impl FnMut(Label),
    ) {
        let from = Key {
            stream,
            unordered,
            number: 0,
            index: 0,
        };
        let to = Key {
            number,
            index: u64::MAX,
            ..from
        };
        while let Some((key, _)) = self
            .runs
            .range((Bound::Included(from), Bound::Included(to)))
            .next()
        {
            let key = *key;
            if let Some(label) = self.discard(pool, key) {
                opened(label);
            }
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.runs.clear();
        self.held = 0;
    }
}
