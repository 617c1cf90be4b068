//! Beginning, beginning anew, and ending.

use std::time::Duration;

use esp_sctp::{Association, ChannelConfig, CloseReason, Config, PeerMisbehaved};
use esp_wire::{Instant, Origin};

use crate::link::{Link, Net, Seen};

const SECOND: Duration = Duration::from_secs(1);

fn kind_of(packet: &[u8]) -> u8 {
    packet[12]
}

#[test]
fn both_sides_may_begin() {
    for jitter in [0, 5, 15] {
        for seed in 0..20 {
            let link = Link {
                jitter: Duration::from_millis(jitter),
                ..Link::default()
            };
            let mut net = Net::pair(seed, link);
            net.connect();
            net.run(SECOND);
            for side in 0..2 {
                assert_eq!(net.count(side, |seen| *seen == Seen::Connected), 1);
                assert!(net.sides[side].stats().interleaving);
                assert!(net.sides[side].stats().zero_checksum);
            }
        }
    }
}

#[test]
fn one_side_may_only_answer() {
    let mut net = Net::pair(1, Link::default());
    let now = net.now;
    net.sides[0].connect(now).unwrap();
    net.run_until(SECOND, |net| {
        net.sides.iter().all(Association::is_connected)
    });
    assert_eq!(net.packets, [2, 2]);
}

#[test]
fn one_side_may_be_late() {
    let mut net = Net::pair(1, Link::default());
    let now = net.now;
    net.sides[0].connect(now).unwrap();
    net.run(Duration::from_millis(25));
    let now = net.now;
    net.sides[1].connect(now).unwrap();
    net.run_until(SECOND, |net| {
        net.sides.iter().all(Association::is_connected)
    });
}

#[test]
fn any_single_packet_of_the_handshake_may_be_lost() {
    for lost in 0..8 {
        let mut net = Net::pair(3, Link::default());
        let mut count = 0;
        net.filter = Some(Box::new(move |_, _| {
            count += 1;
            count - 1 == lost
        }));
        net.connect();
        let channel = net.open(0, ChannelConfig::new("x"));
        net.send(0, channel, b"hello");
        net.run_until(10 * SECOND, |net| net.messages(1) == [b"hello"]);
    }
}

#[test]
fn a_handshake_survives_heavy_loss() {
    for seed in 0..30 {
        let link = Link {
            duplication: 0.1,
            jitter: Duration::from_millis(30),
            ..Link::lossy(0.4)
        };
        Net::pair(seed, link).connect();
    }
}

#[test]
fn silence_is_noticed() {
    let mut net = Net::pair(1, Link::lossy(1.0));
    let now = net.now;
    net.sides[0].connect(now).unwrap();
    net.run(600 * SECOND);
    assert_eq!(net.seen[0], [Seen::Ended(CloseReason::Unreachable)]);
}

#[test]
fn a_peer_that_falls_silent_later_is_noticed() {
    for with_data in [false, true] {
        let mut net = Net::pair(1, Link::default());
        let channel = net.open(0, ChannelConfig::new("x"));
        net.connect();
        net.run(SECOND);
        net.link.loss = 1.0;
        if with_data {
            net.send(0, channel, b"lost");
        }
        net.run(900 * SECOND);
        assert!(net.seen[0].contains(&Seen::Ended(CloseReason::Unreachable)));
    }
}

#[test]
fn heartbeats_go_on_while_idle() {
    let mut net = Net::pair(1, Link::default());
    net.connect();
    net.run(3_600 * SECOND);
    assert!(net.sides.iter().all(Association::is_connected));
    let packets = net.packets[0];
    assert!((100..500).contains(&packets), "{packets}");
}

#[test]
fn features_are_used_only_when_both_sides_have_them() {
    let plain = Config::default()
        .with_interleaving(false)
        .with_zero_checksum(false);
    for configs in [
        [Config::default(), plain.clone()],
        [plain.clone(), Config::default()],
        [plain.clone(), plain],
    ] {
        let mut net = Net::connected(1, configs, Link::default());
        for side in 0..2 {
            assert!(!net.sides[side].stats().interleaving);
            assert!(!net.sides[side].stats().zero_checksum);
        }
        let channel = net.open(0, ChannelConfig::new("x"));
        net.send(0, channel, &[7; 5_000]);
        net.run_until(SECOND, |net| net.messages(1) == [[7; 5_000]]);
    }
}

