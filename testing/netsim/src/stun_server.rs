//! A STUN server: it answers Binding requests with the address that they came from.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

use esp_stun::{ChangeRequest, Class, ErrorCode, Message, MessageBuilder, Method, known};
use esp_wire::{Action, Destination, Input, Instant, Interface, Room, SocketId, Train};

use crate::endpoint::Endpoint;

/// A server for Binding requests, over datagrams and streams (RFC 8489 §6.3).
#[derive(Debug)]
pub struct StunServer {
    actions: VecDeque<Action>,
    replies: VecDeque<(Destination, Vec<u8>)>,
    streams: BTreeMap<SocketId, (SocketAddr, Vec<u8>)>,
    answered: u64,
    /// Both of its ports, when it offers the tests of RFC 5780.
    ports: Option<[u16; 2]>,
    /// Its sockets then: first address and port, its other port, other address and first port, both other.
    sockets: [Option<SocketAddr>; 4],
    /// Answers nothing while set.
    pub silent: bool,
}

impl StunServer {
    /// A server on this port of every address of its host.
    pub fn new(port: u16) -> Self {
        let any = [IpAddr::from([0; 4]), IpAddr::from([0; 16])];
        let binds = any.iter().enumerate().map(|(index, ip)| Action::Bind {
            socket: SocketId(index as u32),
            local: SocketAddr::new(*ip, port),
        });
        StunServer {
            actions: binds.collect(),
            replies: VecDeque::new(),
            streams: BTreeMap::new(),
            answered: 0,
            ports: None,
            sockets: [None; 4],
            silent: false,
        }
    }

    /// A server that offers the tests of RFC 5780 on these ports of the first two addresses of its host.
    pub fn discovering(ports: [u16; 2]) -> Self {
        StunServer {
            actions: VecDeque::new(),
            ports: Some(ports),
            ..StunServer::new(ports[0])
        }
    }

    fn on_interfaces(&mut self, interfaces: &[Interface]) {
        let (Some(ports), [first, second, ..]) = (self.ports, interfaces) else {
            return;
        };
        if self.sockets[0].is_some() {
            return;
        }
        for number in 0..4 {
            let ip = [first.address, second.address][number / 2];
            let local = SocketAddr::new(ip, ports[number % 2]);
            self.sockets[number] = Some(local);
            let socket = SocketId(number as u32);
            self.actions.push_back(Action::Bind { socket, local });
        }
    }

    /// Number of requests that were answered.
    pub fn answered(&self) -> u64 {
        self.answered
    }

    fn on_message(&mut self, socket: SocketId, remote: SocketAddr, bytes: &[u8]) {
        let Ok(request) = Message::parse(bytes) else {
            return;
        };
        if self.silent || request.class() != Class::Request {
            return;
        }
        let mut buffer = [0; 512];
        let change = request.change_request().filter(|_| self.ports.is_some());
        let origin = SocketId(socket.0 ^ change.map_or(0, flips));
        let at = |socket: SocketId| *self.sockets.get(socket.0 as usize)?;
        let discovery = at(origin).zip(at(SocketId(socket.0 ^ 3)));
        let Some(len) = respond(&request, remote, discovery, &mut buffer) else {
            return;
        };
        self.answered += 1;
        let to = Destination {
            socket: origin,
            remote,
        };
        self.replies.push_back((to, buffer[..len].to_vec()));
    }

    fn on_bytes(&mut self, stream: SocketId, data: &[u8]) {
        let Some((remote, mut buffer)) = self.streams.remove(&stream) else {
            return;
        };
        buffer.extend_from_slice(data);
        loop {
            match Message::frame_len(&buffer) {
                Ok(Some(len)) if len <= buffer.len() => {
                    self.on_message(stream, remote, &buffer[..len]);
                    buffer.drain(..len);
                }
                Err(_) if !buffer.is_empty() => {
                    // Out of step: the stream is of no more use.
                    return self.actions.push_back(Action::Close { socket: stream });
                }
                _ => break,
            }
        }
        self.streams.insert(stream, (remote, buffer));
    }
}

/// What a CHANGE-REQUEST changes of a socket's number (RFC 5780 §7.2).
fn flips(change: ChangeRequest) -> u32 {
    u32::from(change.ip) << 1 | u32::from(change.port)
}

/// `discovery` is where the answer leaves from, and the address that differs in both parts.
fn respond(
    request: &Message<'_>,
    remote: SocketAddr,
    discovery: Option<(SocketAddr, SocketAddr)>,
    buffer: &mut [u8],
) -> Option<usize> {
    let of_discovery = match discovery {
        Some(_) => known::DISCOVERY,
        None => &[],
    };
    let unknown: Vec<_> = request
        .unknown_required(&[known::BASE, known::ICE, of_discovery])
        .take(32)
        .collect();
    let mut builder = if request.method() != Method::BINDING {
        let mut builder = MessageBuilder::error(buffer, request);
        builder.error_code(ErrorCode::BAD_REQUEST);
        builder
    } else if !unknown.is_empty() {
        let mut builder = MessageBuilder::error(buffer, request);
        builder.error_code(ErrorCode::UNKNOWN_ATTRIBUTE);
        builder.unknown_attributes(&unknown);
        builder
    } else {
        let mut builder = MessageBuilder::success(buffer, request);
        builder.xor_mapped_address(remote).software("netsim");
        if let Some((origin, other)) = discovery {
            builder.response_origin(origin).other_address(other);
        }
        builder
    };
    builder.fingerprint();
    builder.finish().ok()
}

impl Endpoint for StunServer {
    fn handle_input(&mut self, _now: Instant, input: Input<'_>) {
        match input {
            Input::Datagrams {
                socket,
                remote,
                size,
                data,
                ..
            } => {
                for datagram in data.chunks(size.max(1)) {
                    self.on_message(socket, remote, datagram);
                }
            }
            Input::StreamOpened { stream, remote, .. } => {
                self.streams.insert(stream, (remote, Vec::new()));
            }
            Input::StreamBytes { stream, data } => self.on_bytes(stream, data),
            Input::Closed { socket, .. } => {
                self.streams.remove(&socket);
            }
            Input::Interfaces(interfaces) => self.on_interfaces(interfaces),
            _ => {}
        }
    }

    fn handle_timeout(&mut self, _now: Instant) {}

    fn poll_transmit(&mut self, _now: Instant, train: &mut Train) -> bool {
        let Some((to, bytes)) = self.replies.pop_front() else {
            return false;
        };
        train.begin(Room::default(), bytes.len());
        train.push(&bytes);
        train.set_destination(to);
        true
    }

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }
}
