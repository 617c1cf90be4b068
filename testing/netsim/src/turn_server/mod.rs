//! A TURN server (RFC 8656): allocations over UDP and streams, permissions, channels, both families; TCP relays
//! (RFC 6062).

mod relay;
mod request;
mod tcp;

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use esp_stun::PasswordAlgorithm;
use esp_stun::turn::Framer;
use esp_wire::{Action, Destination, Input, Instant, Room, SocketId, Train};

use crate::endpoint::Endpoint;
use crate::host::FIRST_SECURED;

/// Sockets from here on relay; those below listen.
const FIRST_RELAY: u32 = 100;
/// Streams that were accepted have numbers from here on.
const FIRST_STREAM: u32 = 0x8000_0000;

/// Where a client is: the socket or stream, and its address.
pub(crate) type Client = (SocketId, SocketAddr);

/// What one client has got.
#[derive(Debug, Default)]
pub(crate) struct Allocation {
    /// The relay sockets with their addresses.
    relays: Vec<(SocketId, SocketAddr)>,
    /// Whether TCP is relayed.
    tcp: bool,
    expires_at: Instant,
    /// The user who made it.
    username: String,
    permissions: BTreeMap<IpAddr, Instant>,
    channels: BTreeMap<u16, (SocketAddr, Instant)>,
    /// The request, until all relay sockets are bound.
    pending: Option<Vec<u8>>,
    unbound: usize,
    /// The response, in case that the request comes again.
    response: Vec<u8>,
}

/// A TURN server with one user.
#[derive(Debug)]
pub struct TurnServer {
    /// The user's name.
    pub username: String,
    /// The user's password.
    pub password: String,
    /// The realm.
    pub realm: String,
    /// Password algorithms that are offered; none makes it a server from before RFC 8489.
    pub algorithms: Vec<PasswordAlgorithm>,
    /// Whether USERHASH is asked for.
    pub anonymity: bool,
    /// How long a nonce is good.
    pub nonce_lifetime: Duration,
    /// Lifetime of allocations.
    pub lifetime: Duration,
    /// Allocations at once; more are refused by 486.
    pub quota: usize,
    /// Sends everybody to this server, once authenticated.
    pub alternate: Option<SocketAddr>,
    /// Peers that are refused by 403.
    pub forbidden: Vec<IpAddr>,
    /// So many authenticated Refresh requests are refused by 500.
    pub trouble: u32,
    /// So many Allocate requests are refused by 437.
    pub mismatches: u32,
    /// From then on another user takes the place of the first.
    pub later: Option<(Instant, String, String)>,
    /// Whether an allocation belongs to the user who made it: others are refused by 441, and that
    /// user stays good for it.
    pub strict: bool,
    /// Whether it relays TCP (RFC 6062); else that is refused by 442.
    pub tcp_relays: bool,
    /// Whether it relays UDP; else that is refused by 403.
    pub udp_relays: bool,
    /// So many streams are cut when ConnectionBind comes over them, which is not answered.
    pub cut_binds: u32,
    addresses: Vec<IpAddr>,
    actions: VecDeque<Action>,
    outbox: VecDeque<(Destination, Vec<u8>)>,
    allocations: BTreeMap<Client, Allocation>,
    relays: BTreeMap<SocketId, Client>,
    streams: BTreeMap<SocketId, (SocketAddr, Framer)>,
    splices: tcp::Splices,
    next_relay: u32,
    relayed: u64,
}

impl TurnServer {
    /// A server on this port of every address of its host.
    pub fn new(port: u16, username: &str, password: &str) -> Self {
        let any = [IpAddr::from([0; 4]), IpAddr::from([0; 16])];
        let binds = any.iter().enumerate().map(|(index, ip)| Action::Bind {
            socket: SocketId(index as u32),
            local: SocketAddr::new(*ip, port),
        });
        TurnServer {
            username: username.to_owned(),
            password: password.to_owned(),
            realm: "netsim".to_owned(),
            algorithms: vec![PasswordAlgorithm::Sha256, PasswordAlgorithm::Md5],
            anonymity: false,
            nonce_lifetime: Duration::from_secs(3_600),
            lifetime: Duration::from_secs(600),
            quota: 64,
            alternate: None,
            forbidden: Vec::new(),
            trouble: 0,
            mismatches: 0,
            later: None,
            strict: false,
            tcp_relays: true,
            udp_relays: true,
            cut_binds: 0,
            addresses: Vec::new(),
            actions: binds.collect(),
            outbox: VecDeque::new(),
            allocations: BTreeMap::new(),
            relays: BTreeMap::new(),
            streams: BTreeMap::new(),
            splices: tcp::Splices::default(),
            next_relay: FIRST_RELAY,
            relayed: 0,
        }
    }

