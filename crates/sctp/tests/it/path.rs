//! Packets as large as the path takes (RFC 8899).

use std::time::Duration;

use esp_sctp::{ChannelConfig, Config, congestion::Algorithm};

use crate::link::{Link, Net, pattern};

/// A pair that may use packets of up to 1,432 bytes over a path that takes `path`.
fn pair(config: Config, path: usize) -> Net {
    let mut net = Net::new(7, [config.clone(), config], Link::default());
    for side in &mut net.sides {
        side.set_largest_packet(1_432);
    }
    net.filter = Some(Box::new(move |_, packet| packet.len() > path));
    net.connect();
    net
}

#[test]
fn a_path_that_takes_more_is_used() {
    let mut net = pair(Config::default(), 9_000);
    net.run(Duration::from_millis(100));
    assert_eq!(
        net.sides.each_ref().map(|side| side.packet_size()),
        [1_432; 2]
    );
    let channel = net.open(0, ChannelConfig::new("x"));
    net.send(0, channel, &pattern(1, 100_000));
    let before = net.packets[0];
    net.run(Duration::from_secs(1));
    assert_eq!(net.messages(1), [pattern(1, 100_000)]);
    assert!(net.packets[0] - before < 80, "{}", net.packets[0] - before);
}

#[test]
fn a_path_in_between_is_found() {
    let mut net = pair(Config::default(), 1_300);
    net.run(Duration::from_secs(20));
    let size = net.sides[0].packet_size();
    assert!((1_268..=1_300).contains(&size), "{size}");
    let probes = net.sides[0].stats().path_probes;
    assert!(probes <= 15, "{probes}");
    // The search has ended.
    net.run(Duration::from_secs(300));
    assert_eq!(net.sides[0].stats().path_probes, probes);
}

#[test]
fn the_search_can_be_switched_off() {
    let mut net = pair(Config::default().with_path_mtu_discovery(false), 9_000);
    net.run(Duration::from_secs(5));
    assert_eq!(net.sides[0].packet_size(), 1_160);
    assert_eq!(net.sides[0].stats().path_probes, 0);
}

#[test]
fn lost_probes_do_not_hinder_data() {
    let mut net = pair(Config::default(), 1_160);
    let channel = net.open(0, ChannelConfig::new("x"));
    for index in 0..50 {
        net.send(0, channel, &pattern(index, 20_000));
        net.run(Duration::from_millis(100));
    }
    assert_eq!(net.messages(1).len(), 50);
    let stats = net.sides[0].stats();
    assert_eq!((stats.packet_size, stats.timeouts), (1_160, 0));
}

#[test]
fn larger_packets_that_vanish_lead_back_to_the_base() {
    let mut net = pair(Config::default(), 9_000);
    net.run(Duration::from_millis(100));
    let channel = net.open(0, ChannelConfig::new("x"));
    net.run(Duration::from_millis(100));
    net.filter = Some(Box::new(|_, packet| packet.len() > 1_160));
    net.send(0, channel, &pattern(1, 50_000));
    net.run_until(Duration::from_secs(10), |net| {
        net.sides[0].stats().black_holes == 1
    });
    assert_eq!(net.sides[0].packet_size(), 1_160);
    // The path fragments again what was already cut; later messages fit.
    net.filter = None;
    net.send(0, channel, &pattern(2, 50_000));
    net.run(Duration::from_secs(10));
    assert_eq!(net.messages(1), [pattern(1, 50_000), pattern(2, 50_000)]);
}

#[test]
fn another_path_is_begun_with_as_the_first_one_was() {
    // RFC 9260 §7.2.5.2.
    for algorithm in [Algorithm::Tolerant, Algorithm::Cubic, Algorithm::Reno] {
        let config = Config::default().with_congestion(algorithm);
        let mut net = Net::connected(3, [config.clone(), config], Link::default());
        let channel = net.open(0, ChannelConfig::new("x"));
        let fresh = net.sides[0].stats().congestion_window;
        net.send(0, channel, &[1; 500_000]);
        net.run(Duration::from_secs(2));
        let grown = net.sides[0].stats();
        assert!(grown.congestion_window > 10 * fresh, "{grown:?}");
        assert!(!grown.rtt.is_zero());
        net.sides[0].path_changed();
        let moved = net.sides[0].stats();
        assert_eq!(
            (moved.congestion_window, moved.rtt),
            (fresh, Duration::ZERO)
        );
        net.send(0, channel, &[2; 500_000]);
        net.run(Duration::from_secs(2));
        assert_eq!(net.messages(1).len(), 2);
        let stats = net.sides[0].stats();
        assert_eq!((stats.timeouts, stats.in_flight), (0, 0), "{stats:?}");
    }
}
