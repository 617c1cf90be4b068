//! A shard: peers, their sockets and their timers on one thread.
//!
//! One turn of its loop:
//! 1. wait for sockets, commands or the next deadline;
//! 2. carry out commands;
//! 3. read what arrived, a bounded batch from each socket, and hand it to the peers;
//! 4. fire deadlines;
//! 5. service every peer that was touched: its actions, its outbox, its trains, its events.
//!
//! | what | where |
//! |---|---|
//! | the way in: a batch of a socket, or bytes of a stream, to the peer | `socket.rs`, `stream/`, `slot.rs` |
//! | its end: what the peer reports, into the mailbox | `mail.rs`, `gate.rs` |
//! | the way out: from the outbox to the peer, its trains to a socket or a stream | `sending.rs`, `socket.rs`, `stream/` |
//! | what the network answers, ECN marks, IP fragments | `icmp.rs`, `socket.rs`, `fragments.rs` |
//! | what a peer asks for: sockets, streams, names | `actions.rs`, `names.rs` |
//! | sockets that all peers use | `common.rs` |
//! | what the poll watches; deadlines | `registered.rs`, `timers.rs` |
//! | addresses of this host, and word of their changes | `addresses.rs`, `watch.rs` |
//! | peers that come and go, or panic | `tenants.rs`, `rescue.rs` |
//! | how other threads reach the shard | `link.rs` |

mod actions;
mod addresses;
mod common;
mod fragments;
mod gate;
mod icmp;
mod link;
mod mail;
mod names;
mod registered;
mod rescue;
mod sending;
mod slot;
mod socket;
mod stream;
mod tenants;
mod timers;
mod tls;
mod watch;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::Duration;

use esp_wire::{Instant, Interface, Train};
use mio::{Events, Poll, Token, Waker};
use slab::Slab;

use self::common::Commons;
pub(crate) use self::link::{Command, Handle, Job, Key, Link};
use self::registered::Registered;
use self::slot::{Shared, Slot};
use self::socket::Receiver as Datagrams;
use self::stream::Tools;
use self::timers::Timers;
use self::watch::Watch;
use crate::mailbox::Batch;
use crate::outbox::Done;
use crate::pool::Pool;
use crate::resolver::Resolver;
use crate::trust::TlsClient;
use crate::{Clock, DriverConfig};

const WAKE: Token = Token(usize::MAX);
const WATCH: Token = Token(usize::MAX - 1);
/// Batches read from one socket before the next one gets its turn.
const READS: usize = 4;

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
    tls: TlsClient,
    /// Each apart, so that room for more to come is small.
    slots: Slab<Box<Slot>>,
    /// The peer that is being worked on, to know whose defect it is when that panics.
    current: Option<usize>,
    /// What the poll watches, by token.
    registered: Slab<Registered>,
    /// Sockets that all peers use.
    commons: Commons,
    /// Their UDP port.
    common_port: Option<u16>,
    timers: Timers,
    datagrams: Datagrams,
    train: Train,
    /// What one peer's service notes for its outbox and its mailbox.
    done: Done,
    batch: Batch,
    /// Trains that nothing waits in any more.
    trains: Vec<Train>,
    /// Memory for the calls of one turn.
    calls: Vec<Key>,
    /// Sockets that have more to read.
    readable: VecDeque<usize>,
    /// Slots to be serviced in this turn.
    touched: VecDeque<usize>,
    interfaces: Vec<Interface>,
    interfaces_seen: Option<Instant>,
    /// When they are to be looked at again.
    interfaces_due: Option<Instant>,
    watch: Option<Watch>,
    stopped: bool,
}

impl Shard {
    /// A shard whose events are delivered by `pool`, or by its owner when there is none.
    pub(crate) fn new(
        clock: Clock,
        config: DriverConfig,
        pool: Option<Arc<Pool>>,
        resolver: Arc<Resolver>,
        number: usize,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        let (sender, commands) = channel();
        let common_port = Shard::common_port(&config, number);
        let datagrams = Datagrams::new(config.receive_memory);
        let train = Train::with_capacity(config.send_memory.min(Train::MAX_BYTES));
        let batch = Batch::for_mailboxes(config.mailbox_bytes);
        Ok(Shard {
            watch: Watch::open(poll.registry(), WATCH),
            tls: TlsClient::new(config.server_trust.clone()),
            poll,
            events: Events::with_capacity(256),
            commands,
            handle: Handle::new(sender, waker),
            clock,
            config,
            pool,
            resolver,
            slots: Slab::new(),
            current: None,
            registered: Slab::new(),
            commons: Commons::default(),
            common_port,
            timers: Timers::default(),
            datagrams,
            train,
            done: Done::default(),
            batch,
            trains: Vec::new(),
            calls: Vec::new(),
            readable: VecDeque::new(),
            touched: VecDeque::new(),
            interfaces: Vec::new(),
            interfaces_seen: None,
            interfaces_due: None,
            stopped: false,
        })
    }

    pub(crate) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// One turn; waits for at most `longest`.
    pub(crate) fn turn(&mut self, longest: Option<Duration>) -> io::Result<()> {
        let _inside = self.handle.enter();
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
        self.current = None;
        Ok(())
    }

    fn next_wait(&mut self, longest: Option<Duration>) -> Option<Duration> {
        if !self.readable.is_empty() || !self.touched.is_empty() {
            return Some(Duration::ZERO);
        }
        let now = self.clock.now();
        let timer = self.timers.next().map(|at| at.since(now));
        let look = self
            .interfaces_due
            .filter(|_| !self.slots.is_empty())
            .map(|at| at.since(now));
        [longest, timer, look].into_iter().flatten().min()
    }

