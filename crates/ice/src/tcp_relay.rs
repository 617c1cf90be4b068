//! Candidates over TCP at TURN servers (RFC 6544 §5.2, RFC 6062), for calls that find no other way.
//!
//! 1. With [`Config::tcp_relays`](crate::Config::tcp_relays) each TURN server that is spoken to over TCP or TLS is
//!    asked for one more allocation, which relays TCP. Its address is a passive candidate.
//! 2. To each passive candidate of the peer a connection is asked for (Connect). Every address that the peer
//!    names is let through, so that its connections to ours come (ConnectionAttempt).
//! 3. For each such connection one more stream to the server is opened, a tunnel, and bound to it
//!    (ConnectionBind).
//!    One that ends before gives way to another, as long as the server keeps the connection; then another
//!    connection is asked for.
//! 4. From then on the tunnel is a stream to the peer like any other (`tcp.rs`), at a relayed candidate.
//! 5. A tunnel outlives restarts, since a server has one connection to a peer at most (446): the next session
//!    takes it over.

use std::net::{IpAddr, SocketAddr};

use esp_stun::ErrorCode;
use esp_stun::turn::{ConnectionId, DataConnection, TurnError};
use esp_wire::{Action, Instant, SocketId, Train};

use crate::agent::Agent;
use crate::candidate::{CandidateKind, CandidateTransport, TcpType};
use crate::event::WarningReason;
use crate::local::{Base, BaseRole};
use crate::pair::same_address;
use crate::priority::candidate_priority;
use crate::relay::{Relay, Stage};
use crate::remote::RemoteCandidate;
use crate::tcp::{MAX_STREAMS, relayed_preference, remote_end};

/// So many streams are opened for one connection of a server.
const BINDS: u32 = 3;

/// A stream to a TURN server that is to become, or is, the way to a peer.
#[derive(Debug)]
pub(crate) struct Tunnel {
    stream: SocketId,
    /// The stream over which its allocation is kept.
    control: SocketId,
    connection: ConnectionId,
    peer: SocketAddr,
    /// Whether the peer has connected.
    incoming: bool,
    /// Streams that were opened for it.
    binds: u32,
    /// What speaks first on the stream, once it is open.
    binding: Option<DataConnection>,
    bound: bool,
}

impl Tunnel {
    pub(crate) fn stream(&self) -> SocketId {
        self.stream
    }

    pub(crate) fn is_bound(&self) -> bool {
        self.bound
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.binding.as_ref()?.poll_timeout()
    }
}

impl Agent {
    /// Lets an address that the peer names through all relays of TCP.
    pub(crate) fn let_through(&mut self, now: Instant, peer: IpAddr) {
        let known = &mut self.session.reach;
        if !self.config.tcp_relays || known.contains(&peer) {
            return;
        }
        if known.len() >= self.config.max_remote_candidates {
            self.counters.ignored_candidates += 1;
            return;
        }
        known.push(peer);
        let relays = self.relays.list.iter_mut().filter(|relay| relay.tcp);
        for client in relays.filter_map(|relay| relay.client.as_mut()) {
            client.permit(now, peer);
        }
    }

    /// Reaches for a passive candidate of the peer from all relays of TCP.
    pub(crate) fn connect_by_relays(&mut self, now: Instant, remote: &RemoteCandidate) {
        let allocated = |relay: &Relay| relay.tcp && relay.is_allocated();
        for at in 0..self.relays.list.len() {
            if allocated(&self.relays.list[at]) {
                self.connect_by_relay(now, at, remote);
            }
        }
    }

    fn connect_by_relay(&mut self, now: Instant, at: usize, remote: &RemoteCandidate) {
        let peer = remote.end.address;
        let relay = &self.relays.list[at];
        let control = relay.via;
        if relay.socket_for(peer).is_none() {
            return;
        }
        let same = |one: &&Tunnel| one.control == control && same_address(one.peer, peer);
        let known = self.relays.tunnels.iter().find(same);
        match known.map(|tunnel| (tunnel.bound, tunnel.stream)) {
            Some((true, stream)) => self.add_pair(now, stream, remote, false),
            Some((false, _)) => {}
            None => {
                if let Some(client) = &mut self.relays.list[at].client {
                    client.connect(now, peer);
                }
            }
        }
    }

