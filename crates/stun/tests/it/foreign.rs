//! Our TURN client at an independent server, which knows SHA-256 and gives both families.

use std::net::SocketAddr;
use std::time::Duration;

use esp_stun::turn::{Families, Incoming, TurnClient, TurnConfig, TurnError, TurnEvent};
use esp_stun::{AttributeType, Integrity, Message, PasswordAlgorithm};
use esp_wire::{Instant, Origin, SocketId, Train};
use turn_server_proto::api::{SocketAllocateError, TurnServerApi, TurnServerPollRet};
use turn_server_proto::server::TurnServer;
use turn_server_proto::types::{AddressFamily, Instant as TheirInstant, stun::TransportType};

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// The client, the server and a peer beyond it, on a wire that loses nothing.
struct Bench {
    client: TurnClient,
    server: TurnServer,
    now: Instant,
    events: Vec<TurnEvent>,
    /// What the client heard of peers, and a peer of relays.
    heard: Vec<(SocketAddr, Vec<u8>)>,
    beyond: Vec<(SocketAddr, SocketAddr, Vec<u8>)>,
    /// The authenticated requests of the client.
    requests: Vec<Vec<u8>>,
    has_ipv6: bool,
    train: Train,
}

impl Bench {
    fn new(families: Families) -> Self {
        let listen = address("198.51.100.1:3478");
        let mut server = TurnServer::new(TransportType::Udp, listen, "realm".to_owned());
        server.add_user("user".to_owned(), "secret".to_owned());
        let config = TurnConfig::new(SocketId(0), listen, "user", "secret").with_families(families);
        Bench {
            client: TurnClient::new(config, Origin::seeded(9)).unwrap(),
            server,
            now: Instant::ZERO,
            events: Vec::new(),
            heard: Vec::new(),
            beyond: Vec::new(),
            requests: Vec::new(),
            has_ipv6: true,
            train: Train::with_capacity(Train::MAX_BYTES),
        }
    }

    fn their_now(&self) -> TheirInstant {
        TheirInstant::from_nanos(self.now.as_nanos() as i64)
    }

    fn reach_server(&mut self, from: SocketAddr, to: SocketAddr, bytes: Vec<u8>) {
        let now = self.their_now();
        let sent = turn_server_proto::api::Transmit::new(bytes, TransportType::Udp, from, to);
        let reply = self.server.recv(sent, now).map(|reply| reply.build());
        if let Some(reply) = reply {
            self.deliver(reply.from, reply.to, reply.data);
        }
        self.run_server();
    }

    fn deliver(&mut self, from: SocketAddr, to: SocketAddr, mut bytes: Vec<u8>) {
        if to != client() {
            return self.beyond.push((from, to, bytes));
        }
        if let Incoming::Data { peer, data } = self.client.handle_message(self.now, &mut bytes) {
            let data = data.to_vec();
            self.heard.push((peer, data));
        }
    }

    /// Opens the sockets that the server asks for and carries what it has to say.
    fn run_server(&mut self) {
        let now = self.their_now();
        while let TurnServerPollRet::AllocateSocket {
            transport,
            listen_addr,
            client_addr,
            allocation_transport,
            family,
        } = self.server.poll(now)
        {
            let opened = match family {
                AddressFamily::IPV4 => Ok(address("198.51.100.1:50000")),
                AddressFamily::IPV6 if self.has_ipv6 => Ok(address("[2001:db8::1]:50000")),
                AddressFamily::IPV6 => Err(SocketAllocateError::AddressFamilyNotSupported),
            };
            self.server.allocated_socket(
                transport,
                listen_addr,
                client_addr,
                allocation_transport,
                family,
                opened,
                now,
            );
        }
        while let Some(sent) = self.server.poll_transmit(now) {
            self.deliver(sent.from, sent.to, sent.data);
        }
    }

    /// Lets both talk until they have nothing to say.
    fn settle(&mut self) {
        while self.client.poll_transmit(self.now, &mut self.train) {
            let to = self.train.destination().unwrap().remote;
            let bytes = self.train.segment(0).to_vec();
            let message = Message::parse(&bytes);
            if message.is_ok_and(|message| message.integrity().is_some()) {
                self.requests.push(bytes.clone());
            }
            self.reach_server(client(), to, bytes);
        }
        self.run_server();
        while let Some(event) = self.client.poll_event() {
            self.events.push(event);
        }
    }

    fn start(&mut self) -> Vec<SocketAddr> {
        self.client.start(self.now);
        self.settle();
        match &self.events[..] {
            [
                TurnEvent::Allocated {
                    relayed, mapped, ..
                },
            ] => {
                assert_eq!(*mapped, Some(client()));
                relayed.clone()
            }
            other => panic!("{other:?} {:?}", self.client.stats()),
        }
    }

