//! Asking for allocations; see `relay.rs` for the course of it.

use std::net::SocketAddr;
use std::time::Duration;

use esp_stun::Retransmission;
use esp_stun::turn::{Families, TurnClient, TurnConfig};
use esp_wire::{Action, Instant, Origin, SocketId, Transport};

use crate::agent::Agent;
use crate::event::GatheringState;
use crate::gathering::can_reach;
use crate::local::{Base, BaseRole};
use crate::relay::{Relay, Stage};

/// How long a request on a stream waits for its response.
const STREAM_TIMEOUT: Duration = Duration::from_secs(10);

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
}
