//! TCP relays (RFC 6062): the TURN client and the net's TURN server, with peers behind NATs.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use esp_netsim::{Endpoint, HostId, Nat, Net, TurnServer};
use esp_stun::ErrorCode;
use esp_stun::turn::{
    ConnectionId, DataConnection, Framer, TurnClient, TurnConfig, TurnError, TurnEvent,
};
use esp_wire::{Action, Destination, Input, Instant, Origin, Room, SocketId, Train, Transport};

const SECOND: Duration = Duration::from_secs(1);
const CONTROL: SocketId = SocketId(0);
const LISTENER: SocketId = SocketId(1);

/// A host with a TURN client that relays TCP, or, without one, a peer that listens and connects.
#[derive(Default)]
struct User {
    client: Option<TurnClient>,
    framer: Framer,
    events: Vec<TurnEvent>,
    /// Streams that are to be bound once they are open, then those that were.
    wanted: BTreeMap<SocketId, ConnectionId>,
    data: BTreeMap<SocketId, DataConnection>,
    heard: BTreeMap<SocketId, Vec<u8>>,
    closed: Vec<SocketId>,
    outbox: VecDeque<(Destination, Vec<u8>)>,
    actions: VecDeque<Action>,
    next: u32,
}

fn open(stream: SocketId, transport: Transport, remote: SocketAddr) -> Action {
    Action::OpenStream {
        stream,
        transport,
        local: None,
        remote,
        server_name: None,
    }
}

impl User {
    fn relayed(config: TurnConfig, origin: Origin) -> Self {
        let action = open(CONTROL, config.transport, config.server);
        User {
            client: Some(TurnClient::new(config, origin).unwrap()),
            actions: VecDeque::from([action]),
            next: 10,
            ..User::default()
        }
    }

    fn plain(port: u16) -> Self {
        let local = SocketAddr::from(([0; 4], port));
        let listen = Action::Listen {
            socket: LISTENER,
            local,
        };
        User {
            actions: VecDeque::from([listen]),
            next: 10,
            ..User::default()
        }
    }

    fn client(&mut self) -> &mut TurnClient {
        self.client.as_mut().unwrap()
    }

    fn dial(&mut self, remote: SocketAddr) -> SocketId {
        let stream = SocketId(self.next);
        self.next += 1;
        self.actions.push_back(open(stream, Transport::Tcp, remote));
        stream
    }

    fn say(&mut self, socket: SocketId, data: &[u8]) {
        let remote = SocketAddr::from(([0; 4], 0));
        let to = Destination { socket, remote };
        self.outbox.push_back((to, data.to_vec()));
    }

    /// The streams that carry a peer's data.
    fn bound(&self) -> Vec<SocketId> {
        let bound = self.data.iter().filter(|(_, data)| data.is_bound());
        bound.map(|(stream, _)| *stream).collect()
    }

    fn heard_all(&self, expected: &[u8]) -> bool {
        self.heard.values().any(|heard| heard == expected)
    }

    fn refusal(&self) -> Option<&TurnError> {
        self.events.iter().find_map(|event| match event {
            TurnEvent::ConnectRefused(_, error) | TurnEvent::Failed(error) => Some(error),
            _ => None,
        })
    }

    fn drain(&mut self) {
        while let Some(client) = &mut self.client
            && let Some(event) = client.poll_event()
        {
            if let TurnEvent::PeerConnected { connection, .. } = event {
                let (transport, server) = (client.config().transport, client.server());
                let stream = SocketId(self.next);
                self.next += 1;
                self.actions.push_back(open(stream, transport, server));
                self.wanted.insert(stream, connection);
            }
            self.events.push(event);
        }
    }

    fn on_bytes(&mut self, now: Instant, stream: SocketId, bytes: &mut [u8]) {
        if let (CONTROL, Some(client)) = (stream, &mut self.client) {
            self.framer.push(bytes);
            while let Some(frame) = self.framer.next_frame().unwrap() {
                client.handle_message(now, frame);
            }
            return;
        }
        let bytes = match self.data.get_mut(&stream) {
            Some(data) => data.handle_bytes(now, bytes).unwrap(),
            None => Some(bytes),
        };
        if let Some(bytes) = bytes {
            self.heard
                .entry(stream)
                .or_default()
                .extend_from_slice(bytes);
        }
    }
}

