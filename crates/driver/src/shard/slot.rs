//! One peer on a shard: its sockets, and how it is serviced.

use std::sync::Arc;

use esp_peer::{Error, Event, Peer, State};
use esp_wire::{Action, DataFrame, Frame, Input, Instant, Kind, SocketId, Train};
use mio::{Interest, Registry, Token};
use slab::Slab;

use super::socket::{Read, Receiver, Sent, Socket};
use super::{Handle, Key, Link};
use crate::DriverConfig;
use crate::outbox::Gate;
use crate::resolver::Resolver;

/// Trains that one peer sends before the next one gets its turn.
const TRAINS: usize = 16;
/// Events of one peer that are put into its mailbox before the next one gets its turn.
const EVENTS: usize = 256;
/// Frames and messages taken out of the outbox in one turn.
const SENDS: usize = 64;

/// The socket of a peer that a token stands for.
pub(super) struct Port {
    pub(super) place: usize,
    pub(super) socket: SocketId,
    /// In line to be read.
    pub(super) queued: bool,
}

/// What a slot needs of its shard while it is serviced.
pub(super) struct Serviced<'a> {
    pub(super) registry: &'a Registry,
    pub(super) ports: &'a mut Slab<Port>,
    pub(super) train: &'a mut Train,
    pub(super) resolver: &'a Resolver,
    pub(super) handle: &'a Handle,
    pub(super) config: &'a DriverConfig,
}

/// How a service ended.
#[derive(Default)]
pub(super) struct Outcome {
    /// The mailbox must be put in line for delivery.
    pub(super) mail: bool,
    /// There is more to do than one turn allows.
    pub(super) more: bool,
}

/// A train that its socket was too full to take.
struct Stuck {
    socket: SocketId,
    train: Train,
    progress: usize,
}

/// A peer and what its shard keeps for it.
pub(super) struct Slot {
    pub(super) key: Key,
    pub(super) peer: Peer,
    pub(super) link: Arc<Link>,
    pub(super) deadline: Option<Instant>,
    pub(super) touched: bool,
    sockets: Vec<(SocketId, Socket)>,
    stuck: Option<Stuck>,
    /// The peer takes no data until its own memory has room.
    data_blocked: bool,
}

impl Slot {
    pub(super) fn new(key: Key, peer: Peer, link: Arc<Link>) -> Self {
        Slot {
            key,
            peer,
            link,
            deadline: None,
            touched: false,
            sockets: Vec::new(),
            stuck: None,
            data_blocked: false,
        }
    }

    /// Hands an input to the peer.
    pub(super) fn input(&mut self, now: Instant, input: Input<'_>) {
        if let Err(error) = self.peer.handle_input(now, input) {
            tracing::debug!(%error, "the peer refused an input");
        }
    }

    /// Reads from a socket; `true` when it has more.
    pub(super) fn read(
        &mut self,
        socket: SocketId,
        now: Instant,
        receiver: &mut Receiver,
        batches: usize,
    ) -> bool {
        let Some((_, io)) = self.sockets.iter().find(|(id, _)| *id == socket) else {
            return false;
        };
        let peer = &mut self.peer;
        for _ in 0..batches {
            let read = io.read(socket, now, receiver, |now, input| {
                if let Err(error) = peer.handle_input(now, input) {
                    tracing::debug!(%error, "the peer refused a datagram");
                }
            });
            if matches!(read, Read::Empty) {
                return false;
            }
        }
        true
    }

    /// A socket takes datagrams again: `true` when that concerns this peer.
    pub(super) fn on_writable(&mut self, socket: SocketId, now: Instant) -> bool {
        if self
            .stuck
            .as_ref()
            .is_none_or(|stuck| stuck.socket != socket)
        {
            return false;
        }
        self.input(now, Input::Writable { socket });
        true
    }

    /// Does everything that the peer has to do now.
    pub(super) fn service(&mut self, now: Instant, shard: &mut Serviced<'_>) -> Outcome {
        let mut outcome = Outcome::default();
        self.take_actions(now, shard);
        outcome.more |= self.empty_outbox(now);
        outcome.more |= self.send_trains(now, shard.train);
        outcome.more |= self.fill_mailbox(&mut outcome.mail);
        // Events may free what was waiting: a writable association takes messages again.
        self.take_actions(now, shard);
        outcome
    }

