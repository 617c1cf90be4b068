//! What a peer reports, waiting in bounded memory for the application.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;
use std::time::Duration;
use std::{mem, thread};

use esp_peer::{ChannelInfo, Event, Handler, NegotiatedMedia, Notice, State};
use esp_wire::{AudioInfo, DataFrame, DataKind, Frame, Kind, Signal, VideoInfo};

use crate::spare::Spare;

/// What each waiting event is counted for besides its bytes: even empty messages take memory.
const OVERHEAD: usize = 128;

/// An event that owns its bytes.
enum Letter {
    State(State),
    Msg(Signal<'static>),
    AudioInfo(AudioInfo),
    VideoInfo(VideoInfo),
    Media(Kind, Duration, Vec<u8>),
    Negotiated(NegotiatedMedia),
    ChannelOpen(ChannelInfo),
    Data(u16, DataKind, Vec<u8>),
    ChannelClose(ChannelInfo),
    Writable(u16),
    Notice(Notice<'static>),
}

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
    spare: Spare,
}

/// An event that the application was told of.
struct Delivered {
    media: bool,
    weight: usize,
    buffer: Option<Vec<u8>>,
}

/// A bounded queue of events with the application at its end.
pub(crate) struct Mailbox {
    inner: Mutex<Inner>,
    handler: Mutex<Option<Box<dyn Handler>>>,
    delivering: Mutex<Option<ThreadId>>,
    limit: usize,
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
            inner: Mutex::default(),
            handler: Mutex::new(Some(handler)),
            delivering: Mutex::default(),
            limit,
            data_paused: AtomicBool::new(false),
            media_dropped: AtomicU64::new(0),
            resume,
        }
    }

    /// Whether data may be put in; `false` promises a call of `resume` later.
    pub(crate) fn accepts_data(&self) -> bool {
        let inner = locked(&self.inner);
        let accepts = inner.bytes < self.limit;
        // Under the lock, so that the thread that makes room sees it.
        self.data_paused.store(!accepts, Ordering::Relaxed);
        accepts
    }

    /// Frames dropped because the application was slow.
    pub(crate) fn media_dropped(&self) -> u64 {
        self.media_dropped.load(Ordering::Relaxed)
    }

    /// Puts an event in; `true` when the mailbox must be put in line at the pool.
    pub(crate) fn put(&self, event: Event<'_>) -> bool {
        let mut inner = locked(&self.inner);
        if inner.closed {
            return false;
        }
        let full = inner.media_bytes >= self.limit;
        let letter = match event {
            Event::Audio(_) | Event::Video(_) if full => {
                self.media_dropped.fetch_add(1, Ordering::Relaxed);
                return false;
            }
            Event::Audio(frame) => {
                Letter::Media(Kind::Audio, frame.pts, inner.spare.copy(frame.data))
            }
            Event::Video(frame) => {
                Letter::Media(Kind::Video, frame.pts, inner.spare.copy(frame.data))
            }
            Event::Data(frame) => {
                Letter::Data(frame.stream_id, frame.kind, inner.spare.copy(frame.data))
            }
            Event::State(state) => Letter::State(state),
            Event::Msg(msg) => Letter::Msg(msg.into_owned()),
            Event::AudioInfo(info) => Letter::AudioInfo(info),
            Event::VideoInfo(info) => Letter::VideoInfo(info),
            Event::Negotiated(media) => Letter::Negotiated(media),
            Event::ChannelOpen(channel) => Letter::ChannelOpen(channel),
            Event::ChannelClose(channel) => Letter::ChannelClose(channel),
            Event::Writable(stream_id) => Letter::Writable(stream_id),
            Event::Notice(notice) => Letter::Notice(notice.into_owned()),
            _ => return false,
        };
        let weight = letter.weight();
        *inner.account(letter.is_media()) += weight;
        inner.letters.push_back(letter);
        !mem::replace(&mut inner.scheduled, true)
    }

    /// Delivers up to `most` events; `true` when more wait.
    pub(crate) fn deliver(&self, most: usize) -> bool {
        let mut handler = locked(&self.handler);
        *locked(&self.delivering) = Some(thread::current().id());
        let more = self.deliver_to(handler.as_mut(), most);
        *locked(&self.delivering) = None;
        // Closed from within a call: nobody else takes the handler away.
        let gone = locked(&self.inner).closed.then(|| handler.take()).flatten();
        drop(handler);
        drop(gone);
        more
    }

    /// Takes the application away after a call of it panicked.
    pub(crate) fn bury(&self) {
        *locked(&self.delivering) = None;
        self.close(true);
    }

    fn deliver_to(&self, mut handler: Option<&mut Box<dyn Handler>>, most: usize) -> bool {
        let mut done = None;
        for _ in 0..most {
            let Some(letter) = self.next(done.take()) else {
                return false;
            };
            let (media, weight) = (letter.is_media(), letter.weight());
            let buffer = match handler.as_mut() {
                Some(handler) => letter.deliver(handler.as_mut()),
                None => letter.into_buffer(),
            };
            done = Some(Delivered {
                media,
                weight,
                buffer,
            });
        }
        let mut inner = locked(&self.inner);
        let resume = self.settle(&mut inner, done);
        drop(inner);
        self.resume_if(resume);
        true
    }

    /// Gives back what was delivered and takes the next event, under one lock; `None` ends the delivery.
    fn next(&self, done: Option<Delivered>) -> Option<Letter> {
        let mut inner = locked(&self.inner);
        let resume = self.settle(&mut inner, done);
        let letter = inner.letters.pop_front();
        inner.scheduled = letter.is_some();
        drop(inner);
        self.resume_if(resume);
        letter
    }

    /// Makes room for other events; `true` when the shard waits for that.
    fn settle(&self, inner: &mut Inner, done: Option<Delivered>) -> bool {
        let Some(done) = done else {
            return false;
        };
        let account = inner.account(done.media);
        *account = account.saturating_sub(done.weight);
        if let Some(buffer) = done.buffer {
            inner.spare.give(buffer);
        }
        inner.bytes <= self.limit / 2 && self.data_paused.swap(false, Ordering::Relaxed)
    }

    fn resume_if(&self, resume: bool) {
        if resume {
            (self.resume)();
        }
    }

    /// Takes the application away: no call begins after this returns, and unless it is made from
    /// within a call, none is still running. Without `wait` one may be.
    pub(crate) fn close(&self, wait: bool) {
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

impl Letter {
    /// Makes the call; gives the buffer back.
    fn deliver(self, handler: &mut dyn Handler) -> Option<Vec<u8>> {
        let event = match &self {
            Letter::Media(Kind::Audio, pts, data) => Event::Audio(Frame { pts: *pts, data }),
            Letter::Media(Kind::Video, pts, data) => Event::Video(Frame { pts: *pts, data }),
            Letter::Data(stream_id, kind, data) => Event::Data(DataFrame {
                kind: *kind,
                stream_id: *stream_id,
                data,
            }),
            Letter::State(state) => Event::State(*state),
            Letter::Msg(msg) => Event::Msg(msg.clone()),
            Letter::AudioInfo(info) => Event::AudioInfo(*info),
            Letter::VideoInfo(info) => Event::VideoInfo(*info),
            Letter::Negotiated(media) => Event::Negotiated(*media),
            Letter::ChannelOpen(channel) => Event::ChannelOpen(channel.clone()),
            Letter::ChannelClose(channel) => Event::ChannelClose(channel.clone()),
            Letter::Writable(stream_id) => Event::Writable(*stream_id),
            Letter::Notice(notice) => Event::Notice(notice.clone()),
        };
        event.deliver(handler);
        self.into_buffer()
    }

    fn is_media(&self) -> bool {
        matches!(self, Letter::Media(..))
    }

    /// The memory it is counted for.
    fn weight(&self) -> usize {
        let bytes = match self {
            Letter::Media(_, _, data) | Letter::Data(_, _, data) => data.len(),
            Letter::ChannelOpen(channel) | Letter::ChannelClose(channel) => {
                channel.label.len() + channel.protocol.len()
            }
            _ => 0,
        };
        OVERHEAD + bytes
    }

    fn into_buffer(self) -> Option<Vec<u8>> {
        match self {
            Letter::Media(_, _, buffer) | Letter::Data(_, _, buffer) => Some(buffer),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    use super::*;

    struct Counter(Arc<AtomicUsize>);

    impl Handler for Counter {
        fn on_data(&mut self, _: DataFrame<'_>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
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
        assert!(!mailbox.accepts_data());
        let picture = || {
            let data = &[2; 6_000];
            mailbox.put(Event::Video(Frame {
                pts: Duration::ZERO,
                data,
            }));
            mailbox.media_dropped()
        };
        assert_eq!([picture(), picture(), picture()], [0, 0, 1]);
        assert!(!mailbox.deliver(100));
        assert_eq!(picture(), 1);
        assert!(mailbox.accepts_data());
    }

    #[test]
    fn empty_messages_fill_a_mailbox_too() {
        let (count, resumed) = <(Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
        let told = Arc::clone(&resumed);
        let resume = Box::new(move || {
            told.fetch_add(1, Ordering::Relaxed);
        });
        let handler = Box::new(Counter(Arc::clone(&count)));
        let mailbox = Mailbox::new(handler, 10 * OVERHEAD, resume);
        let mut sent = 0;
        while mailbox.accepts_data() {
            mailbox.put(Event::Data(DataFrame {
                kind: DataKind::Binary,
                stream_id: 0,
                data: b"",
            }));
            sent += 1;
        }
        assert_eq!(sent, 10);
        assert!(!mailbox.deliver(100));
        assert_eq!(count.load(Ordering::Relaxed), 10);
        assert_eq!(resumed.load(Ordering::Relaxed), 1);
        assert!(mailbox.accepts_data());
        assert_eq!(locked(&mailbox.inner).bytes, 0);
    }
}