impl Endpoint for User {
    fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::StreamOpened { stream, .. } => match (&mut self.client, stream) {
                (Some(client), CONTROL) => client.start(now),
                (Some(client), _) => {
                    let id = self.wanted.remove(&stream).unwrap();
                    let data = client.bind_connection(now, id, stream).unwrap();
                    self.data.insert(stream, data);
                }
                (None, _) => {
                    self.heard.entry(stream).or_default();
                }
            },
            Input::StreamBytes { stream, data } => self.on_bytes(now, stream, data),
            Input::Closed { socket, reason } => match (&mut self.client, socket) {
                (Some(client), CONTROL) => client.handle_closed(reason),
                _ => self.closed.push(socket),
            },
            _ => {}
        }
        self.drain();
    }

    fn handle_timeout(&mut self, now: Instant) {
        if let Some(client) = &mut self.client {
            client.handle_timeout(now);
        }
        for data in self.data.values_mut() {
            data.handle_timeout(now).unwrap();
        }
        self.drain();
    }

    fn poll_transmit(&mut self, now: Instant, train: &mut Train) -> bool {
        let control = self.client.as_mut();
        if control.is_some_and(|client| client.poll_transmit(now, train)) {
            return true;
        }
        let mut data = self.data.values_mut();
        if data.any(|data| data.poll_transmit(now, train)) {
            return true;
        }
        let Some((to, bytes)) = self.outbox.pop_front() else {
            return false;
        };
        train.begin(Room::default(), bytes.len());
        train.push(&bytes);
        train.set_destination(to);
        true
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let control = self
            .client
            .as_ref()
            .and_then(|client| client.poll_timeout());
        let control = control.map(|deadline| deadline.at);
        let data = self.data.values().filter_map(|data| data.poll_timeout());
        control.into_iter().chain(data).min()
    }

    fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }
}

/// A user with an allocation that relays TCP, behind a NAT that maps every stream anew.
fn user(net: &mut Net<User>, name: &str, at: SocketAddr, transport: Transport) -> HostId {
    let config = TurnConfig::new(CONTROL, at, "user", "pass");
    let config = config.with_transport(transport).with_tcp(true);
    let origin = net.origin(name);
    let host = net.host(name, User::relayed(config, origin));
    net.behind(host, Nat::symmetric());
    host
}

fn relayed(net: &mut Net<User>, host: HostId) -> SocketAddr {
    net.run_until(
        |net| net.endpoint_mut(host).client().is_allocated(),
        10 * SECOND,
    );
    net.endpoint_mut(host).client().relayed()[0]
}

fn permit(net: &mut Net<User>, host: HostId, peer: SocketAddr) {
    let now = net.now();
    net.endpoint_mut(host).client().permit(now, peer.ip());
    let permitted = move |net: &mut Net<User>| {
        let client = net.endpoint_mut(host).client();
        client.is_permitted(peer.ip())
    };
    net.run_until(permitted, SECOND);
}

fn server() -> TurnServer {
    TurnServer::new(3478, "user", "pass")
}

/// Much, so that streams cut it.
fn words(seed: u8) -> Vec<u8> {
    (0..50_000u32)
        .map(|at| (at * 7 + u32::from(seed)) as u8)
        .collect()
}

fn exchange(net: &mut Net<User>, a: (HostId, SocketId), b: (HostId, SocketId)) {
    for ((from, near), (to, _)) in [(a, b), (b, a)] {
        let said = words(near.0 as u8);
        for part in said.chunks(1_200) {
            net.endpoint_mut(from).say(near, part);
        }
        net.run_until(|net| net.endpoint(to).heard_all(&said), 20 * SECOND);
    }
}

#[test]
fn a_connection_to_a_peer_that_listens() {
    for (seed, transport) in [(1, Transport::Tcp), (2, Transport::Tls)] {
        for server in [server(), server().of_old()] {
            let mut net = Net::seeded(seed);
            net.loss(0.02);
            let at = net.turn_server_with(server);
            let peer = net.host("peer", User::plain(7_000));
            let to = SocketAddr::new(net.address(peer), 7_000);
            let user = user(&mut net, "user", at, transport);
            relayed(&mut net, user);
            let now = net.now();
            net.endpoint_mut(user).client().connect(now, to);
            net.run_until(|net| !net.endpoint(user).bound().is_empty(), 5 * SECOND);
            let near = net.endpoint(user).bound()[0];
            let far = *net.endpoint(peer).heard.keys().next().unwrap();
            exchange(&mut net, (user, near), (peer, far));
            // The peer goes, and the data connection with it.
            let close = Action::Close { socket: far };
            net.endpoint_mut(peer).actions.push_back(close);
            net.run_until(|net| net.endpoint(user).closed == [near], SECOND);
        }
    }
}

