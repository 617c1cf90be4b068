//! An independent TURN client at the net's TURN server, talking with ours beyond it.
//!
//! It keeps no NAT open while nothing is said, so it stands in the open; ours is behind a NAT. And it neither pads
//! ChannelData on a stream nor skips padding (RFC 8656 §12.5 demands both): there only lengths that need none pass.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use esp_netsim::{Endpoint, HostId, Nat, Net, TurnServer};
use esp_stun::turn::{TurnConfig, TurnEvent};
use esp_wire::{Action, Destination, Input, Instant, Room, SocketId, Train, Transport};
use turn_client_proto::api::{
    Transmit, TurnConfig as TheirConfig, TurnEvent as TheirEvent, TurnPollRet, TurnRecvRet,
};
use turn_client_proto::client::TurnClient as TheirClient;
use turn_client_proto::prelude::{DelayedTransmitBuild, TurnClientApi};
use turn_client_proto::stun::Instant as TheirInstant;
use turn_client_proto::tcp::TurnClientTcp;
use turn_client_proto::types::stun::message::IntegrityAlgorithm;
use turn_client_proto::types::{AddressFamily, TransportType, TurnCredentials};
use turn_client_proto::udp::TurnClientUdp;

use crate::turn_user::TurnUser;

const SOCKET: SocketId = SocketId(0);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn theirs(now: Instant) -> TheirInstant {
    TheirInstant::from_nanos(now.as_nanos() as i64)
}

/// A host that owns the independent client.
struct Foreign {
    client: Option<TheirClient>,
    config: TheirConfig,
    server: SocketAddr,
    local: SocketAddr,
    is_stream: bool,
    events: Vec<TheirEvent>,
    heard: Vec<(SocketAddr, Vec<u8>)>,
    outbox: VecDeque<Vec<u8>>,
    actions: VecDeque<Action>,
    wake: Option<Instant>,
    closed: bool,
}

impl Foreign {
    fn new(server: SocketAddr, transport: Transport, config: TheirConfig) -> Self {
        let is_stream = transport != Transport::Udp;
        let local: SocketAddr = "0.0.0.0:0".parse().unwrap();
        let action = match is_stream {
            false => Action::Bind {
                socket: SOCKET,
                local,
            },
            true => Action::OpenStream {
                stream: SOCKET,
                transport,
                local: None,
                remote: server,
                server_name: None,
            },
        };
        Foreign {
            client: None,
            config,
            server,
            local,
            is_stream,
            events: Vec::new(),
            heard: Vec::new(),
            outbox: VecDeque::new(),
            actions: VecDeque::from([action]),
            wake: None,
            closed: false,
        }
    }

    fn client(&mut self) -> &mut TheirClient {
        self.client.as_mut().unwrap()
    }

    fn begin(&mut self, now: Instant, local: SocketAddr) {
        let config = self.config.clone();
        self.local = local;
        self.client = Some(match self.is_stream {
            false => TurnClientUdp::allocate(local, self.server, config).into(),
            true => TurnClientTcp::allocate(local, self.server, config).into(),
        });
        self.pump(now);
    }

    fn relayed(&self) -> Option<SocketAddr> {
        let client = self.client.as_ref()?;
        client.relayed_addresses().next().map(|(_, at)| at)
    }

    /// Lets the client say what it has to say.
    fn pump(&mut self, now: Instant) {
        let Some(client) = self.client.as_mut() else {
            return;
        };
        loop {
            let wait = client.poll(theirs(now));
            let before = (self.outbox.len(), self.events.len());
            while let Some(sent) = client.poll_transmit(theirs(now)) {
                self.outbox.push_back(sent.data.to_vec());
            }
            while let Some(event) = client.poll_event() {
                self.events.push(event);
            }
            let moved = before != (self.outbox.len(), self.events.len());
            match wait {
                _ if moved => {}
                TurnPollRet::WaitUntil(at) => {
                    // One that is due already is asked again a moment later.
                    let at = Instant::from_nanos(at.as_nanos().max(0) as u64);
                    self.wake = Some(at.max(now + Duration::from_millis(1)));
                    return;
                }
                TurnPollRet::Closed => {
                    (self.wake, self.closed) = (None, true);
                    return;
                }
                other => panic!("{other:?}"),
            }
        }
    }

