//! Datagrams through a relay: wrapped on the way out, unwrapped on the way in, both in place.

use std::net::{IpAddr, SocketAddr};

use esp_stun::turn::{Incoming, TurnError};
use esp_wire::{Destination, Ecn, Instant, Room, SocketId, Train, Transport};

use crate::agent::{Agent, Received};
use crate::event::Event;

/// Most bytes that wait to be polled.
const MAX_SPILLED: usize = 1 << 18;

/// Whether a message is a Binding one, which never is a TURN client's but for a keepalive.
fn is_binding(bytes: &[u8]) -> bool {
    (bytes.first_chunk::<2>()).is_some_and(|kind| u16::from_be_bytes(*kind) & 0xFEEF == 0x0001)
}

impl Agent {
    /// Addresses a train, through a relay when the socket stands for one; `false` when it cannot be
    /// sent.
    pub(crate) fn address(&mut self, now: Instant, train: &mut Train, to: Destination) -> bool {
        if self.is_stream(to.socket) {
            return crate::tcp::frame(train, to);
        }
        let Some(relay) = self.relays.owner_mut(to.socket) else {
            train.set_destination(to);
            return true;
        };
        let wrapped = (relay.client.as_mut()).map(|client| client.wrap(now, train, to.remote));
        matches!(wrapped, Some(Ok(())))
    }

    /// The room that the way from a socket to an address takes now.
    pub(crate) fn room_to(&self, socket: SocketId, remote: SocketAddr) -> Room {
        if self.is_stream(socket) {
            return crate::tcp::ROOM;
        }
        let relay = self.relays.owner(socket);
        let client = relay.and_then(|relay| relay.client.as_ref());
        client.map_or_else(Room::default, |client| client.room(remote))
    }

    /// Lets an address through the relay that a socket stands for, if it does.
    pub(crate) fn permit(&mut self, now: Instant, socket: SocketId, peer: IpAddr) {
        let relay = self.relays.owner_mut(socket);
        if let Some(client) = relay.and_then(|relay| relay.client.as_mut()) {
            client.permit(now, peer);
        }
    }

    /// Asks for a channel to the far end of the path in use.
    pub(crate) fn bind_channel(&mut self, now: Instant, socket: SocketId, peer: SocketAddr) {
        let relay = self.relays.owner_mut(socket);
        if let Some(client) = relay.and_then(|relay| relay.client.as_mut()) {
            client.bind_channel(now, peer);
        }
    }

    /// Fills a train with the next request to a TURN server.
    pub(crate) fn poll_relays(&mut self, now: Instant, train: &mut Train) -> bool {
        let clients = self.relays.list.iter_mut();
        let written = clients
            .filter_map(|relay| relay.client.as_mut())
            .any(|client| client.poll_transmit(now, train))
            || self.poll_tunnels(now, train);
        if written {
            self.refresh_deadline();
        }
        written
    }

