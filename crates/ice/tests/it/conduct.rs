//! Roles, early checks, trickle, names, consent, restarts.

use esp_ice::{Config, Event, State, WarningReason};
use esp_netsim::Nat;
use esp_wire::Role;

use crate::support::{Call, ms};

#[test]
fn a_role_conflict_is_resolved_both_ways() {
    for role in [Role::Controlling, Role::Controlled] {
        for seed in 0..8 {
            let config = Config::default().with_role(role);
            let mut call = Call::with(seed, config.clone(), config);
            call.net.delay(ms(20));
            call.exchange();
            call.connect(ms(4_000));
            let (a, b) = (call.peer(call.a), call.peer(call.b));
            assert_ne!(a.agent.role(), b.agent.role());
            let changed = |event: &Event| matches!(event, Event::RoleChanged(_));
            assert!(a.count(changed) + b.count(changed) >= 1);
        }
    }
}

#[test]
fn an_offerer_answers_checks_before_the_answer_and_uses_them_after() {
    let mut call = Call::new(4);
    call.net.behind(call.a, Nat::full_cone()).delay(ms(20));
    call.stun();
    let (a, b) = (call.a, call.b);
    call.signal = [true, false];
    // The offer arrives, the answer does not.
    call.describe(a, b);
    call.run_until(ms(2_000), |net| net.endpoint(b).agent.path().is_some());
    assert!(call.peer(a).agent.path().is_none());
    // What the answerer sends early reaches the offerer.
    call.net.endpoint_mut(b).outgoing.push_back(vec![22; 10]);
    call.run_until(ms(1_000), |net| !net.endpoint(a).received.is_empty());
    call.describe(b, a);
    let took = call.run_until(ms(1_000), |net| net.endpoint(a).agent.path().is_some());
    // One round trip, although no candidate of the answerer was ever signaled.
    assert!(took <= ms(45), "{took:?}");
    call.connect(ms(2_000));
}

#[test]
fn only_one_side_has_to_signal_candidates() {
    for signal in [[true, false], [false, true]] {
        let mut call = Call::new(5);
        call.net.delay(ms(20));
        call.signal = signal;
        call.exchange();
        call.connect(ms(2_000));
    }
}

#[test]
fn candidates_may_come_before_credentials_and_of_other_generations_are_ignored() {
    let mut call = Call::new(6);
    call.net.delay(ms(20));
    call.run_for(ms(100));
    let before = call.peer(call.a).agent.counters().ignored_candidates;
    let now = call.net.now();
    let stale = "candidate:1 1 udp 1000 198.51.100.77 5 typ host ufrag other";
    let other = "candidate:1 2 udp 1000 198.51.100.77 5 typ host";
    let tcp = "candidate:1 1 tcp 1000 198.51.100.77 9 typ host tcptype active";
    let foreign = "candidate:1 1 udp 1000 host.example 9 typ host";
    for line in [stale, other, tcp, foreign] {
        let peer = call.net.endpoint_mut(call.a);
        peer.agent.add_remote_candidate(now, line).unwrap();
    }
    call.exchange();
    call.connect(ms(2_000));
    let agent = &call.peer(call.a).agent;
    assert_eq!(agent.counters().ignored_candidates, before + 4);
    assert_eq!(agent.remote_candidates().count(), 1);
    let malformed = call
        .net
        .endpoint_mut(call.a)
        .agent
        .add_remote_candidate(now, "nonsense");
    assert!(malformed.is_err());
}

#[test]
fn names_of_multicast_dns_are_resolved_within_bounds() {
    let mut call = Call::new(8);
    let site = call.net.site(Nat::port_restricted());
    call.net.join(call.a, site).join(call.b, site);
    call.net.mdns("hidden.local", call.a);
    call.signal = [false, true];
    call.exchange();
    call.run_for(ms(10));
    let now = call.net.now();
    let peer = call.net.endpoint_mut(call.b);
    for number in 0..40 {
        let line = format!("candidate:1 1 udp 1000 none{number}.local 5 typ host");
        peer.agent.add_remote_candidate(now, &line).unwrap();
    }
    assert_eq!(peer.agent.counters().ignored_candidates, 24);
    // One that is asked for leads to the peer.
    let mut call = Call::new(8);
    let site = call.net.site(Nat::port_restricted());
    call.net.join(call.a, site).join(call.b, site);
    call.net.mdns("hidden.local", call.a);
    call.signal = [false, false];
    call.exchange();
    call.run_for(ms(10));
    let port = call.peer(call.a).agent.candidates()[0].address.port();
    let line = format!("candidate:1 1 udp 2122252543 hidden.local {port} typ host");
    let now = call.net.now();
    call.net
        .endpoint_mut(call.b)
        .agent
        .add_remote_candidate(now, &line)
        .unwrap();
    call.connect(ms(2_000));
}

#[test]
fn consent_is_asked_for_every_four_to_six_seconds_and_keeps_the_call() {
    let mut call = Call::new(10);
    call.net.delay(ms(20));
    call.exchange();
    call.connect(ms(2_000));
    let before = call.peer(call.a).agent.selected().unwrap();
    call.run_for(ms(120_000));
    let after = call.peer(call.a).agent.selected().unwrap();
    let asked = after.requests_sent - before.requests_sent;
    assert!((20..=30).contains(&asked), "{asked}");
    assert_eq!(asked, after.responses_received - before.responses_received);
    assert_eq!(call.peer(call.a).agent.state(), State::Completed);
    let warned = |event: &Event| matches!(event, Event::Disconnected(_));
    assert_eq!(call.peer(call.a).count(warned), 0);
}

