//! Calls through every kind of NAT, with loss, at long distances, among many candidates.

use esp_ice::{CandidateKind, Config, Event};
use esp_netsim::Nat;
use esp_wire::Role;

use crate::support::{Call, ms};

fn nats() -> [(&'static str, Option<Nat>); 5] {
    [
        ("none", None),
        ("full cone", Some(Nat::full_cone())),
        ("restricted", Some(Nat::restricted())),
        ("port restricted", Some(Nat::port_restricted())),
        ("symmetric", Some(Nat::symmetric())),
    ]
}

fn call(seed: u64, a: Option<Nat>, b: Option<Nat>) -> Call {
    let mut call = Call::new(seed);
    for (host, nat) in [(call.a, a), (call.b, b)] {
        if let Some(nat) = nat {
            call.net.behind(host, nat);
        }
    }
    call.net.delay(ms(20));
    call.stun();
    call.exchange();
    call
}

#[test]
fn every_pair_of_nats_that_can_connect_does() {
    for (name_a, a) in nats() {
        for (name_b, b) in nats() {
            let hard = |name| name == "port restricted" || name == "symmetric";
            let needs_relay =
                (name_a == "symmetric" && hard(name_b)) || (name_b == "symmetric" && hard(name_a));
            if needs_relay {
                continue;
            }
            let mut call = call(7, a.clone(), b.clone());
            let took = call.connect(ms(5_000));
            let known = call.peer(call.a).agent.selected().unwrap();
            assert!(took < ms(1_500), "{name_a} to {name_b} took {took:?}");
            assert!(known.nominated && known.in_use && known.rtt.is_some());
        }
    }
}

#[test]
fn two_symmetric_nats_fail_with_a_reason_and_not_too_soon() {
    let mut call = call(7, Some(Nat::symmetric()), Some(Nat::symmetric()));
    let (a, b) = (call.a, call.b);
    call.run_until(ms(90_000), |net| {
        let failed = |event: &Event| matches!(event, Event::Failed(_));
        [a, b]
            .iter()
            .all(|host| net.endpoint(*host).saw(failed).is_some())
    });
    let seconds = call.net.now().as_nanos() / 1_000_000_000;
    assert!((39..=80).contains(&seconds), "{seconds} s");
}

#[test]
fn a_call_behind_one_nat_stays_inside() {
    let mut call = Call::new(3);
    let site = call.net.site(Nat::port_restricted());
    call.net.join(call.a, site).join(call.b, site).delay(ms(5));
    call.stun();
    call.exchange();
    call.connect(ms(3_000));
    let pair = call.peer(call.a).agent.selected().unwrap();
    assert_eq!(pair.remote.kind, CandidateKind::Host);
    assert_eq!(pair.local.kind, CandidateKind::Host);
}

#[test]
fn loss_and_distance_only_delay() {
    for seed in 0..12 {
        for (delay, loss, limit) in [(10, 0.1, 8_000), (50, 0.3, 20_000), (1_000, 0.3, 60_000)] {
            let mut call = Call::new(seed);
            call.net.behind(call.a, Nat::port_restricted());
            call.net.behind(call.b, Nat::port_restricted());
            call.stun();
            call.net.delay(ms(delay)).loss(loss).jitter(ms(delay / 10));
            call.exchange();
            call.connect(ms(limit));
        }
    }
}

#[test]
fn reordering_and_duplicates_do_no_harm() {
    for seed in 0..10 {
        let mut call = Call::new(seed);
        call.net.behind(call.a, Nat::symmetric());
        call.stun();
        call.net
            .delay(ms(30))
            .duplicates(0.3)
            .reordering(0.3, ms(40));
        call.exchange();
        call.connect(ms(5_000));
        assert_eq!(
            call.peer(call.a)
                .count(|event| matches!(event, Event::Selected(_))),
            1
        );
    }
}

#[test]
fn dead_candidates_cost_one_slot_each() {
    let config = Config::default()
        .with_pacing(ms(5))
        .with_silent_peer_pacing(ms(5));
    let config = config.with_max_pairs(400);
    let controlled = config.clone().with_role(Role::Controlled);
    let mut call = Call::with(5, config, controlled);
    call.net.delay(ms(50));
    call.exchange();
    let now = call.net.now();
    for (host, network) in [(call.a, 1), (call.b, 2)] {
        for number in 1..=20 {
            let priority = 2_130_706_431 - number;
            let line = format!(
                "candidate:{number} 1 udp {priority} 10.{network}.0.{number} 9999 typ host"
            );
            let peer = call.net.endpoint_mut(host);
            peer.agent.add_remote_candidate(now, &line).unwrap();
        }
    }
    let (a, b) = (call.a, call.b);
    let took = call.run_until(ms(5_000), |net| {
        [a, b]
            .iter()
            .all(|host| net.endpoint(*host).agent.path().is_some())
    });
    // Two round trips of 100 ms and 21 slots of 5 ms.
    assert!(took <= ms(305), "{took:?}");
}

#[test]
fn both_families_are_tried_and_the_better_one_wins() {
    let mut call = Call::new(9);
    call.net.add_ipv6(call.a);
    call.net.add_ipv6(call.b);
    call.net.delay(ms(10));
    call.exchange();
    call.connect(ms(2_000));
    let pair = call.peer(call.b).agent.selected().unwrap();
    assert!(pair.remote.address.is_ipv6(), "{pair:?}");
    let pairs = call.peer(call.b).agent.pairs();
    assert_eq!(pairs.len(), 2);
}

#[test]
fn server_reflexive_candidates_come_by_name_too_and_silent_servers_are_told() {
    let mut call = Call::new(11);
    let server = call.net.stun_server();
    call.net
        .behind(call.a, Nat::port_restricted())
        .delay(ms(10));
    call.net.name("stun.example", &[server.ip()]);
    let urls = [
        "stun:stun.example",
        "stun:unknown.example",
        "stun:198.51.100.250",
        "stuns:x",
    ];
    let servers: Vec<_> = urls
        .iter()
        .map(|url| esp_wire::IceServer::stun(*url))
        .collect();
    let now = call.net.now();
    call.net
        .endpoint_mut(call.a)
        .agent
        .set_servers(now, &servers);
    call.run_for(ms(20_000));
    let peer = call.peer(call.a);
    let reflexive = |known: &&esp_ice::LocalCandidate| known.kind == CandidateKind::ServerReflexive;
    let candidate = peer.agent.candidates().iter().find(reflexive).unwrap();
    assert_eq!(candidate.server, Some(server));
    let failed: Vec<_> = (peer.events.iter())
        .filter_map(|(_, event)| match event {
            Event::ServerFailed { url, .. } => Some(url.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(
        failed,
        ["stun:unknown.example", "stuns:x", "stun:198.51.100.250"]
    );
    let overdue = peer
        .saw(|event| matches!(event, Event::GatheringOverdue))
        .unwrap();
    assert_eq!(overdue.as_nanos(), 1_000_000_000);
    let complete = esp_ice::GatheringState::Complete;
    assert_eq!(
        peer.count(|event| *event == Event::GatheringState(complete)),
        1
    );
}

#[test]
fn a_carrier_nat_above_two_homes_is_crossed_or_hairpinned() {
    for hairpin in [false, true] {
        let mut call = Call::new(60);
        let nat = Nat::port_restricted();
        let carrier = call
            .net
            .site(if hairpin { nat.with_hairpin() } else { nat });
        let homes = [0, 1].map(|_| call.net.site_in(carrier, Nat::port_restricted()));
        call.net
            .join(call.a, homes[0])
            .join(call.b, homes[1])
            .delay(ms(10));
        call.stun();
        call.exchange();
        if hairpin {
            call.connect(ms(5_000));
        } else {
            call.run_for(ms(5_000));
            assert!(call.peer(call.a).agent.path().is_none());
        }
    }
}

#[test]
fn merged_trains_make_no_difference() {
    let mut call = Call::new(61);
    call.net.merge_arrivals(true);
    call.net.behind(call.a, Nat::restricted()).delay(ms(10));
    call.stun();
    call.exchange();
    call.connect(ms(3_000));
    let (a, b) = (call.a, call.b);
    for number in 0..50u8 {
        call.net
            .endpoint_mut(a)
            .outgoing
            .push_back(vec![0x80 | (number & 1), number]);
    }
    let before = call.peer(b).received.len();
    call.run_until(ms(1_000), |net| {
        net.endpoint(b).received.len() >= before + 50
    });
}

#[test]
fn a_short_nat_timeout_is_outlived_by_consent_alone() {
    let mut call = Call::new(62);
    for host in [call.a, call.b] {
        call.net
            .behind(host, Nat::port_restricted().with_timeout(ms(10_000)));
    }
    call.net.delay(ms(20));
    call.stun();
    call.exchange();
    call.connect(ms(3_000));
    call.run_for(ms(600_000));
    let warned = |event: &Event| matches!(event, Event::Disconnected(_));
    assert_eq!(call.peer(call.a).count(warned), 0);
    call.talk();
}

#[test]
fn an_offer_that_waits_long_keeps_its_bindings_alive() {
    let mut call = Call::new(63);
    for host in [call.a, call.b] {
        call.net
            .behind(host, Nat::port_restricted().with_timeout(ms(20_000)));
    }
    call.net.delay(ms(20));
    call.stun();
    call.run_for(ms(120_000));
    assert_eq!(call.peer(call.a).agent.candidates().len(), 2);
    call.exchange();
    call.connect(ms(3_000));
}

#[test]
fn the_same_seed_gives_the_same_packets() {
    let run = |seed| {
        let mut call = Call::new(seed);
        call.net
            .behind(call.a, Nat::symmetric())
            .delay(ms(20))
            .loss(0.2);
        call.stun();
        call.exchange();
        call.connect(ms(20_000));
        call.run_for(ms(30_000));
        let log: Vec<_> = call.net.log().copied().collect();
        (log, call.peer(call.a).events.clone())
    };
    assert_eq!(run(64), run(64));
    assert_ne!(run(64), run(65));
}
