//! TCP relays (RFC 6062) step by step, the server's part written by the test.

use std::net::SocketAddr;

use esp_stun::turn::{ConnectionId, DataConnection, TurnClient, TurnConfig, TurnError, TurnEvent};
use esp_stun::{AuthError, Class, ErrorCode, Message, MessageBuilder, Method, TransactionId};
use esp_wire::{Origin, SocketId, Train, Transport};

use crate::refusals::Bench;

const STREAM: SocketId = SocketId(9);

fn peer(port: u16) -> SocketAddr {
    SocketAddr::from(([203, 0, 113, 5], port))
}

fn tcp(config: TurnConfig) -> TurnConfig {
    config.with_transport(Transport::Tcp).with_tcp(true)
}

fn allocated() -> Bench {
    let mut bench = Bench::with(tcp);
    let bytes = bench.grant(|_| ());
    let request = Message::parse(&bytes).unwrap();
    assert_eq!(request.requested_transport(), Some(6));
    assert!(matches!(bench.event(), TurnEvent::Allocated { .. }));
    bench
}

/// Connects to a peer, whose connection gets this number.
fn connected(bench: &mut Bench, port: u16, id: u32) -> ConnectionId {
    bench.client.connect(bench.now, peer(port));
    let bytes = bench.grant(|builder| {
        builder.connection_id(id);
    });
    let request = Message::parse(&bytes).unwrap();
    assert_eq!(request.method(), Method::CONNECT);
    assert_eq!(request.xor_peer_address(), Some(peer(port)));
    let expected = TurnEvent::PeerConnected {
        peer: peer(port),
        connection: ConnectionId(id),
        incoming: false,
    };
    assert_eq!(bench.event(), expected);
    ConnectionId(id)
}

fn attempt(bench: &mut Bench, port: u16, id: u32) {
    let mut buffer = [0; 128];
    let method = Method::CONNECTION_ATTEMPT;
    let mut builder = MessageBuilder::indication(&mut buffer, method, TransactionId([6; 12]));
    let builder = builder.connection_id(id).xor_peer_address(peer(port));
    let len = builder.finish().unwrap();
    bench.client.handle_message(bench.now, &mut buffer[..len]);
}

fn sent(data: &mut DataConnection, bench: &Bench) -> Vec<u8> {
    let mut train = Train::with_capacity(Train::MAX_BYTES);
    assert!(data.poll_transmit(bench.now, &mut train));
    assert_eq!(train.destination().unwrap().socket, STREAM);
    assert!(!data.poll_transmit(bench.now, &mut Train::with_capacity(2_048)));
    train.segment(0).to_vec()
}

