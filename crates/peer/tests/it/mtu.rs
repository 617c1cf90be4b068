//! Datagrams as large as the path takes (RFC 8899).

use std::net::SocketAddr;
use std::time::Duration;

use esp_netsim::{NarrowServer, TurnServer};
use esp_peer::{ChannelConfig, PeerConfig};
use esp_wire::{DataFrame, DataKind, Destination, IcePolicy, IceServer, Input};

use crate::station::{Station, World, everything};

const DELAY: Duration = Duration::from_millis(5);

fn config() -> PeerConfig {
    let mut config = everything();
    config.automatic_channel = ChannelConfig::new("data");
    config
}

fn connected(seed: u64, config: &PeerConfig) -> World {
    let mut world = World::new(seed, DELAY, config.clone(), config.clone());
    world.connect();
    world.run_until(|a, b| !a.channels.is_empty() && !b.channels.is_empty());
    world
}

fn stats(world: &World, station: &Station) -> esp_peer::sctp::Stats {
    station.peer.report(world.net.now()).sctp.unwrap()
}

fn send(world: &mut World, len: usize) {
    let data = vec![7; len];
    let stream_id = world.a().channels[0].stream_id;
    let frame = DataFrame {
        kind: DataKind::Binary,
        stream_id,
        data: &data,
    };
    world.at_a(|peer, now| peer.send_data(now, frame)).unwrap();
}

fn set_mtu(world: &mut World, mtu: usize) {
    for host in [world.offerer, world.answerer] {
        let address = world.net.address(host);
        let (up, down) = world.net.link_mut(host, address);
        (up.mtu, down.mtu) = (mtu, mtu);
    }
}

/// Bytes of IP packet around the largest SCTP packet: DTLS 1.3's record, UDP and IPv4.
fn ip_size(packet: usize) -> usize {
    packet + 5 + 17 + 28
}

#[test]
fn the_size_grows_to_the_ceiling_where_the_path_takes_it() {
    for (largest, expected) in [(1_200, 1_200), (1_472, 1_472), (8_972, 1_472)] {
        let mut world = connected(80, &config().with_largest_datagram(largest));
        world.net.run_for(Duration::from_secs(40));
        for station in [world.a(), world.b()] {
            let size = ip_size(stats(&world, station).packet_size) - 28;
            assert!(
                (expected - 32..=expected).contains(&size),
                "{size} of {expected}"
            );
        }
        send(&mut world, 300_000);
        world.run_until(|_, b| b.data.len() == 1);
        let largest_in = world.b().peer.report(world.net.now()).traffic.largest_in;
        assert!(
            (expected - 32..=expected).contains(&largest_in),
            "{largest_in}"
        );
    }
}

#[test]
fn a_path_that_takes_less_from_one_moment_on_without_a_word_carries_on() {
    let mut world = connected(81, &config());
    world.net.run_for(Duration::from_secs(1));
    assert!(ip_size(stats(&world, world.a()).packet_size) > 1_490);
    send(&mut world, 1 << 20);
    world.net.run_for(Duration::from_millis(15));
    set_mtu(&mut world, 1_300);
    send(&mut world, 1 << 20);
    world.run_until(|_, b| b.data.len() == 2);
    assert!(stats(&world, world.a()).black_holes > 0);
    world.net.run_for(Duration::from_secs(30));
    let size = ip_size(stats(&world, world.a()).packet_size);
    assert!((1_260..=1_300).contains(&size), "{size}");
    // What is sent now is lost no more.
    let before = stats(&world, world.a()).chunks_retransmitted;
    send(&mut world, 100_000);
    world.run_until(|_, b| b.data.len() == 3);
    assert_eq!(stats(&world, world.a()).chunks_retransmitted, before);
}

#[test]
fn word_of_the_network_is_heeded_at_once() {
    let mut world = connected(82, &config());
    world.net.run_for(Duration::from_secs(1));
    set_mtu(&mut world, 1_300);
    let to = world.a().last_sent.unwrap();
    let tell = |world: &mut World, to: Destination| {
        world.at_a(|peer, now| {
            let told = Input::TooBig {
                socket: to.socket,
                remote: to.remote,
                size: 1_272,
            };
            peer.handle_input(now, told).unwrap();
        });
    };
    // Of another address it is worth nothing.
    let other = Destination {
        remote: "192.0.2.77:9".parse().unwrap(),
        ..to
    };
    tell(&mut world, other);
    world.net.run_for(Duration::from_millis(100));
    assert!(ip_size(stats(&world, world.a()).packet_size) > 1_490);
    tell(&mut world, to);
    world.net.run_for(Duration::from_millis(100));
    let size = ip_size(stats(&world, world.a()).packet_size);
    assert!((1_297..=1_300).contains(&size), "{size}");
    send(&mut world, 200_000);
    world.run_until(|_, b| b.data.len() == 1);
    assert_eq!(stats(&world, world.a()).timeouts, 0);
}

#[test]
fn word_from_beyond_a_relay_is_heeded_at_once() {
    let server = || TurnServer::new(3478, "user", "secret");
    let mut world = World::new(83, DELAY, config(), config());
    let host = world
        .net
        .server("narrow", NarrowServer::new(server(), 1_400));
    let at = SocketAddr::new(world.net.address(host), 3478);
    let servers = vec![IceServer::turn(format!("turn:{at}"), "user", "secret")];
    let mut relayed = config().with_servers(servers);
    relayed.policy = IcePolicy::Relay;
    let mut world = World::new(83, DELAY, relayed, config());
    let narrow = NarrowServer::new(server(), 1_400);
    world.net.server("narrow", narrow);
    world.connect();
    world.run_until(|a, b| !a.channels.is_empty() && !b.channels.is_empty());
    world.net.run_for(Duration::from_millis(500));
    let size = ip_size(stats(&world, world.a()).packet_size);
    assert!((1_397..=1_400).contains(&size), "{size}");
    send(&mut world, 200_000);
    world.run_until(|_, b| b.data.len() == 1);
    assert_eq!(stats(&world, world.a()).timeouts, 0);
}
