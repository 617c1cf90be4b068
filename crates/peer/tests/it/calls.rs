//! How a call comes about and ends.

use std::time::Duration;

use esp_netsim::Nat;
use esp_peer::{ChannelConfig, DtlsVersions, PeerConfig, State};
use esp_wire::{DataFrame, DataKind, Frame, IcePolicy, IceServer, Role, Signal, Trickle};

use crate::station::{World, everything};

fn world(seed: u64) -> World {
    World::new(seed, Duration::from_millis(10), everything(), everything())
}

#[test]
fn the_states_come_in_order_on_both_sides() {
    let mut world = world(1);
    world.connect();
    for station in [world.a(), world.b()] {
        let states = &station.states;
        assert_eq!(
            states[..6],
            [
                State::NewConnection,
                State::CandidateGathering,
                State::Pairing,
                State::Paired,
                State::Connecting,
                State::Connected,
            ],
            "{states:?}"
        );
    }
}

#[test]
fn the_first_description_leaves_at_once_and_candidates_follow() {
    let mut world = world(2);
    world.begin();
    assert!(matches!(world.a().sent[..], [Signal::Sdp(_), ..]));
    world.run_until(|a, _| a.is_connected());
    let candidates = |signals: &[Signal<'_>]| {
        signals
            .iter()
            .filter(|signal| matches!(signal, Signal::Candidate { .. }))
            .count()
    };
    assert!(candidates(&world.a().sent) >= 2, "{:?}", world.a().sent);
}

#[test]
fn what_overtakes_the_answer_is_held_for_it() {
    for trickle in [Trickle::Full, Trickle::None] {
        let config = || everything().with_trickle(trickle);
        let (link, post) = (Duration::from_millis(10), Duration::from_millis(500));
        let mut world = World::new(9, link, config(), config()).signaling(post);
        world.connect();
        // The answerer's checks and its ClientHello came long before its answer: once that is here, the
        // rest of the handshake takes two round trips and no repetition.
        let offered = if trickle == Trickle::None { 40 } else { 0 };
        let setup = world.at_a(|peer, now| peer.report(now)).setup.unwrap();
        assert!(
            setup < post * 2 + link * 4 + Duration::from_millis(20 + offered),
            "{setup:?}"
        );
    }
}

#[test]
fn without_trickle_descriptions_are_complete() {
    for trickle in [Trickle::None, Trickle::Half] {
        let config = || everything().with_trickle(trickle);
        let mut world = World::new(3, Duration::from_millis(10), config(), config());
        world.connect();
        for station in [world.a(), world.b()] {
            let Signal::Sdp(text) = &station.sent[0] else {
                panic!("not a description: {:?}", station.sent);
            };
            assert!(text.contains("a=candidate:"), "{text}");
            assert!(text.contains("a=end-of-candidates"), "{text}");
        }
    }
}

