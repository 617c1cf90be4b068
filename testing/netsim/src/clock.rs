//! What will happen, ordered by time and, at the same time, by when it was planned.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::net::{IpAddr, SocketAddr};

use esp_wire::{Ecn, Instant, QueryId, SocketId};

use crate::host::HostId;
use crate::net::Net;
use crate::topology::SiteId;

/// A datagram on its way.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    /// Who sent it, to be told when its destination is unreachable.
    pub(crate) origin: (HostId, SocketId),
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) ecn: Ecn,
    /// Larger than a link takes, it travels in pieces; no piece is lost alone.
    pub(crate) fragmentable: bool,
    pub(crate) data: Vec<u8>,
}

impl Packet {
    /// Bytes of the IP packet.
    pub(crate) fn ip_len(&self) -> usize {
        self.data.len() + if self.to.is_ipv4() { 28 } else { 48 }
    }
}

/// An input that is owned until it is delivered.
#[derive(Debug)]
pub(crate) enum Tell {
    Bound(SocketId, SocketAddr),
    Opened(SocketId, SocketAddr, SocketAddr),
    Bytes(SocketId, Vec<u8>),
    Closed(SocketId, &'static str),
    Unreachable(SocketId, SocketAddr),
    Resolved(QueryId, Vec<IpAddr>),
    Interfaces,
}

pub(crate) type Call<E> = Box<dyn FnOnce(&mut Net<E>)>;

pub(crate) enum Event<E> {
    /// A packet enters a network.
    Enter(SiteId, Packet),
    /// A packet has crossed a network.
    Cross(SiteId, Packet),
    /// A packet arrives at an interface.
    Arrive(HostId, Packet),
    /// A host is told something.
    Tell(HostId, Tell),
    /// The test does something.
    Call(Call<E>),
}

struct Planned<E> {
    at: Instant,
    order: u64,
    event: Event<E>,
}

impl<E> PartialEq for Planned<E> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<E> Eq for Planned<E> {}

impl<E> PartialOrd for Planned<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Planned<E> {
    /// The earliest is the greatest, as the heap wants it.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

/// The plan.
pub(crate) struct Agenda<E> {
    heap: BinaryHeap<Planned<E>>,
    order: u64,
}

impl<E> Default for Agenda<E> {
    fn default() -> Self {
        Agenda {
            heap: BinaryHeap::new(),
            order: 0,
        }
    }
}

impl<E> Agenda<E> {
    pub(crate) fn plan(&mut self, at: Instant, event: Event<E>) {
        self.order += 1;
        self.heap.push(Planned {
            at,
            order: self.order,
            event,
        });
    }

    pub(crate) fn next_at(&self) -> Option<Instant> {
        self.heap.peek().map(|planned| planned.at)
    }

    /// Takes the next event if it is due.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<Event<E>> {
        if self.next_at()? > now {
            return None;
        }
        self.heap.pop().map(|planned| planned.event)
    }

    /// Takes the next event if it is the arrival, now, of a packet that `fits`.
    pub(crate) fn pop_arrival(
        &mut self,
        now: Instant,
        fits: impl FnOnce(HostId, &Packet) -> bool,
    ) -> Option<Packet> {
        let planned = self.heap.peek()?;
        match &planned.event {
            Event::Arrive(host, packet) if planned.at <= now && fits(*host, packet) => {}
            _ => return None,
        }
        match self.heap.pop()?.event {
            Event::Arrive(_, packet) => Some(packet),
            _ => None,
        }
    }
}
