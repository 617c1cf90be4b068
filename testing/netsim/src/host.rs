//! Hosts: interfaces, sockets and the machine that runs on them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use esp_wire::{Action, Input, Instant, Interface, SocketId, Train};

use crate::endpoint::Endpoint;
use crate::link::Pipe;
use crate::topology::SiteId;

/// What was accepted over DTLS has numbers from here on; its bytes are whole datagrams.
pub(crate) const FIRST_SECURED: u32 = 0xC000_0000;

/// Names a host of a net.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(pub(crate) usize);

/// What runs on a host: what is tested, or a server that the net brings along.
pub(crate) enum Machine<E> {
    User(E),
    Server(Box<dyn Endpoint>),
}

/// One address of a host, in one network, with its link both ways.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) interface: Interface,
    pub(crate) site: SiteId,
    pub(crate) up: Pipe,
    pub(crate) down: Pipe,
}

/// A host.
pub(crate) struct Host<E> {
    pub(crate) name: String,
    pub(crate) machine: Machine<E>,
    pub(crate) ports: Vec<Port>,
    /// UDP sockets by their local address.
    pub(crate) sockets: BTreeMap<SocketId, SocketAddr>,
    /// Local addresses on which streams are accepted.
    pub(crate) listeners: BTreeSet<SocketAddr>,
    /// Listeners that its machine opened by an action.
    pub(crate) listening: BTreeMap<SocketId, SocketAddr>,
    pub(crate) next_port: u16,
    pub(crate) next_accepted: u32,
    /// Whether it has seen something since it was last asked for output.
    pub(crate) dirty: bool,
    /// The interfaces that it was told of.
    pub(crate) told: Option<Vec<Interface>>,
}

impl<E> Host<E> {
    pub(crate) fn new(name: &str, machine: Machine<E>) -> Self {
        Host {
            name: name.to_owned(),
            machine,
            ports: Vec::new(),
            sockets: BTreeMap::new(),
            listeners: BTreeSet::new(),
            listening: BTreeMap::new(),
            next_port: 49_152,
            next_accepted: 0x8000_0000,
            dirty: true,
            told: None,
        }
    }

    /// The index of the port with this address.
    pub(crate) fn port_with(&self, address: IpAddr) -> Option<usize> {
        let found = |port: &Port| port.interface.address == address;
        self.ports.iter().position(found)
    }

    /// The address from which a packet of a socket bound to `local` leaves.
    pub(crate) fn source(&self, local: SocketAddr, remote: SocketAddr) -> SocketAddr {
        if !local.ip().is_unspecified() {
            return local;
        }
        let same_family = |port: &&Port| port.interface.address.is_ipv4() == remote.is_ipv4();
        match self.ports.iter().find(same_family) {
            Some(port) => SocketAddr::new(port.interface.address, local.port()),
            None => local,
        }
    }

    /// The UDP socket that gets what is sent to `to`: one bound to the address, else one bound to
    /// all of them.
    pub(crate) fn socket_at(&self, to: SocketAddr) -> Option<SocketId> {
        let exact = |local: &SocketAddr| *local == to;
        let any = |local: &SocketAddr| {
            let unspecified = local.ip().is_unspecified() && local.is_ipv4() == to.is_ipv4();
            unspecified && local.port() == to.port()
        };
        let find = |matches: &dyn Fn(&SocketAddr) -> bool| {
            let mut sockets = self.sockets.iter();
            sockets.find(|(_, local)| matches(local)).map(|(id, _)| *id)
        };
        find(&exact).or_else(|| find(&any))
    }

    /// The name of a stream that comes in at `to`; `None` when nothing listens there.
    pub(crate) fn accept_at(&mut self, to: SocketAddr, datagrams: bool) -> Option<SocketId> {
        let at = |local: &SocketAddr| {
            let any = local.ip().is_unspecified() && local.is_ipv4() == to.is_ipv4();
            local.port() == to.port() && (any || local.ip() == to.ip())
        };
        let listener = self.listening.iter().find(|(_, local)| at(local));
        let number = self.next_accepted;
        let name = match listener {
            // Of these bits, the lower ones count.
            Some((listener, _)) => listener.accepted((number & 0x7fff) as u16),
            None if self.listens_at(to) && datagrams => SocketId(number | FIRST_SECURED),
            None if self.listens_at(to) => SocketId(number),
            None => return None,
        };
        self.next_accepted += 1;
        Some(name)
    }

    fn listens_at(&self, to: SocketAddr) -> bool {
        let any = match to {
            SocketAddr::V4(_) => IpAddr::from([0; 4]),
            SocketAddr::V6(_) => IpAddr::from([0; 16]),
        };
        self.listeners.contains(&to) || self.listeners.contains(&SocketAddr::new(any, to.port()))
    }

    /// A local port that no socket has.
    pub(crate) fn fresh_port(&mut self) -> u16 {
        loop {
            let port = self.next_port;
            self.next_port = port.checked_add(1).unwrap_or(49_152);
            if self.sockets.values().all(|local| local.port() != port) {
                return port;
            }
        }
    }

    pub(crate) fn interfaces(&self) -> Vec<Interface> {
        let ports = self.ports.iter().filter(|port| port.up.link.up);
        ports.map(|port| port.interface.clone()).collect()
    }
}

impl<E: Endpoint> Endpoint for Machine<E> {
    fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        match self {
            Machine::User(machine) => machine.handle_input(now, input),
            Machine::Server(machine) => machine.handle_input(now, input),
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        match self {
            Machine::User(machine) => machine.handle_timeout(now),
            Machine::Server(machine) => machine.handle_timeout(now),
        }
    }

    fn poll_transmit(&mut self, now: Instant, train: &mut Train) -> bool {
        match self {
            Machine::User(machine) => machine.poll_transmit(now, train),
            Machine::Server(machine) => machine.poll_transmit(now, train),
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Machine::User(machine) => machine.poll_timeout(),
            Machine::Server(machine) => machine.poll_timeout(),
        }
    }

    fn poll_action(&mut self) -> Option<Action> {
        match self {
            Machine::User(machine) => machine.poll_action(),
            Machine::Server(machine) => machine.poll_action(),
        }
    }
}
