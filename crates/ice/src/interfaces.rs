//! Sockets on the addresses of this host (RFC 8445 §5.1.1.1), and what happens when they come and go.

use std::net::{IpAddr, SocketAddr, SocketAddrV6};

use esp_wire::{Action, IcePolicy, Instant, Interface, SocketId};

use crate::agent::Agent;
use crate::candidate::CandidateKind;
use crate::config::LinkLocal;
use crate::event::{Event, WarningReason};
use crate::local::{Base, BaseRole, LocalCandidate};
use crate::priority::{interleave, is_link_local};
use crate::relay::Relay;
use crate::remote::is_usable;
use crate::tcp_relay::Tunnel;

impl Agent {
    /// Opens sockets on new addresses and closes those whose address is gone.
    pub(crate) fn on_interfaces(&mut self, now: Instant, interfaces: &[Interface]) {
        let mut wanted = self.usable_addresses(interfaces);
        self.interfaces = Some(wanted.clone());
        if !self.started {
            return;
        }
        let gone: Vec<SocketId> = (self.locals.bases.iter())
            .filter(|base| base.role.gathers())
            .filter(|base| !wanted.contains(&(base.interface, base.address)))
            .map(|base| base.socket)
            .collect();
        for socket in gone {
            self.actions.push_back(Action::Close { socket });
            self.drop_base(now, socket, WarningReason::SocketLost);
        }
        self.withdraw_names(|named| wanted.iter().any(|(_, address)| *address == named));
        self.drop_streams(now);
        self.renew_streams(now);
        let known = |at: &(u32, IpAddr)| {
            let mut bases = self.locals.bases.iter();
            bases.any(|base| base.role.gathers() && (base.interface, base.address) == *at)
        };
        wanted.retain(|at| !known(at));
        for (interface, address) in wanted {
            self.bind(interface, address);
        }
    }

    /// Closes listeners, and streams of the peer, whose address is gone.
    fn drop_streams(&mut self, now: Instant) {
        let addresses = self.interfaces.clone().unwrap_or_default();
        let gone: Vec<SocketId> = (self.locals.bases.iter())
            .filter(|base| matches!(base.role, BaseRole::Listener(_) | BaseRole::Stream))
            .filter(|base| {
                !addresses
                    .iter()
                    .any(|(_, address)| *address == base.address)
            })
            .map(|base| base.socket)
            .collect();
        for socket in gone {
            self.actions.push_back(Action::Close { socket });
            self.on_peer_stream_closed(now, socket);
        }
    }

    /// Opens sockets on the addresses known, at the start.
    pub(crate) fn bind_all(&mut self) {
        for (interface, address) in self.interfaces.clone().unwrap_or_default() {
            self.bind(interface, address);
        }
    }

    fn bind(&mut self, interface: u32, address: IpAddr) {
        let own = self.locals.bases.iter().filter(|base| base.role.gathers());
        if own.count() >= self.config.max_candidates {
            return;
        }
        let socket = self.fresh_socket();
        let role = match self.config.policy {
            IcePolicy::All => BaseRole::Open,
            IcePolicy::Relay => BaseRole::Hidden,
        };
        let preference = u16::MAX - (self.ranks % 0x8000);
        self.ranks = self.ranks.wrapping_add(1);
        self.locals.bases.push(Base {
            socket,
            role,
            interface,
            address,
            preference,
            local: None,
        });
        self.name_address(address);
        self.open_at(socket, bind_address(interface, address), false);
    }

    /// A name for a socket or a stream that was never used.
    pub(crate) fn fresh_socket(&mut self) -> SocketId {
        loop {
            let socket = self.next_socket;
            // Those above are the driver's, for streams that it accepts.
            self.next_socket = SocketId((socket.0 + 1) % SocketId::ACCEPTED);
            let of_relay = |relay: &Relay| relay.via == socket;
            let free = self.locals.base(socket).is_none() && !self.is_stream(socket);
            let of_tunnel = |tunnel: &Tunnel| tunnel.stream() == socket;
            let free = free && !self.relays.tunnels.iter().any(of_tunnel);
            if free && !self.relays.list.iter().any(of_relay) {
                return socket;
            }
        }
    }

    /// The related address to be told of a candidate: nowhere when addresses are hidden, or when it
    /// is not known (RFC 8839 §5.1).
    pub(crate) fn related(
        &self,
        known: Option<SocketAddr>,
        like: SocketAddr,
    ) -> Option<SocketAddr> {
        let hidden = self.config.hide_addresses || !self.config.kinds.host;
        let nowhere = match like {
            SocketAddr::V4(_) => SocketAddr::from(([0; 4], 9)),
            SocketAddr::V6(_) => SocketAddr::from(([0; 16], 9)),
        };
        Some(
            known
                .filter(|_| self.config.policy == IcePolicy::All && !hidden)
                .unwrap_or(nowhere),
        )
    }

