//! STUN servers that are asked over TCP, TLS and DTLS.

use esp_ice::{CandidateKind, Config, Event, GatheringState};
use esp_netsim::{Nat, StunServer};
use esp_wire::{IcePolicy, IceServer, Role};

use crate::support::{Call, ms};

fn ask(call: &mut Call, urls: &[String]) {
    let servers: Vec<_> = urls.iter().map(IceServer::stun).collect();
    let now = call.net.now();
    let peer = call.net.endpoint_mut(call.a);
    peer.agent.set_servers(now, &servers);
    peer.drain(now);
}

fn failures(call: &Call) -> Vec<(String, String)> {
    let events = call.peer(call.a).events.iter();
    let failures = events.filter_map(|(_, event)| match event {
        Event::ServerFailed { url, reason } => Some((url.clone(), reason.clone())),
        _ => None,
    });
    failures.collect()
}

#[test]
fn a_server_over_a_stream_answers_and_makes_no_candidate() {
    let urls = [
        "stun:{}?transport=tcp",
        "stuns:{}",
        "stuns:{}?transport=udp",
    ];
    for (seed, url) in (1..).zip(urls) {
        let mut call = Call::new(seed);
        call.net.behind(call.a, Nat::full_cone()).delay(ms(20));
        let server = call.net.stun_server();
        ask(&mut call, &[url.replace("{}", &server.to_string())]);
        call.run_for(ms(1_000));
        let peer = call.peer(call.a);
        assert_eq!(peer.agent.gathering_state(), GatheringState::Complete);
        // A server that were silent would be told by then.
        call.run_for(ms(60_000));
        assert_eq!(failures(&call), [], "{url}");
        let peer = call.peer(call.a);
        let mut kinds = peer.agent.candidates().iter().map(|known| known.kind);
        assert!(kinds.all(|kind| kind == CandidateKind::Host), "{url}");
    }
}

#[test]
fn one_that_does_not_answer_is_told_once_in_words() {
    let mut call = Call::new(4);
    let server = call.net.stun_server();
    let mut mute = StunServer::new(3478);
    mute.silent = true;
    let mute = call.net.server("mute", mute);
    call.net.listen(mute, 3478);
    let silent = format!("stuns:{}:3478?transport=udp", call.net.address(mute));
    let nobody = format!("stun:{}:9?transport=tcp", server.ip());
    let name = "stuns:unknown.example".to_owned();
    ask(&mut call, &[nobody.clone(), name.clone(), silent.clone()]);
    call.run_for(ms(60_000));
    let told = failures(&call);
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told.contains(&(silent, "it did not answer".to_owned())));
    assert!(told.contains(&(nobody, "connection refused".to_owned())));
    assert!(told.contains(&(name, "its name has no address".to_owned())));
    let peer = call.peer(call.a);
    assert_eq!(peer.agent.gathering_state(), GatheringState::Complete);
}

#[test]
fn with_the_relay_policy_it_is_not_asked() {
    let config = Config::default().with_policy(IcePolicy::Relay);
    let mut call = Call::with(5, config.clone(), config.with_role(Role::Controlled));
    let server = call.net.stun_server();
    let url = format!("stun:{}:9?transport=tcp", server.ip());
    ask(&mut call, &[url]);
    call.run_for(ms(60_000));
    assert_eq!(failures(&call), []);
}
