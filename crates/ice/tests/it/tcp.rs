//! Candidates over TCP.

use esp_ice::{CandidateTransport, Config, Event, State};
use esp_netsim::Nat;
use esp_wire::Role;

use crate::support::{Call, ms};

/// `a` gets no datagram out; `b` listens.
fn call(seed: u64) -> Call {
    let passive = Config::default().with_tcp_passive(true);
    let passive = passive.with_role(Role::Controlled);
    let mut call = Call::with(seed, Config::default(), passive);
    call.net
        .behind(call.a, Nat::port_restricted().without_udp());
    call.net.delay(ms(20));
    call
}

#[test]
fn where_no_datagram_passes_a_stream_does() {
    let mut call = call(1);
    call.exchange();
    let took = call.connect(ms(5_000));
    assert!(took < ms(2_000), "{took:?}");
    let agent = &call.peer(call.b).agent;
    let told: Vec<_> = agent.candidate_lines().collect();
    assert!(told.iter().any(|line| line.ends_with(&format!(
        "tcptype passive ufrag {}",
        agent.local_credentials().ufrag
    ))));
    let tcp = |known: &&esp_ice::LocalCandidate| known.transport != CandidateTransport::Udp;
    assert!(
        call.peer(call.a)
            .agent
            .candidates()
            .iter()
            .any(|known| tcp(&known))
    );
    assert_eq!(call.peer(call.a).agent.path().unwrap().room.head, 2);
    call.run_for(ms(120_000));
    assert_eq!(call.peer(call.a).agent.state(), State::Completed);
    call.talk();
}

#[test]
fn a_listener_behind_a_name_is_found() {
    let passive = Config::default()
        .with_tcp_passive(true)
        .with_hide_addresses(true);
    let mut call = Call::with(4, Config::default(), passive.with_role(Role::Controlled));
    let home = call.net.site(Nat::port_restricted());
    call.net.join(call.a, home).join(call.b, home);
    call.signal = [false, false];
    call.exchange();
    call.run_for(ms(10));
    // Of all that there is, one side hears of the other's listener only.
    let agent = &call.peer(call.b).agent;
    let named = |line: &String| line.contains(" tcp ") && line.contains(".local ");
    let line = agent.candidate_lines().find(named).unwrap();
    assert!(line.contains("tcptype passive"), "{line}");
    let now = call.net.now();
    let agent = &mut call.net.endpoint_mut(call.a).agent;
    agent.add_remote_candidate(now, &line).unwrap();
    // Who only connects is not asked for.
    let active = line.replace("tcptype passive", "tcptype active");
    agent.add_remote_candidate(now, &active).unwrap();
    assert_eq!(agent.counters().ignored_candidates, 1);
    let took = call.connect(ms(5_000));
    assert!(took < ms(2_000), "{took:?}");
    assert_eq!(call.peer(call.a).agent.path().unwrap().room.head, 2);
    call.talk();
}

#[test]
fn datagrams_are_preferred_to_streams() {
    let passive = Config::default().with_tcp_passive(true);
    let mut call = Call::with(2, passive.clone(), passive.with_role(Role::Controlled));
    call.net.delay(ms(20));
    call.exchange();
    call.connect(ms(3_000));
    for host in [call.a, call.b] {
        assert_eq!(call.peer(host).agent.path().unwrap().room.head, 0);
    }
}

#[test]
fn a_restart_opens_another_stream_and_closes_the_old_one() {
    let mut call = call(3);
    call.exchange();
    call.connect(ms(5_000));
    let base = call.peer(call.a).agent.selected().unwrap().base;
    let (a, b, now) = (call.a, call.b, call.net.now());
    call.net.endpoint_mut(a).agent.restart(now);
    call.describe(a, b);
    call.describe(b, a);
    call.run_for(ms(5_000));
    call.talk();
    assert_ne!(call.peer(a).agent.selected().unwrap().base, base);
    let lost = |event: &Event| matches!(event, Event::Disconnected(_));
    assert_eq!(call.peer(a).count(lost) + call.peer(b).count(lost), 0);
}

#[test]
fn loss_and_silent_listeners_only_delay() {
    for seed in 10..20 {
        let mut call = call(seed);
        call.net.loss(0.2);
        call.exchange();
        call.run_for(ms(1));
        let now = call.net.now();
        let peer = call.net.endpoint_mut(call.a);
        for number in 1..40 {
            let line = format!(
                "candidate:9 1 tcp 1518280447 198.51.100.{} 9 typ host tcptype passive",
                100 + number
            );
            peer.agent.add_remote_candidate(now, &line).unwrap();
        }
        call.connect(ms(20_000));
    }
}

#[test]
fn streams_of_both_sides_at_once_pass_firewalls_on_both_sides() {
    for simultaneous in [true, false] {
        let config = Config::default()
            .with_ipv4(false)
            .with_tcp_passive(true)
            .with_tcp_simultaneous(simultaneous);
        let mut call = Call::with(20, config.clone(), config.with_role(Role::Controlled));
        for host in [call.a, call.b] {
            call.net.behind(host, Nat::full_cone().without_udp());
            call.net.add_ipv6(host);
        }
        call.net.delay(ms(20));
        call.exchange();
        if simultaneous {
            let took = call.connect(ms(5_000));
            assert!(took < ms(2_000), "{took:?}");
            assert_eq!(call.peer(call.a).agent.path().unwrap().room.head, 2);
        } else {
            call.run_for(ms(20_000));
            assert!(call.peer(call.a).agent.path().is_none());
        }
    }
}
