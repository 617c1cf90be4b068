//! One UDP socket on each address for all peers of a shard ([`DriverConfig::shared_port`]).
//!
//! 1. The first peer that asks for a socket on an address opens it; the others join.
//! 2. A request of STUN names the peer that it is for: its USERNAME begins with that peer's fragment
//!    (RFC 8445 §7.2.2). A response is for the peer that sent the request of its transaction.
//! 3. A far end whose request a peer has answered with success, or that has answered a peer's request so,
//!    belongs to that peer: what else comes from there is for it.
//! 4. All that fits nothing is dropped and counted ([`Report`](esp_peer::Report)).
//! 5. A second socket on the same address is a peer's own: allocations on TURN servers need one.
//!
//! Tables are bounded: noise takes no place in them, since nothing is learned from what was not answered.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use esp_stun::{Class, Message, TransactionId};
use esp_wire::{Input, Instant, SocketId, Train};

use super::icmp::Answer;
use super::registered::Registered;
use super::slot::Slot;
use super::socket::{Read, Socket};
use super::stream::Tools;
use super::{READS, Shard, touch};
use crate::DriverConfig;

/// Requests whose response is awaited, for each socket.
const REQUESTS: usize = 8_192;
/// A request that was not answered for so long makes room for others.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(10);
/// Far ends that one peer may have on one socket.
const REMOTES: usize = 64;
/// A far end that was heard so lately stays with its peer, whoever else claims it.
const SETTLED: Duration = Duration::from_secs(10);

/// What a peer sent over a common socket and the socket has to know.
pub(super) enum Note {
    /// A request went out.
    Asked(SocketId, TransactionId),
    /// A request of this far end was answered with success.
    Accepted(SocketId, SocketAddr),
}

impl Note {
    /// What a train of a peer tells.
    pub(super) fn of(socket: SocketId, train: &Train) -> Option<Self> {
        let first = train.segments().next()?;
        if *first.first()? > 3 {
            return None;
        }
        let message = Message::parse(first).ok()?;
        match message.class() {
            Class::Request => Some(Note::Asked(socket, message.transaction_id())),
            Class::Success => Some(Note::Accepted(socket, train.destination()?.remote)),
            _ => None,
        }
    }
}

struct Remote {
    place: usize,
    heard: Instant,
}

/// One socket that many use.
struct Common {
    local: SocketAddr,
    socket: Arc<Socket>,
    /// Who uses it, and under which name.
    users: Vec<(usize, SocketId)>,
    remotes: HashMap<SocketAddr, Remote>,
    requests: HashMap<TransactionId, (usize, Instant)>,
}

impl Common {
    fn name_of(&self, place: usize) -> Option<SocketId> {
        let user = self.users.iter().find(|(user, _)| *user == place);
        user.map(|(_, name)| *name)
    }

    fn settle(&mut self, now: Instant, place: usize, remote: SocketAddr) {
        if let Some(known) = self.remotes.get_mut(&remote) {
            if known.place == place || now.since(known.heard) >= SETTLED {
                *known = Remote { place, heard: now };
            }
            return;
        }
        let own = || {
            self.remotes
                .iter()
                .filter(|(_, known)| known.place == place)
        };
        if own().count() >= REMOTES {
            let oldest = own().min_by_key(|(_, known)| known.heard);
            if let Some(oldest) = oldest.map(|(remote, _)| *remote) {
                self.remotes.remove(&oldest);
            }
        }
        self.remotes.insert(remote, Remote { place, heard: now });
    }

    fn ask(&mut self, now: Instant, place: usize, id: TransactionId) {
        if self.requests.len() >= REQUESTS {
            let recent = |asked: Instant| now.since(asked) < FORGOTTEN_AFTER;
            self.requests.retain(|_, (_, asked)| recent(*asked));
        }
        if self.requests.len() < REQUESTS {
            self.requests.insert(id, (place, now));
        }
    }

