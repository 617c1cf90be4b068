//! One peer on a shard: its sockets, and how it is serviced.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use esp_peer::{Event, Notice, Peer, State};
use esp_wire::{Action, DataFrame, Input, Instant, QueryId, SocketId, Train};
use mio::Registry;

use super::common::{Commons, Note};
use super::gate::Gated;
use super::names::Names;
use super::sending::Stuck;
use super::socket::{Read, Receiver, Socket};
use super::stream::{Opening, Streams, Tools};
use super::{Handle, Key, Link};
use crate::mailbox::{Batch, Letter};
use crate::outbox::{Done, Message};
use crate::resolver::Resolver;

/// Events of one peer that are put into its mailbox before the next one gets its turn.
const EVENTS: usize = 256;

/// The socket of a peer that a token stands for.
pub(super) struct Port {
    pub(super) place: usize,
    pub(super) socket: SocketId,
    /// In line to be read.
    pub(super) queued: bool,
    /// The system has an error to tell.
    pub(super) failing: bool,
    /// A stream or a listener.
    pub(super) stream: bool,
    /// A socket that all peers use, by its number.
    pub(super) common: Option<usize>,
}

impl Port {
    fn of_socket(place: usize, socket: SocketId) -> Self {
        Port {
            place,
            socket,
            queued: false,
            failing: false,
            stream: false,
            common: None,
        }
    }

    pub(super) fn of_common(number: usize) -> Self {
        Port {
            common: Some(number),
            ..Port::of_socket(usize::MAX, SocketId(0))
        }
    }

    pub(super) fn of_stream(place: usize, socket: SocketId) -> Self {
        Port {
            stream: true,
            ..Port::of_socket(place, socket)
        }
    }
}

/// What a slot needs of its shard while it is serviced.
pub(super) struct Serviced<'a> {
    pub(super) tools: Tools<'a>,
    pub(super) train: &'a mut Train,
    pub(super) trains: &'a mut Vec<Train>,
    pub(super) done: &'a mut Done,
    pub(super) batch: &'a mut Batch,
    pub(super) resolver: &'a Resolver,
    pub(super) handle: &'a Handle,
    pub(super) commons: &'a mut Commons,
    pub(super) common_port: Option<u16>,
}

/// How a service ended.
#[derive(Default)]
pub(super) struct Outcome {
    /// The mailbox must be put in line for delivery.
    pub(super) mail: bool,
    /// There is more to do than one turn allows.
    pub(super) more: bool,
}