    fn take_actions(&mut self, now: Instant, shard: &mut Serviced<'_>) {
        while let Some(action) = self.peer.poll_action() {
            match action {
                Action::Bind { socket, local } => self.bind(now, socket, local, shard),
                Action::OpenStream { stream, .. } => self.input(
                    now,
                    Input::Closed {
                        socket: stream,
                        reason: "streams are not supported",
                    },
                ),
                Action::Close { socket } => self.close_socket(socket, shard),
                Action::Resolve { query, name, by } => {
                    shard
                        .resolver
                        .resolve(shard.handle.clone(), self.key, query, name, by);
                }
            }
        }
    }

    fn bind(
        &mut self,
        now: Instant,
        id: SocketId,
        local: std::net::SocketAddr,
        shard: &mut Serviced<'_>,
    ) {
        let opened = Socket::bind(local, shard.config).and_then(|(mut socket, local)| {
            let token = shard.ports.insert(Port {
                place: self.key.place,
                socket: id,
                queued: false,
            });
            socket.token = token;
            let interest = Interest::READABLE | Interest::WRITABLE;
            match shard
                .registry
                .register(&mut socket.io, Token(token), interest)
            {
                Ok(()) => Ok((socket, local)),
                Err(error) => {
                    shard.ports.remove(token);
                    Err(error)
                }
            }
        });
        match opened {
            Ok((socket, local)) => {
                self.sockets.push((id, socket));
                self.input(now, Input::Bound { socket: id, local });
            }
            Err(error) => self.input(
                now,
                Input::Closed {
                    socket: id,
                    reason: &format!("{local}: {error}"),
                },
            ),
        }
    }

    fn close_socket(&mut self, id: SocketId, shard: &mut Serviced<'_>) {
        let Some(at) = self.sockets.iter().position(|(other, _)| *other == id) else {
            return;
        };
        let (_, mut socket) = self.sockets.swap_remove(at);
        // Closing the descriptor deregisters it anyway.
        let _ = shard.registry.deregister(&mut socket.io);
        shard.ports.try_remove(socket.token);
        if self.stuck.as_ref().is_some_and(|stuck| stuck.socket == id) {
            self.stuck = None;
        }
    }

    /// Hands what the application sent to the peer; `true` when more waits.
    fn empty_outbox(&mut self, now: Instant) -> bool {
        let outbox = &self.link.outbox;
        for _ in 0..SENDS {
            let Some(media) = outbox.pop_media() else {
                break;
            };
            let frame = Frame {
                pts: media.pts,
                data: &media.data,
            };
            let sent = match media.kind {
                Kind::Audio => self.peer.send_audio(now, frame),
                Kind::Video => self.peer.send_video(now, frame),
            };
            if let Err(error) = sent {
                tracing::trace!(%error, "a frame was not sent");
            }
            outbox.recycle(media.data);
        }
        if self.data_blocked {
            return false;
        }
        for _ in 0..SENDS {
            let Some(message) = outbox.pop_data() else {
                return false;
            };
            let frame = DataFrame {
                kind: message.kind,
                stream_id: message.stream_id,
                data: &message.data,
            };
            match self.peer.send_data(now, frame) {
                Err(Error::WouldBlock) => {
                    self.data_blocked = true;
                    outbox.unpop_data(message);
                    return false;
                }
                Err(error) => {
                    tracing::debug!(%error, "a message was not sent");
                    outbox.recycle(message.data);
                }
                Ok(()) => outbox.recycle(message.data),
            }
        }
        true
    }

    /// Sends what the peer has; `true` when more waits.
    fn send_trains(&mut self, now: Instant, train: &mut Train) -> bool {
        if let Some(mut stuck) = self.stuck.take()
            && !self.push(stuck.socket, &mut stuck.train, &mut stuck.progress, now)
        {
            self.stuck = Some(stuck);
            return false;
        }
        for _ in 0..TRAINS {
            if !self.peer.poll_transmit(now, train) {
                return false;
            }
            let Some(to) = train.destination() else {
                continue;
            };
            let mut progress = 0;
            if !self.push(to.socket, train, &mut progress, now) {
                self.stuck = Some(Stuck {
                    socket: to.socket,
                    train: std::mem::replace(train, Train::with_capacity(Train::MAX_BYTES)),
                    progress,
                });
                return false;
            }
        }
        true
    }

