//! A bounded queue of frames between two threads, and what is dropped when it is full.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use esp_wire::{AudioInfo, VideoInfo};

use crate::pace::lock;

/// How many buffers are kept for later use.
const SPARE: usize = 8;

/// What an entry of the queue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// A packet of sound.
    Audio,
    /// A picture, and whether it is a keyframe.
    Video(bool),
    /// The format of the sound that follows.
    AudioInfo(AudioInfo),
    /// The format of the pictures that follow.
    VideoInfo(VideoInfo),
}

/// How much a queue holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Packets of sound; the oldest goes when there are more.
    pub(crate) audio: usize,
    /// Pictures; when there are more, all go, and those that follow until a keyframe.
    pub(crate) video: usize,
    /// Bytes over all.
    pub(crate) bytes: usize,
}

/// The queue; senders never wait.
#[derive(Debug)]
pub(crate) struct FrameQueue {
    limits: Limits,
    state: Mutex<State>,
    changed: Condvar,
    pub(crate) audio_dropped: AtomicU64,
    pub(crate) video_dropped: AtomicU64,
    /// Set when pictures were dropped, so that a keyframe is needed.
    pub(crate) keyframe_wanted: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    entries: VecDeque<(Entry, Duration, Vec<u8>)>,
    spare: Vec<Vec<u8>>,
    audio: usize,
    video: usize,
    bytes: usize,
    /// Whether pictures are dropped until a keyframe comes.
    broken: bool,
    closed: bool,
}

impl FrameQueue {
    pub(crate) fn new(limits: Limits) -> Self {
        FrameQueue {
            limits,
            state: Mutex::default(),
            changed: Condvar::new(),
            audio_dropped: AtomicU64::new(0),
            video_dropped: AtomicU64::new(0),
            keyframe_wanted: AtomicBool::new(false),
        }
    }

    /// Appends an entry, and drops what the limits demand.
    pub(crate) fn push(&self, entry: Entry, pts: Duration, data: &[u8]) {
        let mut state = lock(&self.state);
        if state.closed {
            return;
        }
        let full = state.bytes + data.len() > self.limits.bytes;
        let fits = match entry {
            Entry::Audio => self.make_room_for_audio(&mut state, data.len()),
            Entry::Video(keyframe) => {
                self.make_room_for_video(&mut state, keyframe, full, data.len())
            }
            // A format that nothing followed is replaced.
            Entry::AudioInfo(_) | Entry::VideoInfo(_) => {
                if let Some(last) = state.entries.back_mut()
                    && std::mem::discriminant(&last.0) == std::mem::discriminant(&entry)
                {
                    last.0 = entry;
                    return;
                }
                state.entries.len() <= 2 * (self.limits.audio + self.limits.video)
            }
        };
        if !fits {
            return;
        }
        let mut buffer = state.spare.pop().unwrap_or_default();
        buffer.clear();
        buffer.extend_from_slice(data);
        state.count(entry, data.len(), true);
        state.entries.push_back((entry, pts, buffer));
        self.changed.notify_one();
    }

    fn make_room_for_audio(&self, state: &mut State, size: usize) -> bool {
        if size > self.limits.bytes {
            self.audio_dropped.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        while state.audio >= self.limits.audio
            || state.audio > 0 && state.bytes + size > self.limits.bytes
        {
            state.drop_first(|entry| entry == Entry::Audio);
            self.audio_dropped.fetch_add(1, Ordering::Relaxed);
        }
        let fits = state.bytes + size <= self.limits.bytes;
        if !fits {
            self.audio_dropped.fetch_add(1, Ordering::Relaxed);
        }
        fits
    }

    fn make_room_for_video(&self, state: &mut State, key: bool, full: bool, size: usize) -> bool {
        if state.video >= self.limits.video || full {
            // Those in the queue are late already, and nothing after a gap can be decoded.
            while state.video > 0 {
                state.drop_first(|entry| matches!(entry, Entry::Video(_)));
                self.video_dropped.fetch_add(1, Ordering::Relaxed);
            }
            state.broken = true;
        }
        let fits = state.bytes + size <= self.limits.bytes;
        if fits && key {
            state.broken = false;
        }
        if state.broken {
            self.video_dropped.fetch_add(1, Ordering::Relaxed);
            self.keyframe_wanted.store(true, Ordering::Relaxed);
        }
        fits && !state.broken
    }

    /// Waits for the first entry and swaps its bytes into `buffer`; `None` when closed and empty.
    pub(crate) fn pop(&self, buffer: &mut Vec<u8>) -> Option<(Entry, Duration)> {
        let mut state = lock(&self.state);
        loop {
            if let Some((entry, pts, mut data)) = state.entries.pop_front() {
                state.count(entry, data.len(), false);
                std::mem::swap(buffer, &mut data);
                if state.spare.len() < SPARE {
                    state.spare.push(data);
                }
                return Some((entry, pts));
            }
            if state.closed {
                return None;
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes nothing more; what is queued can still be taken out, or is dropped.
    pub(crate) fn close(&self, drop_queued: bool) {
        let mut state = lock(&self.state);
        state.closed = true;
        if drop_queued {
            state.entries.clear();
        }
        self.changed.notify_all();
    }
}

impl State {
    fn count(&mut self, entry: Entry, size: usize, added: bool) {
        let count = match entry {
            Entry::Audio => &mut self.audio,
            Entry::Video(_) => &mut self.video,
            _ => return,
        };
        if added {
            *count += 1;
            self.bytes += size;
        } else {
            *count -= 1;
            self.bytes -= size;
        }
    }

    fn drop_first(&mut self, which: impl Fn(Entry) -> bool) {
        let place = self.entries.iter().position(|entry| which(entry.0));
        if let Some((entry, _, data)) = place.and_then(|place| self.entries.remove(place)) {
            self.count(entry, data.len(), false);
            if self.spare.len() < SPARE {
                self.spare.push(data);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        audio: 3,
        video: 2,
        bytes: 100,
    };

    fn drain(queue: &FrameQueue) -> Vec<(Entry, u8)> {
        queue.close(false);
        let mut buffer = Vec::new();
        std::iter::from_fn(|| {
            let (entry, _) = queue.pop(&mut buffer)?;
            Some((entry, buffer[0]))
        })
        .collect()
    }

    #[test]
    fn the_oldest_sound_goes() {
        let queue = FrameQueue::new(LIMITS);
        for number in 0..5 {
            queue.push(Entry::Audio, Duration::ZERO, &[number; 10]);
        }
        queue.push(Entry::Audio, Duration::ZERO, &[9; 101]);
        assert_eq!(queue.audio_dropped.load(Ordering::Relaxed), 3);
        queue.push(Entry::Audio, Duration::ZERO, &[7; 100]);
        assert_eq!(drain(&queue), [(Entry::Audio, 7)]);
    }

    #[test]
    fn after_a_gap_pictures_wait_for_a_keyframe() {
        let queue = FrameQueue::new(LIMITS);
        let push = |key, number| queue.push(Entry::Video(key), Duration::ZERO, &[number; 10]);
        push(true, 0);
        push(false, 1);
        assert!(!queue.keyframe_wanted.load(Ordering::Relaxed));
        push(false, 2);
        push(false, 3);
        assert!(queue.keyframe_wanted.load(Ordering::Relaxed));
        assert_eq!(queue.video_dropped.load(Ordering::Relaxed), 4);
        push(true, 4);
        push(false, 5);
        assert_eq!(
            drain(&queue),
            [(Entry::Video(true), 4), (Entry::Video(false), 5)]
        );
    }
}