    fn take(&mut self, now: Instant, data: &[u8]) {
        let transport = match self.is_stream {
            true => TransportType::Tcp,
            false => TransportType::Udp,
        };
        let sent = Transmit::new(data.to_vec(), transport, self.server, self.local);
        let client = self.client.as_mut().unwrap();
        match client.recv(sent, theirs(now)) {
            TurnRecvRet::PeerData(data) => self.heard.push((data.peer, data.data().to_vec())),
            TurnRecvRet::Handled => {}
            other => panic!("{other:?}"),
        }
        while let Some(data) = client.poll_recv(theirs(now)) {
            self.heard.push((data.peer, data.data().to_vec()));
        }
    }

    fn send(&mut self, now: Instant, peer: SocketAddr, data: &[u8]) {
        let sent = self
            .client()
            .send_to(TransportType::Udp, peer, data, theirs(now))
            .unwrap();
        if let Some(sent) = sent {
            self.outbox.push_back(sent.data.build());
        }
        self.pump(now);
    }
}

/// Either client.
enum User {
    Theirs(Box<Foreign>),
    Ours(Box<TurnUser>),
}

impl User {
    fn theirs(&mut self) -> &mut Foreign {
        match self {
            User::Theirs(user) => user,
            User::Ours(_) => panic!("ours"),
        }
    }

    fn ours(&mut self) -> &mut TurnUser {
        match self {
            User::Ours(user) => user,
            User::Theirs(_) => panic!("theirs"),
        }
    }

    fn is_allocated(&self) -> bool {
        match self {
            User::Theirs(user) => user.relayed().is_some(),
            User::Ours(user) => user.client.is_allocated(),
        }
    }
}

impl Endpoint for Foreign {
    fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Bound { local, .. } | Input::StreamOpened { local, .. } => {
                self.begin(now, local);
            }
            Input::Datagrams { size, data, .. } => {
                for datagram in data.chunks(size) {
                    self.take(now, datagram);
                }
            }
            Input::StreamBytes { data, .. } => self.take(now, data),
            _ => {}
        }
        self.pump(now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.pump(now);
    }

    fn poll_transmit(&mut self, _now: Instant, train: &mut Train) -> bool {
        let Some(bytes) = self.outbox.pop_front() else {
            return false;
        };
        train.begin(Room::default(), bytes.len());
        train.push(&bytes);
        train.set_destination(Destination {
            socket: SOCKET,
            remote: self.server,
        });
        true
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.wake
    }

    fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }
}

impl User {
    fn endpoint(&mut self) -> &mut dyn Endpoint {
        match self {
            User::Theirs(user) => &mut **user,
            User::Ours(user) => &mut **user,
        }
    }
}

impl Endpoint for User {
    fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        self.endpoint().handle_input(now, input);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.endpoint().handle_timeout(now);
    }

    fn poll_transmit(&mut self, now: Instant, train: &mut Train) -> bool {
        self.endpoint().poll_transmit(now, train)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match self {
            User::Theirs(user) => user.poll_timeout(),
            User::Ours(user) => user.poll_timeout(),
        }
    }

    fn poll_action(&mut self) -> Option<Action> {
        self.endpoint().poll_action()
    }
}

fn server() -> TurnServer {
    TurnServer::new(3478, "user", "pass")
}

fn config(integrity: IntegrityAlgorithm) -> TheirConfig {
    let mut config = TheirConfig::new(TurnCredentials::new("user", "pass"));
    config.set_supported_integrity(integrity);
    config
}

