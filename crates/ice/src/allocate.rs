//! Asking for allocations, and what becomes of them; see `relay.rs` for the course of it.

use std::net::SocketAddr;
use std::time::Duration;

use esp_stun::turn::{Families, TurnClient, TurnConfig, TurnError, TurnEvent};
use esp_stun::{ErrorCode, Retransmission};
use esp_wire::{Action, Instant, Origin, SocketId, Transport};

use crate::agent::Agent;
use crate::candidate::CandidateKind;
use crate::event::{Event, GatheringState, WarningReason};
use crate::gathering::can_reach;
use crate::local::{Base, BaseRole, LocalCandidate};
use crate::relay::{Relay, Stage};
use crate::remote::is_usable;

/// How long a request on a stream waits for its response.
const STREAM_TIMEOUT: Duration = Duration::from_secs(10);
/// So many servers may send us on to another.
const MAX_REDIRECTS: u32 = 3;

impl Agent {
    /// Queues an allocation for each server and socket that go together and have none.
    pub(crate) fn plan_relays(&mut self) {
        if self.gathering.state == GatheringState::New || self.leaving {
            return;
        }
        let families = match (self.config.ipv4, self.config.ipv6) {
            (true, true) => Families::Both,
            (true, false) => Families::V4,
            _ => Families::V6,
        };
        let servers = self.gathering.relay_servers();
        let list = &mut self.relays.list;
        for base in self.locals.bases.iter().filter(|base| base.role.gathers()) {
            let Some(local) = base.local else { continue };
            for (server, transport, address) in &servers {
                let socket = (*transport == Transport::Udp).then_some(base.socket);
                let same = |relay: &Relay| {
                    (relay.address, relay.base, relay.tcp) == (*address, socket, false)
                };
                let counts = |relay: &&Relay| !relay.retired && relay.stage != Stage::Gone;
                let known =
                    |relay: &Relay| same(relay) && relay.server == *server && counts(&relay);
                let count = list.iter().filter(counts).count();
                if count >= self.config.max_relays
                    || !can_reach(local, *address)
                    || list.iter().any(known)
                {
                    continue;
                }
                let mut relay = Relay::new(*server, *address, *transport, socket, families);
                // The server knows this port as that of the allocation that is to be replaced.
                relay.other_port =
                    socket.is_some() && (self.config.relays_apart || list.iter().any(same));
                list.push(relay);
                self.gathering.reopen();
            }
        }
        self.plan_tcp_relays(&servers);
    }

    /// The same for relays of TCP, of one family.
    fn plan_tcp_relays(&mut self, servers: &[(u32, Transport, SocketAddr)]) {
        let gathers = |base: &&Base| base.role.gathers();
        let bases = self.locals.bases.iter().filter(gathers);
        let locals: Vec<_> = bases.filter_map(|base| base.local).collect();
        let families = match self.config.ipv4 {
            true => Families::V4,
            false => Families::V6,
        };
        for (server, transport, address) in servers {
            let streams = matches!(transport, Transport::Tcp | Transport::Tls);
            let reachable = locals.iter().any(|local| can_reach(*local, *address));
            if self.config.tcp_relays && streams && reachable {
                let mut relay = Relay::new(*server, *address, *transport, None, families);
                relay.tcp = true;
                self.plan_tcp_relay(relay);
            }
        }
    }

    /// Starts the next allocation; its slot has come.
    pub(crate) fn start_relay(&mut self, now: Instant) {
        let queued = |relay: &Relay| relay.stage == Stage::Queued;
        let Some(at) = self.relays.list.iter().position(queued) else {
            return;
        };
        let relay = &self.relays.list[at];
        let base = relay.base.and_then(|base| self.locals.base(base)).copied();
        let (is_stream, other_port) = (relay.is_stream(), relay.other_port);
        match base {
            _ if is_stream => self.open_relay_stream(at),
            Some(base) if other_port => {
                let socket = self.fresh_socket();
                self.locals.bases.push(Base {
                    socket,
                    role: BaseRole::Spare,
                    local: None,
                    ..base
                });
                let relay = &mut self.relays.list[at];
                (relay.via, relay.stage) = (socket, Stage::Opening);
                let local = crate::interfaces::bind_address(base.interface, base.address);
                self.open_at(socket, local, false);
            }
            Some(base) => {
                self.relays.list[at].via = base.socket;
                self.begin_allocation(now, at);
            }
            None => self.relays.list[at].stage = Stage::Gone,
        }
    }

    fn open_relay_stream(&mut self, at: usize) {
        let stream = self.open_server_stream(at);
        let relay = &mut self.relays.list[at];
        match stream {
            Some(stream) => (relay.via, relay.stage) = (stream, Stage::Opening),
            None => relay.stage = Stage::Gone,
        }
    }

