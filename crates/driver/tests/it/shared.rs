//! Many peers on one UDP port.

use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use esp_driver::{Driver, DriverConfig};
use esp_peer::ice::InterfaceFilter;
use esp_peer::{PeerConnection, State};
use esp_stun::{Key, MessageBuilder, Method, TransactionId};
use esp_wire::{DataFrame, DataKind, Direction, IcePolicy, IceServer, Role};

use crate::pair::{End, PATIENCE, begin, driver, ends};
use crate::turn::talk;
use crate::turn_server::Server;

const PEERS: usize = 50;

/// Two ends, the first with sockets of its own, the second on the common port of `server`.
fn pair(clients: &Driver, server: &Driver) -> [End; 2] {
    ends(
        &|mut config, handler| {
            config = config
                .with_audio(Direction::None, Vec::new())
                .with_video(Direction::None, Vec::new());
            config.ice.interfaces = InterfaceFilter::Only(vec!["lo".into()]);
            config.ice.ipv6 = false;
            let driver = match config.role {
                Role::Controlling => clients,
                Role::Controlled => server,
            };
            driver.open(config, handler).unwrap()
        },
        [None, None],
    )
}

/// Where the candidates of an end are.
fn ports(end: &End) -> Vec<u16> {
    let lines = end.connection.query().unwrap().local_candidates;
    let port = |line: &String| line.split(' ').nth(5)?.parse().ok();
    lines.iter().filter_map(port).collect()
}

fn say(end: &End, channel: u16, text: &str) {
    let frame = DataFrame {
        stream_id: channel,
        kind: DataKind::Text,
        data: text.as_bytes(),
    };
    end.connection.send_data(frame).unwrap();
}

/// Datagrams that belong to nobody: noise, and checks with a right name and a wrong key.
fn disturb(to: SocketAddr, name: &str, stop: &Receiver<()>) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let key = Key::short_term("a password that is not the one");
    let mut number = 0_u32;
    while stop.recv_timeout(Duration::from_millis(1)) == Err(RecvTimeoutError::Timeout) {
        number = number.wrapping_add(1);
        let mut bytes = [0; 200];
        let mut id = [7; 12];
        id[..4].copy_from_slice(&number.to_be_bytes());
        let id = TransactionId(id);
        let mut builder = MessageBuilder::request(&mut bytes, Method::BINDING, id);
        let name = if number.is_multiple_of(2) {
            name
        } else {
            "nobody"
        };
        builder.username(&format!("{name}:evil")).use_candidate();
        let len = builder.integrity(&key).fingerprint().finish().unwrap();
        let _ = socket.send_to(&bytes[..len], to);
        let _ = socket.send_to(&[number as u8; 60], to);
    }
}

#[test]
fn fifty_peers_share_one_port_whatever_noise_there_is() {
    let server = Driver::start(DriverConfig::default().with_shared_port(Some(0))).unwrap();
    let clients = driver();
    let pairs: Vec<[End; 2]> = (0..PEERS).map(|_| pair(&clients, &server)).collect();
    begin(&pairs[0]);
    let channels = [pairs[0][0].wait_channel(), pairs[0][1].wait_channel()];
    let port = ports(&pairs[0][1])[0];
    let told = pairs[0][1].connection.query().unwrap().local_candidates;
    let name = told[0].rsplit_once("ufrag ").unwrap().1.to_owned();
    let (stop, stopped) = channel();
    let to = ([127, 0, 0, 1], port).into();
    let noise = std::thread::spawn(move || disturb(to, &name, &stopped));
    for pair in &pairs[1..] {
        begin(pair);
    }
    let mut streams = vec![channels[0].stream_id];
    for [client, peer] in &pairs[1..] {
        streams.push(client.wait_channel().stream_id);
        peer.wait_channel();
        assert_eq!(ports(peer), [port]);
        assert_ne!(ports(client), [port]);
    }
    // Each hears its own partner and nobody else.
    for (number, ([client, peer], stream)) in pairs.iter().zip(&streams).enumerate() {
        say(client, *stream, &format!("to {number}"));
        say(peer, *stream, &format!("from {number}"));
    }
    for (number, [client, peer]) in pairs.iter().enumerate() {
        assert_eq!(peer.wait_data(), format!("to {number}").into_bytes());
        assert_eq!(client.wait_data(), format!("from {number}").into_bytes());
    }
    let strays = |end: &End| end.connection.query().unwrap().shared_port_strays;
    let [client, peer] = &pairs[0];
    let end = Instant::now() + PATIENCE;
    while strays(peer) == 0 {
        assert!(Instant::now() < end, "no noise was ever counted");
    }
    drop(stop);
    noise.join().unwrap();
    assert_eq!(strays(client), 0);
}

#[test]
fn those_that_leave_disturb_nobody_and_a_restart_is_followed() {
    let server = Driver::start(DriverConfig::default().with_shared_port(Some(0))).unwrap();
    let clients = driver();
    let [stays, goes] = [pair(&clients, &server), pair(&clients, &server)];
    begin(&stays);
    let stream = stays[0].wait_channel().stream_id;
    stays[1].wait_channel();
    begin(&goes);
    goes[1].wait_state(State::Connected);
    let port = ports(&stays[1]);
    assert_eq!(ports(&goes[1]), port);
    goes[1].connection.close();
    stays[0].connection.restart_ice().unwrap();
    let [client, peer] = &stays;
    for number in 0..20 {
        say(client, stream, &format!("{number}"));
        say(peer, stream, &format!("{number}"));
        assert_eq!(peer.wait_data(), format!("{number}").into_bytes());
        assert_eq!(client.wait_data(), format!("{number}").into_bytes());
    }
    // Whoever comes later finds the port open.
    let comes = pair(&clients, &server);
    begin(&comes);
    comes[0].wait_state(State::Connected);
    assert_eq!(ports(&comes[1]), port);
}

#[test]
fn all_peers_of_a_port_have_relays_over_udp() {
    let turn = Server::start("user", "secret");
    let shared = Driver::start(DriverConfig::default().with_shared_port(Some(0))).unwrap();
    let url = format!("turn:{}", turn.udp);
    let pairs: Vec<[End; 2]> = (0..3)
        .map(|_| {
            ends(
                &|mut config, handler| {
                    config.policy = IcePolicy::Relay;
                    config.servers = vec![IceServer::turn(&url, "user", "secret")];
                    shared.open(config, handler).unwrap()
                },
                [None, None],
            )
        })
        .collect();
    for pair in &pairs {
        begin(pair);
    }
    for pair in &pairs {
        talk(pair);
    }
}
