//! Plain stand-ins for TCP and TLS: reliable, in order, with the delay and rate of their path.
//!
//! A lost packet shows as a pause of a retransmission timeout. Bytes arrive cut at random places.
//! TLS costs one more round trip to open; nothing is encrypted. Over DTLS each datagram arrives whole, or not at
//! all.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use esp_wire::{Instant, SocketId, Transport};

use crate::clock::Tell;
use crate::endpoint::Endpoint;
use crate::host::HostId;
use crate::link::Link;
use crate::net::Net;
use crate::topology::Reach;

/// What a lost segment costs.
const RETRANSMISSION: Duration = Duration::from_millis(200);
/// After so long without an answer a stream is given up.
const GIVE_UP: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug)]
struct End {
    host: HostId,
    socket: SocketId,
    local: SocketAddr,
}

#[derive(Clone, Debug)]
struct Stream {
    ends: [End; 2],
    path: Path,
    /// For each direction, when the wire is free and when the last byte arrives.
    free: [Instant; 2],
    last: [Instant; 2],
    broken: bool,
    /// DTLS.
    datagrams: bool,
}

/// The way from one end to the other.
#[derive(Clone, Copy, Debug)]
struct Path {
    /// The far host, and its address there, behind NATs.
    host: HostId,
    local: SocketAddr,
    /// The near end as the far one sees it.
    seen: SocketAddr,
    delay: Duration,
    loss: f64,
    rate: u64,
}

impl Path {
    fn along(&mut self, link: &Link) {
        self.delay += link.delay;
        self.loss = 1.0 - (1.0 - self.loss) * (1.0 - link.loss);
        self.rate = self.rate.min(link.rate.unwrap_or(u64::MAX));
    }
}

/// All streams of a net.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    table: BTreeMap<u64, Stream>,
    by_socket: BTreeMap<(HostId, SocketId), (u64, usize)>,
    next: u64,
}

impl<E: Endpoint> Net<E> {
    pub(crate) fn is_stream(&self, host: HostId, socket: SocketId) -> bool {
        self.streams.by_socket.contains_key(&(host, socket))
    }

    pub(crate) fn open_stream(
        &mut self,
        host: HostId,
        stream: SocketId,
        transport: Transport,
        local: Option<SocketAddr>,
        remote: SocketAddr,
    ) {
        let any = match remote {
            SocketAddr::V4(_) => SocketAddr::from(([0; 4], 0)),
            SocketAddr::V6(_) => SocketAddr::from(([0; 16], 0)),
        };
        let entry = &mut self.hosts[host.0];
        let mut local = entry.source(local.unwrap_or(any), remote);
        if entry.port_with(local.ip()).is_none() {
            let tell = Tell::Closed(stream, "network is unreachable");
            return self.plan_tell(Duration::ZERO, host, tell);
        }
        if local.port() == 0 {
            local.set_port(entry.fresh_port());
        }
        let Some(path) = self.trace(host, local, remote) else {
            return self.plan_tell(GIVE_UP, host, Tell::Closed(stream, "connection timed out"));
        };
        let round_trip = path.delay * 2;
        let datagrams = transport == Transport::Dtls;
        let accepted = self.hosts[path.host.0].accept_at(path.local, datagrams);
        let Some(accepted) = accepted else {
            let tell = Tell::Closed(stream, "connection refused");
            return self.plan_tell(round_trip, host, tell);
        };
        let near_end = End {
            host,
            socket: stream,
            local,
        };
        let far_end = End {
            host: path.host,
            socket: accepted,
            local: path.local,
        };
        self.join_ends([near_end, far_end], path, datagrams);
        let handshake = match transport {
            Transport::Tls | Transport::Dtls => round_trip,
            _ => Duration::ZERO,
        };
        let tell = Tell::Opened(accepted, path.local, path.seen);
        self.plan_tell(path.delay + handshake, path.host, tell);
        let tell = Tell::Opened(stream, local, remote);
        self.plan_tell(round_trip + handshake, host, tell);
    }

    fn join_ends(&mut self, ends: [End; 2], path: Path, datagrams: bool) {
        let streams = &mut self.streams;
        streams.next += 1;
        let id = streams.next;
        for (side, end) in ends.iter().enumerate() {
            streams.by_socket.insert((end.host, end.socket), (id, side));
        }
        let stream = Stream {
            ends,
            path,
            datagrams,
            free: [self.now; 2],
            last: [self.now; 2],
            broken: false,
        };
        streams.table.insert(id, stream);
    }

