//! Lite agents, on either side and on both.

use esp_ice::{Config, Event, State};
use esp_netsim::Nat;
use esp_wire::{IceServer, Role};

use crate::support::{Call, ms};

/// `a` may be lite, `b` may be lite; `a` offers.
fn call(seed: u64, a: bool, b: bool) -> Call {
    let config = Config::default();
    let (a, b) = (config.clone().with_lite(a), config.with_lite(b));
    let mut call = Call::with(seed, a, b.with_role(Role::Controlled));
    call.net.delay(ms(20));
    call
}

fn exchange(call: &mut Call, lite: [bool; 2]) {
    let now = call.net.now();
    let hosts = [call.a, call.b];
    for (host, lite) in hosts.into_iter().zip([lite[1], lite[0]]) {
        call.net.endpoint_mut(host).agent.set_remote_lite(now, lite);
    }
    call.exchange();
}

#[test]
fn a_lite_agent_is_controlled_answers_and_sends_no_check() {
    for (seed, lite) in [(1, [true, false]), (2, [false, true])] {
        let mut call = call(seed, lite[0], lite[1]);
        let (ours, theirs) = match lite[0] {
            true => (call.a, call.b),
            false => (call.b, call.a),
        };
        // The full one is behind a NAT: only its checks tell where it is.
        call.net.behind(theirs, Nat::symmetric());
        exchange(&mut call, lite);
        let took = call.connect(ms(5_000));
        assert!(took < ms(400), "{took:?}");
        let agent = &call.peer(ours).agent;
        assert_eq!(agent.role(), Role::Controlled);
        assert_eq!(call.peer(theirs).agent.role(), Role::Controlling);
        // Consent is kept by the full side alone, and lasts.
        call.run_for(ms(120_000));
        call.talk();
        let agent = &call.peer(ours).agent;
        assert_eq!(agent.state(), State::Completed);
        assert!(agent.pairs().iter().all(|pair| pair.requests_sent == 0));
        let lost = |event: &Event| matches!(event, Event::Disconnected(_));
        assert_eq!(
            call.peer(ours).count(lost) + call.peer(theirs).count(lost),
            0
        );
    }
}

#[test]
fn a_lite_agent_has_host_candidates_only() {
    let mut call = call(3, true, false);
    let (server, now) = (call.net.stun_server(), call.net.now());
    let agent = &mut call.net.endpoint_mut(call.a).agent;
    agent.set_servers(now, &[IceServer::stun(format!("stun:{server}"))]);
    call.run_for(ms(1_000));
    let lines: Vec<_> = call.peer(call.a).agent.candidate_lines().collect();
    assert!(!lines.is_empty() && lines.iter().all(|line| line.contains("typ host")));
}

#[test]
fn a_peer_that_is_gone_is_noticed_and_one_that_moves_is_followed() {
    let mut call = call(4, true, false);
    exchange(&mut call, [true, false]);
    call.connect(ms(5_000));
    let before = call.peer(call.a).agent.selected().unwrap().remote.address;
    let site = call.net.site(Nat::full_cone());
    call.net.join(call.b, site);
    call.run_for(ms(30_000));
    call.talk();
    let after = call.peer(call.a).agent.selected().unwrap().remote.address;
    assert_ne!(before, after);
    let address = call.net.address(call.b);
    call.net.set_up(call.b, address, false);
    let a = call.a;
    call.run_until(ms(120_000), |net| {
        net.endpoint(a).agent.state() == State::Failed
    });
}

#[test]
fn two_lite_agents_take_the_best_pair_without_a_check() {
    let mut call = call(5, true, true);
    for host in [call.a, call.b] {
        call.net.add_ipv6(host);
    }
    exchange(&mut call, [true, true]);
    call.connect(ms(2_000));
    call.run_for(ms(60_000));
    call.talk();
    let (a, b) = (&call.peer(call.a).agent, &call.peer(call.b).agent);
    assert_eq!((a.role(), b.role()), (Role::Controlling, Role::Controlled));
    let (ours, theirs) = (a.selected().unwrap(), b.selected().unwrap());
    assert_eq!(ours.remote.address, theirs.base);
    assert_eq!(ours.base, theirs.remote.address);
    for agent in [a, b] {
        assert!(agent.pairs().iter().all(|pair| pair.requests_sent == 0));
    }
}