    /// Whose datagram it is.
    fn route(
        &mut self,
        now: Instant,
        names: &HashMap<String, usize>,
        remote: SocketAddr,
        datagram: &[u8],
    ) -> Option<usize> {
        let known = self.remotes.get_mut(&remote);
        if datagram.first().is_some_and(|first| *first > 3) {
            let known = known?;
            known.heard = now;
            return Some(known.place);
        }
        let message = Message::parse(datagram).ok()?;
        match message.class() {
            Class::Request => {
                let (ours, _) = message.username()?.split_once(':')?;
                names.get(ours).copied()
            }
            Class::Indication => known.map(|known| known.place),
            Class::Success => {
                let (place, _) = self.requests.remove(&message.transaction_id())?;
                self.settle(now, place, remote);
                Some(place)
            }
            Class::Error => Some(self.requests.get(&message.transaction_id())?.0),
        }
    }
}

/// The common sockets of a shard.
#[derive(Default)]
pub(super) struct Commons {
    /// By number; the place of one that is gone is taken again.
    list: slab::Slab<Common>,
    /// Whose user name fragment is whose.
    names: HashMap<String, usize>,
}

impl Commons {
    /// Whether a peer uses the common socket of an address; what else it opens there is its own.
    pub(super) fn has_joined(&self, place: usize, address: IpAddr) -> bool {
        let mut list = self.list.iter();
        list.any(|(_, it)| it.local.ip() == address && it.name_of(place).is_some())
    }

    /// Gives a peer the common socket of an address, which is opened if there is none.
    ///
    /// # Errors
    /// In words.
    pub(super) fn join(
        &mut self,
        local: SocketAddr,
        port: u16,
        id: SocketId,
        tools: &mut Tools<'_>,
    ) -> Result<(Arc<Socket>, SocketAddr), String> {
        let place = tools.place;
        let mut wanted = local;
        wanted.set_port(port);
        let same = |common: &Common| {
            common.local.ip() == local.ip() && (port == 0 || common.local.port() == port)
        };
        if let Some((_, common)) = self.list.iter_mut().find(|(_, common)| same(common)) {
            common.users.push((place, id));
            return Ok((Arc::clone(&common.socket), common.local));
        }
        let words = |error: std::io::Error| format!("{wanted}: {error}");
        let (mut socket, bound) = Socket::bind(wanted, tools.config).map_err(words)?;
        let number = self.list.vacant_key();
        let token = tools.registered.insert(Registered::of_common(number));
        if let Err(error) = socket.register(tools.registry, token) {
            tools.registered.remove(token);
            return Err(words(error));
        }
        let socket = Arc::new(socket);
        self.list.insert(Common {
            local: bound,
            socket: Arc::clone(&socket),
            users: vec![(place, id)],
            remotes: HashMap::new(),
            requests: HashMap::new(),
        });
        Ok((socket, bound))
    }

    /// A peer uses a socket no more; the last one closes it.
    pub(super) fn leave(
        &mut self,
        place: usize,
        socket: Option<SocketId>,
        registered: &mut slab::Slab<Registered>,
    ) {
        let leaves = |user: &(usize, SocketId)| {
            user.0 == place && socket.is_none_or(|socket| user.1 == socket)
        };
        self.list.retain(|_, common| {
            if !common.users.iter().any(leaves) {
                return true;
            }
            common.users.retain(|user| !leaves(user));
            common.remotes.retain(|_, remote| remote.place != place);
            common.requests.retain(|_, (owner, _)| *owner != place);
            if common.users.is_empty() {
                // Closing the descriptor deregisters it.
                registered.try_remove(common.socket.token);
            }
            !common.users.is_empty()
        });
        if socket.is_none() {
            self.names.retain(|_, owner| *owner != place);
        }
    }

    /// Takes what a peer sent, and the name that checks call it by.
    pub(super) fn learn(&mut self, now: Instant, slot: &mut Slot) {
        let place = slot.key.place;
        if !slot.commons.is_empty()
            && let Some(name) = slot.peer.ice_ufrag()
            && slot.names_told[0] != name
        {
            self.names.insert(name.to_owned(), place);
            slot.names_told.rotate_right(1);
            let oldest = std::mem::replace(&mut slot.names_told[0], name.to_owned());
            // Another peer may have taken it since, by chance.
            if self.names.get(&oldest) == Some(&place) {
                self.names.remove(&oldest);
            }
        }
        for note in slot.notes.drain(..) {
            let (Note::Asked(id, _) | Note::Accepted(id, _)) = note;
            let user = (place, id);
            let mut commons = self.list.iter_mut();
            let Some((_, common)) = commons.find(|(_, it)| it.users.contains(&user)) else {
                continue;
            };
            match note {
                Note::Asked(_, transaction) => common.ask(now, place, transaction),
                Note::Accepted(_, remote) => common.settle(now, place, remote),
            }
        }
    }
}

