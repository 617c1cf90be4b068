//! Answering what endpoints ask of their driver.

use std::net::SocketAddr;
use std::time::Duration;

use esp_wire::{Action, QueryId, Resolution, SocketId};

use crate::clock::{Event, Tell};
use crate::endpoint::Endpoint;
use crate::host::HostId;
use crate::names::Entry;
use crate::net::Net;

/// How long the resolver tries a name that nobody knows.
const UNKNOWN_NAME: Duration = Duration::from_secs(1);
/// How long a multicast question and its answer take.
const MULTICAST: Duration = Duration::from_millis(5);

impl<E: Endpoint> Net<E> {
    pub(crate) fn act(&mut self, host: HostId, action: Action) {
        match action {
            Action::Bind { socket, local } => self.bind(host, socket, local),
            Action::Listen { socket, local } => self.listen_as(host, socket, local),
            Action::OpenStream {
                stream,
                transport,
                local,
                remote,
                server_name: _,
            } => self.open_stream(host, stream, transport, local, remote),
            Action::Close { socket } => {
                let entry = &mut self.hosts[host.0];
                let found = entry.sockets.remove(&socket).is_some()
                    || entry.listening.remove(&socket).is_some();
                if !found {
                    self.close_stream(host, socket);
                }
            }
            Action::Resolve { query, name, by } => self.resolve(host, query, &name, by),
            Action::Publish { name, .. } => {
                self.mdns(&name, host);
            }
            Action::Withdraw { name } => {
                self.forget_name(&name);
            }
        }
    }

    pub(crate) fn plan_tell(&mut self, delay: Duration, host: HostId, tell: Tell) {
        self.agenda.plan(self.now + delay, Event::Tell(host, tell));
    }

    fn bind(&mut self, host: HostId, socket: SocketId, mut local: SocketAddr) {
        let entry = &mut self.hosts[host.0];
        let refuse = |reason| Tell::Closed(socket, reason);
        let tell = if entry.sockets.contains_key(&socket) {
            refuse("the socket is bound already")
        } else if !local.ip().is_unspecified() && entry.port_with(local.ip()).is_none() {
            refuse("cannot assign requested address")
        } else if local.port() != 0 && entry.sockets.values().any(|taken| *taken == local) {
            refuse("address already in use")
        } else {
            if local.port() == 0 {
                local.set_port(entry.fresh_port());
            }
            entry.sockets.insert(socket, local);
            Tell::Bound(socket, local)
        };
        self.plan_tell(Duration::ZERO, host, tell);
    }

    fn listen_as(&mut self, host: HostId, socket: SocketId, mut local: SocketAddr) {
        let entry = &mut self.hosts[host.0];
        let tell = if !local.ip().is_unspecified() && entry.port_with(local.ip()).is_none() {
            Tell::Closed(socket, "cannot assign requested address")
        } else if local.port() != 0 && entry.listening.values().any(|taken| *taken == local) {
            Tell::Closed(socket, "address already in use")
        } else {
            if local.port() == 0 {
                local.set_port(entry.fresh_port());
            }
            entry.listening.insert(socket, local);
            Tell::Bound(socket, local)
        };
        self.plan_tell(Duration::ZERO, host, tell);
    }

    fn resolve(&mut self, host: HostId, query: QueryId, name: &str, by: Resolution) {
        let (delay, addresses) = match self.names.find(name, by) {
            Some(Entry::Dns(answer)) => (answer.delay, answer.addresses.clone()),
            Some(Entry::Mdns(owner)) => {
                // RFC 6762: only the same link hears a multicast question.
                let near = |site| {
                    self.hosts[host.0]
                        .ports
                        .iter()
                        .any(|port| port.site == site)
                };
                let ports = self.hosts[owner.0].ports.iter();
                let reachable = ports.filter(|port| near(port.site) && port.up.link.up);
                let found: Vec<_> = reachable.map(|port| port.interface.address).collect();
                match found.is_empty() {
                    true => (UNKNOWN_NAME, found),
                    false => (MULTICAST, found),
                }
            }
            None => (UNKNOWN_NAME, Vec::new()),
        };
        self.plan_tell(delay, host, Tell::Resolved(query, addresses));
    }
}
