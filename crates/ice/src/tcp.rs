//! Candidates over TCP (RFC 6544), framed as RFC 4571 says.
//!
//! 1. For a passive candidate of the peer, a stream is opened from each of our addresses of its
//!    family; ours are active and need not be told.
//! 2. With [`Config::tcp_passive`](crate::Config::tcp_passive) we listen too, and tell of it.
//! 3. With [`Config::tcp_simultaneous`](crate::Config::tcp_simultaneous) another listener stands for a `so`
//!    candidate: to those of the peer, streams are opened from its very port, while the peer does the same
//!    (RFC 6544 §7.1). Firewalls on both sides let that pass, as they do with datagrams.
//! 4. A stream that is open, either way, is a socket that reaches one far end only; checks, consent and
//!    data take it as any other.
//! 5. A stream of an earlier session is closed when data does not take it any more.

use std::net::SocketAddr;

use esp_wire::{Action, Destination, Instant, Room, SocketId, Train};

use crate::agent::Agent;
use crate::candidate::{Candidate, CandidateKind, CandidateTransport, TcpType};
use crate::event::WarningReason;
use crate::local::{Base, BaseRole};
use crate::pair::PairEnd;
use crate::pairing::go_together;
use crate::priority::clamp_priority;
use crate::remote::RemoteCandidate;

/// RFC 4571 §2: the length of each datagram goes before it.
const HEADER: usize = 2;
pub(crate) const ROOM: Room = Room {
    head: HEADER,
    tail: 0,
};
/// Most streams at one time.
pub(crate) const MAX_STREAMS: usize = 16;
/// Pairs over TCP of all remote foundations share this one.
const FOUNDATION: u32 = (1 << 20) - 1;

/// A stream to the peer, being opened or open.
#[derive(Debug)]
pub(crate) struct Stream {
    socket: SocketId,
    remote: SocketAddr,
    generation: u32,
    interface: u32,
    /// The candidate that it was opened for; none when it was accepted.
    candidate: Option<RemoteCandidate>,
    /// Our part in it.
    kind: TcpType,
    /// What came of a datagram that is not whole.
    buffer: Vec<u8>,
}

impl Stream {
    pub(crate) fn socket(&self) -> SocketId {
        self.socket
    }
}

/// The priority of a candidate over TCP, below all of UDP but relays (RFC 6544 §4.2).
fn priority(kind: TcpType, preference: u16) -> u32 {
    let direction = match kind {
        TcpType::Active => 6,
        TcpType::Passive => 4,
        TcpType::SimultaneousOpen => 2,
    };
    (90 << 24) | ((direction << 13 | u32::from(preference >> 3)) << 8) | 255
}

/// The local preference of one at a TURN server, below those of all relays of datagrams.
pub(crate) fn relayed_preference(kind: TcpType, preference: u16) -> u16 {
    ((priority(kind, preference) >> 8) as u16) >> 3
}

/// A candidate of the peer as the far end of a stream.
pub(crate) fn remote_end(candidate: &Candidate, at: SocketAddr) -> RemoteCandidate {
    let end = PairEnd {
        address: at,
        kind: candidate.kind,
        priority: clamp_priority(candidate.priority),
    };
    RemoteCandidate {
        end,
        foundation: FOUNDATION,
    }
}