    /// The addresses that may be candidates, best first, each once.
    fn usable_addresses(&self, interfaces: &[Interface]) -> Vec<(u32, IpAddr)> {
        let config = &self.config;
        let family = |ip: IpAddr| {
            if ip.is_ipv4() {
                config.ipv4
            } else {
                config.ipv6
            }
        };
        let alone = |one: &Interface| {
            !interfaces.iter().any(|other| {
                other.index == one.index
                    && other.address.is_ipv4() == one.address.is_ipv4()
                    && !is_link_local(other.address)
            })
        };
        let local = |one: &Interface| match config.link_local {
            _ if !is_link_local(one.address) => true,
            LinkLocal::Never => false,
            LinkLocal::IfAlone => alone(one),
            LinkLocal::Always => true,
        };
        let mut list: Vec<(u32, IpAddr)> = Vec::new();
        for one in interfaces {
            let at = (one.index, one.address);
            if config.interfaces.admits(one)
                && config.addresses.admits(one.address)
                && family(one.address)
                && local(one)
                && is_usable(SocketAddr::new(one.address, 1), config.include_loopback)
                && !list.contains(&at)
            {
                list.push(at);
            }
        }
        interleave(&mut list);
        list
    }

    /// A socket is open: its host candidate is made, told and paired.
    pub(crate) fn on_bound(&mut self, now: Instant, socket: SocketId, local: SocketAddr) {
        self.forget_try(socket);
        let Some(base) = self.locals.base_mut(socket) else {
            return;
        };
        if base.local.is_some() {
            return;
        }
        base.local = Some(local);
        let base = *base;
        match base.role {
            BaseRole::Open => {}
            BaseRole::Hidden => return self.plan_relays(),
            BaseRole::Listener(kind) => return self.on_listening(now, &base, kind, local),
            _ => return self.on_spare_bound(now, socket),
        }
        let kind = CandidateKind::Host;
        let candidate = self.locals.make(&base, local, kind, local, None);
        // One for each socket, of which there are no more than the limit for candidates.
        self.locals.candidates.push(candidate);
        self.announce(&candidate);
        self.pair_local(now, &candidate);
        self.listen_beside(&base);
        self.connect_all(now);
        self.plan_requests();
        self.plan_relays();
    }

    /// A socket could not be opened, or has ended.
    pub(crate) fn on_closed(&mut self, now: Instant, socket: SocketId, reason: &str) {
        if self.try_next_port(socket) || self.on_tunnel_closed(now, socket) {
            return;
        }
        match self.locals.base(socket).map(|base| base.role) {
            Some(role) if role.gathers() => {
                self.drop_base(now, socket, WarningReason::SocketLost);
            }
            Some(BaseRole::Stream | BaseRole::Listener(_)) => {
                self.on_peer_stream_closed(now, socket)
            }
            _ if self.is_stream(socket) => self.on_peer_stream_closed(now, socket),
            _ => self.on_relay_closed(now, socket, reason),
        }
    }

    /// Tells the peer of a candidate.
    pub(crate) fn announce(&mut self, candidate: &LocalCandidate) {
        if !candidate.told {
            return;
        }
        let line = self.line(candidate);
        self.push_event(Event::LocalCandidate { line });
    }

    /// Forgets a socket with its candidates and pairs, and the relays that were asked through it.
    pub(crate) fn drop_base(&mut self, now: Instant, socket: SocketId, reason: WarningReason) {
        self.forget_try(socket);
        self.drop_relays_of(now, socket);
        let gone: Vec<LocalCandidate> = (self.locals.candidates.iter().copied())
            .filter(|candidate| candidate.socket == socket)
            .collect();
        for candidate in gone {
            if candidate.told {
                let line = self.line(&candidate);
                self.push_event(Event::CandidateRemoved { line });
            }
        }
        self.locals
            .candidates
            .retain(|known| known.socket != socket);
        self.locals.bases.retain(|base| base.socket != socket);
        self.gathering.drop_socket(socket);
        self.session.early.retain(|early| early.socket != socket);
        let pairs: Vec<_> = (self.session.checklist.pairs().iter())
            .filter(|pair| pair.socket == socket)
            .map(|pair| pair.id)
            .collect();
        for id in pairs {
            self.session.remove_pair(id);
        }
        if let Some(previous) = &mut self.previous
            && previous
                .pair
                .as_ref()
                .is_some_and(|pair| pair.socket == socket)
        {
            previous.pair = None;
        }
        if self
            .active
            .as_ref()
            .is_some_and(|active| active.socket == socket)
        {
            self.lose_path(now, reason);
        }
    }
}

/// What a socket is bound to: any port of an address, with its scope when it is link-local.
pub(crate) fn bind_address(interface: u32, address: IpAddr) -> SocketAddr {
    match address {
        IpAddr::V6(v6) if is_link_local(address) => SocketAddrV6::new(v6, 0, 0, interface).into(),
        _ => SocketAddr::new(address, 0),
    }
}
