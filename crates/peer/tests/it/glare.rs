//! Offers that cross, and lite agents in whole calls.

use std::time::Duration;

use esp_peer::PeerConfig;
use esp_wire::{DataFrame, DataKind, Role};

use crate::station::{World, everything};

const DELAY: Duration = Duration::from_millis(10);

/// Says something each way, and waits until it has arrived.
fn talk(world: &mut World, text: &[u8]) {
    let stream_id = world.a().channels[0].stream_id;
    let data = || DataFrame {
        stream_id,
        kind: DataKind::Text,
        data: text,
    };
    world.at_a(|peer, now| peer.send_data(now, data())).unwrap();
    world.at_b(|peer, now| peer.send_data(now, data())).unwrap();
    world.run_until(|a, b| {
        let heard = |data: &[(u16, DataKind, Vec<u8>)]| data.iter().any(|(.., it)| it == text);
        heard(&a.data) && heard(&b.data)
    });
}

fn connected(seed: u64, signaling: Duration, a: PeerConfig, b: PeerConfig) -> World {
    let mut world = World::new(seed, DELAY, a, b).signaling(signaling);
    world.connect();
    world.run_until(|a, b| !a.channels.is_empty() && !b.channels.is_empty());
    world
}

#[test]
fn restarts_of_both_sides_at_once_become_one() {
    // Before, together, behind: the other side restarts while the offer is still on its way.
    for (seed, first, apart) in [
        (50, Role::Controlling, 0),
        (51, Role::Controlled, 0),
        (52, Role::Controlling, 60),
        (53, Role::Controlled, 60),
    ] {
        let signaling = Duration::from_millis(100);
        let mut world = connected(seed, signaling, everything(), everything());
        let before = [world.a().sent.len(), world.b().sent.len()];
        let roles = match first {
            Role::Controlling => [true, false],
            Role::Controlled => [false, true],
        };
        for offerer in roles {
            let done = match offerer {
                true => world.at_a(|peer, now| peer.restart_ice(now)),
                false => world.at_b(|peer, now| peer.restart_ice(now)),
            };
            done.unwrap();
            world.net.run_for(Duration::from_millis(apart));
        }
        talk(&mut world, b"while both restart");
        world.net.run_for(Duration::from_secs(10));
        talk(&mut world, b"after it");
        let descriptions = |sent: &[esp_wire::Signal<'static>]| {
            let sdp =
                |signal: &&esp_wire::Signal<'static>| matches!(signal, esp_wire::Signal::Sdp(_));
            sent.iter().filter(sdp).count()
        };
        // The controlling side offers; the controlled one offers, gives way and answers.
        assert_eq!(descriptions(&world.a().sent[before[0]..]), 1, "seed {seed}");
        assert_eq!(descriptions(&world.b().sent[before[1]..]), 2, "seed {seed}");
        for station in [world.a(), world.b()] {
            let interrupted = |notice: &String| notice.contains("Interrupted");
            assert!(!station.notices.iter().any(interrupted));
        }
        // Another restart finds both sides at rest, whoever begins.
        world.at_b(|peer, now| peer.restart_ice(now)).unwrap();
        world.net.run_for(Duration::from_secs(5));
        talk(&mut world, b"once more");
    }
}

#[test]
fn a_restart_needs_something_to_restart() {
    let mut world = World::new(54, DELAY, everything(), everything());
    assert!(world.at_a(|peer, now| peer.restart_ice(now)).is_err());
    world.begin();
    assert!(world.at_a(|peer, now| peer.restart_ice(now)).is_err());
}

#[test]
fn two_that_both_call_connect_once() {
    for seed in 60..64 {
        let mut world = World::of_roles(
            seed,
            DELAY,
            everything().with_role(Role::Controlling),
            everything().with_role(Role::Controlling),
        )
        .signaling(Duration::from_millis(100));
        world.connect();
        world.run_until(|a, b| !a.channels.is_empty() && !b.channels.is_empty());
        talk(&mut world, b"hello");
        let now = world.net.now();
        let roles = [world.a(), world.b()].map(|station| station.peer.report(now).role);
        assert_ne!(roles[0], roles[1]);
    }
}

#[test]
fn lite_peers_connect_on_either_side_and_on_both() {
    let lite = || {
        let mut config = everything();
        config.ice = config.ice.with_lite(true);
        config
    };
    for (seed, a, b) in [
        (70, lite(), everything()),
        (71, everything(), lite()),
        (72, lite(), lite()),
    ] {
        let [a_lite, b_lite] = [a.ice.lite, b.ice.lite];
        let mut world = connected(seed, DELAY, a, b);
        talk(&mut world, b"hello");
        let now = world.net.now();
        for (station, lite) in [(world.a(), a_lite), (world.b(), b_lite)] {
            let said = station.sent.iter().any(|signal| {
                matches!(signal, esp_wire::Signal::Sdp(text) if text.contains("a=ice-lite"))
            });
            assert_eq!(said, lite);
            let pairs = station.peer.report(now).pairs;
            assert!(!lite || pairs.iter().all(|pair| pair.requests_sent == 0));
        }
    }
}

#[test]
fn addresses_stay_hidden_in_whole_calls_and_names_are_withdrawn() {
    let hiding = || {
        let mut config = everything();
        config.ice = config.ice.with_hide_addresses(true);
        config
    };
    let mut world = connected(80, DELAY, hiding(), hiding());
    talk(&mut world, b"hello");
    for (station, host) in [(world.a(), world.offerer), (world.b(), world.answerer)] {
        let own = world.net.address(host).to_string();
        for signal in &station.sent {
            let text = format!("{signal:?}");
            assert!(!text.contains(&own), "{text}");
        }
    }
}
