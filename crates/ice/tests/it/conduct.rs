//! Roles, early checks, trickle, names, consent, restarts.

use esp_ice::{Agent, Config, Event, State, WarningReason};
use esp_netsim::Nat;
use esp_wire::{Action, Input, Instant, Interface, Origin, Role};

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
    // The stale one is held for a description that may come.
    assert_eq!(agent.counters().ignored_candidates, before + 3);
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

#[test]
fn restarts_may_follow_each_other_and_cross() {
    let mut call = Call::new(70);
    call.net.delay(ms(30));
    call.exchange();
    call.connect(ms(2_000));
    let (a, b) = (call.a, call.b);
    let restart = |call: &mut Call, host| {
        let now = call.net.now();
        let peer = call.net.endpoint_mut(host);
        peer.agent.restart(now);
        peer.drain(now);
    };
    restart(&mut call, a);
    call.run_for(ms(10));
    restart(&mut call, a);
    call.run_for(ms(10));
    restart(&mut call, b);
    call.talk();
    call.exchange();
    call.connect(ms(2_000));
    // The answer of the first restart is abandoned midway by a second one.
    restart(&mut call, a);
    call.describe(a, b);
    call.run_for(ms(5));
    restart(&mut call, a);
    call.describe(a, b);
    call.run_for(ms(200));
    call.describe(b, a);
    call.connect(ms(2_000));
    call.run_for(ms(60_000));
    for host in [a, b] {
        assert_eq!(call.peer(host).agent.state(), State::Completed);
    }
}

/// The addresses that an agent opens sockets on, among many of a host.
fn binds(config: Config) -> Vec<String> {
    let interface = |index, address: &str| Interface {
        name: format!("eth{index}"),
        index,
        address: address.parse().unwrap(),
    };
    let all = [
        interface(1, "127.0.0.1"),
        interface(2, "10.0.0.1"),
        interface(2, "169.254.1.1"),
        interface(2, "fe80::2"),
        interface(3, "169.254.1.3"),
        interface(3, "fe80::3"),
        interface(3, "2001:db8::3"),
        interface(4, "fec0::1"),
    ];
    let mut agent = Agent::new(config, Origin::seeded(1)).unwrap();
    let told = agent.handle_input(Instant::ZERO, Input::Interfaces(&all));
    assert!(told.unwrap().is_none());
    agent.start(Instant::ZERO);
    let actions = std::iter::from_fn(|| agent.poll_action());
    let mut list: Vec<_> = actions
        .map(|action| match action {
            Action::Bind { local, .. } => local.to_string(),
            other => panic!("{other:?}"),
        })
        .collect();
    list.sort();
    list
}

#[test]
fn loopback_and_link_local_addresses_are_used_only_when_they_should() {
    use esp_ice::LinkLocal;
    let default = binds(Config::default());
    assert_eq!(
        default,
        [
            "10.0.0.1:0",
            "169.254.1.3:0",
            "[2001:db8::3]:0",
            "[fe80::2%2]:0"
        ]
    );
    let never = binds(Config::default().with_link_local(LinkLocal::Never));
    assert_eq!(never, ["10.0.0.1:0", "[2001:db8::3]:0"]);
    let always = Config::default()
        .with_link_local(LinkLocal::Always)
        .with_ipv6(false);
    let always = binds(always.with_loopback(true));
    assert_eq!(
        always,
        [
            "10.0.0.1:0",
            "127.0.0.1:0",
            "169.254.1.1:0",
            "169.254.1.3:0"
        ]
    );
    let named = esp_ice::InterfaceFilter::Except(vec!["eth2".to_owned()]);
    let filtered = binds(Config::default().with_interfaces(named).with_ipv4(false));
    assert_eq!(filtered, ["[2001:db8::3]:0"]);
}

#[test]
fn candidates_that_overtake_the_description_of_a_restart_are_kept() {
    let mut call = Call::new(71);
    call.net.delay(ms(20));
    call.exchange();
    call.connect(ms(2_000));
    let now = call.net.now();
    let peer = call.net.endpoint_mut(call.a);
    peer.agent.restart(now);
    peer.drain(now);
    let b = call.b;
    call.signal = [true, false];
    call.run_for(ms(100));
    let (a, before) = (call.a, call.peer(b).agent.remote_candidates().count());
    assert_eq!(before, 1);
    call.signal = [false, false];
    call.describe(a, b);
    assert_eq!(call.peer(b).agent.remote_candidates().count(), 1);
    call.describe(b, a);
    call.connect(ms(2_000));
}

#[test]
fn a_closed_agent_closes_its_sockets_and_is_silent() {
    use esp_netsim::Endpoint as _;
    let mut call = Call::new(72);
    call.net.delay(ms(20));
    call.exchange();
    call.connect(ms(2_000));
    let now = call.net.now();
    let peer = call.net.endpoint_mut(call.a);
    peer.agent.close();
    assert!(matches!(peer.poll_action(), Some(Action::Close { .. })));
    peer.agent.restart(now);
    peer.agent.start(now);
    assert_eq!(peer.agent.poll_timeout(), None);
    assert_eq!(peer.agent.state(), State::Closed);
    assert!(peer.agent.path().is_none());
    let told = peer.events.len();
    call.run_for(ms(40_000));
    assert_eq!(call.peer(call.a).events.len(), told);
    assert_eq!(call.peer(call.b).agent.state(), State::Disconnected);
}