#[test]
fn a_shutdown_delivers_everything_first() {
    for loss in [0.0, 0.2] {
        let mut net = Net::pair(5, Link::lossy(loss));
        let channel = net.open(0, ChannelConfig::new("x"));
        net.connect();
        for index in 0..50u8 {
            net.send(0, channel, &vec![index; 3_000]);
        }
        let now = net.now;
        net.sides[0].shutdown(now);
        assert!(
            net.sides[0]
                .send(now, channel, esp_wire::DataKind::Text, b"late")
                .is_err()
        );
        net.run_until(120 * SECOND, |net| {
            net.sides.iter().all(Association::has_ended)
        });
        assert_eq!(net.messages(1).len(), 50);
        assert_eq!(
            net.seen[0].last(),
            Some(&Seen::Ended(CloseReason::Shutdown))
        );
        if loss == 0.0 {
            assert_eq!(
                net.seen[1].last(),
                Some(&Seen::Ended(CloseReason::Shutdown))
            );
        }
        assert_eq!(net.count(1, |seen| matches!(seen, Seen::Closed(_))), 1);
    }
}

#[test]
fn both_sides_may_shut_down_at_once() {
    let mut net = Net::pair(5, Link::default());
    net.connect();
    let now = net.now;
    net.sides[0].shutdown(now);
    net.sides[1].shutdown(now);
    net.run_until(10 * SECOND, |net| {
        net.sides.iter().all(Association::has_ended)
    });
    for side in 0..2 {
        assert_eq!(
            net.seen[side].last(),
            Some(&Seen::Ended(CloseReason::Shutdown))
        );
    }
}

#[test]
fn an_abort_carries_its_reason() {
    let mut net = Net::pair(5, Link::default());
    net.connect();
    net.flush();
    let now = net.now;
    net.sides[0].abort(now, "enough");
    net.run(SECOND);
    assert_eq!(net.seen[0].last(), Some(&Seen::Ended(CloseReason::Aborted)));
    let by_peer = CloseReason::AbortedByPeer {
        cause: 12,
        text: "enough".into(),
    };
    assert_eq!(net.seen[1].last(), Some(&Seen::Ended(by_peer)));
}

#[test]
fn a_lost_abort_is_repeated_when_the_peer_goes_on() {
    let mut net = Net::pair(5, Link::default());
    let channel = net.open(1, ChannelConfig::new("x"));
    net.connect();
    net.run(SECOND);
    net.link.loss = 1.0;
    let now = net.now;
    net.sides[0].abort(now, "enough");
    net.run(SECOND);
    net.link.loss = 0.0;
    net.send(1, channel, b"are you there?");
    net.run(SECOND);
    assert!(net.sides[1].has_ended());
}

#[test]
fn a_peer_that_begins_anew_is_taken_up() {
    let mut net = Net::pair(5, Link::default());
    let channel = net.open(1, ChannelConfig::new("old"));
    net.connect();
    net.run(SECOND);
    let origin = Origin {
        now: net.now,
        ..Origin::seeded(99)
    };
    let mut anew = Association::new(Config::default(), origin).unwrap();
    anew.set_dtls_role(true);
    anew.set_path(crate::link::ROOM, 1_160);
    anew.connect(net.now).unwrap();
    net.sides[0] = anew;
    net.seen = [Vec::new(), Vec::new()];
    net.run_until(10 * SECOND, |net| net.sides[0].is_connected());
    net.run(SECOND);
    let expected = [Seen::Connected, Seen::Restarted, Seen::Closed(channel)];
    assert_eq!(net.seen[1], expected);
    let new = net.open(1, ChannelConfig::new("new"));
    net.send(1, new, b"fresh");
    net.run_until(SECOND, |net| net.messages(0) == [b"fresh"]);
}