#[test]
fn a_peer_that_connects_needs_a_permission() {
    let mut net = Net::seeded(3);
    let at = net.turn_server_with(server());
    let peer = net.host("peer", User::plain(7_000));
    let user = user(&mut net, "user", at, Transport::Tcp);
    let relay = relayed(&mut net, user);
    let refused = net.endpoint_mut(peer).dial(relay);
    net.run_until(|net| net.endpoint(peer).closed == [refused], SECOND);
    assert!(net.endpoint(user).wanted.is_empty());
    let from = SocketAddr::new(net.address(peer), 0);
    permit(&mut net, user, from);
    let far = net.endpoint_mut(peer).dial(relay);
    // What it says before the connection is bound waits at the server.
    net.run_until(|net| net.endpoint(peer).heard.contains_key(&far), SECOND);
    net.endpoint_mut(peer).say(far, b"early");
    net.run_until(|net| net.endpoint(user).heard_all(b"early"), 2 * SECOND);
    let near = net.endpoint(user).bound()[0];
    net.endpoint_mut(user).heard.clear();
    exchange(&mut net, (user, near), (peer, far));
    // The user goes, and the peer's connection with it.
    let close = Action::Close { socket: near };
    net.endpoint_mut(user).actions.push_back(close);
    net.run_until(|net| net.endpoint(peer).closed.contains(&far), SECOND);
}

#[test]
fn from_relay_to_relay() {
    let mut net = Net::seeded(4);
    let at = net.turn_server_with(server());
    let a = user(&mut net, "a", at, Transport::Tcp);
    let b = user(&mut net, "b", at, Transport::Tls);
    let (a_at, b_at) = (relayed(&mut net, a), relayed(&mut net, b));
    permit(&mut net, b, a_at);
    let now = net.now();
    net.endpoint_mut(a).client().connect(now, b_at);
    let both = |net: &mut Net<User>| {
        [a, b]
            .iter()
            .all(|one| !net.endpoint(*one).bound().is_empty())
    };
    net.run_until(both, 5 * SECOND);
    let (near, far) = (net.endpoint(a).bound()[0], net.endpoint(b).bound()[0]);
    exchange(&mut net, (a, near), (b, far));
    // The end of an allocation is that of its connections.
    let now = net.now();
    net.endpoint_mut(a).client().close(now);
    let ended =
        |net: &mut Net<User>| net.endpoint(a).closed == [near] && net.endpoint(b).closed == [far];
    net.run_until(ended, 2 * SECOND);
}

#[test]
fn refusals_of_peers_and_servers() {
    let code = |net: &mut Net<User>, host: HostId| {
        net.run_until(|net| net.endpoint(host).refusal().is_some(), 60 * SECOND);
        match net.endpoint(host).refusal() {
            Some(TurnError::Refused(code, _)) => *code,
            other => panic!("{other:?}"),
        }
    };
    let mut net = Net::seeded(5);
    let at = net.turn_server_with(server());
    let peer = net.host("peer", User::plain(7_000));
    let ip = net.address(peer);
    let [nobody, there, nowhere] =
        ["nobody", "there", "nowhere"].map(|name| user(&mut net, name, at, Transport::Tcp));
    for host in [nobody, there, nowhere] {
        relayed(&mut net, host);
    }
    let now = net.now();
    net.endpoint_mut(nobody)
        .client()
        .connect(now, (ip, 7_001).into());
    let failed = ErrorCode::CONNECTION_TIMEOUT_OR_FAILURE;
    assert_eq!(code(&mut net, nobody), failed);
    let now = net.now();
    let far = SocketAddr::from(([203, 0, 113, 250], 9));
    net.endpoint_mut(nowhere).client().connect(now, far);
    assert_eq!(code(&mut net, nowhere), failed);
    // The second connection to the same peer, once the first is there.
    let now = net.now();
    net.endpoint_mut(there)
        .client()
        .connect(now, (ip, 7_000).into());
    net.run_until(|net| !net.endpoint(there).bound().is_empty(), 5 * SECOND);
    let now = net.now();
    net.endpoint_mut(there)
        .client()
        .connect(now, (ip, 7_000).into());
    assert_eq!(code(&mut net, there), ErrorCode::CONNECTION_ALREADY_EXISTS);

    let mut net = Net::seeded(6);
    let mut without = server();
    without.tcp_relays = false;
    let at = net.turn_server_with(without);
    let host = user(&mut net, "user", at, Transport::Tcp);
    assert_eq!(code(&mut net, host), ErrorCode::UNSUPPORTED_TRANSPORT);
}

#[test]
fn a_connection_that_nobody_binds_is_closed_after_half_a_minute() {
    let mut net = Net::seeded(7);
    let at = net.turn_server_with(server());
    let peer = net.host("peer", User::plain(7_000));
    let user = user(&mut net, "user", at, Transport::Tcp);
    let relay = relayed(&mut net, user);
    let from = SocketAddr::new(net.address(peer), 0);
    permit(&mut net, user, from);
    let far = net.endpoint_mut(peer).dial(relay);
    net.run_until(
        |net| {
            // It never opens the stream on which it would bind.
            net.endpoint_mut(user).actions.clear();
            !net.endpoint(user).wanted.is_empty()
        },
        SECOND,
    );
    net.endpoint_mut(user).actions.clear();
    let took = net.run_until(|net| net.endpoint(peer).closed.contains(&far), 40 * SECOND);
    assert!(took >= 29 * SECOND, "{took:?}");
}
