//! Networks that go away during a call, or while it is begun, and come back.

use std::time::Duration;

use esp_netsim::{HostId, Net};
use esp_wire::Role;

use super::station::{
    Station, at, cut_off, in_a_call, join, stations, take_trace, until_connected,
};
use crate::flow::Input;

/// A call, one of its sides off the network, and both at the end of what the outage lets them do.
fn outage(seed: u64, of_device: bool, seconds: u64) -> (Net<Station>, [HostId; 2]) {
    let (mut net, device, page) = in_a_call(seed);
    let (away, other) = match of_device {
        true => (device, page),
        false => (page, device),
    };
    take_trace(&mut net, device);
    take_trace(&mut net, page);
    cut_off(&mut net, away, true);
    net.run_for(Duration::from_secs(seconds));
    (net, [away, other])
}

fn comes_back(net: &mut Net<Station>, away: HostId) {
    let reason = "the room server was not heard".into();
    at(net, away, [Input::SignalingInterrupted { reason }]);
    take_trace(net, away);
    cut_off(net, away, false);
    at(net, away, [Input::SignalingConnected]);
}

#[test]
fn an_attempt_survives_a_link_that_swallows_its_first_words() {
    // What the offerer says, what the answerer says, and what either is told.
    for (seed, of_device) in [(10, true), (11, false)] {
        let (mut net, device, page) = stations(seed);
        net.run_for(Duration::from_millis(1));
        let away = if of_device { device } else { page };
        net.endpoint_mut(away).cut_off = true;
        join(&mut net, page, Role::Controlled);
        join(&mut net, device, Role::Controlling);
        net.run_for(Duration::from_secs(10));
        comes_back(&mut net, away);
        until_connected(&mut net, device);
        until_connected(&mut net, page);
        for host in [device, page] {
            let trace = take_trace(&mut net, host);
            let begun = trace.iter().filter(|line| *line == "peer.new_connection");
            assert!(begun.count() <= 1, "{trace:#?}");
        }
    }
}

#[test]
fn a_call_that_an_outage_ends_is_begun_anew() {
    for (seed, of_device, seconds) in [(20, true, 100), (21, false, 100), (22, true, 600)] {
        let (mut net, [away, other]) = outage(seed, of_device, seconds);
        for host in [away, other] {
            let trace = take_trace(&mut net, host);
            let ended = trace
                .iter()
                .position(|line| line == "on_state(DISCONNECTED)");
            let anew = trace.iter().position(|line| line == "peer.new_connection");
            // Both have noticed, and both try again: neither waits for a word of the other.
            assert!(ended.is_some() && ended < anew, "{trace:#?}");
        }
        comes_back(&mut net, away);
        net.run_until(
            |net| {
                [away, other].iter().all(|host| {
                    let trace = &net.endpoint(*host).trace;
                    trace.contains(&"on_state(CONNECTED)".to_owned())
                })
            },
            Duration::from_secs(60),
        );
        // It stays.
        net.run_for(Duration::from_secs(60));
        for host in [away, other] {
            let trace = take_trace(&mut net, host);
            let last = trace.iter().rposition(|line| line == "on_state(CONNECTED)");
            let ended = trace
                .iter()
                .rposition(|line| line == "on_state(DISCONNECTED)");
            assert!(ended < last, "{trace:#?}");
        }
    }
}

#[test]
fn a_call_survives_an_outage_that_swallows_the_restart() {
    for (seed, of_device) in [(4, true), (5, false)] {
        // Longer than consent lasts, and shortly after a repetition.
        let (mut net, [away, other]) = outage(seed, of_device, 33);
        let (device, page) = match of_device {
            true => (away, other),
            false => (other, away),
        };
        // The side that controls has offered a restart, and nobody heard it.
        let said = |line: &&String| *line == "signaling.send_msg(SDP)";
        assert!(net.endpoint(device).trace.iter().any(|line| said(&line)));
        assert!(!net.endpoint(page).trace.iter().any(|line| said(&line)));
        comes_back(&mut net, away);
        assert_eq!(
            net.endpoint(away).trace,
            [
                "peer.signaling_restored",
                "on_msg(SDP)",
                "signaling.send_msg(SDP)"
            ]
        );
        // Long before the next repetition.
        net.run_for(Duration::from_secs(2));
        for host in [away, other] {
            let trace = take_trace(&mut net, host);
            assert!(trace.contains(&"RECOVERED".to_owned()), "{trace:#?}");
        }
        net.run_for(Duration::from_secs(60));
        for host in [away, other] {
            assert!(net.endpoint(host).trace.is_empty());
        }
    }
}

#[test]
fn a_peer_that_begins_anew_without_a_word_is_followed() {
    let (mut net, device, page) = stations(6);
    net.run_for(Duration::from_millis(1));
    join(&mut net, device, Role::Controlled);
    join(&mut net, page, Role::Controlling);
    until_connected(&mut net, device);
    until_connected(&mut net, page);
    take_trace(&mut net, device);
    // The goodbye of its connection is lost.
    cut_off(&mut net, page, true);
    at(&mut net, page, [Input::Enable(false)]);
    net.run_for(Duration::from_secs(1));
    cut_off(&mut net, page, false);
    at(&mut net, page, [Input::Enable(true)]);
    until_connected(&mut net, device);
    until_connected(&mut net, page);
    let trace = take_trace(&mut net, device);
    assert_eq!(
        trace
            .into_iter()
            .filter(|line| line != "on_state(DISCONNECTED)")
            .collect::<Vec<_>>(),
        [
            "signaling.on_msg(SDP)",
            "peer.send_msg(SDP)",
            "peer.disconnect",
            "peer.new_connection",
            "peer.send_msg(SDP)",
            "on_msg(SDP)",
            "signaling.send_msg(SDP)",
            "on_state(CONNECTED)",
        ]
    );
}