    /// Opens a stream to the server of an allocation; `None` when the server is none of ours any more.
    pub(crate) fn open_server_stream(&mut self, at: usize) -> Option<SocketId> {
        let stream = self.fresh_socket();
        let relay = &self.relays.list[at];
        let server = self.gathering.server(relay.server)?;
        let name = relay.alternate.as_ref().and_then(|(_, name)| name.clone());
        self.actions.push_back(Action::OpenStream {
            stream,
            transport: relay.transport,
            local: None,
            remote: relay.target(),
            server_name: Some(name.unwrap_or_else(|| server.host.clone())),
        });
        Some(stream)
    }

    /// The socket or stream is there: Allocate goes out.
    fn begin_allocation(&mut self, now: Instant, at: usize) {
        let relay = &mut self.relays.list[at];
        let Some(server) = self.gathering.server(relay.server) else {
            relay.stage = Stage::Gone;
            return;
        };
        let login = &server.login;
        let retransmission = Retransmission {
            rto: self.config.initial_rto,
            last_wait: 8,
            reliable_timeout: STREAM_TIMEOUT,
            ..Retransmission::default()
        };
        let target = relay.target();
        let mut config = TurnConfig::new(relay.via, target, &login.username, &login.credential)
            .with_transport(relay.transport)
            .with_families(relay.families)
            .with_tcp(relay.tcp)
            .with_retransmission(retransmission);
        config.lifetime = self.config.relay_lifetime;
        config.renewal = self.config.relay_renewal;
        config.dont_fragment = self.config.relay_dont_fragment && !relay.tcp;
        config.max_peers = self.config.max_remote_candidates + 16;
        let origin = Origin {
            now,
            unix: Duration::ZERO,
            seed: self.rng.array(),
        };
        relay.stage = Stage::Running;
        match TurnClient::new(config, origin) {
            Ok(mut client) => {
                client.start(now);
                relay.client = Some(client);
            }
            Err(error) => self.fail_relay(now, at, &error),
        }
    }

    /// The stream to a server is open.
    pub(crate) fn on_stream_opened(&mut self, now: Instant, stream: SocketId, local: SocketAddr) {
        let Some(at) = self.relays.of_via(stream) else {
            return self.on_query_opened(now, stream);
        };
        if self.relays.list[at].stage == Stage::Opening {
            self.relays.list[at].local = Some(local.ip());
            self.begin_allocation(now, at);
        }
    }

    /// The socket beside the base's is open.
    pub(crate) fn on_spare_bound(&mut self, now: Instant, socket: SocketId) {
        if let Some(at) = self.relays.of_via(socket)
            && self.relays.list[at].stage == Stage::Opening
        {
            self.begin_allocation(now, at);
        }
    }

    /// The stream or socket of an allocation could not be opened, or has ended.
    pub(crate) fn on_relay_closed(&mut self, now: Instant, socket: SocketId, reason: &str) {
        let Some(at) = self.relays.of_via(socket) else {
            return self.on_query_closed(socket, reason);
        };
        self.end_tunnels(now, socket);
        // The driver has closed it already.
        let relay = &mut self.relays.list[at];
        relay.via = relay.base.unwrap_or(SocketId(u32::MAX));
        self.locals.bases.retain(|base| base.socket != socket);
        if self.relays.list[at].given_back {
            self.forget_relay(now, at);
        } else {
            self.fail_relay(now, at, &TurnError::StreamClosed(reason.to_owned()));
        }
    }

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

    fn is_relay_in_use(&self, at: usize) -> bool {
        let sockets = &self.relays.list[at].sockets;
        let active = self.active.as_ref().map(|active| active.socket);
        let previous = self.previous.as_ref().and_then(|old| old.pair.as_ref());
        let previous = previous.map(|pair| pair.socket);
        (sockets.iter()).any(|(socket, _)| Some(*socket) == active || Some(*socket) == previous)
            || self.is_tunnel_in_use(self.relays.list[at].via, &[active, previous])
    }