#[test]
fn silence_warns_early_ends_consent_and_then_the_search() {
    let mut call = Call::new(12);
    call.net.delay(ms(20));
    call.exchange();
    call.connect(ms(2_000));
    let cut = call.net.now();
    call.net.loss(1.0);
    call.run_for(ms(40_000));
    let peer = call.peer(call.a);
    let warned = peer
        .saw(|event| *event == Event::Disconnected(WarningReason::Silence))
        .unwrap();
    let expired = peer.saw(|event| *event == Event::ConsentExpired).unwrap();
    assert!(
        (ms(7_900)..ms(8_100)).contains(&(warned - cut)),
        "{:?}",
        warned - cut
    );
    assert!(
        (ms(24_000)..=ms(30_000)).contains(&(expired - cut)),
        "{:?}",
        expired - cut
    );
    assert!(peer.agent.path().is_none());
    let sent = peer.sent_application;
    call.net
        .endpoint_mut(call.a)
        .outgoing
        .push_back(vec![0x80; 9]);
    call.run_for(ms(60_000));
    let peer = call.peer(call.a);
    assert_eq!(peer.sent_application, sent);
    assert!(
        peer.saw(|event| matches!(event, Event::Failed(_)))
            .is_some()
    );
    assert_eq!(peer.agent.state(), State::Failed);
    // RFC 7675 §5.1: only a restart brings consent back.
    call.net.loss(0.0);
    call.run_for(ms(5_000));
    assert!(call.peer(call.a).agent.path().is_none());
    let now = call.net.now();
    let a = call.net.endpoint_mut(call.a);
    a.agent.restart(now);
    a.drain(now);
    call.exchange();
    call.net.endpoint_mut(call.a).outgoing.clear();
    call.connect(ms(3_000));
}

#[test]
fn a_short_cut_is_recovered_from() {
    let mut call = Call::new(13);
    call.net.delay(ms(20));
    call.exchange();
    call.connect(ms(2_000));
    call.net.loss(1.0);
    call.run_for(ms(14_000));
    assert_eq!(call.peer(call.a).agent.state(), State::Disconnected);
    assert!(call.peer(call.a).agent.path().is_some());
    call.net.loss(0.0);
    call.run_for(ms(7_000));
    for host in [call.a, call.b] {
        let peer = call.peer(host);
        assert_eq!(peer.agent.state(), State::Completed);
        assert_eq!(peer.count(|event| *event == Event::Recovered), 1);
    }
    call.talk();
}

#[test]
fn a_restart_keeps_data_flowing() {
    for seed in 0..6 {
        let mut call = Call::new(seed);
        call.net
            .behind(call.a, Nat::port_restricted())
            .delay(ms(30));
        call.stun();
        call.exchange();
        call.connect(ms(3_000));
        let (a, b) = (call.a, call.b);
        let (starter, other) = if seed % 2 == 0 { (a, b) } else { (b, a) };
        let old = call.peer(starter).agent.local_credentials().clone();
        let now = call.net.now();
        let peer = call.net.endpoint_mut(starter);
        peer.agent.restart(now);
        peer.drain(now);
        assert_ne!(peer.agent.local_credentials(), &old);
        // The offer is under way for long; data and consent go on.
        call.run_for(ms(40_000));
        call.talk();
        call.describe(starter, other);
        assert_eq!(
            call.peer(other)
                .count(|event| *event == Event::RemoteRestart),
            1
        );
        call.run_for(ms(500));
        call.talk();
        call.describe(other, starter);
        let selected = |event: &Event| matches!(event, Event::Selected(_));
        call.run_until(ms(5_000), |net| {
            assert!(
                net.endpoint(a).agent.path().is_some() && net.endpoint(b).agent.path().is_some()
            );
            net.endpoint(a).count(selected) == 2 && net.endpoint(b).count(selected) == 2
        });
        call.connect(ms(1_000));
        call.run_for(ms(60_000));
        assert_eq!(call.peer(a).agent.state(), State::Completed);
        assert_eq!(call.peer(b).agent.state(), State::Completed);
    }
}

#[test]
fn nomination_waits_for_a_better_pair_but_not_for_long() {
    let mut call = Call::new(21);
    call.net.delay(ms(20));
    call.exchange();
    let now = call.net.now();
    let dead = "candidate:x 1 udp 2130706430 198.51.100.222 9999 typ host";
    call.net
        .endpoint_mut(call.a)
        .agent
        .add_remote_candidate(now, dead)
        .unwrap();
    let took = call.connect(ms(3_000));
    let peer = call.peer(call.a);
    let first = peer
        .saw(|event| matches!(event, Event::PathAvailable(_)))
        .unwrap();
    let chosen = peer
        .saw(|event| matches!(event, Event::Selected(_)))
        .unwrap();
    assert!(chosen - first < ms(400), "{took:?}");
    // A controlled agent never nominates.
    let nominated = call
        .peer(call.b)
        .agent
        .pairs()
        .iter()
        .filter(|pair| pair.nominated)
        .count();
    assert_eq!(nominated, 1);
}
