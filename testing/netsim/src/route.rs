//! The way of a packet: up its link, through networks and NATs, down to a socket.
//!
//! 1. The sender's uplink admits it ([`Net::send`]).
//! 2. It enters a network and crosses its core ([`Event::Enter`], [`Event::Cross`]).
//! 3. There it goes down to a host, in through a NAT, or out through the network's own NAT.
//! 4. The receiver's downlink admits it, and a socket gets it ([`Event::Arrive`]).

use std::net::SocketAddr;

use esp_wire::{Ecn, Input, Instant, SocketId};

use crate::clock::{Event, Packet, Tell};
use crate::endpoint::Endpoint;
use crate::host::HostId;
use crate::link::{Fate, Pipe};
use crate::log::{Outcome, Record};
use crate::net::Net;
use crate::topology::{Reach, SiteId};

impl<E: Endpoint> Net<E> {
    /// Sends one datagram out of a socket.
    pub(crate) fn send(
        &mut self,
        host: HostId,
        socket: SocketId,
        to: SocketAddr,
        (ecn, fragmentable): (Ecn, bool),
        data: Vec<u8>,
    ) {
        let Some(local) = self.hosts[host.0].sockets.get(&socket) else {
            self.stats.no_socket += 1;
            return;
        };
        let from = self.hosts[host.0].source(*local, to);
        let packet = Packet {
            origin: (host, socket),
            from,
            to,
            ecn,
            fragmentable,
            data,
        };
        self.stats.sent += 1;
        self.record(&packet, Outcome::Sent);
        let Some(index) = self.hosts[host.0].port_with(from.ip()) else {
            return self.unroutable(packet);
        };
        let port = &mut self.hosts[host.0].ports[index];
        let site = port.site;
        let (now, rng) = (self.now, &mut self.rng);
        let fate = pass(&mut port.up, now, packet, rng);
        self.travel(fate, |packet| Event::Enter(site, packet));
    }

    /// Plans what a link decided.
    fn travel(&mut self, (fate, packet): (Fate, Packet), event: impl Fn(Packet) -> Event<E>) {
        match fate {
            Fate::Lost(loss) => self.record(&packet, Outcome::Lost(loss)),
            Fate::Arrives(at) => self.agenda.plan(at, event(packet)),
            Fate::Twice(first, second) => {
                self.agenda.plan(first, event(packet.clone()));
                self.agenda.plan(second, event(packet));
            }
        }
    }

    pub(crate) fn on_enter(&mut self, site: SiteId, packet: Packet) {
        let local = self.sites[site.0].reach.contains_key(&packet.to.ip());
        if !local && self.sites[site.0].gate.is_some() {
            return self.leave(site, packet);
        }
        let (now, rng) = (self.now, &mut self.rng);
        let fate = pass(&mut self.sites[site.0].core, now, packet, rng);
        self.travel(fate, |packet| Event::Cross(site, packet));
    }

    /// Out through the NAT of a network, or back in by its hairpin.
    fn leave(&mut self, site: SiteId, mut packet: Packet) {
        let now = self.now;
        let Some(gate) = &mut self.sites[site.0].gate else {
            return;
        };
        if !gate.table.nat.udp {
            return self.filtered(packet);
        }
        let parent = gate.parent;
        let to_itself = packet.to.ip() == gate.table.external;
        if to_itself && !gate.table.nat.hairpin {
            return self.filtered(packet);
        }
        packet.from = gate
            .table
            .outbound(now, packet.from, packet.to, &mut self.rng);
        if !to_itself {
            let fate = pass(&mut gate.up, now, packet, &mut self.rng);
            return self.travel(fate, |packet| Event::Enter(parent, packet));
        }
        match gate.table.inbound(now, packet.from, packet.to) {
            Some(inside) => {
                packet.to = inside;
                self.on_enter(site, packet);
            }
            None => self.filtered(packet),
        }
    }

