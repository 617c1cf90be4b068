//! Connections to peers over TCP (RFC 6062), from an allocation that asked for them
//! ([`TurnConfig::with_tcp`](crate::turn::TurnConfig::with_tcp)).
//!
//! 1. Connect goes over the control connection ([`TurnClient::connect`]); the server connects to the peer and
//!    names the connection. Or a permitted peer connects to the relayed address, and the server names that
//!    connection in a ConnectionAttempt. Both are [`TurnEvent::PeerConnected`].
//! 2. The owner opens another stream to the same server, and [`TurnClient::bind_connection`] gives the
//!    [`DataConnection`] that speaks first on it: ConnectionBind, with the credentials of the allocation.
//! 3. After its success the stream carries what the peer sends and nothing else.
//! 4. [`TurnClient::release`] tells that the stream has ended; before the server has answered on it,
//!    [`TurnClient::unbind`], and another stream may take its place.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use esp_wire::{Deadline, Instant, SocketId};

use crate::error_code::ErrorCode;
use crate::message::Message;
use crate::turn::{DataConnection, TurnClient, TurnError, TurnEvent, TurnWhy};

/// RFC 6062 §4.3: after a 447 the same peer is not tried again for so long.
const CONNECT_AGAIN: Duration = Duration::from_secs(10);
/// RFC 6062 §5.2, §5.3: the server closes what is not bound by then.
const UNBOUND: Duration = Duration::from_secs(30);

/// The server's name for its connection to a peer (CONNECTION-ID).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u32);

/// How far a Connect has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Connect {
    /// To be sent at this time.
    Wanted(Instant),
    /// In flight.
    Asked,
    /// Refused by 447, or by 446; not to be sent before this time, and not wanted so far.
    Barred(Instant),
}

/// A connection of the server with a peer.
#[derive(Clone, Copy, Debug)]
struct Connection {
    peer: SocketAddr,
    /// Until then it can be bound.
    until: Instant,
    /// A stream was bound to it, or is about to be.
    bound: bool,
}

/// The connections of one allocation.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    connects: BTreeMap<SocketAddr, Connect>,
    open: BTreeMap<ConnectionId, Connection>,
}

impl Connections {
    fn len(&self) -> usize {
        self.connects.len() + self.open.len()
    }

    pub(crate) fn clear(&mut self) {
        self.connects.clear();
        self.open.clear();
    }

    /// Wants a connection; false when there are too many.
    fn want(&mut self, now: Instant, peer: SocketAddr, most: usize) -> bool {
        let full = self.len() >= most;
        match self.connects.get_mut(&peer) {
            // RFC 6062 §4.3: no two at once for one peer.
            Some(Connect::Wanted(_) | Connect::Asked) => {}
            Some(entry) => {
                if let Connect::Barred(until) = *entry {
                    *entry = Connect::Wanted(until.max(now));
                }
            }
            None if full => return false,
            None => {
                self.connects.insert(peer, Connect::Wanted(now));
            }
        }
        true
    }

    /// What to ask for now; it counts as asked.
    pub(crate) fn next_connect(&mut self, now: Instant) -> Option<SocketAddr> {
        let due = |entry: &Connect| matches!(entry, Connect::Wanted(at) if *at <= now);
        let (peer, entry) = self.connects.iter_mut().find(|(_, entry)| due(entry))?;
        *entry = Connect::Asked;
        Some(*peer)
    }

    /// When a Connect is to be sent.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let due = |entry: &Connect| match entry {
            Connect::Wanted(at) => Some(*at),
            Connect::Asked | Connect::Barred(_) => None,
        };
        self.connects.values().filter_map(due).min()
    }

    /// When something is to be forgotten.
    fn next_lapse(&self) -> Option<Instant> {
        let barred = self.connects.values().filter_map(|entry| match entry {
            Connect::Barred(until) => Some(*until),
            Connect::Wanted(_) | Connect::Asked => None,
        });
        let unbound = self.open.values().filter(|one| !one.bound);
        barred.chain(unbound.map(|one| one.until)).min()
    }

    /// Forgets what the server has closed by now, and whose bar is over.
    pub(crate) fn lapse(&mut self, now: Instant) {
        self.connects
            .retain(|_, entry| !matches!(entry, Connect::Barred(until) if *until <= now));
        self.open.retain(|_, one| one.bound || one.until > now);
    }

    fn add(&mut self, now: Instant, peer: SocketAddr, id: ConnectionId) {
        let connection = Connection {
            peer,
            until: now + UNBOUND,
            bound: false,
        };
        self.open.insert(id, connection);
    }
}

