//! Interfaces that come and go, NATs that forget, destinations that cannot be reached.

use esp_ice::{Event, State, WarningReason};
use esp_netsim::{Nat, SiteId};

use crate::support::{Call, ms};

#[test]
fn a_cable_moved_to_another_network_keeps_the_call() {
    for mover in [0, 1] {
        let mut call = Call::new(30 + mover);
        call.net
            .behind(call.a, Nat::port_restricted())
            .delay(ms(20));
        call.stun();
        call.exchange();
        call.connect(ms(3_000));
        let host = [call.a, call.b][mover as usize];
        let site = call.net.site(Nat::full_cone());
        let address = call.net.fresh_address(site, false);
        call.net.set_interfaces(host, &[("eth1", site, address)]);
        call.run_for(ms(100));
        let gone = |event: &Event| matches!(event, Event::CandidateRemoved { .. });
        assert!(call.peer(host).saw(gone).is_some());
        call.connect(ms(25_000));
    }
}

#[test]
fn a_cable_moved_from_nat_to_nat_is_followed_soon() {
    for mover in [0, 1] {
        let mut call = Call::new(130 + mover);
        call.net.behind(call.a, Nat::port_restricted());
        call.net.behind(call.b, Nat::port_restricted());
        call.net.delay(ms(20));
        call.stun();
        call.exchange();
        call.connect(ms(3_000));
        call.run_for(ms(4_000));
        let host = [call.a, call.b][mover as usize];
        let site = call.net.site(Nat::port_restricted());
        let address = call.net.fresh_address(site, false);
        call.net.set_interfaces(host, &[("eth1", site, address)]);
        call.run_for(ms(1));
        // The one that chooses moves at once; the other way round it has to notice first.
        call.connect([ms(1_000), ms(4_000)][mover as usize]);
        for host in [call.a, call.b] {
            let pair = call.peer(host).agent.selected().unwrap();
            let ends = [pair.local.address.ip(), pair.remote.address.ip()];
            let external = call.net.external_address(site).unwrap();
            assert!(ends.contains(&external), "{ends:?}");
        }
    }
}

#[test]
fn a_new_interface_makes_candidates_without_disturbing_the_call() {
    let mut call = Call::new(33);
    call.net.delay(ms(20));
    call.exchange();
    call.connect(ms(2_000));
    let selected = call.peer(call.a).agent.selected().unwrap().id;
    let public = call.net.site_of(call.a);
    call.net.add_interface(call.a, "wlan0", public);
    call.run_for(ms(2_000));
    let peer = call.peer(call.a);
    assert_eq!(peer.agent.candidates().len(), 2);
    assert_eq!(peer.agent.selected().unwrap().id, selected);
    assert_eq!(peer.agent.state(), State::Completed);
}

#[test]
fn a_nat_that_forgets_is_survived() {
    for seed in 0..5 {
        let mut call = Call::new(40 + seed);
        let site = call.net.site(Nat::full_cone());
        call.net.join(call.a, site).delay(ms(20));
        call.stun();
        call.exchange();
        call.connect(ms(3_000));
        call.net.reboot_nat(site);
        call.run_for(ms(28_000));
        call.talk();
        for host in [call.a, call.b] {
            assert_eq!(call.peer(host).agent.state(), State::Completed);
        }
    }
}

#[test]
fn unreachable_destinations_end_sooner_but_are_not_believed_blindly() {
    let mut call = Call::new(50);
    call.net.icmp(true);
    call.net.delay(ms(20));
    call.exchange();
    call.connect(ms(2_000));
    let pair = call.peer(call.a).agent.selected().unwrap();
    let now = call.net.now();
    // A forged message while the call is fine.
    let socket = esp_wire::SocketId(0);
    let remote = pair.remote.address;
    let peer = call.net.endpoint_mut(call.a);
    let forged = esp_wire::Input::Unreachable { socket, remote };
    peer.agent.handle_input(now, forged).unwrap();
    call.talk();
    call.run_for(ms(10_000));
    assert_eq!(call.peer(call.a).agent.state(), State::Completed);
    let warned = |event: &Event| matches!(event, Event::Disconnected(_));
    assert_eq!(call.peer(call.a).count(warned), 0);
    // A true one: the far end is gone.
    let gone = call.net.now();
    call.net.set_interfaces(call.b, &[]);
    for _ in 0..40 {
        call.net
            .endpoint_mut(call.a)
            .outgoing
            .push_back(vec![0x80; 20]);
        call.run_for(ms(100));
    }
    let warned = Event::Disconnected(WarningReason::Unreachable);
    let at = call.peer(call.a).saw(|event| *event == warned).unwrap();
    assert!(at - gone < ms(2_500), "{:?}", at - gone);
}

#[test]
fn a_host_without_any_interface_fails_for_want_of_pairs() {
    let mut call = Call::new(51);
    call.net.set_interfaces(call.b, &[]);
    let (a, b) = (call.a, call.b);
    call.run_for(ms(10));
    call.exchange();
    call.run_for(ms(100_000));
    for host in [a, b] {
        let failed = |event: &Event| matches!(event, Event::Failed(_));
        assert!(call.peer(host).saw(failed).is_some());
    }
    // It connects once there is one.
    let site: SiteId = call.net.site(Nat::full_cone());
    let address = call.net.fresh_address(site, false);
    call.net.set_interfaces(b, &[("eth0", site, address)]);
    call.connect(ms(5_000));
}
