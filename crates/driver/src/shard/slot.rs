//! One peer on a shard, and how it is serviced: `actions.rs` gives it sockets, streams and names, `sending.rs` takes
//! from its outbox and sends, `mail.rs` fills its mailbox.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;

use esp_peer::Peer;
use esp_wire::{Input, Instant, QueryId, SocketId, Train};
use mio::Registry;

use super::common::{Commons, Note};
use super::names::Names;
use super::sending::Stuck;
use super::socket::{Read, Receiver, Socket};
use super::stream::{Streams, Tools};
use super::{Handle, Key, Link};
use crate::mailbox::Batch;
use crate::outbox::{Done, Message};
use crate::resolver::Resolver;

/// What the slots of a shard share, in the hands of the one that is serviced.
pub(super) struct Shared<'a> {
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
    pub(super) names: Names,
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
        Read::goes_on(failed, batches)
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
    pub(super) fn service(&mut self, now: Instant, shard: &mut Shared<'_>) -> Outcome {
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

    /// Ends streams that broke while they were written to; `true` when there were some.
    fn reap_streams(&mut self, tools: &mut Tools<'_>) -> bool {
        let (peer, now) = (&mut self.peer, tools.now);
        self.streams
            .reap(tools, &mut |input| hand(peer, now, input))
    }

    /// Says goodbye to the network as far as one turn allows.
    pub(super) fn farewell(&mut self, now: Instant, train: &mut Train) {
        self.peer.close(now);
        self.send_trains(now, train, &mut Vec::new());
        self.link.outbox.clear(true);
    }
}

fn hand(peer: &mut Peer, now: Instant, input: Input<'_>) {
    if let Err(error) = peer.handle_input(now, input) {
        tracing::debug!(%error, "the peer refused an input");
    }
}