    /// Deletes an allocation that nobody uses.
    fn give_back(&mut self, now: Instant, at: usize) {
        let relay = &mut self.relays.list[at];
        if relay.given_back {
            return;
        }
        match &mut relay.client {
            Some(client) => {
                relay.given_back = true;
                client.close(now);
                self.drop_relay_sockets(now, at);
            }
            None => self.forget_relay(now, at),
        }
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

    fn on_peer_refused(&mut self, at: usize, peer: std::net::IpAddr) {
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

    /// There is no allocation, or none any more: another way is tried, or a pause is made.
    pub(crate) fn fail_relay(&mut self, now: Instant, at: usize, error: &TurnError) {
        self.end_relay(now, at, WarningReason::RelayLost);
        let relay = &mut self.relays.list[at];
        if relay.retired {
            relay.stage = Stage::Gone;
            return;
        }
        match error {
            error if error.wants_other_socket() && !relay.other_port && !relay.is_stream() => {
                relay.other_port = true;
                relay.stage = Stage::Queued;
                return;
            }
            TurnError::TryAlternate(server, name)
                if relay.is_stream() && relay.redirects < MAX_REDIRECTS =>
            {
                relay.redirects += 1;
                relay.alternate = Some((*server, name.clone()));
                relay.stage = Stage::Queued;
                return;
            }
            TurnError::Refused(ErrorCode::ADDRESS_FAMILY_NOT_SUPPORTED, _)
                if relay.families == Families::Both =>
            {
                relay.families = Families::V4;
                relay.stage = Stage::Queued;
                return;
            }
            _ => {}
        }
        relay.fail(now, error);
        let id = relay.server;
        self.tell_relay_failure(id, error);
    }

    /// Tells once of a server none of whose allocations is there.
    fn tell_relay_failure(&mut self, id: u32, error: &TurnError) {
        let working =
            |relay: &Relay| relay.server == id && (relay.is_allocated() || !relay.settled);
        if self.relays.list.iter().any(working) {
            return;
        }
        let Some(server) = self.gathering.server_mut(id).filter(|server| !server.told) else {
            return;
        };
        server.told = true;
        let (url, reason) = (server.url.clone(), error.to_string());
        self.push_event(Event::ServerFailed { url, reason });
    }

    /// Ends the client with all that depends on it.
    fn end_relay(&mut self, now: Instant, at: usize, reason: WarningReason) {
        self.end_tunnels(now, self.relays.list[at].via);
        let relay = &mut self.relays.list[at];
        relay.client = None;
        relay.framer = esp_stun::turn::Framer::new();
        relay.local = None;
        if relay.owns_socket() {
            let socket = relay.via;
            self.actions.push_back(Action::Close { socket });
            self.locals.bases.retain(|base| base.socket != socket);
        }
        relay.via = relay.base.unwrap_or(SocketId(u32::MAX));
        for (socket, _) in std::mem::take(&mut relay.sockets) {
            self.drop_base(now, socket, reason);
        }
    }

    fn drop_relay_sockets(&mut self, now: Instant, at: usize) {
        self.end_tunnels(now, self.relays.list[at].via);
        for (socket, _) in std::mem::take(&mut self.relays.list[at].sockets) {
            self.drop_base(now, socket, WarningReason::RelayLost);
        }
    }

    pub(crate) fn forget_relay(&mut self, now: Instant, at: usize) {
        self.end_relay(now, at, WarningReason::RelayLost);
        self.relays.list[at].stage = Stage::Gone;
    }

    /// Ends all allocations that depend on a socket of ours which is gone, or on a stream from an
    /// address which is gone.
    pub(crate) fn drop_relays_of(&mut self, now: Instant, base: SocketId) {
        for at in 0..self.relays.list.len() {
            if self.relays.list[at].base == Some(base) {
                self.forget_relay(now, at);
            }
        }
    }

    /// Opens streams anew whose local address is gone.
    pub(crate) fn renew_streams(&mut self, now: Instant) {
        let addresses = self.interfaces.clone().unwrap_or_default();
        for at in 0..self.relays.list.len() {
            let gone = |local| !addresses.iter().any(|(_, address)| *address == local);
            if self.relays.list[at].local.is_some_and(gone) {
                self.end_relay(now, at, WarningReason::SocketLost);
                let relay = &mut self.relays.list[at];
                (relay.stage, relay.settled) = (Stage::Queued, false);
                self.gathering.reopen();
            }
        }
    }

    /// Gives all allocations back, so that the servers need not keep them until they expire. Nothing
    /// else is done any more; packets come out of [`Agent::poll_transmit`], and
    /// [`Agent::is_leaving`] says whether answers are awaited. [`Agent::close`] follows.
    pub fn leave(&mut self, now: Instant) {
        if self.closed || std::mem::replace(&mut self.leaving, true) {
            return;
        }
        for relay in &mut self.relays.list {
            match &mut relay.client {
                Some(client) => client.close(now),
                None => relay.stage = Stage::Gone,
            }
        }
        self.run(now);
    }

    /// Whether a TURN server has yet to confirm that an allocation is deleted.
    pub fn is_leaving(&self) -> bool {
        self.leaving && !self.relays.is_empty()
    }
}