    /// As servers were before RFC 8489: MD5, HMAC-SHA1, no nonce cookie.
    #[must_use]
    pub fn of_old(mut self) -> Self {
        self.algorithms.clear();
        self
    }

    /// Number of allocations at this moment.
    pub fn allocations(&self) -> usize {
        self.allocations.len()
    }

    /// Number of datagrams relayed, both ways.
    pub fn relayed(&self) -> u64 {
        self.relayed
    }

    fn push(&mut self, (socket, remote): Client, bytes: Vec<u8>) {
        self.outbox
            .push_back((Destination { socket, remote }, bytes));
    }

    fn remove(&mut self, client: Client) {
        if let Some(allocation) = self.allocations.remove(&client) {
            self.cut_connections(client);
            for (socket, _) in allocation.relays {
                self.relays.remove(&socket);
                self.actions.push_back(Action::Close { socket });
            }
        }
    }

    fn on_stream_bytes(&mut self, now: Instant, stream: SocketId, data: &[u8]) {
        if self.on_spliced_bytes(stream, data) {
            return;
        }
        let Some((remote, mut framer)) = self.streams.remove(&stream) else {
            return;
        };
        if stream.0 >= FIRST_SECURED {
            self.on_message(now, (stream, remote), data);
            self.streams.insert(stream, (remote, framer));
            return;
        }
        framer.push(data);
        loop {
            if self.splices.has_bound(stream) {
                if !framer.rest().is_empty() {
                    self.on_spliced_bytes(stream, framer.rest());
                }
                return;
            }
            match framer.next_frame() {
                Ok(Some(frame)) => self.on_message(now, (stream, remote), frame),
                Ok(None) => break,
                Err(_) => {
                    self.remove((stream, remote));
                    return self.actions.push_back(Action::Close { socket: stream });
                }
            }
        }
        self.streams.insert(stream, (remote, framer));
    }
}

impl Endpoint for TurnServer {
    fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Datagrams {
                socket,
                remote,
                size,
                data,
                ..
            } => {
                for datagram in data.chunks_mut(size.max(1)) {
                    match self.relays.get(&socket) {
                        Some(client) => self.on_peer(now, *client, remote, datagram),
                        None => self.on_message(now, (socket, remote), datagram),
                    }
                }
            }
            Input::Bound { socket, local } => self.on_bound(now, socket, local),
            Input::StreamOpened {
                stream,
                local,
                remote,
            } if !self.on_peer_stream(now, stream, local, remote) => {
                self.streams.insert(stream, (remote, Framer::new()));
            }
            Input::StreamBytes { stream, data } => self.on_stream_bytes(now, stream, data),
            Input::Closed { socket, .. } if !self.on_spliced_closed(socket) => {
                if let Some((remote, _)) = self.streams.remove(&socket) {
                    self.remove((socket, remote));
                }
            }
            Input::Interfaces(list) => {
                self.addresses = list.iter().map(|one| one.address).collect();
            }
            _ => {}
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        let expired = self.allocations.iter().filter(|(_, a)| a.expires_at <= now);
        for client in expired.map(|(client, _)| *client).collect::<Vec<_>>() {
            self.remove(client);
        }
        self.expire_connections(now);
    }

    fn poll_transmit(&mut self, _now: Instant, train: &mut Train) -> bool {
        let Some((to, bytes)) = self.outbox.pop_front() else {
            return false;
        };
        train.begin(Room::default(), bytes.len());
        train.push(&bytes);
        train.set_destination(to);
        true
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let allocations = self.allocations.values().map(|one| one.expires_at);
        allocations.chain(self.splices.next_deadline()).min()
    }

    fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }
}
