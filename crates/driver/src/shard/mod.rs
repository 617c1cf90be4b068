//! A shard: peers, their sockets and their timers on one thread.
//!
//! One turn of its loop:
//! 1. wait for sockets, commands or the next deadline;
//! 2. carry out commands;
//! 3. read what arrived, a bounded batch from each socket, and hand it to the peers;
//! 4. fire deadlines;
//! 5. service every peer that was touched: its actions, its outbox, its trains, its events.

mod slot;
mod socket;
mod timers;

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::time::Duration;

use esp_peer::Peer;
use esp_wire::{Input, Instant, Interface, QueryId, Train};
use mio::{Events, Poll, Token, Waker};
use slab::Slab;

use self::slot::{Port, Serviced, Slot};
use self::socket::Receiver as Datagrams;
use self::timers::Timers;
use crate::mailbox::Mailbox;
use crate::outbox::Outbox;
use crate::pool::Pool;
use crate::resolver::Resolver;
use crate::{Clock, DriverConfig, interfaces};

const WAKE: Token = Token(usize::MAX);
/// Batches read from one socket before the next one gets its turn.
const READS: usize = 4;

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
}

impl Link {
    pub(crate) fn new(outbox: Outbox, mailbox: Mailbox) -> Self {
        Link {
            outbox,
            mailbox,
            called: AtomicBool::new(false),
        }
    }

    /// Notes that the shard is to be called; `false` when it already was.
    pub(crate) fn call(&self) -> bool {
        !self.called.swap(true, Ordering::AcqRel)
    }

    fn clear_call(&self) {
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
    /// Looks after a peer: its outbox has something, or its mailbox has room again.
    Service(Key),
    /// Gives a peer up.
    Close(Key),
    /// A name was resolved.
    Resolved(Key, QueryId, Vec<IpAddr>),
    /// Ends the shard.
    Stop,
}

/// Sends commands to a shard and wakes it.
#[derive(Clone)]
pub(crate) struct Handle {
    commands: Sender<Command>,
    waker: Arc<Waker>,
}

impl Handle {
    /// Hands a command over; `false` when the shard has ended.
    pub(crate) fn send(&self, command: Command) -> bool {
        self.commands.send(command).is_ok() && self.waker.wake().is_ok()
    }
}

/// The peers of one thread.
pub(crate) struct Shard {
    poll: Poll,
    events: Events,
    commands: Receiver<Command>,
    handle: Handle,
    clock: Clock,
    config: DriverConfig,
    pool: Option<Arc<Pool>>,
    resolver: Arc<Resolver>,
    slots: Slab<Slot>,
    /// Whose socket a token is.
    ports: Slab<Port>,
    timers: Timers,
    datagrams: Datagrams,
    train: Train,
    /// Sockets that have more to read.
    readable: VecDeque<usize>,
    /// Slots to be serviced in this turn.
    touched: Vec<usize>,
    interfaces: Vec<Interface>,
    interfaces_seen: Option<Instant>,
    serial: u64,
    stopped: bool,
}

impl Shard {
    /// A shard whose events are delivered by `pool`, or by its owner when there is none.
    pub(crate) fn new(
        clock: Clock,
        config: DriverConfig,
        pool: Option<Arc<Pool>>,
        resolver: Arc<Resolver>,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        let (sender, commands) = channel();
        Ok(Shard {
            poll,
            events: Events::with_capacity(256),
            commands,
            handle: Handle {
                commands: sender,
                waker,
            },
            clock,
            config,
            pool,
            resolver,
            slots: Slab::new(),
            ports: Slab::new(),
            timers: Timers::default(),
            datagrams: Datagrams::new(),
            train: Train::with_capacity(Train::MAX_BYTES),
            readable: VecDeque::new(),
            touched: Vec::new(),
            interfaces: Vec::new(),
            interfaces_seen: None,
            serial: 0,
            stopped: false,
        })
    }

    pub(crate) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Runs until it is stopped.
    pub(crate) fn run(mut self) {
        while !self.stopped {
            if let Err(error) = self.turn(None) {
                tracing::error!(%error, "the shard cannot wait for its sockets");
                break;
            }
        }
    }

    /// One turn; waits for at most `longest`.
    pub(crate) fn turn(&mut self, longest: Option<Duration>) -> io::Result<()> {
        let wait = self.next_wait(longest);
        match self.poll.poll(&mut self.events, wait) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => self.note_ready(),
        }
        self.carry_out_commands();
        self.read_sockets();
        self.watch_interfaces();
        self.fire_deadlines();
        self.service_touched();
        Ok(())
    }

    fn next_wait(&mut self, longest: Option<Duration>) -> Option<Duration> {
        if !self.readable.is_empty() || !self.touched.is_empty() {
            return Some(Duration::ZERO);
        }
        let now = self.clock.now();
        let timer = self.timers.next().map(|at| at.since(now));
        let look = (!self.slots.is_empty()).then(|| {
            let seen = self.interfaces_seen.unwrap_or(now);
            (seen + self.config.interface_interval).since(now)
        });
        [longest, timer, look].into_iter().flatten().min()
    }

    fn note_ready(&mut self) {
        for event in &self.events {
            let Token(token) = event.token();
            let Some(port) = self.ports.get_mut(token) else {
                continue;
            };
            if (event.is_readable() || event.is_error()) && !port.queued {
                port.queued = true;
                self.readable.push_back(token);
            }
            if event.is_writable()
                && let Some(slot) = self.slots.get_mut(port.place)
                && slot.on_writable(port.socket, self.clock.now())
            {
                touch(&mut self.touched, slot, port.place);
            }
        }
    }

