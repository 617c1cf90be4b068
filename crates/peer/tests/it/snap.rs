//! The shortcut past the SCTP handshake, and what both ways agree on.

use std::time::Duration;

use esp_peer::{PeerConfig, State};
use esp_wire::Signal;

use crate::station::{Station, World, everything};

const DELAY: Duration = Duration::from_millis(50);

fn descriptions(station: &Station) -> Vec<&str> {
    station
        .sent
        .iter()
        .filter_map(|signal| match signal {
            Signal::Sdp(text) => Some(text.as_ref()),
            _ => None,
        })
        .collect()
}

fn tells_init(station: &Station) -> bool {
    descriptions(station)[0].contains("\r\na=sctp-init:")
}

/// Connects; how long after that the channel is open on both sides.
fn opened_after(world: &mut World) -> Duration {
    world.connect();
    let connected = world.net.now();
    world.run_until(|a, b| !a.channels.is_empty() && !b.channels.is_empty());
    world.net.now().since(connected)
}

fn world(seed: u64, offers: PeerConfig, answers: PeerConfig) -> World {
    World::new(seed, DELAY, offers, answers)
}

#[test]
fn it_saves_two_round_trips_and_agrees_on_the_same() {
    let mut with = world(70, everything(), everything());
    let mut without = world(70, everything().with_snap(false), everything());
    let (fast, slow) = (opened_after(&mut with), opened_after(&mut without));
    assert_eq!(slow - fast, DELAY * 4, "{slow:?}, {fast:?}");
    assert!(tells_init(with.a()) && tells_init(with.b()));
    // Who does not offer it is not answered with it.
    assert!(!tells_init(without.a()) && !tells_init(without.b()));
    for world in [&with, &without] {
        for station in [world.a(), world.b()] {
            let stats = station.peer.report(world.net.now()).sctp.unwrap();
            assert!(stats.zero_checksum && stats.interleaving);
        }
    }
}

#[test]
fn who_does_not_know_it_shakes_hands() {
    let mut world = world(71, everything(), everything().with_snap(false));
    opened_after(&mut world);
    assert!(tells_init(world.a()) && !tells_init(world.b()));
}

#[test]
fn an_offer_with_nonsense_is_answered_without_it() {
    for nonsense in ["AAAA", "!", "AQAAFA=="] {
        let mut world = world(72, everything(), everything());
        let now = world.net.now();
        let (offerer, answerer) = (world.offerer, world.answerer);
        let offer = {
            let station = world.net.endpoint_mut(offerer);
            station.peer.new_connection(now).unwrap();
            world.at_a(|_, _| {});
            descriptions(world.a())[0].to_owned()
        };
        let line = offer
            .lines()
            .find(|line| line.starts_with("a=sctp-init:"))
            .unwrap();
        let offer = offer.replace(line, &format!("a=sctp-init:{nonsense}"));
        world
            .net
            .endpoint_mut(answerer)
            .peer
            .new_connection(now)
            .unwrap();
        world
            .at_b(|peer, now| peer.handle_signal(now, &Signal::Sdp(offer.into())))
            .unwrap();
        assert!(!tells_init(world.b()), "{nonsense}");
        assert!(!world.b().has(State::ConnectFailed));
    }
}

#[test]
fn an_answer_with_nonsense_ends_the_call() {
    let mut world = world(73, everything(), everything());
    world.begin();
    world.run_until(|_, b| !descriptions(b).is_empty());
    let answer = descriptions(world.b())[0].to_owned();
    let line = answer
        .lines()
        .find(|line| line.starts_with("a=sctp-init:"))
        .unwrap();
    let answer = answer.replace(line, "a=sctp-init:AAAA");
    let error = world
        .at_a(|peer, now| peer.handle_signal(now, &Signal::Sdp(answer.into())))
        .unwrap_err();
    assert!(error.to_string().contains("sctp-init"), "{error}");
    assert!(world.a().has(State::ConnectFailed));
}
