//! Calls over relays, and calls whose path is lost.

use std::time::Duration;

use esp_netsim::HostId;
use esp_wire::{DataFrame, DataKind, IcePolicy, IceServer};

use crate::station::{World, everything};

const DELAY: Duration = Duration::from_millis(10);

fn say(world: &mut World, text: &[u8]) {
    let data = DataFrame {
        stream_id: world.a().channels[0].stream_id,
        kind: DataKind::Text,
        data: text,
    };
    world.at_a(|peer, now| peer.send_data(now, data)).unwrap();
    world.run_until(|_, b| b.data.iter().any(|(_, _, data)| data == text));
}

fn cut(world: &mut World, host: HostId, cut: bool) {
    let address = world.net.address(host);
    let (up, down) = world.net.link_mut(host, address);
    let loss = if cut { 1.0 } else { 0.0 };
    (up.loss, down.loss) = (loss, loss);
}

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
        say(&mut world, &long);
        say(&mut world, b"bye");
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
        say(&mut world, b"before");
        let host = world.answerer;
        cut(&mut world, host, true);
        world.net.run_for(Duration::from_secs(40));
        cut(&mut world, host, false);
        world.net.run_for(Duration::from_secs(20));
        let recovered = world
            .a()
            .notices
            .iter()
            .any(|notice| notice.contains("Recovered"));
        assert_eq!(recovered, restart, "{:#?}", world.a().notices);
        if restart {
            say(&mut world, b"after");
        }
    }
}
