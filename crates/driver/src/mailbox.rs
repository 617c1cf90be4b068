//! What a peer reports, waiting in bounded memory for the application.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;
use std::{mem, thread};

use esp_peer::{Event, Handler};

pub(crate) use self::letter::Letter;
use crate::spare::{MOST_OF_SHARD, Spare};

mod letter;

/// Of the memory for one mailbox, what is delivered before room is made: one part of so many.
const PARTS: usize = 4;
/// Events that are taken out of a mailbox at once.
const TAKEN: usize = 64;

#[derive(Default)]
struct Inner {
    letters: VecDeque<Letter>,
    /// What the frames among them are counted for, and what the others are: a large message costs
    /// no picture.
    media_bytes: usize,
    bytes: usize,
    /// In line at the pool, or being delivered.
    scheduled: bool,
    closed: bool,
    /// Frames or messages have come: its memory will be of use again.
    flows: bool,
    spare: Spare,
}

/// Letters on their way into a mailbox; one for all peers of a shard.
pub(crate) struct Batch {
    letters: Vec<Letter>,
    spare: Spare,
}

impl Default for Batch {
    fn default() -> Self {
        Batch::for_mailboxes(usize::MAX)
    }
}

impl Batch {
    /// One for mailboxes that hold so many bytes.
    pub(crate) fn for_mailboxes(limit: usize) -> Self {
        Batch {
            letters: Vec::new(),
            spare: Spare::of(limit.saturating_mul(PARTS).min(MOST_OF_SHARD)),
        }
    }

    pub(crate) fn push(&mut self, letter: Letter) {
        self.letters.push(letter);
    }

    /// A buffer that is used again, or an empty one.
    pub(crate) fn buffer(&mut self) -> Vec<u8> {
        self.spare.take()
    }

    /// A copy in a buffer that is used again.
    pub(crate) fn copy(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.spare.copy(bytes)
    }
}

/// Letters on their way out of a mailbox; one for each thread that delivers.
#[derive(Default)]
pub(crate) struct Desk {
    letters: VecDeque<Letter>,
    buffers: Vec<Vec<u8>>,
    media_bytes: usize,
    bytes: usize,
}

impl Desk {
    /// One that needs no more memory later.
    pub(crate) fn for_good() -> Self {
        Desk {
            letters: VecDeque::with_capacity(TAKEN),
            buffers: Vec::with_capacity(TAKEN),
            ..Desk::default()
        }
    }
}

