//! An endpoint that writes down everything it is told and does what it is asked.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use esp_netsim::Endpoint;
use esp_wire::{Action, Destination, Ecn, Input, Instant, Room, SocketId, Train};

/// Something that happened to a [`Probe`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Datagram(SocketAddr, Vec<u8>),
    Bound(SocketId, SocketAddr),
    Opened(SocketId, SocketAddr, SocketAddr),
    Bytes(SocketId, Vec<u8>),
    Closed(SocketId, String),
    Unreachable(SocketAddr),
    Resolved(Vec<IpAddr>),
    Interfaces(Vec<IpAddr>),
}

#[derive(Default)]
pub(crate) struct Probe {
    pub(crate) seen: Vec<(Instant, Seen)>,
    pub(crate) actions: VecDeque<Action>,
    pub(crate) outbox: VecDeque<(Destination, Vec<u8>)>,
    pub(crate) ecn: Ecn,
}

impl Probe {
    /// With one socket bound to this port of every IPv4 address.
    pub(crate) fn on(port: u16) -> Self {
        let mut probe = Probe::default();
        probe.bind(0, &format!("0.0.0.0:{port}"));
        probe
    }

    pub(crate) fn bind(&mut self, socket: u32, local: &str) {
        self.actions.push_back(Action::Bind {
            socket: SocketId(socket),
            local: local.parse().unwrap(),
        });
    }

    pub(crate) fn send(&mut self, socket: u32, remote: SocketAddr, data: &[u8]) {
        let socket = SocketId(socket);
        let to = Destination { socket, remote };
        self.outbox.push_back((to, data.to_vec()));
    }

    pub(crate) fn datagrams(&self) -> Vec<(SocketAddr, Vec<u8>)> {
        let seen = self.seen.iter().filter_map(|(_, seen)| match seen {
            Seen::Datagram(from, data) => Some((*from, data.clone())),
            _ => None,
        });
        seen.collect()
    }

    pub(crate) fn last(&self) -> &Seen {
        &self.seen.last().unwrap().1
    }
}

impl Endpoint for Probe {
    fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        let seen = match input {
            Input::Datagrams {
                remote, data, ecn, ..
            } => {
                self.ecn = ecn;
                Seen::Datagram(remote, data.to_vec())
            }
            Input::Bound { socket, local } => Seen::Bound(socket, local),
            Input::StreamOpened {
                stream,
                local,
                remote,
            } => Seen::Opened(stream, local, remote),
            Input::StreamBytes { stream, data } => Seen::Bytes(stream, data.to_vec()),
            Input::Closed { socket, reason } => Seen::Closed(socket, reason.to_owned()),
            Input::Writable { .. } | Input::TooBig { .. } => return,
            Input::Unreachable { remote, .. } => Seen::Unreachable(remote),
            Input::Resolved { addresses, .. } => Seen::Resolved(addresses.to_vec()),
            Input::Interfaces(list) => {
                Seen::Interfaces(list.iter().map(|one| one.address).collect())
            }
        };
        self.seen.push((now, seen));
    }

    fn handle_timeout(&mut self, _now: Instant) {}

    fn poll_transmit(&mut self, _now: Instant, train: &mut Train) -> bool {
        let Some((to, data)) = self.outbox.pop_front() else {
            return false;
        };
        train.begin(Room::default(), data.len());
        train.push(&data);
        train.set_destination(to);
        train.set_ecn(self.ecn);
        true
    }

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }
}
