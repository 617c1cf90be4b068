//! Time to connected over the ideal: two round trips and one slot for each better pair.

use std::time::Duration;

use esp_ice::Config;
use esp_netsim::Nat;
use esp_wire::{Rng, Role};

use crate::support::{Call, ms};

const TA: u64 = 5;

fn config() -> Config {
    Config::default()
        .with_pacing(ms(TA))
        .with_silent_peer_pacing(ms(TA))
        .with_max_pairs(400)
}

/// One working pair among `count` candidates a side on `bases` sockets.
fn call(seed: u64, rtt: u64, count: u64, bases: usize, loss: f64) -> Call {
    let mut call = Call::with(seed, config(), config().with_role(Role::Controlled));
    let mut rng = Rng::new([seed as u8; 32]);
    for host in [call.a, call.b] {
        for base in 1..bases {
            let site = call.net.site(Nat::full_cone().without_udp());
            call.net.add_interface(host, &format!("eth{base}"), site);
        }
    }
    call.net.delay(ms(rtt / 2)).loss(loss);
    call.run_for(ms(1));
    let now = call.net.now();
    for (host, network) in [(call.a, 1), (call.b, 2)] {
        for number in bases as u64..count {
            let priority = 2_130_710_000 - 256 * rng.below(40) - number;
            let line =
                format!("candidate:{number} 1 udp {priority} 10.{network}.0.{number} 9 typ host");
            let peer = call.net.endpoint_mut(host);
            peer.agent.add_remote_candidate(now, &line).unwrap();
        }
    }
    call.exchange();
    call
}

fn connected(call: &mut Call, limit: u64) -> Duration {
    let (a, b) = (call.a, call.b);
    call.run_until(ms(limit), |net| {
        [a, b]
            .iter()
            .all(|host| net.endpoint(*host).agent.path().is_some())
    })
}

#[test]
fn without_loss_a_call_connects_as_soon_as_the_network_allows() {
    for rtt in [20, 100, 400, 2_000] {
        for count in [1, 5, 20] {
            for bases in [1, 4] {
                if bases as u64 > count {
                    continue;
                }
                for seed in 0..4 {
                    let mut call = call(seed, rtt, count, bases, 0.0);
                    let took = connected(&mut call, 20_000);
                    let works = call.peer(call.a).agent.selected().unwrap();
                    let pairs = call.peer(call.a).agent.pairs();
                    let before = pairs
                        .iter()
                        .filter(|pair| pair.priority > works.priority)
                        .count();
                    let ideal = ms(2 * rtt + (before as u64 + 2) * TA);
                    assert!(
                        took <= ideal,
                        "rtt {rtt}, {count} on {bases}, seed {seed}: {took:?} > {ideal:?}, {before} before"
                    );
                }
            }
        }
    }
}

#[test]
fn with_loss_it_connects_too() {
    for (rtt, limit) in [(20, 6_000), (100, 8_000), (400, 10_000), (2_000, 30_000)] {
        for loss in [0.1, 0.3] {
            for seed in 0..10 {
                let mut call = call(seed, rtt, 20, 1, loss);
                connected(&mut call, limit);
            }
        }
    }
}