    /// `false` when the socket is full.
    fn push(
        &mut self,
        id: SocketId,
        train: &mut Train,
        progress: &mut usize,
        now: Instant,
    ) -> bool {
        let Some((_, socket)) = self.sockets.iter().find(|(other, _)| *other == id) else {
            return true;
        };
        match socket.send(train, progress) {
            Sent::Done => true,
            Sent::Full => false,
            Sent::Refused => {
                if let Some(to) = train.destination() {
                    self.input(
                        now,
                        Input::Unreachable {
                            socket: id,
                            remote: to.remote,
                        },
                    );
                }
                true
            }
        }
    }

    /// Puts the peer's events into the mailbox; `true` when more wait.
    fn fill_mailbox(&mut self, mail: &mut bool) -> bool {
        for _ in 0..EVENTS {
            self.peer.set_delivery(self.link.mailbox.accepts_data());
            let Some(event) = self.peer.poll_event() else {
                return self.call_writable(mail);
            };
            if let Event::Writable(_) = event {
                self.data_blocked = false;
                continue;
            }
            let gate = Gated::of(&event);
            *mail |= self.link.mailbox.put(event);
            if let Some(gate) = gate {
                self.apply(gate);
            }
        }
        true
    }

    /// Tells channels that were refused that there is room; `true` when the outbox can go on.
    fn call_writable(&mut self, mail: &mut bool) -> bool {
        for stream_id in self.link.outbox.take_writable() {
            *mail |= self.link.mailbox.put(Event::Writable(stream_id));
        }
        !self.data_blocked && self.link.outbox.data_bytes() > 0
    }

    fn apply(&mut self, gate: Gated) {
        let outbox = &self.link.outbox;
        match gate {
            Gated::Connected => outbox.set_gate(|gate| gate.connected = true),
            Gated::Ended => {
                self.data_blocked = false;
                outbox.clear(false);
            }
            Gated::Media { audio, video } => outbox.set_gate(|gate: &mut Gate| {
                gate.audio = audio;
                gate.video = video;
            }),
            Gated::Channel(stream_id, true) => {
                let max_message = self.peer.max_send_message();
                outbox.set_gate(|gate| {
                    gate.channels.insert(stream_id);
                    gate.max_message = max_message;
                });
            }
            Gated::Channel(stream_id, false) => outbox.set_gate(|gate| {
                gate.channels.remove(&stream_id);
            }),
        }
    }

    /// Says goodbye to the network as far as one turn allows.
    pub(super) fn farewell(&mut self, now: Instant, train: &mut Train) {
        self.peer.close(now);
        self.send_trains(now, train);
        self.link.outbox.clear(true);
    }

    /// Gives the sockets back; the tokens that become free.
    pub(super) fn release(mut self, registry: &Registry) -> Vec<usize> {
        let free = |(_, mut socket): (SocketId, Socket)| {
            let _ = registry.deregister(&mut socket.io);
            socket.token
        };
        self.sockets.drain(..).map(free).collect()
    }
}

/// What an event changes about what may be sent.
enum Gated {
    Connected,
    Ended,
    Media { audio: bool, video: bool },
    Channel(u16, bool),
}

impl Gated {
    fn of(event: &Event<'_>) -> Option<Gated> {
        match event {
            Event::State(State::Connected) => Some(Gated::Connected),
            Event::State(State::Disconnected | State::ConnectFailed | State::Closed) => {
                Some(Gated::Ended)
            }
            Event::Negotiated(media) => Some(Gated::Media {
                audio: media.audio.is_some(),
                video: media.video.is_some(),
            }),
            Event::ChannelOpen(channel) => Some(Gated::Channel(channel.stream_id, true)),
            Event::ChannelClose(channel) => Some(Gated::Channel(channel.stream_id, false)),
            _ => None,
        }
    }
}