/// A peer and what its shard keeps for it.
pub(super) struct Slot {
    pub(super) key: Key,
    pub(super) peer: Peer,
    pub(super) link: Arc<Link>,
    pub(super) deadline: Option<Instant>,
    pub(super) touched: bool,
    pub(super) sockets: Vec<(SocketId, Arc<Socket>)>,
    /// Which of them all peers use.
    pub(super) commons: Vec<SocketId>,
    /// What such a socket has to know of what was sent.
    pub(super) notes: Vec<Note>,
    /// The last names by which checks call this peer.
    pub(super) names_told: [String; 2],
    pub(super) streams: Streams,
    names: Names,
    pub(super) stuck: Option<Stuck>,
    /// The peer takes no data until its own memory has room.
    pub(super) data_blocked: bool,
    /// Messages out of the outbox that the peer has not got yet.
    pub(super) pending: VecDeque<Message>,
    /// Channels whose message in parts has begun and not ended.
    pub(super) half_sent: Vec<u16>,
    /// Channels of which little waits in the peer, but not in the outbox.
    pub(super) low_later: Vec<u16>,
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
            commons: Vec::new(),
            notes: Vec::new(),
            names_told: Default::default(),
            streams: Streams::default(),
            names: Names::default(),
            stuck: None,
            data_blocked: false,
            pending: VecDeque::new(),
            half_sent: Vec::new(),
            low_later: Vec::new(),
        }
    }

    /// Hands an input to the peer.
    pub(super) fn input(&mut self, now: Instant, input: Input<'_>) {
        hand(&mut self.peer, now, input);
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
        let mut failed = 0;
        for _ in 0..batches {
            match io.read(socket, now, receiver, |now, input| hand(peer, now, input)) {
                Read::Empty => return false,
                Read::Failed => failed += 1,
                Read::Some => {}
            }
        }
        // A socket that has nothing but errors is not asked again before it calls.
        failed < batches
    }

    /// Hears what the network answered to datagrams of a socket.
    pub(super) fn read_answers(&mut self, socket: SocketId, now: Instant) {
        let Some((_, io)) = self.sockets.iter().find(|(id, _)| *id == socket) else {
            return;
        };
        let peer = &mut self.peer;
        io.read_answers(|remote, answer| {
            hand(peer, now, answer.input(socket, remote));
        });
    }

    /// Does what a stream or a listener can do; `true` when it can do more.
    pub(super) fn drive_stream(&mut self, id: SocketId, tools: &mut Tools<'_>) -> bool {
        let (peer, now) = (&mut self.peer, tools.now);
        self.streams
            .drive(tools, id, &mut |input| hand(peer, now, input))
    }

    /// The next deadline of the peer or of its streams.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let peer = self.peer.poll_timeout().map(|deadline| deadline.at);
        let (streams, names) = (self.streams.poll_timeout(), self.names.poll_timeout());
        [peer, streams, names].into_iter().flatten().min()
    }

    /// Does what is due.
    pub(super) fn handle_timeout(&mut self, tools: &mut Tools<'_>) {
        let (peer, now) = (&mut self.peer, tools.now);
        self.streams
            .handle_timeout(tools, &mut |input| hand(peer, now, input));
        while let Some(query) = self.names.pop_expired(now) {
            let addresses = &[];
            self.input(now, Input::Resolved { query, addresses });
        }
        self.peer.handle_timeout(now);
    }

    /// A name was resolved, or could not be; after its time, nobody cares any more.
    pub(super) fn on_resolved(&mut self, now: Instant, query: QueryId, addresses: &[IpAddr]) {
        if self.names.answer(query) {
            self.input(now, Input::Resolved { query, addresses });
        }
    }

    /// A socket takes datagrams again: `true` when that concerns this peer.
    pub(super) fn on_writable(
        &mut self,
        socket: SocketId,
        now: Instant,
        registry: &Registry,
    ) -> bool {
        self.await_room(socket, registry, false);
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

    /// Has the shard told when a socket has room, or not any more.
    fn await_room(&self, socket: SocketId, registry: &Registry, wanted: bool) {
        if let Some((_, io)) = self.sockets.iter().find(|(id, _)| *id == socket) {
            match wanted {
                true => io.await_room(registry),
                false => io.on_room(registry),
            }
        }
    }

    /// Does everything that the peer has to do now.
    pub(super) fn service(&mut self, now: Instant, shard: &mut Serviced<'_>) -> Outcome {
        let mut outcome = Outcome::default();
        self.take_actions(now, shard);
        outcome.more |= self.empty_outbox(now, shard.done);
        outcome.more |= self.send_trains(now, shard.train, shard.trains);
        if let Some(stuck) = &self.stuck {
            self.await_room(stuck.socket, shard.tools.registry, true);
        }
        outcome.more |= self.reap_streams(&mut shard.tools);
        outcome.more |= self.fill_mailbox(shard.batch, &mut outcome.mail);
        // Events may free what was waiting: a writable association takes messages again.
        self.take_actions(now, shard);
        outcome
    }

    fn take_actions(&mut self, now: Instant, shard: &mut Serviced<'_>) {
        while let Some(action) = self.peer.poll_action() {
            match action {
                Action::Bind { socket, local } => self.bind(now, socket, local, shard),
                Action::Listen { socket, local } => {
                    let opened = self.streams.listen(&mut shard.tools, socket, local);
                    self.answer(now, socket, opened.map_err(|why| format!("{local}: {why}")));
                }
                Action::OpenStream {
                    stream: id,
                    transport,
                    local,
                    remote,
                    server_name,
                } => {
                    let opening = Opening {
                        id,
                        transport,
                        local,
                        remote,
                        server_name,
                    };
                    if let Err(why) = self.streams.open(&mut shard.tools, opening) {
                        self.refuse(now, id, &why);
                    }
                }
                Action::Close { socket } => self.close_socket(socket, shard),
                Action::Publish { name, address } => {
                    shard.resolver.publish(self.key.serial, &name, address);
                }
                Action::Withdraw { name } => shard.resolver.withdraw(self.key.serial, &name),
                Action::Resolve { query, name, by } => {
                    self.names
                        .ask(query, now + shard.tools.config.resolve_timeout);
                    shard
                        .resolver
                        .resolve(shard.handle.clone(), self.key, query, name, by);
                }
            }
        }
    }

    fn answer(&mut self, now: Instant, socket: SocketId, opened: Result<SocketAddr, String>) {
        match opened {
            Ok(local) => self.input(now, Input::Bound { socket, local }),
            Err(why) => self.refuse(now, socket, &why),
        }
    }

    fn refuse(&mut self, now: Instant, socket: SocketId, reason: &str) {
        self.input(now, Input::Closed { socket, reason });
    }

    fn bind(&mut self, now: Instant, id: SocketId, local: SocketAddr, shard: &mut Serviced<'_>) {
        let tools = &mut shard.tools;
        let place = self.key.place;
        let shares = local.port() == 0 && !shard.commons.has_joined(place, local.ip());
        if let Some(port) = shard.common_port.filter(|_| shares) {
            let joined = shard.commons.join(local, port, id, tools);
            let opened = joined.map(|(socket, local)| {
                self.sockets.push((id, socket));
                self.commons.push(id);
                local
            });
            return self.answer(now, id, opened);
        }
        let opened = Socket::bind(local, tools.config).and_then(|(mut socket, local)| {
            let token = tools.ports.insert(Port::of_socket(self.key.place, id));
            match socket.register(tools.registry, token) {
                Ok(()) => {
                    self.sockets.push((id, Arc::new(socket)));
                    Ok(local)
                }
                Err(error) => {
                    tools.ports.remove(token);
                    Err(error)
                }
            }
        });
        self.answer(now, id, opened.map_err(|why| format!("{local}: {why}")));
    }

    fn close_socket(&mut self, id: SocketId, shard: &mut Serviced<'_>) {
        let tools = &mut shard.tools;
        let Some(at) = self.sockets.iter().position(|(other, _)| *other == id) else {
            return self.streams.close(tools, id);
        };
        let (_, socket) = self.sockets.swap_remove(at);
        if let Some(at) = self.commons.iter().position(|common| *common == id) {
            self.commons.swap_remove(at);
            shard.commons.leave(self.key.place, Some(id), tools.ports);
        } else {
            close(socket, tools);
        }
        if self.stuck.as_ref().is_some_and(|stuck| stuck.socket == id) {
            self.stuck = None;
        }
    }

    /// Ends streams that broke while they were written to; `true` when there were some.
    fn reap_streams(&mut self, tools: &mut Tools<'_>) -> bool {
        let (peer, now) = (&mut self.peer, tools.now);
        self.streams
            .reap(tools, &mut |input| hand(peer, now, input))
    }

    /// Puts the peer's events into the mailbox; `true` when more wait.
    fn fill_mailbox(&mut self, batch: &mut Batch, mail: &mut bool) -> bool {
        let link = Arc::clone(&self.link);
        let mut room = link.mailbox.room();
        self.peer.set_delivery(room > 0);
        for _ in 0..EVENTS {
            let Some(event) = self.peer.poll_event() else {
                self.call_low(batch);
                let more = self.call_writable(batch);
                *mail |= link.mailbox.put_all(batch);
                return more;
            };
            let letter = match event {
                Event::Data(DataFrame {
                    stream_id, kind, ..
                }) => Letter::Data(stream_id, kind, take_data(&mut self.peer, batch)),
                Event::DataPart { part, last } => {
                    let (stream_id, kind) = (part.stream_id, part.kind);
                    Letter::Part(stream_id, kind, take_data(&mut self.peer, batch), last)
                }
                Event::Writable(_) => {
                    self.data_blocked = false;
                    continue;
                }
                Event::BufferedAmountLow(stream_id) => {
                    let outbox = &link.outbox;
                    if outbox.is_low(stream_id, 0).is_some() && !self.low_later.contains(&stream_id)
                    {
                        self.low_later.push(stream_id);
                    }
                    continue;
                }
                event => {
                    let gate = Gated::of(&event);
                    let letter = Letter::of(event, batch);
                    if let Some(gate) = gate {
                        self.apply(gate);
                    }
                    match letter {
                        Some(letter) => letter,
                        None => continue,
                    }
                }
            };
            if !letter.is_media() {
                room = room.saturating_sub(letter.weight());
            }
            batch.push(letter);
            if room == 0 {
                *mail |= link.mailbox.put_all(batch);
                room = link.mailbox.room();
                self.peer.set_delivery(room > 0);
            }
        }
        *mail |= link.mailbox.put_all(batch);
        true
    }

    /// Calls those that wait for it, once little waits in the outbox, too.
    fn call_low(&mut self, batch: &mut Batch) {
        let (peer, outbox) = (&mut self.peer, &self.link.outbox);
        self.low_later.retain(|stream_id| {
            let beyond = peer.buffered_amount(*stream_id).unwrap_or(0);
            let low = outbox.is_low(*stream_id, beyond);
            if low == Some(true) {
                batch.push(Letter::BufferedAmountLow(*stream_id));
            }
            low == Some(false)
        });
    }

    /// Tells channels that were refused that there is room; `true` when the outbox can go on.
    fn call_writable(&mut self, batch: &mut Batch) -> bool {
        let outbox = &self.link.outbox;
        outbox.take_writable(|stream_id| batch.push(Letter::Writable(stream_id)));
        !self.data_blocked && (!self.pending.is_empty() || self.link.outbox.has_data())
    }

    /// Says goodbye to the network as far as one turn allows.
    pub(super) fn farewell(&mut self, now: Instant, train: &mut Train) {
        self.peer.close(now);
        self.send_trains(now, train, &mut Vec::new());
        self.link.outbox.clear(true);
    }

    /// Gives the sockets and streams back.
    pub(super) fn release(&mut self, tools: &mut Tools<'_>) {
        self.streams.release(tools);
        for (id, socket) in self.sockets.drain(..) {
            if !self.commons.contains(&id) {
                close(socket, tools);
            }
        }
    }

    /// Tells the application that the peer is gone because of a defect; `true` when the mailbox must be put in
    /// line.
    pub(super) fn report_defect(&self, reason: &str) -> bool {
        self.link.outbox.clear(true);
        let notice = Notice::Ended {
            reason: reason.to_owned().into(),
        };
        let mailbox = &self.link.mailbox;
        let first = mailbox.put(Event::Notice(notice));
        mailbox.put(Event::State(State::Closed)) || first
    }
}

/// Closes a socket that nobody else uses: with the descriptor goes its registration.
fn close(socket: Arc<Socket>, tools: &mut Tools<'_>) {
    tools.ports.try_remove(socket.token);
}

/// Takes the bytes of a message without a copy.
fn take_data(peer: &mut Peer, batch: &mut Batch) -> Vec<u8> {
    let mut data = batch.buffer();
    peer.take_data(&mut data);
    data
}

fn hand(peer: &mut Peer, now: Instant, input: Input<'_>) {
    if let Err(error) = peer.handle_input(now, input) {
        tracing::debug!(%error, "the peer refused an input");
    }
}