    pub(crate) fn carry_out_commands(&mut self) {
        loop {
            match self.commands.try_recv() {
                Ok(command) => self.carry_out(command),
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => {
                    self.stopped = true;
                    return;
                }
            }
        }
    }

    fn carry_out(&mut self, command: Command) {
        let now = self.clock.now();
        match command {
            Command::Open(peer, link, answer) => {
                let key = self.open(*peer, link);
                // Whoever asked may be gone; then nobody closes it but the end of the shard.
                if answer.send(key).is_err() {
                    self.close(key);
                }
            }
            Command::Run(key, job) => {
                if let Some(slot) = self.slot(key) {
                    job(&mut slot.peer, now);
                    self.touch(key.place);
                }
            }
            Command::Service(key) => {
                if let Some(slot) = self.slot(key) {
                    slot.link.clear_call();
                    self.touch(key.place);
                }
            }
            Command::Close(key) => self.close(key),
            Command::Resolved(key, query, addresses) => {
                if let Some(slot) = self.slot(key) {
                    slot.input(
                        now,
                        Input::Resolved {
                            query,
                            addresses: &addresses,
                        },
                    );
                    self.touch(key.place);
                }
            }
            Command::Stop => self.stopped = true,
        }
    }

    fn slot(&mut self, key: Key) -> Option<&mut Slot> {
        self.slots
            .get_mut(key.place)
            .filter(|slot| slot.key.serial == key.serial)
    }

    fn touch(&mut self, place: usize) {
        if let Some(slot) = self.slots.get_mut(place) {
            touch(&mut self.touched, slot, place);
        }
    }

    pub(crate) fn open(&mut self, peer: Peer, link: Arc<Link>) -> Key {
        self.serial += 1;
        let entry = self.slots.vacant_entry();
        let key = Key {
            place: entry.key(),
            serial: self.serial,
        };
        entry.insert(Slot::new(key, peer, link));
        if self.interfaces_seen.is_none() || self.slots.len() == 1 {
            self.look_at_interfaces();
        }
        let now = self.clock.now();
        if let Some(slot) = self.slots.get_mut(key.place) {
            slot.input(now, Input::Interfaces(&self.interfaces));
        }
        self.touch(key.place);
        key
    }

    fn close(&mut self, key: Key) {
        if self.slot(key).is_none() {
            return;
        }
        let mut slot = self.slots.remove(key.place);
        let now = self.clock.now();
        slot.farewell(now, &mut self.train);
        for port in slot.release(self.poll.registry()) {
            self.ports.try_remove(port);
        }
        self.touched.retain(|&place| place != key.place);
        self.resolver.forget(key.serial);
    }

    fn look_at_interfaces(&mut self) -> bool {
        self.interfaces_seen = Some(self.clock.now());
        match interfaces() {
            Ok(found) if found != self.interfaces => {
                self.interfaces = found;
                true
            }
            Ok(_) => false,
            Err(error) => {
                tracing::warn!(%error, "the addresses of this host cannot be read");
                false
            }
        }
    }

    fn watch_interfaces(&mut self) {
        let now = self.clock.now();
        let due = self
            .interfaces_seen
            .is_some_and(|seen| now >= seen + self.config.interface_interval);
        if !due || self.slots.is_empty() || !self.look_at_interfaces() {
            return;
        }
        for (place, slot) in &mut self.slots {
            slot.input(now, Input::Interfaces(&self.interfaces));
            touch(&mut self.touched, slot, place);
        }
    }

    fn read_sockets(&mut self) {
        let now = self.clock.now();
        for _ in 0..self.readable.len() {
            let Some(token) = self.readable.pop_front() else {
                return;
            };
            let Some(port) = self.ports.get_mut(token) else {
                continue;
            };
            port.queued = false;
            let (place, socket) = (port.place, port.socket);
            let Some(slot) = self.slots.get_mut(place) else {
                continue;
            };
            let more = slot.read(socket, now, &mut self.datagrams, READS);
            touch(&mut self.touched, slot, place);
            if more && let Some(port) = self.ports.get_mut(token) {
                port.queued = true;
                self.readable.push_back(token);
            }
        }
    }

    fn fire_deadlines(&mut self) {
        let now = self.clock.now();
        while let Some((place, serial)) = self.timers.pop_due(now) {
            let Some(slot) = self.slots.get_mut(place) else {
                continue;
            };
            if slot.key.serial == serial && slot.deadline.is_some_and(|at| at <= now) {
                slot.deadline = None;
                slot.peer.handle_timeout(now);
                touch(&mut self.touched, slot, place);
            }
        }
    }

    fn service_touched(&mut self) {
        let now = self.clock.now();
        for place in std::mem::take(&mut self.touched) {
            let Some(slot) = self.slots.get_mut(place) else {
                continue;
            };
            slot.touched = false;
            let serviced = slot.service(
                now,
                &mut Serviced {
                    registry: self.poll.registry(),
                    ports: &mut self.ports,
                    train: &mut self.train,
                    resolver: &self.resolver,
                    handle: &self.handle,
                    config: &self.config,
                },
            );
            if serviced.mail
                && let Some(pool) = &self.pool
            {
                pool.submit(Arc::clone(&slot.link));
            }
            let deadline = slot.peer.poll_timeout().map(|deadline| deadline.at);
            if deadline != slot.deadline {
                slot.deadline = deadline;
                if let Some(at) = deadline {
                    self.timers.set(at, place, slot.key.serial);
                }
            }
            if serviced.more {
                self.touch(place);
            }
        }
    }
}

fn touch(touched: &mut Vec<usize>, slot: &mut Slot, place: usize) {
    if !slot.touched {
        slot.touched = true;
        touched.push(place);
    }
}