    pub(crate) fn on_cross(&mut self, site: SiteId, packet: Packet) {
        match self.sites[site.0].reach.get(&packet.to.ip()) {
            Some(Reach::Host(host)) => {
                let host = *host;
                let Some(index) = self.hosts[host.0].port_with(packet.to.ip()) else {
                    return self.unroutable(packet);
                };
                let (now, rng) = (self.now, &mut self.rng);
                let down = &mut self.hosts[host.0].ports[index].down;
                let fate = pass(down, now, packet, rng);
                self.travel(fate, |packet| Event::Arrive(host, packet));
            }
            Some(Reach::Gate(inner)) => {
                let inner = *inner;
                self.come_in(inner, packet);
            }
            None => self.unroutable(packet),
        }
    }

    /// In through the NAT of a network.
    fn come_in(&mut self, site: SiteId, mut packet: Packet) {
        let now = self.now;
        let Some(gate) = &mut self.sites[site.0].gate else {
            return;
        };
        let admitted = gate.table.inbound(now, packet.from, packet.to);
        match admitted.filter(|_| gate.table.nat.udp) {
            Some(inside) => {
                packet.to = inside;
                let fate = pass(&mut gate.down, now, packet, &mut self.rng);
                self.travel(fate, |packet| Event::Enter(site, packet));
            }
            None => self.filtered(packet),
        }
    }

    pub(crate) fn on_arrive(&mut self, host: HostId, packet: Packet) {
        let Some(socket) = self.hosts[host.0].socket_at(packet.to) else {
            return self.unroutable(packet);
        };
        self.record(&packet, Outcome::Delivered);
        self.stats.delivered += 1;
        let mut train = packet;
        let size = train.data.len();
        while self.merge && train.data.len().is_multiple_of(size.max(1)) {
            let room = 65_000usize.saturating_sub(train.data.len());
            let fits = |to: HostId, next: &Packet| {
                let same = (to, next.from, next.to, next.ecn);
                same == (host, train.from, train.to, train.ecn)
                    && next.data.len() <= size.min(room)
                    && !next.data.is_empty()
            };
            let Some(next) = self.agenda.pop_arrival(self.now, fits) else {
                break;
            };
            self.record(&next, Outcome::Delivered);
            self.stats.delivered += 1;
            train.data.extend_from_slice(&next.data);
        }
        let entry = &mut self.hosts[host.0];
        entry.dirty = true;
        let input = Input::Datagrams {
            socket,
            remote: train.from,
            ecn: train.ecn,
            size,
            data: &mut train.data,
        };
        entry.machine.handle_input(self.now, input);
        self.recycle(train.data);
    }

    fn filtered(&mut self, packet: Packet) {
        self.stats.filtered += 1;
        self.record(&packet, Outcome::Filtered);
        self.recycle(packet.data);
    }

    fn unroutable(&mut self, packet: Packet) {
        self.stats.unroutable += 1;
        self.record(&packet, Outcome::Unroutable);
        if self.icmp {
            let (host, socket) = packet.origin;
            let event = Event::Tell(host, Tell::Unreachable(socket, packet.to));
            self.agenda.plan(self.now, event);
        }
        self.recycle(packet.data);
    }

    fn record(&mut self, packet: &Packet, outcome: Outcome) {
        self.log.add(Record {
            at: self.now,
            from: packet.from,
            to: packet.to,
            len: packet.data.len(),
            first: packet.data.first().copied().unwrap_or(0),
            outcome,
        });
    }
}

/// Puts a packet on a link.
fn pass(
    pipe: &mut Pipe,
    now: Instant,
    mut packet: Packet,
    rng: &mut esp_wire::Rng,
) -> (Fate, Packet) {
    let len = match packet.fragmentable {
        true => packet.ip_len().min(pipe.mtu()),
        false => packet.ip_len(),
    };
    let fate = pipe.admit(now, len, &mut packet.ecn, rng);
    (fate, packet)
}
