//! What becomes of allocations: relayed addresses and their candidates, permissions and channels.

use std::net::{IpAddr, SocketAddr};

use esp_stun::turn::{TurnError, TurnEvent};
use esp_wire::{Instant, Transport};

use crate::agent::Agent;
use crate::candidate::CandidateKind;
use crate::event::Event;
use crate::local::{Base, BaseRole, LocalCandidate};
use crate::relay::Stage;
use crate::remote::is_usable;

impl Agent {
    /// Does what is due, and takes the news of all clients.
    pub(crate) fn run_relays(&mut self, now: Instant) {
        for at in 0..self.relays.list.len() {
            if self.relays.list[at].retired && !self.is_relay_in_use(at) {
                self.give_back(now, at);
            }
            let relay = &mut self.relays.list[at];
            if let Some(client) = &mut relay.client
                && client.poll_timeout().is_some_and(|next| next.at <= now)
            {
                client.handle_timeout(now);
            }
            if matches!(relay.stage, Stage::Failed(Some(again)) if again <= now) {
                relay.stage = Stage::Queued;
            }
            self.take_relay_events(now, at);
        }
        self.run_tunnels(now);
        self.relays.list.retain(|relay| relay.stage != Stage::Gone);
    }

    fn take_relay_events(&mut self, now: Instant, at: usize) {
        while let Some(client) = &mut self.relays.list[at].client
            && let Some(event) = client.poll_event()
        {
            match event {
                TurnEvent::Allocated {
                    relayed, mapped, ..
                } => self.on_allocated(now, at, &relayed, mapped),
                TurnEvent::PeerConnected {
                    peer,
                    connection,
                    incoming,
                } => self.open_tunnel(at, (peer, connection), incoming),
                TurnEvent::ConnectRefused(peer, error) => {
                    self.on_connect_refused(now, at, peer, &error);
                }
                TurnEvent::PeerRefused(peer, _) => self.on_peer_refused(at, peer),
                TurnEvent::ChannelBound(peer) => self.on_channel_bound(at, peer),
                TurnEvent::CredentialsRefused(_) => {
                    self.relays.list[at].retired = true;
                    self.plan_relays();
                }
                TurnEvent::Failed(error) => self.fail_relay(now, at, &error),
                TurnEvent::Closed => self.forget_relay(now, at),
                _ => {}
            }
        }
    }

    fn on_allocated(
        &mut self,
        now: Instant,
        at: usize,
        relayed: &[SocketAddr],
        mapped: Option<SocketAddr>,
    ) {
        let relay = &mut self.relays.list[at];
        relay.settled = true;
        relay.failures = 0;
        let (server, base, transport) = (relay.server, relay.base, relay.transport);
        let target = relay.target();
        if let Some(server) = self.gathering.server_mut(server) {
            (server.answered, server.told) = (true, false);
        }
        let open =
            |base: &&Base| base.role == BaseRole::Open && !self.relays.list[at].owns_socket();
        let base = base.and_then(|base| self.locals.base(base)).filter(open);
        if let (Some(socket), Some(mapped)) = (base.map(|base| base.socket), mapped) {
            self.on_mapped(socket, target, mapped);
        }
        for address in relayed {
            if !is_usable(*address, self.config.include_loopback) {
                self.fail_relay(now, at, &TurnError::NoRelayedAddress);
                return;
            }
            self.add_relayed(now, at, *address, mapped, transport);
        }
    }

    /// Makes the socket inside the agent and the candidate of a relayed address.
    fn add_relayed(
        &mut self,
        now: Instant,
        at: usize,
        address: SocketAddr,
        mapped: Option<SocketAddr>,
        transport: Transport,
    ) {
        // UDP before DTLS before TCP before TLS, and the earlier before the later.
        let class = match transport {
            Transport::Udp => 0x8000,
            Transport::Dtls => 0x7000,
            Transport::Tcp => 0x6000,
            Transport::Tls => 0x4000,
        };
        self.ranks = self.ranks.wrapping_add(1);
        let preference = class - 1 - self.ranks % 0x1000;
        if self.relays.list[at].tcp {
            return self.add_tcp_relayed(now, at, (address, mapped), preference);
        }
        let candidate = self.make_relayed(at, BaseRole::Relayed, (address, mapped), preference);
        self.locals.candidates.push(candidate);
        self.announce(&candidate);
        self.pair_local(now, &candidate);
    }

    /// The candidate of a relayed address, with the socket that it is inside the agent.
    pub(crate) fn make_relayed(
        &mut self,
        at: usize,
        role: BaseRole,
        (address, mapped): (SocketAddr, Option<SocketAddr>),
        preference: u16,
    ) -> LocalCandidate {
        let socket = self.fresh_socket();
        let base = Base {
            socket,
            role,
            interface: 0,
            address: address.ip(),
            preference,
            local: Some(address),
        };
        self.locals.bases.push(base);
        let relay = &mut self.relays.list[at];
        relay.sockets.push((socket, address));
        let server = Some(relay.target());
        let kind = CandidateKind::Relayed;
        let mut candidate = self.locals.make(&base, address, kind, address, server);
        candidate.related = self.related(mapped, address);
        candidate
    }

    fn on_peer_refused(&mut self, at: usize, peer: IpAddr) {
        let sockets: Vec<_> = (self.relays.list[at].sockets.iter())
            .map(|(socket, _)| *socket)
            .collect();
        let refused: Vec<_> = (self.session.checklist.pairs().iter())
            .filter(|pair| sockets.contains(&pair.socket) && pair.address.ip() == peer)
            .filter(|pair| pair.valid.is_none())
            .map(|pair| pair.id)
            .collect();
        for pair in refused {
            self.session.checks.remove_pair(pair);
            self.on_check_failed(pair);
        }
        let in_use =
            |on: &crate::path::Active| sockets.contains(&on.socket) && on.remote.ip() == peer;
        // A channel that is gone needs the larger framing again.
        if self.active.as_ref().is_some_and(in_use) {
            self.push_event(Event::RoomChanged);
        }
    }

    fn on_channel_bound(&mut self, at: usize, peer: SocketAddr) {
        let sockets = &self.relays.list[at].sockets;
        let in_use = self.active.as_ref().is_some_and(|active| {
            let ours = sockets.iter().any(|(socket, _)| *socket == active.socket);
            ours && crate::pair::same_address(active.remote, peer)
        });
        if in_use {
            self.push_event(Event::RoomChanged);
        }
    }
}
