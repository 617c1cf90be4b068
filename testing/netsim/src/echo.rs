//! The simplest endpoint: it sends numbered datagrams, or sends back what it gets.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use esp_wire::{Action, Destination, Input, Instant, Room, SocketId, Train};

use crate::endpoint::Endpoint;

/// An endpoint for tests of the net itself.
#[derive(Debug)]
pub struct Echo {
    bind: Option<SocketAddr>,
    call: Option<(SocketAddr, u32)>,
    outbox: VecDeque<(SocketAddr, Vec<u8>)>,
    received: usize,
    inputs: usize,
    local: Option<SocketAddr>,
    last_remote: Option<SocketAddr>,
}

impl Echo {
    const SOCKET: SocketId = SocketId(0);

    /// Sends back every datagram that comes to `port`.
    pub fn listener(port: u16) -> Self {
        Echo {
            bind: Some(SocketAddr::new(IpAddr::from([0; 4]), port)),
            call: None,
            outbox: VecDeque::new(),
            received: 0,
            inputs: 0,
            local: None,
            last_remote: None,
        }
    }

    /// Sends `count` datagrams to `to` as soon as it has a socket.
    pub fn caller(to: SocketAddr, count: u32) -> Self {
        Echo {
            call: Some((to, count)),
            ..Echo::listener(0)
        }
    }

    /// Sends one more datagram.
    pub fn send(&mut self, to: SocketAddr, data: &[u8]) {
        self.outbox.push_back((to, data.to_vec()));
    }

    /// Number of datagrams that came.
    pub fn received(&self) -> usize {
        self.received
    }

    /// Number of inputs in which they came.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Its local address, once it is bound.
    pub fn local(&self) -> Option<SocketAddr> {
        self.local
    }

    /// Who sent the last datagram.
    pub fn last_remote(&self) -> Option<SocketAddr> {
        self.last_remote
    }
}

impl Endpoint for Echo {
    fn handle_input(&mut self, _now: Instant, input: Input<'_>) {
        match input {
            Input::Bound { local, .. } => {
                self.local = Some(local);
                if let Some((to, count)) = self.call {
                    let numbers = (0..count).map(|number| number.to_be_bytes().to_vec());
                    self.outbox.extend(numbers.map(|data| (to, data)));
                }
            }
            Input::Datagrams {
                remote, size, data, ..
            } => {
                self.inputs += 1;
                self.last_remote = Some(remote);
                for datagram in data.chunks(size.max(1)) {
                    self.received += 1;
                    if self.call.is_none() {
                        self.outbox.push_back((remote, datagram.to_vec()));
                    }
                }
            }
            _ => {}
        }
    }

    fn handle_timeout(&mut self, _now: Instant) {}

    fn poll_transmit(&mut self, _now: Instant, train: &mut Train) -> bool {
        if self.local.is_none() {
            return false;
        }
        let Some((remote, data)) = self.outbox.pop_front() else {
            return false;
        };
        train.begin(Room::default(), data.len());
        train.push(&data);
        train.set_destination(Destination {
            socket: Self::SOCKET,
            remote,
        });
        true
    }

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    fn poll_action(&mut self) -> Option<Action> {
        let local = self.bind.take()?;
        Some(Action::Bind {
            socket: Self::SOCKET,
            local,
        })
    }
}