    /// Takes datagrams of a TURN server; those of the peer are unwrapped and moved together.
    pub(crate) fn on_relayed<'a>(
        &mut self,
        now: Instant,
        at: usize,
        ecn: Ecn,
        size: usize,
        data: &'a mut [u8],
    ) -> Option<Received<'a>> {
        let (mut begin, mut kept, mut run, mut ended) = (0, 0, 0, false);
        let mut news = false;
        while begin < data.len() {
            let end = data.len().min(begin + size);
            match self.unwrap(now, at, &mut data[begin..end]) {
                Some((start, len)) => {
                    let start = begin + start;
                    if kept == 0 || (!ended && len <= run) {
                        data.copy_within(start..start + len, kept);
                        run = if kept == 0 { len } else { run };
                        ended = len < run;
                        kept += len;
                    } else {
                        // Padding has hidden that lengths differ.
                        self.spill(&data[start..start + len]);
                    }
                }
                None => news = true,
            }
            begin = end;
        }
        if news {
            self.run(now);
        }
        (kept > 0).then(|| Received {
            data: &mut data[..kept],
            size: run,
            ecn,
        })
    }

    /// Takes bytes of a stream to the peer or to a TURN server; application data waits for
    /// [`Agent::poll_received`].
    pub(crate) fn on_stream_bytes(&mut self, now: Instant, stream: SocketId, data: &mut [u8]) {
        let Some(data) = self.on_tunnel_bytes(now, stream, data) else {
            return self.run(now);
        };
        if self.on_peer_bytes(now, stream, data) || self.on_answer_bytes(now, stream, data) {
            return self.run(now);
        }
        let Some(at) = self.relays.of_via(stream) else {
            return;
        };
        if self.relays.list[at].transport == Transport::Dtls {
            // Each comes in a record of its own.
            if let Some((start, len)) = self.unwrap(now, at, data) {
                self.spill(&data[start..start + len]);
            }
            return self.run(now);
        }
        let mut framer = std::mem::take(&mut self.relays.list[at].framer);
        framer.push(data);
        let broken = loop {
            match framer.next_frame() {
                Ok(Some(frame)) => {
                    if let Some((start, len)) = self.unwrap(now, at, frame) {
                        self.spill(&frame[start..start + len]);
                    }
                }
                Ok(None) => break false,
                Err(_) => break true,
            }
        };
        if broken {
            let reason = TurnError::OutOfStep;
            self.fail_relay(now, at, &reason);
        } else {
            self.relays.list[at].framer = framer;
        }
        self.run(now);
    }

    /// Takes one message of a TURN server: start and length of the application data in it.
    fn unwrap(&mut self, now: Instant, at: usize, bytes: &mut [u8]) -> Option<(usize, usize)> {
        let relay = &mut self.relays.list[at];
        let client = relay.client.as_mut()?;
        if is_binding(bytes) {
            let (socket, server) = (relay.via, client.server());
            self.on_stun(now, socket, server, bytes);
            return None;
        }
        let front = bytes.as_ptr() as usize;
        match client.handle_message(now, bytes) {
            Incoming::Consumed => None,
            Incoming::TooBig(peer, mtu) => {
                let socket = relay.socket_for(peer)?;
                self.on_too_big_beyond(socket, peer, mtu);
                None
            }
            Incoming::Unreachable(peer) => {
                let socket = relay.socket_for(peer)?;
                self.on_unreachable(now, socket, peer);
                None
            }
            Incoming::Data { peer, data } => {
                let socket = relay.socket_for(peer)?;
                // RFC 7983 §7: a first byte of 0 to 3 is STUN.
                if *data.first()? < 4 {
                    self.on_stun(now, socket, peer, data);
                    return None;
                }
                if !self.is_peer(now, socket, peer) {
                    self.counters.unknown_source += 1;
                    return None;
                }
                Some((data.as_ptr() as usize - front, data.len()))
            }
        }
    }

    /// The network said that datagrams of more than `size` bytes do not pass to the far end of the path or to its
    /// relay.
    pub(crate) fn on_too_big(&mut self, socket: SocketId, remote: SocketAddr, size: usize) {
        let Some(active) = &self.active else {
            return;
        };
        // The system does not always tell the port.
        let to_relay = || {
            let relay = self.relays.owner(active.socket)?;
            let server = relay.client.as_ref()?.server();
            Some((relay.via, server.ip()))
        };
        let (named, far) = ((socket, remote.ip()), (active.socket, active.remote.ip()));
        if named == far || Some(named) == to_relay() {
            self.tell_too_big(size);
        }
    }

    /// A relay said that the next hop to the far end takes packets of `mtu` bytes (RFC 8656 §11.5); routers before
    /// RFC 1191 say 0.
    fn on_too_big_beyond(&mut self, socket: SocketId, peer: SocketAddr, mtu: u32) {
        let headers = if peer.is_ipv4() { 28 } else { 48 };
        let active = self.active.as_ref();
        if active.is_none_or(|active| (active.socket, active.remote.ip()) != (socket, peer.ip())) {
            return;
        }
        if let Some(fits) = (mtu as usize).checked_sub(headers) {
            let room = self.room_to(socket, peer);
            let size = fits + room.head + room.tail;
            self.tell_too_big(size);
        }
    }

    /// The last word counts: many of them push no other event out.
    fn tell_too_big(&mut self, size: usize) {
        self.events
            .retain(|event| !matches!(event, Event::PathTooBig { .. }));
        self.push_event(Event::PathTooBig { size });
    }

    pub(crate) fn spill(&mut self, datagram: &[u8]) {
        let relays = &mut self.relays;
        if relays.spilled.len() + datagram.len() > MAX_SPILLED {
            self.counters.unpolled += 1;
            return;
        }
        relays.spilled.extend_from_slice(datagram);
        relays.lengths.push_back(datagram.len());
    }

    /// Further datagrams of the peer, which [`Agent::handle_input`] could not hand back in place:
    /// those that came over a stream. To be called after each input until there is none; `buffer` is
    /// overwritten.
    pub fn poll_received<'b>(&mut self, buffer: &'b mut Vec<u8>) -> Option<Received<'b>> {
        let relays = &mut self.relays;
        let size = relays.lengths.pop_front()?;
        let begin = relays.taken;
        let mut end = begin + size;
        while let Some(next) = relays.lengths.front().copied().filter(|next| *next <= size) {
            relays.lengths.pop_front();
            end += next;
            if next < size {
                break;
            }
        }
        buffer.clear();
        buffer.extend_from_slice(&relays.spilled[begin..end]);
        relays.taken = end;
        if relays.lengths.is_empty() {
            relays.spilled.clear();
            relays.taken = 0;
        }
        Some(Received {
            data: &mut buffer[..],
            size,
            ecn: Ecn::NotEct,
        })
    }
}