    fn note_ready(&mut self) {
        let mut changed = false;
        let mut writable = Vec::new();
        for event in &self.events {
            if event.token() == WATCH {
                changed = true;
                continue;
            }
            let Token(token) = event.token();
            let Some(known) = self.registered.get_mut(token) else {
                continue;
            };
            known.failing |= event.is_error();
            let readable = event.is_readable() || event.is_error() || known.stream;
            if readable && !known.queued {
                known.queued = true;
                self.readable.push_back(token);
            }
            if let Some(number) = known.common {
                if event.is_writable() {
                    writable.push(number);
                }
                continue;
            }
            if event.is_writable()
                && !known.stream
                && let Some(slot) = self.slots.get_mut(known.place)
            {
                self.current = Some(known.place);
                if slot.on_writable(known.socket, self.clock.now(), self.poll.registry()) {
                    touch(&mut self.touched, slot, known.place);
                }
            }
        }
        for number in writable {
            self.on_common_writable(number);
        }
        if changed {
            self.on_word();
        }
    }

    /// Looks after the peers that called.
    fn answer_calls(&mut self) {
        let mut calls = std::mem::take(&mut self.calls);
        self.handle.take_calls(&mut calls);
        for key in calls.drain(..) {
            if let Some(slot) = self.slot(key) {
                slot.link.clear_call();
                self.touch(key.place);
            }
        }
        self.calls = calls;
    }

    pub(crate) fn carry_out_commands(&mut self) {
        let _inside = self.handle.enter();
        self.answer_calls();
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
                self.current = Some(key.place);
                if let Some(slot) = self.slot(key) {
                    job(&mut slot.peer, now);
                    self.touch(key.place);
                }
            }
            Command::Close(key) => self.close(key),
            Command::Resolved(key, query, addresses) => {
                self.current = Some(key.place);
                if let Some(slot) = self.slot(key) {
                    slot.on_resolved(now, query, &addresses);
                    self.touch(key.place);
                }
            }
            Command::Stop => self.stopped = true,
        }
    }

    fn slot(&mut self, key: Key) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(key.place)?;
        (slot.key.serial == key.serial).then_some(&mut **slot)
    }

    fn touch(&mut self, place: usize) {
        if let Some(slot) = self.slots.get_mut(place) {
            touch(&mut self.touched, slot, place);
        }
    }

    fn read_sockets(&mut self) {
        let now = self.clock.now();
        for _ in 0..self.readable.len() {
            let Some(token) = self.readable.pop_front() else {
                return;
            };
            let Some(known) = self.registered.get_mut(token) else {
                continue;
            };
            known.queued = false;
            let (place, socket, stream) = (known.place, known.socket, known.stream);
            let failing = std::mem::take(&mut known.failing);
            if let Some(number) = known.common {
                if self.read_common(number, failing) {
                    self.read_again(token);
                }
                continue;
            }
            let Some(slot) = self.slots.get_mut(place) else {
                continue;
            };
            self.current = Some(place);
            let more = if stream {
                slot.drive_stream(
                    socket,
                    &mut Tools {
                        registry: self.poll.registry(),
                        registered: &mut self.registered,
                        place,
                        config: &self.config,
                        tls: &self.tls,
                        now,
                        scratch: self.datagrams.scratch(),
                    },
                )
            } else {
                if failing {
                    slot.read_answers(socket, now);
                }
                slot.read(socket, now, &mut self.datagrams, READS)
            };
            touch(&mut self.touched, slot, place);
            if more {
                self.read_again(token);
            }
        }
    }

    fn read_again(&mut self, token: usize) {
        if let Some(known) = self.registered.get_mut(token)
            && !known.queued
        {
            known.queued = true;
            self.readable.push_back(token);
        }
    }

    fn fire_deadlines(&mut self) {
        let now = self.clock.now();
        while let Some(place) = self.timers.pop_due(now) {
            let Some(slot) = self.slots.get_mut(place) else {
                continue;
            };
            self.current = Some(place);
            slot.deadline = None;
            slot.handle_timeout(&mut Tools {
                registry: self.poll.registry(),
                registered: &mut self.registered,
                place,
                config: &self.config,
                tls: &self.tls,
                now,
                scratch: self.datagrams.scratch(),
            });
            touch(&mut self.touched, slot, place);
        }
    }

    fn service_touched(&mut self) {
        let now = self.clock.now();
        // What is touched meanwhile has its turn next time.
        for _ in 0..self.touched.len() {
            let Some(place) = self.touched.pop_front() else {
                return;
            };
            let Some(slot) = self.slots.get_mut(place) else {
                continue;
            };
            self.current = Some(place);
            slot.touched = false;
            let outcome = slot.service(
                now,
                &mut Shared {
                    tools: Tools {
                        registry: self.poll.registry(),
                        registered: &mut self.registered,
                        place,
                        config: &self.config,
                        tls: &self.tls,
                        now,
                        scratch: self.datagrams.scratch(),
                    },
                    train: &mut self.train,
                    trains: &mut self.trains,
                    done: &mut self.done,
                    batch: &mut self.batch,
                    resolver: &self.resolver,
                    handle: &self.handle,
                    commons: &mut self.commons,
                    common_port: self.common_port,
                },
            );
            self.commons.learn(now, slot);
            if outcome.mail
                && let Some(pool) = &self.pool
            {
                pool.submit(Arc::clone(&slot.link));
            }
            let deadline = slot.poll_timeout();
            if deadline != slot.deadline {
                self.timers.change(place, slot.deadline, deadline);
                slot.deadline = deadline;
            }
            if outcome.more {
                self.touch(place);
            }
        }
    }
}

fn touch(touched: &mut VecDeque<usize>, slot: &mut Slot, place: usize) {
    if !slot.touched {
        slot.touched = true;
        touched.push_back(place);
    }
}
