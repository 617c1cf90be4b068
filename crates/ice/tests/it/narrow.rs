//! Datagrams that are too big beyond a relay (RFC 8656 §11.5, §14.8).

use std::net::SocketAddr;
use std::rc::Rc;

use esp_ice::{Config, Event};
use esp_netsim::{Marks, NarrowServer, TurnServer};
use esp_wire::{IcePolicy, IceServer, Role};

use crate::support::{Call, ms};

/// A call of one who has nothing but a relay, beyond which packets of 1,000 bytes pass.
fn call(dont_fragment: bool) -> (Call, Rc<Marks>) {
    let config = Config::default().with_role(Role::Controlled);
    let relayed = Config::default()
        .with_policy(IcePolicy::Relay)
        .with_relay_dont_fragment(dont_fragment);
    let mut call = Call::with(1, relayed, config);
    let server = NarrowServer::new(TurnServer::new(3478, "user", "secret"), 1_000);
    let marks = server.marks();
    let host = call.net.server("narrow", server);
    let at = SocketAddr::new(call.net.address(host), 3478);
    let now = call.net.now();
    let servers = [IceServer::turn(format!("turn:{at}"), "user", "secret")];
    let peer = call.net.endpoint_mut(call.a);
    peer.agent.set_servers(now, &servers);
    peer.drain(now);
    call.exchange();
    call.connect(ms(5_000));
    (call, marks)
}

#[test]
fn fragments_are_forbidden_when_asked() {
    let (_, marks) = call(true);
    assert!(marks.allocates.get() > 0 && marks.sends.get() > 0);
    let (_, marks) = call(false);
    assert_eq!((marks.allocates.get(), marks.sends.get()), (0, 0));
}

#[test]
fn word_from_beyond_a_relay_says_what_fits() {
    let (mut call, _) = call(false);
    call.run_for(ms(1_000));
    let (a, b) = (call.a, call.b);
    let room = call.peer(a).agent.path().unwrap().room;
    let fits = 1_000 - 28;
    let too_big = |event: &Event| matches!(event, Event::PathTooBig { size } if *size == fits + room.head + room.tail);
    assert_eq!(call.peer(a).count(too_big), 0);
    let received = |call: &Call, len| {
        let datagrams = call.peer(b).received.iter();
        datagrams.filter(|data| data.len() == len).count()
    };
    for len in [fits + 1, fits] {
        let data = vec![0x80; len];
        call.net.endpoint_mut(a).outgoing.push_back(data);
        call.net.after(ms(1), |_| {});
        call.run_for(ms(200));
        assert_eq!(received(&call, len), usize::from(len == fits));
        assert_eq!(call.peer(a).count(too_big), 1);
    }
}