    /// Makes the passive candidate of a relayed address, and reaches from it for those of the peer.
    pub(crate) fn add_tcp_relayed(
        &mut self,
        now: Instant,
        at: usize,
        (address, mapped): (SocketAddr, Option<SocketAddr>),
        preference: u16,
    ) {
        let role = BaseRole::RelayedListener;
        let mut candidate = self.make_relayed(at, role, (address, mapped), preference);
        candidate.transport = CandidateTransport::Tcp(TcpType::Passive);
        let least = relayed_preference(TcpType::Passive, preference);
        candidate.priority = candidate_priority(CandidateKind::Relayed, least);
        candidate.advert = true;
        self.locals.candidates.push(candidate);
        self.announce(&candidate);
        if let Some(client) = &mut self.relays.list[at].client {
            for peer in &self.session.reach {
                client.permit(now, *peer);
            }
        }
        let listens = CandidateTransport::Tcp(TcpType::Passive);
        let known = self.session.passive.iter();
        let remotes: Vec<_> = known
            .filter(|(candidate, _)| candidate.transport == listens)
            .map(|(candidate, at)| remote_end(candidate, *at))
            .collect();
        for remote in remotes {
            self.connect_by_relay(now, at, &remote);
        }
    }

    /// The server has a connection with a peer: a stream is opened to be joined to it.
    pub(crate) fn open_tunnel(
        &mut self,
        at: usize,
        (peer, connection): (SocketAddr, ConnectionId),
        incoming: bool,
    ) {
        let full = self.streams_and_tunnels() >= MAX_STREAMS;
        let stream = match self.is_wanted(peer) && !full {
            true => self.open_server_stream(at),
            false => None,
        };
        let relay = &mut self.relays.list[at];
        let Some(stream) = stream else {
            if let Some(client) = &mut relay.client {
                client.release(connection);
            }
            return;
        };
        let control = relay.via;
        self.relays.tunnels.push(Tunnel {
            stream,
            control,
            connection,
            peer,
            incoming,
            binds: 1,
            binding: None,
            bound: false,
        });
    }

    /// The server does not reach a peer: it is asked again while there is no path, after the pause that it is due.
    pub(crate) fn on_connect_refused(
        &mut self,
        now: Instant,
        at: usize,
        peer: SocketAddr,
        error: &TurnError,
    ) {
        let failed = matches!(
            error,
            TurnError::Refused(
                ErrorCode::CONNECTION_TIMEOUT_OR_FAILURE | ErrorCode::CONNECTION_ALREADY_EXISTS,
                _,
            )
        );
        let wanted = failed && self.is_reached_for(peer);
        if let Some(client) = self.relays.list[at].client.as_mut().filter(|_| wanted) {
            client.connect(now, peer);
        }
    }

    /// Whether there is no path, and a connection to a peer may become one.
    fn is_reached_for(&self, peer: SocketAddr) -> bool {
        let searching = self.active.is_none() && !self.session.failed;
        let mut known = self.session.passive.iter();
        searching && known.any(|(_, at)| same_address(*at, peer))
    }

    /// Streams to the peer and what is to become one.
    pub(crate) fn streams_and_tunnels(&self) -> usize {
        let tunnels = self.relays.tunnels.iter();
        self.streams.len() + tunnels.filter(|tunnel| !tunnel.bound).count()
    }

    /// A stream is open: if it is a tunnel, ConnectionBind goes out; `false` when it is none.
    pub(crate) fn on_tunnel_opened(&mut self, now: Instant, stream: SocketId) -> bool {
        let mut tunnels = self.relays.tunnels.iter();
        let Some(place) = tunnels.position(|tunnel| tunnel.stream == stream) else {
            return false;
        };
        let tunnel = &self.relays.tunnels[place];
        let (connection, control) = (tunnel.connection, tunnel.control);
        let at = self.relays.of_via(control);
        let client = at.and_then(|at| self.relays.list[at].client.as_mut());
        let binding = client.and_then(|client| client.bind_connection(now, connection, stream));
        match binding {
            Some(binding) => self.relays.tunnels[place].binding = Some(binding),
            None => self.fail_tunnel(now, stream),
        }
        true
    }