fn theirs_at(
    net: &mut Net<User>,
    name: &str,
    at: SocketAddr,
    transport: Transport,
    config: TheirConfig,
) -> HostId {
    let user = Foreign::new(at, transport, config);
    net.host(name, User::Theirs(Box::new(user)))
}

/// Both clients with their allocations at one server, and the addresses of those.
fn pair(
    seed: u64,
    server: TurnServer,
    transport: Transport,
    integrity: IntegrityAlgorithm,
) -> (Net<User>, [HostId; 2], [SocketAddr; 2]) {
    let mut net = Net::seeded(seed);
    let at = net.turn_server_with(server);
    let a = theirs_at(&mut net, "theirs", at, transport, config(integrity));
    let origin = net.origin("ours");
    let ours = TurnUser::new(TurnConfig::new(SOCKET, at, "user", "pass"), origin);
    let b = net.host("ours", User::Ours(Box::new(ours)));
    net.behind(b, Nat::symmetric());
    for host in [a, b] {
        net.run_until(|net| net.endpoint(host).is_allocated(), 10 * SECOND);
    }
    let relays = [
        net.endpoint_mut(a).theirs().relayed().unwrap(),
        net.endpoint_mut(b).ours().relayed(),
    ];
    (net, [a, b], relays)
}

/// Each lets the other through.
fn permit(net: &mut Net<User>, [a, b]: [HostId; 2], relays: [SocketAddr; 2]) {
    let now = net.now();
    let user = net.endpoint_mut(a).theirs();
    (user.client())
        .create_permission(TransportType::Udp, relays[1].ip(), theirs(now))
        .unwrap();
    user.pump(now);
    net.endpoint_mut(b)
        .ours()
        .client
        .permit(now, relays[0].ip());
    net.run_for(SECOND);
    let events = &net.endpoint_mut(a).theirs().events;
    let permitted = |event: &TheirEvent| matches!(event, TheirEvent::PermissionCreated(_, ip) if *ip == relays[1].ip());
    assert!(events.iter().any(permitted), "{events:?}");
}

fn bind(net: &mut Net<User>, [a, b]: [HostId; 2], relays: [SocketAddr; 2]) {
    let now = net.now();
    let user = net.endpoint_mut(a).theirs();
    (user.client())
        .bind_channel(TransportType::Udp, relays[1], theirs(now))
        .unwrap();
    user.pump(now);
    net.endpoint_mut(b)
        .ours()
        .client
        .bind_channel(now, relays[0]);
    net.run_for(SECOND);
    let events = &net.endpoint_mut(a).theirs().events;
    let bound =
        |event: &TheirEvent| matches!(event, TheirEvent::ChannelCreated(_, at) if *at == relays[1]);
    assert!(events.iter().any(bound), "{events:?}");
    assert!(net.endpoint_mut(b).ours().client.has_channel(relays[0]));
}

const ALL: &[usize] = &[1, 2, 3, 4, 5, 1_200, 1_201];
const UNPADDED: &[usize] = &[4, 8, 1_200];

/// Datagrams of these lengths pass both ways, whole and in order.
fn talk(net: &mut Net<User>, [a, b]: [HostId; 2], relays: [SocketAddr; 2], lengths: &[usize]) {
    let sent: Vec<Vec<u8>> = lengths.iter().map(|len| vec![*len as u8; *len]).collect();
    let now = net.now();
    for data in &sent {
        net.endpoint_mut(a).theirs().send(now, relays[1], data);
        net.endpoint_mut(b).ours().send(relays[0], data);
    }
    net.run_for(SECOND);
    let expected =
        |from: SocketAddr| -> Vec<_> { sent.iter().map(|data| (from, data.clone())).collect() };
    let by_theirs = std::mem::take(&mut net.endpoint_mut(a).theirs().heard);
    assert_eq!(by_theirs, expected(relays[1]), "{net}");
    let by_ours = std::mem::take(&mut net.endpoint_mut(b).ours().heard);
    assert_eq!(by_ours, expected(relays[0]), "{net}");
}