/// A bounded queue of events with the application at its end.
pub(crate) struct Mailbox {
    inner: Mutex<Inner>,
    handler: Mutex<Option<Box<dyn Handler>>>,
    delivering: Mutex<Option<ThreadId>>,
    limit: usize,
    /// No call may begin any more.
    closed: AtomicBool,
    /// The shard stopped taking data because of this mailbox and waits to hear of room.
    data_paused: AtomicBool,
    media_dropped: AtomicU64,
    /// Tells the shard that there is room for data again.
    resume: Box<dyn Fn() + Send + Sync>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Mailbox {
    pub(crate) fn new(
        handler: Box<dyn Handler>,
        limit: usize,
        resume: Box<dyn Fn() + Send + Sync>,
    ) -> Self {
        Mailbox {
            inner: Mutex::new(Inner {
                spare: Spare::for_queue(limit),
                ..Inner::default()
            }),
            handler: Mutex::new(Some(handler)),
            delivering: Mutex::default(),
            limit,
            closed: AtomicBool::new(false),
            data_paused: AtomicBool::new(false),
            media_dropped: AtomicU64::new(0),
            resume,
        }
    }

    /// Bytes of data that may be put in; 0 promises a call of `resume` later.
    pub(crate) fn room(&self) -> usize {
        let inner = locked(&self.inner);
        let room = self.limit.saturating_sub(inner.bytes);
        // Under the lock, so that the thread that makes room sees it.
        self.data_paused.store(room == 0, Ordering::Relaxed);
        room
    }

    /// Frames dropped because the application was slow.
    pub(crate) fn media_dropped(&self) -> u64 {
        self.media_dropped.load(Ordering::Relaxed)
    }

    /// Puts an event in; `true` when the mailbox must be put in line at the pool.
    pub(crate) fn put(&self, event: Event<'_>) -> bool {
        let mut batch = Batch::default();
        if let Some(letter) = Letter::of(event, &mut batch) {
            batch.push(letter);
        }
        self.put_all(&mut batch)
    }

    /// Puts letters in, and takes free buffers for the next; `true` when the mailbox must be put in line at the
    /// pool.
    pub(crate) fn put_all(&self, batch: &mut Batch) -> bool {
        if batch.letters.is_empty() {
            return false;
        }
        let mut inner = locked(&self.inner);
        if inner.closed {
            batch.letters.clear();
            return false;
        }
        for letter in batch.letters.drain(..) {
            if letter.is_media() && inner.media_bytes >= self.limit {
                self.media_dropped.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            if letter.is_spare() && inner.bytes >= self.limit {
                continue;
            }
            *inner.account(letter.is_media()) += letter.weight();
            inner.flows |= letter.is_flow();
            inner.letters.push_back(letter);
        }
        batch.spare.take_all(&mut inner.spare);
        !inner.letters.is_empty() && !mem::replace(&mut inner.scheduled, true)
    }

    /// Delivers up to `most` events; `true` when more wait.
    pub(crate) fn deliver(&self, most: usize, desk: &mut Desk) -> bool {
        let mut handler = locked(&self.handler);
        *locked(&self.delivering) = Some(thread::current().id());
        let more = self.deliver_to(handler.as_mut(), most, desk);
        *locked(&self.delivering) = None;
        // Closed from within a call: nobody else takes the handler away.
        let gone = locked(&self.inner).closed.then(|| handler.take()).flatten();
        drop(handler);
        drop(gone);
        // Closed just now by somebody who did not wait, and found the handler in use.
        self.sweep();
        more
    }

    /// Takes the handler away if the mailbox is closed and no delivery under way will do so.
    fn sweep(&self) {
        if locked(&self.inner).closed {
            drop(self.handler.try_lock().ok().and_then(|mut it| it.take()));
        }
    }

    /// Takes the application away after a call of it panicked.
    pub(crate) fn bury(&self) {
        *locked(&self.delivering) = None;
        self.close(true);
    }

    fn deliver_to(
        &self,
        mut handler: Option<&mut Box<dyn Handler>>,
        most: usize,
        desk: &mut Desk,
    ) -> bool {
        // What a call that panicked left behind.
        desk.letters.clear();
        (desk.bytes, desk.media_bytes) = (0, 0);
        let mut left = most;
        while self.exchange(desk, left) {
            while let Some(letter) = desk.letters.pop_front() {
                left -= 1;
                if self.closed.load(Ordering::Acquire) {
                    continue;
                }
                let buffer = match handler.as_mut() {
                    Some(handler) => letter.deliver(handler.as_mut()),
                    None => letter.into_buffer(),
                };
                desk.buffers.extend(buffer);
            }
            if left == 0 {
                self.exchange(desk, 0);
                return true;
            }
        }
        false
    }

    /// Gives back what was delivered and takes the next events, up to `most`, under one lock; `false` when there
    /// is none, which ends the delivery.
    fn exchange(&self, desk: &mut Desk, most: usize) -> bool {
        let mut inner = locked(&self.inner);
        inner.bytes = inner.bytes.saturating_sub(mem::take(&mut desk.bytes));
        inner.media_bytes = inner
            .media_bytes
            .saturating_sub(mem::take(&mut desk.media_bytes));
        for buffer in desk.buffers.drain(..) {
            inner.spare.give(buffer);
        }
        let resume =
            inner.bytes <= self.limit / 2 && self.data_paused.swap(false, Ordering::Relaxed);
        for _ in 0..most.min(TAKEN) {
            let Some(letter) = inner.letters.pop_front() else {
                break;
            };
            *match letter.is_media() {
                true => &mut desk.media_bytes,
                false => &mut desk.bytes,
            } += letter.weight();
            desk.letters.push_back(letter);
            if desk.bytes + desk.media_bytes >= self.limit / PARTS {
                break;
            }
        }
        if inner.letters.is_empty() && !inner.flows {
            // What is rare comes in crowds: no memory is kept for the next.
            inner.letters = VecDeque::new();
        }
        let some = !desk.letters.is_empty();
        inner.scheduled = some || most == 0;
        drop(inner);
        if resume {
            (self.resume)();
        }
        some
    }

    /// Takes the application away: no call begins after this returns, and unless it is made from
    /// within a call, none is still running. Without `wait` one may be.
    pub(crate) fn close(&self, wait: bool) {
        self.closed.store(true, Ordering::Release);
        {
            let mut inner = locked(&self.inner);
            inner.closed = true;
            inner.letters.clear();
            inner.bytes = 0;
            inner.media_bytes = 0;
        }
        let own_call = *locked(&self.delivering) == Some(thread::current().id());
        let handler = match wait && !own_call {
            true => locked(&self.handler).take(),
            // A delivery under way takes it away when it ends.
            false => self.handler.try_lock().ok().and_then(|mut it| it.take()),
        };
        drop(handler);
    }
}

impl Inner {
    fn account(&mut self, media: bool) -> &mut usize {
        match media {
            true => &mut self.media_bytes,
            false => &mut self.bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    use esp_wire::{DataFrame, DataKind, Frame};

    use super::*;

    struct Counter(Arc<AtomicUsize>);

    impl Handler for Counter {
        fn on_data(&mut self, _: DataFrame<'_>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn who_closes_while_a_delivery_ends_leaves_no_handler_behind() {
        // The moment that matters is short: now and then it is hit.
        for _ in 0..500 {
            let count = Arc::<AtomicUsize>::default();
            let handler = Box::new(Counter(Arc::clone(&count)));
            let mailbox = Mailbox::new(handler, 1_000, Box::new(|| {}));
            mailbox.put(Event::Data(DataFrame {
                kind: DataKind::Binary,
                stream_id: 0,
                data: b"",
            }));
            thread::scope(|scope| {
                scope.spawn(|| mailbox.deliver(100, &mut Desk::default()));
                mailbox.close(false);
            });
            assert_eq!(Arc::strong_count(&count), 1);
        }
        // A delivery that has looked already whether the mailbox is closed.
        let count = Arc::<AtomicUsize>::default();
        let handler = Box::new(Counter(Arc::clone(&count)));
        let mailbox = Mailbox::new(handler, 1_000, Box::new(|| {}));
        let delivering = locked(&mailbox.handler);
        mailbox.close(false);
        drop(delivering);
        mailbox.sweep();
        assert_eq!(Arc::strong_count(&count), 1);
    }

    #[test]
    fn a_large_message_that_waits_costs_no_picture() {
        let handler = Box::new(Counter(Arc::default()));
        let mailbox = Mailbox::new(handler, 10_000, Box::new(|| {}));
        mailbox.put(Event::Data(DataFrame {
            kind: DataKind::Binary,
            stream_id: 0,
            data: &[1; 10_000],
        }));
        assert_eq!(mailbox.room(), 0);
        let picture = || {
            let data = &[2; 6_000];
            mailbox.put(Event::Video(Frame {
                pts: Duration::ZERO,
                data,
            }));
            mailbox.media_dropped()
        };
        assert_eq!([picture(), picture(), picture()], [0, 0, 1]);
        assert!(!mailbox.deliver(100, &mut Desk::default()));
        assert_eq!(picture(), 1);
        assert!(mailbox.room() > 0);
    }

    #[test]
    fn empty_messages_fill_a_mailbox_too() {
        let (count, resumed) = <(Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
        let told = Arc::clone(&resumed);
        let resume = Box::new(move || {
            told.fetch_add(1, Ordering::Relaxed);
        });
        let handler = Box::new(Counter(Arc::clone(&count)));
        let mailbox = Mailbox::new(handler, 10 * letter::OVERHEAD, resume);
        let mut sent = 0;
        while mailbox.room() > 0 {
            mailbox.put(Event::Data(DataFrame {
                kind: DataKind::Binary,
                stream_id: 0,
                data: b"",
            }));
            sent += 1;
        }
        assert_eq!(sent, 10);
        assert!(!mailbox.deliver(100, &mut Desk::default()));
        assert_eq!(count.load(Ordering::Relaxed), 10);
        assert_eq!(resumed.load(Ordering::Relaxed), 1);
        assert!(mailbox.room() > 0);
        assert_eq!(locked(&mailbox.inner).bytes, 0);
    }
}
