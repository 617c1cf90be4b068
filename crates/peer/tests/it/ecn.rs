//! Queues that mark packets instead of dropping them, and what may be marked at all.

use std::time::Duration;

use esp_netsim::{Link, LinkStats};
use esp_peer::sctp::Stats;
use esp_peer::{ChannelConfig, DtlsVersions, Error, PeerConfig};
use esp_wire::{DataFrame, DataKind, Frame, IcePolicy, IceServer};

use crate::station::{World, everything};

const DELAY: Duration = Duration::from_millis(10);
/// Bits a second.
const RATE: u64 = 20_000_000;
const MESSAGE: usize = 50_000;

fn config() -> PeerConfig {
    let mut config = everything();
    config.automatic_channel = ChannelConfig::new("data");
    config
}

fn connected(mut world: World) -> World {
    world.connect();
    world.run_until(|a, b| !a.channels.is_empty() && !b.channels.is_empty());
    world
}

/// Sends messages from one to the other as fast as it takes them.
fn pour(world: &mut World, messages: usize) {
    let stream_id = world.a().channels[0].stream_id;
    let (mut sent, before) = (0, world.b().data.len());
    while sent < messages {
        let frame = DataFrame {
            kind: DataKind::Binary,
            stream_id,
            data: &[sent as u8; MESSAGE],
        };
        match world.at_a(|peer, now| peer.send_data(now, frame)) {
            Ok(()) => sent += 1,
            Err(Error::WouldBlock) => world.net.run_for(Duration::from_millis(5)),
            Err(error) => panic!("{error}"),
        }
    }
    world.run_until(|_, b| b.data.len() == before + messages);
}

/// 10 MB over a queue that marks at 30 kB and overflows at 150: bits a second, what the sender and the link say.
fn through_a_queue(ecn: bool) -> (f64, Stats, LinkStats) {
    let world = World::new(90, DELAY, config().with_ecn(ecn), config());
    let mut world = connected(world);
    let queue = Link::delayed(DELAY)
        .with_rate(RATE, 150_000)
        .with_mark(30_000);
    world.net.set_link(world.answerer, queue);
    let began = world.net.now();
    pour(&mut world, 200);
    let took = world.net.now().since(began);
    let rate = (200 * MESSAGE * 8) as f64 / took.as_secs_f64();
    let stats = world.a().peer.report(world.net.now()).sctp.unwrap();
    let (_, down) = world.net.link_stats(world.answerer);
    (rate, stats, down)
}

#[test]
fn a_queue_that_marks_has_nothing_to_drop() {
    let (rate, stats, link) = through_a_queue(true);
    assert!(link.marked > 0 && stats.congestion_events > 0, "{stats:?}");
    assert_eq!((stats.chunks_retransmitted, link.queue_drops), (0, 0));
    // The rest is headers: 20 + 8 of IP and UDP, 22 of DTLS, 32 of SCTP and its chunk.
    assert!(rate > 0.9 * RATE as f64, "{rate} bits a second, {stats:?}");
    // The same without: only what gets lost tells of the queue.
    let (_, stats, link) = through_a_queue(false);
    assert_eq!(link.marked, 0);
    assert!(stats.chunks_retransmitted > 0 && link.queue_drops > 0);
}

/// First bytes of DTLS records with application data, in either version (RFC 6347 §4.3.1, RFC 9147 §4).
fn is_application_data(first: u8) -> bool {
    first == 23 || (32..64).contains(&first)
}

#[test]
fn nothing_but_data_is_marked() {
    for dtls in [DtlsVersions::Only12, DtlsVersions::Only13] {
        let config = config().with_dtls(dtls);
        let mut world = World::new(91, DELAY, config.clone(), config);
        world.connect();
        world.run_until(|a, b| !a.channels.is_empty() && !b.channels.is_empty());
        pour(&mut world, 3);
        for tick in 0..50 {
            let pts = Duration::from_millis(20 * tick);
            let data = &[7; 80];
            let frame = Frame { pts, data };
            world.at_a(|peer, now| peer.send_audio(now, frame)).unwrap();
            world.net.run_for(Duration::from_millis(20));
        }
        assert!(world.b().audio.len() > 40);
        for station in [world.a(), world.b()] {
            let mut marked = station.marked.iter().copied();
            assert!(marked.all(is_application_data), "{:?}", station.marked);
        }
        assert!(!world.a().marked.is_empty());
    }
}

#[test]
fn nothing_is_marked_for_a_peer_that_does_not_know_it() {
    for (ours, theirs) in [(true, false), (false, true)] {
        let (a, b) = (config().with_ecn(ours), config().with_ecn(theirs));
        let mut world = connected(World::new(92, DELAY, a, b));
        pour(&mut world, 3);
        assert!(world.a().marked.is_empty() && world.b().marked.is_empty());
    }
}

#[test]
fn nothing_is_marked_over_relays_on_either_side() {
    let at = World::new(93, DELAY, config(), config())
        .net
        .turn_server("user", "secret");
    let servers = vec![IceServer::turn(format!("turn:{at}"), "user", "secret")];
    let relayed = || {
        let mut config = config().with_servers(servers.clone());
        config.policy = IcePolicy::Relay;
        config
    };
    for (a, b) in [(relayed(), config()), (config(), relayed())] {
        let mut world = World::new(93, DELAY, a, b);
        world.net.turn_server("user", "secret");
        let mut world = connected(world);
        // Until its candidate comes, a relay may look like any address.
        world.net.run_for(Duration::from_secs(1));
        for host in [world.offerer, world.answerer] {
            world.net.endpoint_mut(host).marked.clear();
        }
        pour(&mut world, 3);
        assert!(world.a().marked.is_empty() && world.b().marked.is_empty());
    }
}