#[test]
fn both_versions_of_dtls_connect_in_all_combinations() {
    use DtlsVersions::{Auto, Only12, Only13};
    for (seed, (offers, answers, version)) in [
        (Auto, Auto, "DTLS 1.3"),
        (Only12, Auto, "DTLS 1.2"),
        (Auto, Only12, "DTLS 1.2"),
        (Only13, Auto, "DTLS 1.3"),
        (Auto, Only13, "DTLS 1.3"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut world = World::new(
            seed as u64,
            Duration::from_millis(5),
            everything().with_dtls(offers),
            everything().with_dtls(answers),
        );
        world.connect();
        let report = world.at_a(|peer, now| peer.report(now));
        assert_eq!(report.dtls, Some(version));
        assert!(report.srtp.is_some());
    }
}

#[test]
fn peers_behind_nats_connect_by_a_stun_server() {
    let mut world = world(4);
    let server = world.net.stun_server();
    let servers = [IceServer::stun(format!("stun:{server}"))];
    for host in [world.offerer, world.answerer] {
        world.net.behind(host, Nat::port_restricted());
    }
    world.at_a(|peer, now| {
        peer.update_ice_info(now, Role::Controlling, &servers)
            .unwrap()
    });
    world.at_b(|peer, now| {
        peer.update_ice_info(now, Role::Controlled, &servers)
            .unwrap()
    });
    world.connect();
    let report = world.at_a(|peer, now| peer.report(now));
    assert!(
        report
            .local_candidates
            .iter()
            .any(|line| line.contains("srflx")),
        "{:?}",
        report.local_candidates
    );
}

#[test]
fn peers_behind_symmetric_nats_connect_by_a_relay() {
    for policy in [IcePolicy::All, IcePolicy::Relay] {
        let config = || {
            let mut config = everything();
            config.policy = policy;
            config.automatic_channel = ChannelConfig::new("data");
            config
        };
        let mut world = World::new(40, Duration::from_millis(10), config(), config());
        let server = world.net.turn_server("user", "secret");
        let servers = [IceServer::turn(format!("turn:{server}"), "user", "secret")];
        for host in [world.offerer, world.answerer] {
            world.net.behind(host, Nat::symmetric());
        }
        world.at_a(|peer, now| {
            peer.update_ice_info(now, Role::Controlling, &servers)
                .unwrap()
        });
        world.at_b(|peer, now| {
            peer.update_ice_info(now, Role::Controlled, &servers)
                .unwrap()
        });
        world.connect();
        world.run_until(|a, b| !a.channels.is_empty() && !b.channels.is_empty());
        let stream_id = world.a().channels[0].stream_id;
        let data = vec![5; 300_000];
        world.at_a(|peer, now| {
            let frame = DataFrame {
                kind: DataKind::Binary,
                stream_id,
                data: &data,
            };
            peer.send_data(now, frame).unwrap();
            let pts = Duration::ZERO;
            peer.send_audio(
                now,
                Frame {
                    pts,
                    data: b"sound",
                },
            )
            .unwrap();
        });
        world.run_until(|_, b| b.data.len() == 1 && b.audio.len() == 1);
        assert!(world.b().data[0].2 == data);
        let relayed = world.a().notices.iter().any(|it| it.contains("relay"));
        assert!(relayed, "{:?}", world.a().notices);
    }
}

#[test]
fn a_call_comes_about_under_loss() {
    for seed in 10..20 {
        let mut world = world(seed);
        world.net.loss(0.2);
        world.connect();
    }
}

#[test]
fn disconnecting_is_told_to_the_peer_and_another_call_follows() {
    let mut world = world(5);
    world.connect();
    world.at_a(|peer, now| peer.disconnect(now).unwrap());
    world.run_until(|a, b| a.has(State::Disconnected) && b.has(State::Disconnected));
    assert!(
        world
            .b()
            .notices
            .iter()
            .any(|notice| notice.contains("the peer ended the connection")),
        "{:?}",
        world.b().notices
    );
    for host in [world.offerer, world.answerer] {
        world.net.endpoint_mut(host).states.clear();
    }
    world.connect();
}

#[test]
fn a_peer_that_vanishes_is_noticed() {
    let mut world = world(6);
    world.connect();
    let address = world.net.address(world.answerer);
    let host = world.answerer;
    world.net.set_up(host, address, false);
    world.run_until(|a, _| a.has(State::Disconnected));
    let report = world.at_a(|peer, now| peer.report(now));
    assert!(report.reason.is_some());
}

#[test]
fn nothing_in_common_is_said_in_words() {
    let data_only = || {
        PeerConfig::default()
            .with_data_channels(true)
            .with_certificate(everything().certificate.unwrap())
    };
    let mut media_only = everything();
    media_only.data_channels = false;
    let mut world = World::new(7, Duration::from_millis(5), media_only, data_only());
    world.begin();
    world.run_until(|_, b| b.has(State::ConnectFailed));
    let report = world.at_b(|peer, now| peer.report(now));
    let reason = report.reason.unwrap();
    assert!(reason.contains("neither media nor data"), "{reason}");
}

#[test]
fn calls_in_the_wrong_state_are_refused_in_words() {
    let mut world = world(8);
    let error = world.at_a(|peer, now| {
        peer.handle_signal(now, &Signal::Sdp("v=0".into()))
            .unwrap_err()
    });
    assert!(error.to_string().contains("new_connection"), "{error}");
    world.connect();
    let error = world.at_a(|peer, now| peer.new_connection(now).unwrap_err());
    assert!(error.to_string().contains("disconnect"), "{error}");
    let error = world.at_a(|peer, now| {
        peer.close(now);
        peer.new_connection(now).unwrap_err()
    });
    assert!(error.to_string().contains("closed"), "{error}");
}