impl Agent {
    /// Opens streams to a passive or `so` candidate of the peer.
    pub(crate) fn connect_to(&mut self, now: Instant, candidate: &Candidate, at: SocketAddr) {
        const SO: TcpType = TcpType::SimultaneousOpen;
        let (role, kind) = match candidate.transport {
            CandidateTransport::Tcp(TcpType::Passive) => (BaseRole::Open, TcpType::Active),
            CandidateTransport::Tcp(SO) => (BaseRole::Listener(SO), SO),
            _ => return self.counters.ignored_candidates += 1,
        };
        if !self.config.tcp_active || self.config.lite || !self.is_wanted(at) {
            self.counters.ignored_candidates += 1;
            return;
        }
        let known = &mut self.session.passive;
        if !known.iter().any(|(_, other)| *other == at) {
            if known.len() >= MAX_STREAMS {
                self.counters.ignored_candidates += 1;
                return;
            }
            known.push((candidate.clone(), at));
        }
        let remote = remote_end(candidate, at);
        if kind == TcpType::Active {
            self.connect_by_relays(now, &remote);
        }
        let bases: Vec<Base> = (self.locals.bases.iter().copied())
            .filter(|base| base.role == role)
            .collect();
        for base in bases {
            let Some(local) = base.local.filter(|local| go_together(*local, at)) else {
                continue;
            };
            let current = self.session.generation;
            let same = |stream: &Stream| {
                (stream.remote, stream.interface, stream.generation)
                    == (at, base.interface, current)
            };
            if self.streams.iter().any(same) || self.streams_and_tunnels() >= MAX_STREAMS {
                continue;
            }
            let stream = self.fresh_socket();
            self.streams.push(Stream {
                socket: stream,
                remote: at,
                generation: current,
                interface: base.interface,
                candidate: Some(remote),
                kind,
                buffer: Vec::new(),
            });
            let port = if kind == SO { local.port() } else { 0 };
            self.actions.push_back(Action::OpenStream {
                stream,
                transport: esp_wire::Transport::Tcp,
                local: Some(SocketAddr::new(local.ip(), port)),
                remote: at,
                server_name: None,
            });
        }
    }

    /// A socket is open: streams are opened from its address, too.
    pub(crate) fn connect_all(&mut self, now: Instant) {
        for (candidate, at) in self.session.passive.clone() {
            self.connect_to(now, &candidate, at);
        }
    }

    /// Listens on the address of a socket of ours.
    pub(crate) fn listen_beside(&mut self, base: &Base) {
        let kinds = [
            (self.config.tcp_passive, TcpType::Passive),
            (self.config.tcp_simultaneous, TcpType::SimultaneousOpen),
        ];
        for (_, kind) in kinds.into_iter().filter(|(wanted, _)| *wanted) {
            let socket = self.fresh_socket();
            self.locals.bases.push(Base {
                socket,
                role: BaseRole::Listener(kind),
                local: None,
                ..*base
            });
            let local = crate::interfaces::bind_address(base.interface, base.address);
            self.open_at(socket, local, true);
        }
    }

    /// We listen: the peer is told.
    pub(crate) fn on_listening(
        &mut self,
        now: Instant,
        base: &Base,
        kind: TcpType,
        local: SocketAddr,
    ) {
        let host = CandidateKind::Host;
        let mut candidate = self.locals.make(base, local, host, local, None);
        candidate.transport = CandidateTransport::Tcp(kind);
        candidate.priority = priority(kind, base.preference);
        candidate.advert = true;
        self.locals.candidates.push(candidate);
        self.announce(&candidate);
        self.connect_all(now);
    }

