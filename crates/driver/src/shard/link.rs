//! How connections reach their shard, and what they share with it.

use std::cell::Cell;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};

use esp_peer::Peer;
use esp_wire::{Instant, QueryId};
use mio::Waker;

use crate::mailbox::Mailbox;
use crate::outbox::Outbox;

/// Names a peer within its shard. The serial number tells it from a later peer in the same place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) place: usize,
    pub(crate) serial: u64,
}

/// What a connection and its peer's slot share.
pub(crate) struct Link {
    pub(crate) outbox: Outbox,
    pub(crate) mailbox: Mailbox,
    /// The shard was called to look at the outbox and has not done so yet.
    called: AtomicBool,
    /// Datagrams that were lost because a stream to a server was slow.
    stream_dropped: AtomicU64,
}

impl Link {
    pub(crate) fn new(outbox: Outbox, mailbox: Mailbox) -> Self {
        Link {
            outbox,
            mailbox,
            called: AtomicBool::new(false),
            stream_dropped: AtomicU64::new(0),
        }
    }

    /// Datagrams that were lost because a stream was slow.
    pub(crate) fn stream_dropped(&self) -> u64 {
        self.stream_dropped.load(Ordering::Relaxed)
    }

    pub(super) fn drop_from_stream(&self, count: usize) {
        self.stream_dropped
            .fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Notes that the shard is to be called; `false` when it already was.
    pub(crate) fn call(&self) -> bool {
        !self.called.swap(true, Ordering::AcqRel)
    }

    pub(super) fn clear_call(&self) {
        self.called.store(false, Ordering::Release);
    }
}

/// Work on a peer, done by its shard.
pub(crate) type Job = Box<dyn FnOnce(&mut Peer, Instant) + Send>;

/// What others ask of a shard.
pub(crate) enum Command {
    /// Takes a peer in; answers with its key.
    Open(Box<Peer>, Arc<Link>, Sender<Key>),
    /// Works on a peer.
    Run(Key, Job),
    /// Gives a peer up.
    Close(Key),
    /// A name was resolved.
    Resolved(Key, QueryId, Vec<IpAddr>),
    /// Ends the shard.
    Stop,
}

thread_local! {
    /// The shard at work on this thread; 0 for none.
    static AT_WORK: Cell<u64> = const { Cell::new(0) };
}

/// Numbers of shards.
static NUMBERS: AtomicU64 = AtomicU64::new(1);

/// Sends commands to a shard and wakes it.
#[derive(Clone)]
pub(crate) struct Handle {
    commands: Sender<Command>,
    waker: Arc<Waker>,
    /// Peers to look after: their outbox has something, or their mailbox has room again.
    calls: Arc<Mutex<Vec<Key>>>,
    /// Datagrams on the port that its peers share that were for none of them.
    strays: Arc<AtomicU64>,
    number: u64,
}

impl Handle {
    pub(super) fn new(commands: Sender<Command>, waker: Arc<Waker>) -> Self {
        Handle {
            commands,
            waker,
            calls: Arc::default(),
            strays: Arc::default(),
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// Hands a command over; `false` when the shard has ended.
    pub(crate) fn send(&self, command: Command) -> bool {
        self.commands.send(command).is_ok() && self.waker.wake().is_ok()
    }

    /// Asks the shard to look after a peer. `false` when it cannot be woken.
    pub(crate) fn call(&self, key: Key) -> bool {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.push(key);
        drop(calls);
        self.waker.wake().is_ok()
    }

    /// Takes the calls, for an empty list.
    pub(super) fn take_calls(&self, empty: &mut Vec<Key>) {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut *calls, empty);
    }

    /// Datagrams on the port that the peers of the shard share that were for none of them.
    pub(crate) fn strays(&self) -> u64 {
        self.strays.load(Ordering::Relaxed)
    }

    pub(super) fn add_strays(&self, count: u64) {
        self.strays.fetch_add(count, Ordering::Relaxed);
    }

    /// Whether the caller is called by the shard itself, which therefore cannot be waited for.
    pub(crate) fn is_inside(&self) -> bool {
        AT_WORK.get() == self.number
    }

    /// Notes that the shard works on this thread until the answer is dropped.
    pub(super) fn enter(&self) -> Inside {
        Inside(AT_WORK.replace(self.number))
    }
}

/// The shard that was at work before.
pub(super) struct Inside(u64);

impl Drop for Inside {
    fn drop(&mut self) {
        AT_WORK.set(self.0);
    }
}