    /// Follows a stream's packets from end to end, through NATs as they would go.
    fn trace(&mut self, host: HostId, from: SocketAddr, to: SocketAddr) -> Option<Path> {
        let near = &self.hosts[host.0];
        let port = &near.ports[near.port_with(from.ip())?];
        let mut site = port.site;
        let mut path = Path {
            host,
            local: to,
            seen: from,
            delay: Duration::ZERO,
            loss: 0.0,
            rate: u64::MAX,
        };
        path.along(&port.up.link);
        let mut up = port.up.link.up;
        for _ in 0..16 {
            let reach = self.sites[site.0].reach.get(&path.local.ip()).copied();
            match reach {
                Some(Reach::Host(far)) => {
                    path.along(&self.sites[site.0].core.link);
                    let far_host = &self.hosts[far.0];
                    let port = &far_host.ports[far_host.port_with(path.local.ip())?];
                    path.along(&port.down.link);
                    path.host = far;
                    up &= port.down.link.up;
                    return up.then_some(path);
                }
                Some(Reach::Gate(inner)) => {
                    path.along(&self.sites[site.0].core.link);
                    let gate = self.sites[inner.0].gate.as_ref()?;
                    path.local = gate.table.inbound(self.now, path.seen, path.local)?;
                    path.along(&gate.down.link);
                    site = inner;
                }
                None => {
                    let gate = self.sites[site.0].gate.as_mut()?;
                    let (seen, to) = (path.seen, path.local);
                    path.seen = gate.table.outbound(self.now, seen, to, &mut self.rng);
                    path.along(&gate.up.link);
                    site = gate.parent;
                }
            }
        }
        None
    }

    pub(crate) fn send_bytes(&mut self, host: HostId, socket: SocketId, data: Vec<u8>) {
        let Some(&(id, side)) = self.streams.by_socket.get(&(host, socket)) else {
            return;
        };
        let Some(stream) = self.streams.table.get_mut(&id) else {
            return;
        };
        if stream.broken {
            return;
        }
        let ends = stream.ends;
        let connected = ends.iter().all(|end| {
            let host = &self.hosts[end.host.0];
            let port = host
                .port_with(end.local.ip())
                .map(|index| &host.ports[index]);
            port.is_some_and(|port| port.up.link.up && port.down.link.up)
        });
        if !connected {
            stream.broken = true;
            for end in ends {
                self.plan_tell(
                    GIVE_UP,
                    end.host,
                    Tell::Closed(end.socket, "connection timed out"),
                );
            }
            return;
        }
        let nanos = (data.len() as u64 * 8).saturating_mul(1_000_000_000) / stream.path.rate;
        let free = stream.free[side].max(self.now) + Duration::from_nanos(nanos);
        let mut at = free + stream.path.delay;
        let datagrams = stream.datagrams;
        if self.rng.chance(stream.path.loss) {
            if datagrams {
                stream.free[side] = free;
                return self.recycle(data);
            }
            at += RETRANSMISSION;
        }
        at = at.max(stream.last[side]);
        (stream.free[side], stream.last[side]) = (free, at);
        let (to, delay) = (ends[1 - side], at.since(self.now));
        let cut = match self.rng.chance(0.25) {
            true if !datagrams => self.rng.below(data.len() as u64) as usize,
            _ => 0,
        };
        let (first, second) = data.split_at(cut);
        for part in [first, second] {
            if !part.is_empty() {
                self.plan_tell(delay, to.host, Tell::Bytes(to.socket, part.to_vec()));
            }
        }
        self.recycle(data);
    }

    pub(crate) fn close_stream(&mut self, host: HostId, socket: SocketId) {
        let Some((id, side)) = self.streams.by_socket.remove(&(host, socket)) else {
            return;
        };
        let Some(stream) = self.streams.table.remove(&id) else {
            return;
        };
        let other = stream.ends[1 - side];
        self.streams.by_socket.remove(&(other.host, other.socket));
        let at = (self.now + stream.path.delay).max(stream.last[side]);
        let tell = Tell::Closed(other.socket, "closed by the other end");
        self.plan_tell(at.since(self.now), other.host, tell);
    }
}
