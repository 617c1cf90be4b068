//! Calls over relays, and calls whose path is lost.

use std::time::Duration;

use esp_wire::{IcePolicy, IceServer};

use crate::station::{World, everything};

const DELAY: Duration = Duration::from_millis(10);

#[test]
fn relayed_calls_carry_everything_over_each_transport() {
    for query in ["", "?transport=tcp"] {
        let mut world = World::new(40, DELAY, everything(), everything());
        let at = world.net.turn_server("user", "secret");
        let servers = vec![IceServer::turn(
            format!("turn:{at}{query}"),
            "user",
            "secret",
        )];
        let config = || {
            let mut config = everything().with_servers(servers.clone());
            config.policy = IcePolicy::Relay;
            config
        };
        let mut world = World::new(40, DELAY, config(), config());
        world.net.turn_server("user", "secret");
        world.connect();
        world.run_until(|a, b| !a.channels.is_empty() && !b.channels.is_empty());
        let long = vec![b'x'; 40_000];
        world.say(&long);
        world.say(b"bye");
        let now = world.net.now();
        let pairs = world.a().peer.report(now).pairs;
        let relayed = |kind: &dyn std::fmt::Debug| format!("{kind:?}") == "Relayed";
        assert!(!pairs.is_empty() && pairs.iter().all(|pair| relayed(&pair.local.kind)));
        // A goodbye gives the relay back: a second call gets one again.
        world.at_a(|peer, now| peer.disconnect(now)).unwrap();
        world.at_b(|peer, now| peer.disconnect(now)).unwrap();
        world.net.run_for(Duration::from_secs(1));
    }
}

#[test]
fn an_outage_longer_than_consent_is_survived_by_a_restart() {
    for restart in [true, false] {
        let config = || everything().with_ice_restart(restart);
        let mut world = World::new(41, DELAY, config(), config());
        world.connect();
        world.run_until(|a, b| !a.channels.is_empty() && !b.channels.is_empty());
        world.say(b"before");
        let host = world.answerer;
        world.cut(host, true);
        world.net.run_for(Duration::from_secs(40));
        world.cut(host, false);
        world.net.run_for(Duration::from_secs(20));
        let recovered = world
            .a()
            .notices
            .iter()
            .any(|notice| notice.contains("Recovered"));
        assert_eq!(recovered, restart, "{:#?}", world.a().notices);
        if restart {
            world.say(b"after");
        }
    }
}