#[test]
fn it_talks_with_ours_over_each_transport_by_indication_and_by_channel() {
    let transports = [Transport::Udp, Transport::Tcp, Transport::Tls];
    for (seed, transport) in transports.into_iter().enumerate() {
        for (server, integrity) in [
            (server(), IntegrityAlgorithm::Sha256),
            (server().of_old(), IntegrityAlgorithm::Sha1),
        ] {
            let (mut net, hosts, relays) = pair(seed as u64, server, transport, integrity);
            permit(&mut net, hosts, relays);
            talk(&mut net, hosts, relays, ALL);
            bind(&mut net, hosts, relays);
            let lengths = match transport {
                Transport::Udp => ALL,
                _ => UNPADDED,
            };
            talk(&mut net, hosts, relays, lengths);
        }
    }
}

#[test]
fn its_renewals_are_taken_for_an_hour_and_its_goodbye_frees_the_place() {
    let mut narrow = server();
    narrow.quota = 2;
    narrow.nonce_lifetime = 7 * MINUTE;
    let (mut net, hosts, relays) = pair(5, narrow, Transport::Udp, IntegrityAlgorithm::Sha256);
    permit(&mut net, hosts, relays);
    bind(&mut net, hosts, relays);
    for _ in 0..12 {
        net.run_for(5 * MINUTE);
        talk(&mut net, hosts, relays, ALL);
    }
    let now = net.now();
    let user = net.endpoint_mut(hosts[0]).theirs();
    user.client().delete(theirs(now)).unwrap();
    user.pump(now);
    net.run_for(SECOND);
    let user = net.endpoint_mut(hosts[0]).theirs();
    assert!(user.closed || user.relayed().is_none());
    // The relay is gone with it: what comes there reaches nobody, and another may have its place.
    net.endpoint_mut(hosts[1])
        .ours()
        .send(relays[0], b"anyone?");
    net.run_for(SECOND);
    assert!(net.endpoint_mut(hosts[0]).theirs().heard.is_empty());
    let at = net.endpoint_mut(hosts[1]).ours().client.server();
    let config = config(IntegrityAlgorithm::Sha256);
    let next = theirs_at(&mut net, "next", at, Transport::Udp, config);
    net.run_until(|net| net.endpoint(next).is_allocated(), 10 * SECOND);
    let failed = |event: &TurnEvent| matches!(event, TurnEvent::Failed(_));
    assert!(!net.endpoint_mut(hosts[1]).ours().has(failed));
}

#[test]
fn it_is_refused_what_ours_is_refused() {
    let mut full = server();
    full.quota = 0;
    let mut strict = server();
    strict.forbidden.push("203.0.113.66".parse().unwrap());
    let refused = |event: &TheirEvent| matches!(event, TheirEvent::AllocationCreateFailed(family) if *family == AddressFamily::IPV4);
    let mut net = Net::seeded(6);
    let at = net.turn_server_with(full);
    let integrity = IntegrityAlgorithm::Sha256;
    let host = theirs_at(&mut net, "full", at, Transport::Udp, config(integrity));
    net.run_for(10 * SECOND);
    let events = &net.endpoint_mut(host).theirs().events;
    assert!(events.iter().any(refused), "{events:?}");

    let (mut net, [host, _], _) = pair(7, strict, Transport::Udp, integrity);
    let now = net.now();
    let user = net.endpoint_mut(host).theirs();
    let peer = "203.0.113.66".parse().unwrap();
    (user.client())
        .create_permission(TransportType::Udp, peer, theirs(now))
        .unwrap();
    user.pump(now);
    net.run_for(SECOND);
    let events = &net.endpoint_mut(host).theirs().events;
    let forbidden = |event: &TheirEvent| matches!(event, TheirEvent::PermissionCreateFailed(_, ip) if *ip == peer);
    assert!(events.iter().any(forbidden), "{events:?}");
}
