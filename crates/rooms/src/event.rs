//! What a server tells its caller, and what it counts.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::RoomName;

/// Something happened in a room. Names of rooms shorten themselves when they are displayed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A client joined a room.
    Joined {
        /// The room.
        room: RoomName,
        /// The client, by the name the server gave it.
        client: String,
        /// Whether it was first and thus sends the offer.
        initiator: bool,
    },
    /// A client opened its WebSocket.
    Registered {
        /// The room.
        room: RoomName,
        /// The client.
        client: String,
    },
    /// A client left a room.
    Left {
        /// The room.
        room: RoomName,
        /// The client.
        client: String,
        /// How.
        how: Left,
    },
    /// A request was refused. There are as many of these as somebody likes to cause.
    Refused {
        /// Who asked.
        remote: IpAddr,
        /// Why.
        why: Refusal,
    },
}

/// How a client left its room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Left {
    /// It said so.
    Leave,
    /// It fell silent, or never opened its WebSocket.
    Silent,
    /// It had said bye and lost its WebSocket when another client wanted its place.
    Replaced,
}

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// `Host` names another server: DNS rebinding, or a name that the listener was not told.
    Host,
    /// `Origin` is a page of another site.
    Origin,
    /// Too many requests or messages from one address.
    Rate,
    /// Too many connections.
    Connections,
    /// A body or message over the limit.
    Size,
    /// The room holds two clients already.
    Full,
    /// Too many rooms, or too many clients of one address.
    Rooms,
    /// Not a room name, not a known client, or no such command.
    Malformed,
    /// A request, handshake or answer that did not come to its end in time.
    Slow,
}

impl Refusal {
    const ALL: usize = 9;

    const fn index(self) -> usize {
        self as usize
    }
}

/// What a server has counted since it started, and what it holds now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Rooms that exist now.
    pub rooms: u64,
    /// Clients in rooms now.
    pub clients: u64,
    /// Open connections now.
    pub connections: u64,
    /// HTTP requests.
    pub requests: u64,
    /// Messages handed to the other client, or queued for it.
    pub relayed: u64,
    /// Messages that a full queue refused.
    pub dropped: u64,
    /// Clients that expired.
    pub expired: u64,
    /// Refused requests of every kind.
    pub refused: u64,
}

#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) requests: AtomicU64,
    pub(crate) relayed: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) expired: AtomicU64,
    refused: [AtomicU64; Refusal::ALL],
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn refuse(&self, why: Refusal) {
        Self::add(&self.refused[why.index()]);
    }

    pub(crate) fn refused(&self, why: Refusal) -> u64 {
        self.refused[why.index()].load(Ordering::Relaxed)
    }

    pub(crate) fn refused_in_all(&self) -> u64 {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        self.refused.iter().map(load).sum()
    }
}