impl Shard {
    /// The port of the common sockets; `None` when each peer has sockets of its own.
    pub(super) fn common_port(config: &DriverConfig, shard: usize) -> Option<u16> {
        let first = config.shared_port?;
        let offset = u16::try_from(shard).unwrap_or(u16::MAX);
        match first {
            0 => Some(0),
            first => first.checked_add(offset),
        }
    }

    /// Reads from a common socket; `true` when it has more.
    pub(super) fn read_common(&mut self, number: usize, failing: bool) -> bool {
        let now = self.clock.now();
        let Some(common) = self.commons.list.get(number) else {
            return false;
        };
        let socket = Arc::clone(&common.socket);
        if failing {
            socket.read_answers(|remote, answer| self.tell_answer(number, remote, answer, now));
        }
        let mut failed = 0;
        let handle = &self.handle;
        for _ in 0..READS {
            let (commons, slots) = (&mut self.commons, &mut self.slots);
            let (touched, current) = (&mut self.touched, &mut self.current);
            let read = socket.read(SocketId(0), now, &mut self.datagrams, |now, input| {
                let Input::Datagrams {
                    remote,
                    ecn,
                    size,
                    data,
                    ..
                } = input
                else {
                    return;
                };
                let strays =
                    commons.sort(now, number, remote, size, data, |place, socket, data| {
                        let Some(slot) = slots.get_mut(place) else {
                            return;
                        };
                        *current = Some(place);
                        slot.input(
                            now,
                            Input::Datagrams {
                                socket,
                                remote,
                                ecn,
                                size,
                                data,
                            },
                        );
                        touch(touched, slot, place);
                    });
                if strays > 0 {
                    handle.add_strays(strays);
                }
            });
            match read {
                Read::Empty => return false,
                Read::Failed => failed += 1,
                Read::Some => {}
            }
        }
        Read::goes_on(failed, READS)
    }

    fn tell_answer(&mut self, number: usize, remote: SocketAddr, answer: Answer, now: Instant) {
        let Some(common) = self.commons.list.get(number) else {
            return;
        };
        let place = common.remotes.get(&remote).map(|known| known.place);
        if let Some((place, socket)) = place.and_then(|place| Some((place, common.name_of(place)?)))
            && let Some(slot) = self.slots.get_mut(place)
        {
            slot.input(now, answer.input(socket, remote));
            touch(&mut self.touched, slot, place);
        }
    }

    /// A common socket takes datagrams again.
    pub(super) fn on_common_writable(&mut self, number: usize) {
        let now = self.clock.now();
        let Some(common) = self.commons.list.get(number) else {
            return;
        };
        let registry = self.poll.registry();
        for &(place, socket) in &common.users {
            if let Some(slot) = self.slots.get_mut(place)
                && slot.on_writable(socket, now, registry)
            {
                touch(&mut self.touched, slot, place);
            }
        }
    }
}

impl Commons {
    /// Hands each run of datagrams of one peer on; how many were for nobody.
    fn sort(
        &mut self,
        now: Instant,
        number: usize,
        remote: SocketAddr,
        size: usize,
        data: &mut [u8],
        mut hand: impl FnMut(usize, SocketId, &mut [u8]),
    ) -> u64 {
        let Commons { list, names } = self;
        let Some(common) = list.get_mut(number) else {
            return 0;
        };
        let mut strays = 0;
        let mut begin = 0;
        let mut whose = None;
        let mut at = 0;
        while at < data.len() {
            let end = data.len().min(at + size.max(1));
            let owner = common.route(now, names, remote, &data[at..end]);
            let owner = owner.and_then(|place| Some((place, common.name_of(place)?)));
            strays += u64::from(owner.is_none());
            if owner != whose {
                if let Some((place, socket)) = whose {
                    hand(place, socket, &mut data[begin..at]);
                }
                (begin, whose) = (at, owner);
            }
            at = end;
        }
        if let Some((place, socket)) = whose {
            hand(place, socket, &mut data[begin..]);
        }
        strays
    }
}