    fn advance(&mut self, by: Duration) {
        let end = self.now + by;
        while let Some(next) = self.client.poll_timeout().filter(|next| next.at <= end) {
            self.now = next.at;
            self.run_server();
            self.client.handle_timeout(self.now);
            self.settle();
        }
        self.now = end;
    }

    fn send(&mut self, peer: SocketAddr, data: &[u8]) {
        self.train.begin(self.client.room(peer), data.len());
        self.train.push(data);
        self.client.wrap(self.now, &mut self.train, peer).unwrap();
        let to = self.train.destination().unwrap().remote;
        let bytes = self.train.segment(0).to_vec();
        self.reach_server(client(), to, bytes);
    }
}

fn client() -> SocketAddr {
    address("192.0.2.7:4000")
}

#[test]
fn sha_256_and_both_families() {
    let mut bench = Bench::new(Families::Both);
    let relayed = bench.start();
    assert_eq!(relayed.len(), 2);
    assert!(relayed.iter().any(SocketAddr::is_ipv4) && relayed.iter().any(SocketAddr::is_ipv6));
    let request = Message::parse(&bench.requests[0]).unwrap();
    assert_eq!(request.integrity(), Some(Integrity::Sha256));
    assert_eq!(
        request.password_algorithm(),
        Some(PasswordAlgorithm::Sha256)
    );
    assert!(request.has(AttributeType::ADDITIONAL_ADDRESS_FAMILY));
    for peer in ["203.0.113.5:700", "[2001:db8::5]:700"].map(address) {
        let same = |relay: &&SocketAddr| relay.is_ipv4() == peer.is_ipv4();
        let relay = *relayed.iter().find(same).unwrap();
        bench.client.permit(bench.now, peer.ip());
        bench.settle();
        assert!(bench.events.contains(&TurnEvent::Permitted(peer.ip())));
        bench.send(peer, b"by indication");
        bench.reach_server(peer, relay, b"and back".to_vec());
        bench.client.bind_channel(bench.now, peer);
        bench.settle();
        assert!(bench.events.contains(&TurnEvent::ChannelBound(peer)));
        bench.send(peer, b"by channel");
        bench.reach_server(peer, relay, b"back too".to_vec());
        let out: Vec<_> = bench.beyond.drain(..).collect();
        let sent = |data: &[u8]| (relay, peer, data.to_vec());
        assert_eq!(out, [sent(b"by indication"), sent(b"by channel")]);
        let heard: Vec<_> = bench.heard.drain(..).collect();
        let came = |data: &[u8]| (peer, data.to_vec());
        assert_eq!(heard, [came(b"and back"), came(b"back too")]);
    }
}

#[test]
fn one_family_is_better_than_none() {
    let mut bench = Bench::new(Families::Both);
    bench.has_ipv6 = false;
    assert_eq!(bench.start(), [address("198.51.100.1:50000")]);
    let mut bench = Bench::new(Families::V6);
    bench.has_ipv6 = false;
    bench.client.start(bench.now);
    bench.settle();
    let [TurnEvent::Failed(TurnError::Refused(code, _))] = &bench.events[..] else {
        panic!("{:?}", bench.events);
    };
    assert_eq!(code.0, 440);
    assert_eq!(
        Bench::new(Families::V6).start(),
        [address("[2001:db8::1]:50000")]
    );
}

#[test]
fn it_outlives_nonces_permissions_channels_and_its_lifetime() {
    let mut bench = Bench::new(Families::V4);
    bench
        .server
        .set_nonce_expiry_duration(Duration::from_secs(100));
    let relay = bench.start()[0];
    let peer = address("203.0.113.5:700");
    bench.client.bind_channel(bench.now, peer);
    bench.settle();
    bench.advance(Duration::from_secs(3_600));
    assert!(bench.client.is_allocated(), "{:?}", bench.events);
    bench.send(peer, b"still here");
    bench.reach_server(peer, relay, b"me too".to_vec());
    assert_eq!(bench.beyond, [(relay, peer, b"still here".to_vec())]);
    assert_eq!(bench.heard, [(peer, b"me too".to_vec())]);
    bench.client.close(bench.now);
    bench.settle();
    assert_eq!(bench.events.last(), Some(&TurnEvent::Closed));
    bench.reach_server(peer, relay, b"anyone?".to_vec());
    assert_eq!(bench.heard.len(), 1);
}

#[test]
fn a_wrong_password_is_told_in_words() {
    let mut bench = Bench::new(Families::V4);
    let config = TurnConfig::new(SocketId(0), address("198.51.100.1:3478"), "user", "wrong");
    bench.client = TurnClient::new(config, Origin::seeded(10)).unwrap();
    bench.client.start(bench.now);
    bench.settle();
    let [TurnEvent::Failed(error)] = &bench.events[..] else {
        panic!("{:?}", bench.events);
    };
    assert!(error.to_string().contains("refused user name"), "{error}");
}