impl TurnClient {
    /// Asks the server for a TCP connection to a peer (Connect, RFC 6062 §4.3); may be called before there is an
    /// allocation.
    ///
    /// Answered by [`TurnEvent::PeerConnected`] or [`TurnEvent::ConnectRefused`]. While one is asked for, asking
    /// again does nothing; after a 447, or a 446, it takes effect 10 s later.
    pub fn connect(&mut self, now: Instant, peer: SocketAddr) {
        if !self.config.tcp {
            let error = TurnError::Options("the allocation relays UDP only");
            let event = TurnEvent::ConnectRefused(peer, error);
            return self.events.push_back(event);
        }
        if self.is_over() {
            return;
        }
        if !self.connections.want(now, peer, self.config.max_peers) {
            self.stats.too_many_peers += 1;
        }
        self.ask_for_peers(now);
    }

    /// As [`connect`](Self::connect), after the pause that a 447 is due: for a connection that was lost before it
    /// was of use.
    pub fn connect_later(&mut self, now: Instant, peer: SocketAddr) {
        if self.connections.len() < self.config.max_peers {
            let barred = Connect::Barred(now + CONNECT_AGAIN);
            self.connections.connects.entry(peer).or_insert(barred);
        }
        self.connect(now, peer);
    }

    /// What speaks first on a new stream to the same server, to make it the way to that peer; `None` when the
    /// server has no such connection, no longer, or it was bound before.
    ///
    /// The stream must come from another local address than the control connection (RFC 6062 §4.3).
    pub fn bind_connection(
        &mut self,
        now: Instant,
        id: ConnectionId,
        stream: SocketId,
    ) -> Option<DataConnection> {
        self.connections.lapse(now);
        let mut open = self.connections.open.get_mut(&id);
        let entry = open.as_mut().filter(|one| !one.bound)?;
        entry.bound = true;
        let peer = entry.peer;
        let bound = DataConnection::new(self, now, (id, peer), stream);
        if bound.is_none() {
            self.connections.open.remove(&id);
        }
        bound
    }

    /// Tells that a stream ended before the server had answered on it, so that another may be bound; `false` when the
    /// server has closed the connection by now, and it is forgotten.
    pub fn unbind(&mut self, now: Instant, id: ConnectionId) -> bool {
        let connections = &mut self.connections;
        if let Some(entry) = connections.open.get_mut(&id) {
            entry.bound = false;
        }
        connections.lapse(now);
        connections.open.contains_key(&id)
    }

    /// Tells that the stream of a connection has ended, or that it is not wanted.
    pub fn release(&mut self, id: ConnectionId) {
        self.connections.open.remove(&id);
    }

    /// The server has connected.
    pub(crate) fn on_connected(&mut self, now: Instant, peer: SocketAddr, response: &Message<'_>) {
        self.connections.connects.remove(&peer);
        let Some(connection) = response.connection_id().map(ConnectionId) else {
            let event = TurnEvent::ConnectRefused(peer, TurnError::NoConnectionId);
            return self.events.push_back(event);
        };
        self.connections.add(now, peer, connection);
        self.events.push_back(TurnEvent::PeerConnected {
            peer,
            connection,
            incoming: false,
        });
    }

    /// It has not.
    pub(crate) fn on_connect_failed(&mut self, now: Instant, peer: SocketAddr, error: TurnError) {
        match error {
            // A connection that we have lost stays with the server for a while.
            TurnError::Refused(
                ErrorCode::CONNECTION_TIMEOUT_OR_FAILURE | ErrorCode::CONNECTION_ALREADY_EXISTS,
                _,
            ) => {
                let barred = Connect::Barred(now + CONNECT_AGAIN);
                self.connections.connects.insert(peer, barred);
            }
            _ => {
                self.connections.connects.remove(&peer);
            }
        }
        self.events
            .push_back(TurnEvent::ConnectRefused(peer, error));
    }

    /// A ConnectionAttempt indication: a peer has connected to the relayed address.
    pub(crate) fn on_attempt(&mut self, now: Instant, message: &Message<'_>) {
        let connection = message.connection_id().map(ConnectionId);
        let (Some(peer), Some(connection)) = (message.xor_peer_address(), connection) else {
            self.stats.malformed += 1;
            return;
        };
        if !self.config.tcp || !self.is_allocated() {
            self.stats.unexpected += 1;
        } else if !self.peers.knows(peer.ip()) {
            self.stats.unpermitted += 1;
        } else if self.connections.open.contains_key(&connection) {
            // RFC 6062 §6.2.1: the name is unique.
            self.stats.unexpected += 1;
        } else if self.connections.len() >= self.config.max_peers {
            self.stats.too_many_peers += 1;
        } else {
            self.connections.add(now, peer, connection);
            self.events.push_back(TurnEvent::PeerConnected {
                peer,
                connection,
                incoming: true,
            });
        }
    }

    /// When a connection is to be forgotten.
    pub(crate) fn connection_lapse(&self) -> Option<Deadline<TurnWhy>> {
        let at = self.connections.next_lapse()?;
        let why = TurnWhy::Peer;
        Some(Deadline { at, why })
    }
}