#[test]
fn an_old_cookie_is_refused_and_a_forged_one_ignored() {
    let mut net = Net::pair(5, Link::default());
    let mut echo = None;
    let (sender, receiver) = std::sync::mpsc::channel();
    net.filter = Some(Box::new(move |_, packet| {
        if kind_of(packet) == 10 {
            let _ = sender.send(packet.to_vec());
            return true;
        }
        false
    }));
    let now = net.now;
    net.sides[0].connect(now).unwrap();
    net.run(Duration::from_millis(100));
    while let Ok(packet) = receiver.try_recv() {
        echo = Some(packet);
    }
    let echo = echo.unwrap();
    // A forged cookie, with its checksum put right.
    let mut forged = echo.clone();
    forged[40] ^= 1;
    forged[8..12].fill(0);
    let sum = crc32c::crc32c(&forged);
    forged[8..12].copy_from_slice(&sum.to_le_bytes());
    net.inject(1, forged);
    assert!(!net.sides[1].is_connected());
    net.now += 100 * SECOND;
    net.inject(1, echo.clone());
    assert!(!net.sides[1].is_connected());
}

#[test]
fn data_without_bytes_ends_the_association() {
    let mut net = Net::pair(5, Link::default());
    net.connect();
    net.flush();
    let (sender, receiver) = std::sync::mpsc::channel();
    net.filter = Some(Box::new(move |from, packet| {
        let _ = sender.send((from, packet.to_vec()));
        false
    }));
    let channel = net.open(0, ChannelConfig::new("x"));
    net.send(0, channel, b"hello");
    net.flush();
    let (_, mut packet) = receiver.recv().unwrap();
    packet.truncate(12 + 20);
    packet[14..16].copy_from_slice(&20u16.to_be_bytes());
    let now = net.now;
    let error = net.sides[1].handle_input(now, &mut packet).unwrap_err();
    assert_eq!(
        error,
        esp_sctp::Error::PeerMisbehaved(PeerMisbehaved::EmptyData)
    );
    net.run(SECOND);
    assert!(net.sides[0].has_ended());
}

#[test]
fn noise_is_dropped() {
    let mut net = Net::pair(5, Link::default());
    net.connect();
    for len in 0..64 {
        net.inject(0, vec![0x5a; len]);
    }
    assert!(net.sides[0].is_connected());
    assert_eq!(net.sides[0].stats().packets_dropped, 64);
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let run = || {
        let mut net = Net::pair(7, Link::lossy(0.1));
        let (sender, receiver) = std::sync::mpsc::channel();
        net.filter = Some(Box::new(move |from, packet| {
            let _ = sender.send((from, packet.to_vec()));
            false
        }));
        let channel = net.open(0, ChannelConfig::new("x"));
        net.send(0, channel, &[1; 20_000]);
        net.connect();
        net.run(5 * SECOND);
        drop(net);
        receiver.iter().collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}

#[test]
fn time_never_runs_backwards() {
    let mut side = Association::new(Config::default(), Origin::seeded(1)).unwrap();
    side.connect(Instant::from_millis(10)).unwrap();
    side.handle_timeout(Instant::ZERO);
    assert!(side.poll_timeout().is_some());
}

#[test]
fn descriptions_may_carry_the_handshake() {
    let mut net = Net::pair(7, Link::default());
    let channel = net.open(0, ChannelConfig::new("x"));
    net.send(0, channel, b"at once");
    let inits = [net.sides[0].local_init(), net.sides[1].local_init()];
    let now = net.now;
    for side in 0..2 {
        net.sides[side]
            .connect_with_init(now, &inits[1 - side])
            .unwrap();
    }
    net.run(Duration::from_millis(11));
    assert_eq!(net.messages(1), [b"at once"]);
    assert!(net.sides[0].stats().interleaving);
    assert!(net.sides[0].connect_with_init(now, &inits[1]).is_err());
    let mut fresh = Association::new(Config::default(), Origin::seeded(1)).unwrap();
    for cut in 0..inits[0].len() - 4 {
        let _ = fresh.connect_with_init(now, &inits[0][..cut]);
    }
    assert!(!fresh.is_connected());
}
