//! STUN, names and streams.

use std::net::SocketAddr;
use std::time::Duration;

use esp_netsim::{Answer, Nat, Net};
use esp_stun::{Message, MessageBuilder, Method, TransactionId};
use esp_wire::{Action, Instant, QueryId, Resolution, SocketId, Transport};

use crate::probe::{Probe, Seen};

const SECOND: Duration = Duration::from_secs(1);

fn binding_request() -> Vec<u8> {
    let mut buffer = [0; 64];
    let id = TransactionId([4; 12]);
    let mut builder = MessageBuilder::request(&mut buffer, Method::BINDING, id);
    let len = builder.fingerprint().finish().unwrap();
    buffer[..len].to_vec()
}

#[test]
fn stun_shows_the_mapped_address() {
    let mut net = Net::seeded(1);
    let server = net.stun_server();
    let host = net.host("host", Probe::on(5_000));
    net.behind(host, Nat::port_restricted().with_preserved_ports());
    net.endpoint_mut(host).send(0, server, &binding_request());
    net.run_until(|net| !net.endpoint(host).datagrams().is_empty(), SECOND);
    assert_eq!(net.now(), Instant::from_millis(40));
    let (from, bytes) = net.endpoint(host).datagrams()[0].clone();
    assert_eq!(from, server);
    let response = Message::parse(&bytes).unwrap();
    let external = net.external_address(net.site_of(host)).unwrap();
    let expected = SocketAddr::new(external, 5_000);
    assert_eq!(response.xor_mapped_address(), Some(expected));
}

fn open(stream: u32, transport: Transport, remote: SocketAddr) -> Action {
    Action::OpenStream {
        stream: SocketId(stream),
        transport,
        local: None,
        remote,
        server_name: None,
    }
}

#[test]
fn stun_over_a_stream() {
    for (transport, opened_at) in [(Transport::Tcp, 40), (Transport::Tls, 80)] {
        let mut net = Net::seeded(2);
        let server = net.stun_server();
        let host = net.host("host", Probe::default());
        net.behind(host, Nat::symmetric().without_udp());
        let action = open(3, transport, server);
        net.endpoint_mut(host).actions.push_back(action);
        net.run_for(SECOND);
        let (at, seen) = net.endpoint(host).seen.last().unwrap().clone();
        assert!(matches!(seen, Seen::Opened(SocketId(3), _, _)), "{seen:?}");
        assert_eq!(at, Instant::from_millis(opened_at));
        for _ in 0..20 {
            net.endpoint_mut(host).send(3, server, &binding_request());
        }
        net.run_for(SECOND);
        let mut bytes = Vec::new();
        for (_, seen) in &net.endpoint(host).seen {
            if let Seen::Bytes(_, part) = seen {
                bytes.extend_from_slice(part);
            }
        }
        let external = net.external_address(net.site_of(host)).unwrap();
        let mut count = 0;
        while let Ok(Some(len)) = Message::frame_len(&bytes) {
            let response = Message::parse(&bytes[..len]).unwrap();
            assert_eq!(response.xor_mapped_address().unwrap().ip(), external);
            bytes.drain(..len);
            count += 1;
        }
        assert_eq!(count, 20);
    }
}

#[test]
fn streams_are_refused_closed_and_given_up() {
    let mut net = Net::seeded(3);
    let (a, b) = (
        net.host("a", Probe::default()),
        net.host("b", Probe::default()),
    );
    net.listen(b, 80);
    let b_address = net.address(b);
    let endpoint = net.endpoint_mut(a);
    let nowhere = "203.0.113.77:80".parse().unwrap();
    for (stream, to) in [
        (1, (b_address, 81).into()),
        (2, nowhere),
        (3, (b_address, 80).into()),
    ] {
        endpoint.actions.push_back(open(stream, Transport::Tcp, to));
    }
    net.run_for(SECOND);
    let closed = |at, stream, reason: &str| {
        let seen = Seen::Closed(SocketId(stream), reason.to_owned());
        (Instant::from_millis(at), seen)
    };
    let refused = closed(40, 1, "connection refused");
    assert!(net.endpoint(a).seen.contains(&refused));
    let accepted = match net.endpoint(b).last() {
        Seen::Opened(stream, _, _) => *stream,
        other => panic!("{other:?}"),
    };
    let socket = accepted;
    net.endpoint_mut(b)
        .actions
        .push_back(Action::Close { socket });
    net.run_for(SECOND);
    let ended = closed(1_020, 3, "closed by the other end");
    assert_eq!(net.endpoint(a).seen.last(), Some(&ended));
    net.run_for(10 * SECOND);
    let gave_up = closed(10_000, 2, "connection timed out");
    assert_eq!(net.endpoint(a).seen.last(), Some(&gave_up));
}

#[test]
fn names() {
    let mut net = Net::seeded(4);
    let (a, b) = (
        net.host("a", Probe::default()),
        net.host("b", Probe::default()),
    );
    let slow = Answer {
        addresses: vec![net.address(b)],
        delay: Duration::from_millis(300),
    };
    net.answer("turn.example", slow).mdns("1f4c.local", b);
    let ask = |net: &mut Net<Probe>, name: &str, by| {
        let action = Action::Resolve {
            query: QueryId(1),
            name: name.to_owned(),
            by,
        };
        let asked = net.now();
        net.endpoint_mut(a).actions.push_back(action);
        net.run_for(2 * SECOND);
        let (at, seen) = net.endpoint(a).seen.last().unwrap().clone();
        (at.since(asked).as_millis(), seen)
    };
    let found = Seen::Resolved(vec![net.address(b)]);
    let unknown = Seen::Resolved(vec![]);
    let dns = Resolution::Dns;
    assert_eq!(ask(&mut net, "TURN.example", dns), (300, found.clone()));
    assert_eq!(
        ask(&mut net, "other.example", dns),
        (1_000, unknown.clone())
    );
    assert_eq!(ask(&mut net, "1f4c.local", Resolution::Mdns), (5, found));
    net.behind(b, Nat::full_cone());
    assert_eq!(
        ask(&mut net, "1f4c.local", Resolution::Mdns),
        (1_000, unknown)
    );
}