fn answer(request: &[u8], class: Class, more: impl FnOnce(&mut MessageBuilder<'_>)) -> Vec<u8> {
    let request = Message::parse(request).unwrap();
    assert!(request.verify(&Bench::key()).is_ok());
    let mut buffer = [0; 512];
    let (method, id) = (request.method(), request.transaction_id());
    let mut builder = MessageBuilder::new(&mut buffer, class, method, id);
    more(&mut builder);
    let len = builder.integrity(&Bench::key()).finish().unwrap();
    buffer[..len].to_vec()
}

#[test]
fn a_connection_is_bound_with_the_allocations_credentials_however_its_bytes_are_cut() {
    for size in 1..100 {
        let mut bench = allocated();
        let id = connected(&mut bench, 700, 0xABCD);
        let now = bench.now;
        let mut data = bench.client.bind_connection(now, id, STREAM).unwrap();
        assert_eq!((data.peer(), data.is_bound()), (peer(700), false));
        let request = sent(&mut data, &bench);
        let view = Message::parse(&request).unwrap();
        assert_eq!(view.method(), Method::CONNECTION_BIND);
        assert_eq!(view.connection_id(), Some(0xABCD));
        assert_eq!(view.username(), Some("user"));
        let mut bytes = answer(&request, Class::Success, |_| ());
        bytes.extend(b"and the peer's first words");
        let mut heard = Vec::new();
        for part in bytes.chunks_mut(size) {
            if let Some(rest) = data.handle_bytes(now, part).unwrap() {
                heard.extend_from_slice(rest);
            }
        }
        assert!(data.is_bound() && data.poll_timeout().is_none());
        assert_eq!(heard, b"and the peer's first words");
        // It can be bound once.
        assert!(bench.client.bind_connection(now, id, STREAM).is_none());
    }
}

#[test]
fn a_stale_nonce_is_renewed_on_the_data_connection_itself() {
    let mut bench = allocated();
    let id = connected(&mut bench, 700, 1);
    let now = bench.now;
    let mut data = bench.client.bind_connection(now, id, STREAM).unwrap();
    let request = sent(&mut data, &bench);
    let mut stale = answer(&request, Class::Error, |builder| {
        let builder = builder.error_code(ErrorCode::STALE_NONCE);
        builder.realm("realm").nonce("another");
    });
    assert_eq!(data.handle_bytes(now, &mut stale), Ok(None));
    let request = sent(&mut data, &bench);
    assert_eq!(Message::parse(&request).unwrap().nonce(), Some("another"));
    let mut success = answer(&request, Class::Success, |_| ());
    let rest = data.handle_bytes(now, &mut success).unwrap();
    assert!(rest.is_some_and(|rest| rest.is_empty()));
}

#[test]
fn what_is_no_answer_ends_a_data_connection() {
    let bound = |answering: &dyn Fn(&[u8]) -> Vec<u8>| {
        let mut bench = allocated();
        let id = connected(&mut bench, 700, 1);
        let now = bench.now;
        let mut data = bench.client.bind_connection(now, id, STREAM).unwrap();
        let request = sent(&mut data, &bench);
        let result = data.handle_bytes(now, &mut answering(&request)).map(|_| ());
        assert!(!data.is_bound());
        result.unwrap_err()
    };
    let refused = bound(&|request| {
        answer(request, Class::Error, |builder| {
            builder.error_code(ErrorCode::BAD_REQUEST);
        })
    });
    assert!(refused.to_string().contains("does not understand"));
    let credentials = bound(&|request| {
        answer(request, Class::Error, |builder| {
            let builder = builder.error_code(ErrorCode::UNAUTHENTICATED);
            builder.realm("realm").nonce("other");
        })
    });
    assert_eq!(credentials, TurnError::Auth(AuthError::Refused));
    let forged = bound(&|request| {
        let mut bytes = answer(request, Class::Success, |_| ());
        *bytes.last_mut().unwrap() ^= 1;
        bytes
    });
    assert_eq!(forged, TurnError::Integrity);
    assert_eq!(
        bound(&|_| b"HTTP/1.1 400 no".to_vec()),
        TurnError::OutOfStep
    );
    let huge = bound(&|request| [&request[..2], &[0xFF, 0xFC], &request[4..8]].concat());
    assert_eq!(huge, TurnError::OutOfStep);
    let another = bound(&|request| {
        let mut bytes = answer(request, Class::Success, |_| ());
        bytes[10] ^= 1;
        bytes
    });
    assert_eq!(another, TurnError::OutOfStep);
}

#[test]
fn a_data_connection_without_an_answer_is_given_up() {
    let mut bench = allocated();
    let id = connected(&mut bench, 700, 1);
    let now = bench.now;
    let mut data = bench.client.bind_connection(now, id, STREAM).unwrap();
    sent(&mut data, &bench);
    let at = data.poll_timeout().unwrap();
    assert!(at > now && data.handle_timeout(now).is_ok());
    assert_eq!(data.handle_timeout(at), Err(TurnError::Timeout));
}

#[test]
fn a_failed_peer_is_not_tried_again_for_ten_seconds() {
    let mut bench = allocated();
    bench.client.connect(bench.now, peer(700));
    // RFC 6062 §4.3: no two at once for one peer, any number for others.
    bench.client.connect(bench.now, peer(700));
    bench.client.connect(bench.now, peer(701));
    let first = bench.request();
    let second = bench.request();
    assert!(!bench.client.poll_transmit(bench.now, &mut bench.train));
    bench.refuse(&first, 447, |_| ());
    let TurnEvent::ConnectRefused(at, error) = bench.event() else {
        panic!("not refused");
    };
    assert_eq!(at, peer(700));
    assert!(error.to_string().contains("cannot connect to the peer"));
    bench.client.connect(bench.now, peer(700));
    bench.wait(9);
    assert!(!bench.client.poll_transmit(bench.now, &mut bench.train));
    bench.wait(1);
    let again = bench.request();
    let again = Message::parse(&again).unwrap();
    assert_eq!(again.xor_peer_address(), Some(peer(700)));
    bench.refuse(&second, 446, |_| ());
    let TurnEvent::ConnectRefused(at, error) = bench.event() else {
        panic!("not refused");
    };
    assert_eq!(at, peer(701));
    assert!(
        error
            .to_string()
            .contains("has a connection to this peer already")
    );
}

#[test]
fn an_answer_without_a_name_and_no_answer_at_all_are_refusals() {
    let mut bench = allocated();
    bench.client.connect(bench.now, peer(700));
    bench.grant(|_| ());
    let expected = TurnEvent::ConnectRefused(peer(700), TurnError::NoConnectionId);
    assert_eq!(bench.event(), expected);
    bench.client.connect(bench.now, peer(700));
    bench.request();
    bench.wait(40);
    let expected = TurnEvent::ConnectRefused(peer(700), TurnError::Timeout);
    assert_eq!(bench.event(), expected);
}

#[test]
fn a_peers_attempt_needs_a_permission_and_lapses_unbound() {
    let mut bench = allocated();
    attempt(&mut bench, 700, 5);
    assert_eq!(bench.client.stats().unpermitted, 1);
    assert!(bench.client.poll_event().is_none());
    bench.client.permit(bench.now, peer(700).ip());
    bench.grant(|_| ());
    assert!(matches!(bench.event(), TurnEvent::Permitted(_)));
    attempt(&mut bench, 700, 5);
    let expected = TurnEvent::PeerConnected {
        peer: peer(700),
        connection: ConnectionId(5),
        incoming: true,
    };
    assert_eq!(bench.event(), expected);
    // The same name again means nothing.
    attempt(&mut bench, 701, 5);
    assert_eq!(bench.client.stats().unexpected, 1);
    attempt(&mut bench, 702, 6);
    let now = bench.now;
    let id = ConnectionId(6);
    assert!(bench.client.bind_connection(now, id, STREAM).is_some());
    bench.wait(30);
    let now = bench.now;
    let id = ConnectionId(5);
    assert!(bench.client.bind_connection(now, id, STREAM).is_none());
}

#[test]
fn connections_are_bounded_and_released() {
    let mut bench = Bench::with(|config| {
        let mut config = tcp(config);
        config.max_peers = 2;
        config
    });
    bench.grant(|_| ());
    bench.event();
    bench.client.permit(bench.now, peer(0).ip());
    bench.grant(|_| ());
    bench.event();
    for port in 0..5 {
        attempt(&mut bench, port, u32::from(port));
    }
    assert_eq!(bench.client.stats().too_many_peers, 3);
    bench.client.connect(bench.now, peer(9));
    assert_eq!(bench.client.stats().too_many_peers, 4);
    while bench.client.poll_event().is_some() {}
    bench.client.release(ConnectionId(0));
    connected(&mut bench, 9, 77);
}

#[test]
fn an_allocation_that_the_server_has_lost_takes_its_connections_with_it() {
    let mut bench = allocated();
    let id = connected(&mut bench, 700, 1);
    bench.client.connect(bench.now, peer(701));
    bench.refuse_next(437);
    assert_eq!(bench.event(), TurnEvent::Failed(TurnError::Lost));
    let now = bench.now;
    assert!(bench.client.bind_connection(now, id, STREAM).is_none());
    bench.client.connect(bench.now, peer(702));
    assert!(bench.client.poll_timeout().is_none());
}

#[test]
fn tcp_relays_exclude_what_belongs_to_datagrams() {
    let base = || TurnConfig::new(SocketId(0), peer(1), "user", "secret").with_tcp(true);
    let new = |config| TurnClient::new(config, Origin::seeded(1)).map(|_| ());
    assert!(matches!(new(base()), Err(TurnError::Options(_))));
    assert_eq!(new(tcp(base())), Ok(()));
    assert_eq!(new(base().with_transport(Transport::Tls)), Ok(()));
    for config in [
        base().with_transport(Transport::Dtls),
        tcp(base()).with_even_port(false),
        tcp(base()).with_reservation([1; 8]),
        tcp(base()).with_dont_fragment(true),
    ] {
        assert!(matches!(new(config), Err(TurnError::Options(_))));
    }
    let mut bench = allocated();
    let mut train = Train::with_capacity(2_048);
    train.begin(bench.client.room(peer(1)), 4);
    train.push(b"data");
    let wrapped = bench.client.wrap(bench.now, &mut train, peer(1));
    assert!(matches!(wrapped, Err(TurnError::Options(_))));
    let mut udp = Bench::allocated();
    udp.client.connect(udp.now, peer(1));
    assert!(matches!(
        udp.event(),
        TurnEvent::ConnectRefused(_, TurnError::Options(_))
    ));
}