    /// Takes the server's answer out of what comes over a tunnel, and gives back what is the peer's, as it does
    /// with bytes of any other stream; `None` when nothing is.
    pub(crate) fn on_tunnel_bytes<'a>(
        &mut self,
        now: Instant,
        stream: SocketId,
        data: &'a mut [u8],
    ) -> Option<&'a mut [u8]> {
        let mut tunnels = self.relays.tunnels.iter_mut();
        let pending = |tunnel: &&mut Tunnel| tunnel.stream == stream && !tunnel.bound;
        let Some(tunnel) = tunnels.find(pending) else {
            return Some(data);
        };
        let taken = match &mut tunnel.binding {
            Some(binding) => binding.handle_bytes(now, data),
            None => Err(TurnError::OutOfStep),
        };
        match taken {
            Ok(None) => None,
            Ok(Some(rest)) => {
                tunnel.bound = true;
                tunnel.binding = None;
                self.on_tunnel_bound(now, stream);
                Some(rest)
            }
            Err(_) => {
                self.fail_tunnel(now, stream);
                None
            }
        }
    }

    /// The tunnel is a stream to the peer from now on.
    fn on_tunnel_bound(&mut self, now: Instant, stream: SocketId) {
        let tunnel = (self.relays.tunnels.iter()).find(|tunnel| tunnel.stream == stream);
        let Some((peer, incoming, control)) =
            tunnel.map(|tunnel| (tunnel.peer, tunnel.incoming, tunnel.control))
        else {
            return;
        };
        let relay = self.relays.of_via(control).map(|at| &self.relays.list[at]);
        let listener = relay.and_then(|relay| Some((relay.socket_for(peer)?, relay.target())));
        let listener = listener.and_then(|(socket, server)| {
            let base = self.locals.base(socket)?;
            Some((base.local?, base.preference, server))
        });
        let Some((local, preference, server)) = listener else {
            self.end_tunnel(now, stream);
            return;
        };
        let kind = if incoming {
            TcpType::Passive
        } else {
            TcpType::Active
        };
        let base = Base {
            socket: stream,
            role: BaseRole::RelayedStream,
            interface: 0,
            address: local.ip(),
            preference: relayed_preference(kind, preference),
            local: Some(local),
        };
        self.locals.bases.push(base);
        let relayed = CandidateKind::Relayed;
        let mut ours = (self.locals).make(&base, local, relayed, local, Some(server));
        ours.transport = CandidateTransport::Tcp(kind);
        ours.told = false;
        self.locals.candidates.push(ours);
        let mut passive = self.session.passive.iter();
        let candidate = passive.find(|(_, at)| same_address(*at, peer));
        let remote = candidate.map(|(candidate, at)| remote_end(candidate, *at));
        self.adopt_stream(stream, peer, remote, kind);
        if let Some(remote) = remote {
            self.add_pair(now, stream, &remote, false);
        }
    }

    /// A stream has ended; `false` when there is more to be ended than a tunnel.
    pub(crate) fn on_tunnel_closed(&mut self, now: Instant, stream: SocketId) -> bool {
        if self.rebind(now, stream) {
            return true;
        }
        match self.forget_tunnel(stream) {
            Some(tunnel) if !tunnel.bound => {
                self.connect_anew(now, &tunnel);
                true
            }
            _ => false,
        }
    }

    /// Opens another stream in place of one that ended before the server bound it.
    fn rebind(&mut self, now: Instant, stream: SocketId) -> bool {
        let spoilt = |tunnel: &Tunnel| tunnel.stream == stream && !tunnel.bound;
        let Some(place) = self.relays.tunnels.iter().position(spoilt) else {
            return false;
        };
        let tunnel = &self.relays.tunnels[place];
        let (connection, again) = (tunnel.connection, tunnel.binds < BINDS);
        let Some(at) = self.relays.of_via(tunnel.control).filter(|_| again) else {
            return false;
        };
        let client = self.relays.list[at].client.as_mut();
        if !client.is_some_and(|client| client.unbind(now, connection)) {
            return false;
        }
        let Some(stream) = self.open_server_stream(at) else {
            return false;
        };
        let tunnel = &mut self.relays.tunnels[place];
        (tunnel.stream, tunnel.binding) = (stream, None);
        tunnel.binds += 1;
        true
    }

    /// Asks for another connection in place of one that was not bound, while there is no path.
    fn connect_anew(&mut self, now: Instant, tunnel: &Tunnel) {
        let wanted = !tunnel.incoming && self.is_reached_for(tunnel.peer);
        let at = self.relays.of_via(tunnel.control).filter(|_| wanted);
        if let Some(client) = at.and_then(|at| self.relays.list[at].client.as_mut()) {
            client.connect_later(now, tunnel.peer);
        }
    }

    fn forget_tunnel(&mut self, stream: SocketId) -> Option<Tunnel> {
        let tunnels = &mut self.relays.tunnels;
        let place = tunnels.iter().position(|tunnel| tunnel.stream == stream)?;
        let tunnel = tunnels.swap_remove(place);
        let at = self.relays.of_via(tunnel.control);
        if let Some(client) = at.and_then(|at| self.relays.list[at].client.as_mut()) {
            client.release(tunnel.connection);
        }
        Some(tunnel)
    }

    fn end_tunnel(&mut self, now: Instant, stream: SocketId) -> Option<Tunnel> {
        self.actions.push_back(Action::Close { socket: stream });
        let tunnel = self.forget_tunnel(stream);
        if tunnel.as_ref().is_none_or(Tunnel::is_bound) {
            self.on_peer_stream_closed_for(now, stream, WarningReason::RelayLost);
        }
        tunnel
    }

    /// Ends one that the server does not bind.
    fn fail_tunnel(&mut self, now: Instant, stream: SocketId) {
        if let Some(tunnel) = self.end_tunnel(now, stream) {
            self.connect_anew(now, &tunnel);
        }
    }

    /// Ends all tunnels of an allocation.
    pub(crate) fn end_tunnels(&mut self, now: Instant, control: SocketId) {
        let tunnels = self.relays.tunnels.iter();
        let own = tunnels.filter(|tunnel| tunnel.control == control);
        let streams: Vec<_> = own.map(|tunnel| tunnel.stream).collect();
        for stream in streams {
            self.end_tunnel(now, stream);
        }
    }

    /// Gives up those that the server does not answer on.
    pub(crate) fn run_tunnels(&mut self, now: Instant) {
        let tunnels = self.relays.tunnels.iter_mut();
        let silent: Vec<_> = tunnels
            .filter_map(|tunnel| {
                let binding = tunnel.binding.as_mut()?;
                binding.handle_timeout(now).err().map(|_| tunnel.stream)
            })
            .collect();
        for stream in silent {
            self.fail_tunnel(now, stream);
        }
    }

    /// Fills a train with a ConnectionBind that waits.
    pub(crate) fn poll_tunnels(&mut self, now: Instant, train: &mut Train) -> bool {
        let tunnels = self.relays.tunnels.iter_mut();
        let mut bindings = tunnels.filter_map(|tunnel| tunnel.binding.as_mut());
        bindings.any(|binding| binding.poll_transmit(now, train))
    }

    /// Whether data takes a tunnel of this allocation.
    pub(crate) fn is_tunnel_in_use(&self, control: SocketId, in_use: &[Option<SocketId>]) -> bool {
        let mut tunnels = self.relays.tunnels.iter();
        tunnels.any(|tunnel| tunnel.control == control && in_use.contains(&Some(tunnel.stream)))
    }

    /// Queues an allocation that relays TCP at a server, unless there is one.
    pub(crate) fn plan_tcp_relay(&mut self, relay: Relay) {
        let list = &mut self.relays.list;
        let counts = |one: &&Relay| !one.retired && one.stage != Stage::Gone;
        let same = |one: &Relay| {
            one.tcp && one.address == relay.address && one.server == relay.server && counts(&one)
        };
        if list.iter().filter(counts).count() < self.config.max_relays && !list.iter().any(same) {
            list.push(relay);
            self.gathering.reopen();
        }
    }
}