    /// A stream to the peer is open; `false` when it is none.
    pub(crate) fn on_peer_stream(
        &mut self,
        now: Instant,
        socket: SocketId,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> bool {
        if socket.is_accepted() {
            let listens = |base: &Base| matches!(base.role, BaseRole::Listener(_));
            let known = self.streams.iter().any(|stream| stream.socket == socket);
            if known
                || self.streams_and_tunnels() >= MAX_STREAMS
                || !self.locals.bases.iter().any(listens)
            {
                self.actions.push_back(Action::Close { socket });
                return true;
            }
            self.streams.push(Stream {
                socket,
                remote,
                generation: self.session.generation,
                interface: 0,
                candidate: None,
                kind: TcpType::Passive,
                buffer: Vec::new(),
            });
        }
        let Some(stream) = self.streams.iter().find(|stream| stream.socket == socket) else {
            return false;
        };
        let (interface, candidate, kind) = (stream.interface, stream.candidate, stream.kind);
        let alike = |base: &&Base| base.role == BaseRole::Open && base.address == local.ip();
        let preference = self.locals.bases.iter().find(alike);
        let preference = preference.map_or(u16::MAX, |base| base.preference);
        let base = Base {
            socket,
            role: BaseRole::Stream,
            interface,
            address: local.ip(),
            preference,
            local: Some(local),
        };
        self.locals.bases.push(base);
        let mut ours = (self.locals).make(&base, local, CandidateKind::Host, local, None);
        ours.transport = CandidateTransport::Tcp(kind);
        ours.priority = priority(kind, preference);
        ours.told = false;
        self.locals.candidates.push(ours);
        if let Some(candidate) = candidate {
            self.add_pair(now, socket, &candidate, false);
        }
        true
    }

    /// A stream to the peer has ended or could not be opened.
    pub(crate) fn on_peer_stream_closed(&mut self, now: Instant, socket: SocketId) {
        self.on_peer_stream_closed_for(now, socket, WarningReason::SocketLost);
    }

    pub(crate) fn on_peer_stream_closed_for(
        &mut self,
        now: Instant,
        socket: SocketId,
        reason: WarningReason,
    ) {
        self.streams.retain(|stream| stream.socket != socket);
        self.drop_base(now, socket, reason);
    }

    /// Takes a stream that leads to the peer through a TURN server.
    pub(crate) fn adopt_stream(
        &mut self,
        socket: SocketId,
        remote: SocketAddr,
        candidate: Option<RemoteCandidate>,
        kind: TcpType,
    ) {
        self.streams.push(Stream {
            socket,
            remote,
            generation: self.session.generation,
            interface: 0,
            candidate,
            kind,
            buffer: Vec::new(),
        });
    }

    /// Closes streams that belong to an earlier session and are not in use, and those whose address is
    /// gone.
    pub(crate) fn run_streams(&mut self, now: Instant) {
        let previous = self.previous.as_ref().and_then(|old| old.pair.as_ref());
        let kept = [
            self.active.as_ref().map(|active| active.socket),
            previous.map(|pair| pair.socket),
        ];
        let current = self.session.generation;
        for tunnel in self.relays.tunnels.iter().filter(|one| one.is_bound()) {
            let mut streams = self.streams.iter_mut();
            if let Some(stream) = streams.find(|one| one.socket == tunnel.stream()) {
                stream.generation = current;
            }
        }
        let old =
            |stream: &&Stream| stream.generation != current && !kept.contains(&Some(stream.socket));
        let Some(socket) = self.streams.iter().find(old).map(|stream| stream.socket) else {
            return;
        };
        self.actions.push_back(Action::Close { socket });
        self.on_peer_stream_closed(now, socket);
        self.run_streams(now);
    }

    /// Cuts a stream of the peer into datagrams; `false` when it is none.
    pub(crate) fn on_peer_bytes(&mut self, now: Instant, socket: SocketId, data: &[u8]) -> bool {
        let found = self
            .streams
            .iter_mut()
            .find(|stream| stream.socket == socket);
        let Some(stream) = found else {
            return false;
        };
        let remote = stream.remote;
        let mut buffer = std::mem::take(&mut stream.buffer);
        buffer.extend_from_slice(data);
        let mut at = 0;
        while let Some(header) = buffer[at..].first_chunk::<HEADER>() {
            let end = at + HEADER + usize::from(u16::from_be_bytes(*header));
            let Some(datagram) = buffer.get(at + HEADER..end) else {
                break;
            };
            at = end;
            match datagram.first() {
                None => {}
                Some(0..=3) => self.on_stun(now, socket, remote, datagram),
                Some(_) if self.is_peer(now, socket, remote) => self.spill(datagram),
                Some(_) => self.counters.unknown_source += 1,
            }
        }
        buffer.drain(..at);
        let found = self
            .streams
            .iter_mut()
            .find(|stream| stream.socket == socket);
        if let Some(stream) = found {
            stream.buffer = buffer;
        }
        true
    }

    /// Whether a socket is a stream to the peer.
    pub(crate) fn is_stream(&self, socket: SocketId) -> bool {
        self.streams.iter().any(|stream| stream.socket == socket)
    }
}

/// Frames every datagram of a train for a stream.
pub(crate) fn frame(train: &mut Train, to: Destination) -> bool {
    if train.grow(HEADER, 0).is_err() {
        return false;
    }
    for segment in train.segments_mut() {
        let len = (segment.len() - HEADER) as u16;
        segment[..HEADER].copy_from_slice(&len.to_be_bytes());
    }
    train.set_destination(to);
    true
}
