//! The TURN client against the net's TURN server, as hosts would use it.

use std::net::SocketAddr;
use std::time::Duration;

use esp_netsim::{HostId, Nat, Net, TurnServer};
use esp_stun::turn::{Families, TurnConfig, TurnError, TurnEvent};
use esp_stun::{AuthError, ErrorCode};
use esp_wire::{Instant, Transport};

use crate::turn_user::{SOCKET, TurnUser};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn user(net: &mut Net<TurnUser>, name: &str, config: TurnConfig) -> HostId {
    let origin = net.origin(name);
    net.host(name, TurnUser::new(config, origin))
}

fn config(server: SocketAddr) -> TurnConfig {
    TurnConfig::new(SOCKET, server, "user", "pass")
}

fn server() -> TurnServer {
    TurnServer::new(3478, "user", "pass")
}

fn allocated(net: &mut Net<TurnUser>, host: HostId) {
    net.run_until(|net| net.endpoint(host).client.is_allocated(), 10 * SECOND);
}

/// Two users of one server, behind symmetric NATs, who talk from relay to relay.
fn two(seed: u64, server: TurnServer, transport: Transport) -> (Net<TurnUser>, HostId, HostId) {
    let mut net = Net::seeded(seed);
    let at = net.turn_server_with(server);
    let [a, b] = ["a", "b"].map(|name| {
        let host = user(&mut net, name, config(at).with_transport(transport));
        net.behind(host, Nat::symmetric());
        host
    });
    allocated(&mut net, a);
    allocated(&mut net, b);
    let (a_at, b_at) = (net.endpoint(a).relayed(), net.endpoint(b).relayed());
    let now = net.now();
    net.endpoint_mut(a).client.permit(now, b_at.ip());
    net.endpoint_mut(b).client.permit(now, a_at.ip());
    net.run_for(SECOND);
    (net, a, b)
}

fn talk(net: &mut Net<TurnUser>, a: HostId, b: HostId, lengths: &[usize]) {
    for (from, to) in [(a, b), (b, a)] {
        let target = net.endpoint(to).relayed();
        let source = net.endpoint(from).relayed();
        let before = net.endpoint(to).heard.len();
        for len in lengths {
            let data: Vec<u8> = (0..*len).map(|byte| byte as u8).collect();
            net.endpoint_mut(from).send(target, &data);
        }
        net.run_for(SECOND);
        let heard = net.endpoint(to).heard[before..].to_vec();
        assert_eq!(heard.len(), lengths.len(), "{net}");
        for ((peer, data), len) in heard.iter().zip(lengths) {
            assert_eq!((*peer, data.len()), (source, *len));
            assert!(data.iter().enumerate().all(|(at, byte)| *byte == at as u8));
        }
    }
}

#[test]
fn relayed_over_each_transport_and_by_servers_old_and_new() {
    for (seed, transport) in [Transport::Udp, Transport::Tcp, Transport::Tls]
        .into_iter()
        .enumerate()
    {
        let mut anonymous = server();
        anonymous.anonymity = true;
        for server in [server(), server().of_old(), anonymous] {
            let (mut net, a, b) = two(seed as u64, server, transport);
            let lengths = [1, 2, 3, 4, 5, 1_200, 1_201, 1_202, 1_203];
            talk(&mut net, a, b, &lengths);
            let (a_at, b_at) = (net.endpoint(a).relayed(), net.endpoint(b).relayed());
            let now = net.now();
            net.endpoint_mut(a).client.bind_channel(now, b_at);
            net.endpoint_mut(b).client.bind_channel(now, a_at);
            net.run_for(SECOND);
            assert!(net.endpoint(a).client.has_channel(b_at));
            assert!(
                net.endpoint(a)
                    .has(|event| *event == TurnEvent::ChannelBound(b_at))
            );
            talk(&mut net, a, b, &lengths);
        }
    }
}

#[test]
fn the_allocation_takes_two_round_trips() {
    let mut net = Net::seeded(1);
    let at = net.turn_server("user", "pass");
    let host = user(&mut net, "host", config(at));
    net.behind(host, Nat::port_restricted());
    allocated(&mut net, host);
    assert_eq!(net.now(), Instant::from_millis(80));
    let external = net.external_address(net.site_of(host)).unwrap();
    let (_, event) = &net.endpoint(host).events[0];
    let TurnEvent::Allocated {
        relayed,
        mapped,
        lifetime,
    } = event
    else {
        panic!("{event:?}");
    };
    assert_eq!((relayed.len(), relayed[0].ip()), (1, at.ip()));
    assert_eq!(mapped.unwrap().ip(), external);
    assert_eq!(*lifetime, 10 * MINUTE);
}

#[test]
fn a_train_is_wrapped_datagram_by_datagram() {
    for transport in [Transport::Udp, Transport::Tcp] {
        for channel in [false, true] {
            for (full, last) in [
                (1_200, 1),
                (1_201, 1_201),
                (1_201, 1_200),
                (1_202, 7),
                (1_203, 4),
            ] {
                let (mut net, a, b) = two(3, server(), transport);
                let target = net.endpoint(b).relayed();
                let now = net.now();
                if channel {
                    net.endpoint_mut(a).client.bind_channel(now, target);
                    net.run_for(SECOND);
                }
                let (one, two) = (vec![1; full], vec![2; last]);
                let train = [&one[..], &one[..], &two[..]];
                net.endpoint_mut(a).send_train(target, full, &train);
                net.endpoint_mut(a).send_train(target, full, &[&two[..]]);
                net.run_for(SECOND);
                let heard = net.endpoint(b).heard.iter().map(|(_, data)| data.clone());
                let expected = vec![one.clone(), one, two.clone(), two];
                assert_eq!(heard.collect::<Vec<_>>(), expected);
            }
        }
    }
}

#[test]
fn everything_is_kept_alive_for_an_hour() {
    let mut server = server();
    server.nonce_lifetime = 7 * MINUTE;
    let (mut net, a, b) = two(4, server, Transport::Udp);
    let b_at = net.endpoint(b).relayed();
    let now = net.now();
    net.endpoint_mut(a).client.bind_channel(now, b_at);
    net.loss(0.02);
    for _ in 0..12 {
        net.run_for(5 * MINUTE);
        net.loss(0.0);
        talk(&mut net, a, b, &[100, 101]);
        net.loss(0.02);
    }
    let failed =
        |event: &TurnEvent| matches!(event, TurnEvent::Failed(_) | TurnEvent::PeerRefused(..));
    assert!(!net.endpoint(a).has(failed) && !net.endpoint(b).has(failed));
    assert!(net.endpoint(a).client.has_channel(b_at));
}

#[test]
fn allocating_survives_loss() {
    for seed in 0..20 {
        let mut net = Net::seeded(seed);
        let at = net.turn_server("user", "pass");
        net.loss(0.3).duplicates(0.1);
        let host = user(&mut net, "host", config(at));
        net.run_until(|net| net.endpoint(host).client.is_allocated(), MINUTE);
    }
}

fn failure(server: TurnServer, password: &str) -> (TurnError, Duration) {
    let mut net = Net::seeded(5);
    let at = net.turn_server_with(server);
    let config = TurnConfig::new(SOCKET, at, "user", password);
    let host = user(&mut net, "host", config);
    let took = net.run_until(|net| net.endpoint(host).client.is_over(), MINUTE);
    match &net.endpoint(host).events[..] {
        [(_, TurnEvent::Failed(error))] => (error.clone(), took),
        other => panic!("{other:?}"),
    }
}

#[test]
fn refusals_are_told_in_words() {
    let (error, took) = failure(server(), "wrong");
    assert_eq!(error, TurnError::Auth(AuthError::Refused));
    assert_eq!(took, Duration::from_millis(80));
    assert_eq!(
        error.to_string(),
        "TURN: the server refused user name and password"
    );
    let mut full = server();
    full.quota = 0;
    let (error, _) = failure(full, "pass");
    let text = "the TURN server refused: 486 (Allocation Quota Reached): this user has as many \
                allocations as it grants";
    assert_eq!(error.to_string(), text);
}

#[test]
fn a_silent_server_is_given_up() {
    let mut net = Net::seeded(6);
    let nowhere = "203.0.113.9:3478".parse().unwrap();
    let host = user(&mut net, "host", config(nowhere));
    let took = net.run_until(|net| net.endpoint(host).client.is_over(), MINUTE);
    assert_eq!(took, Duration::from_millis(39_500));
    assert!(
        net.endpoint(host)
            .has(|e| *e == TurnEvent::Failed(TurnError::Timeout))
    );
    let config = config(nowhere).with_transport(Transport::Tcp);
    let host = user(&mut net, "stream", config);
    net.run_until(|net| net.endpoint(host).client.is_over(), MINUTE);
    let closed = TurnError::StreamClosed("connection timed out".to_owned());
    assert!(
        net.endpoint(host)
            .has(|e| *e == TurnEvent::Failed(closed.clone()))
    );
}

#[test]
fn peers_can_be_refused() {
    let mut strict = server();
    let forbidden = "198.51.100.250:9".parse::<SocketAddr>().unwrap();
    strict.forbidden.push(forbidden.ip());
    let mut net = Net::seeded(7);
    let at = net.turn_server_with(strict);
    let host = user(&mut net, "host", config(at));
    // Wished for before there is an allocation.
    net.endpoint_mut(host)
        .client
        .permit(Instant::ZERO, forbidden.ip());
    let v6 = "2001:db8::99".parse().unwrap();
    net.endpoint_mut(host).client.permit(Instant::ZERO, v6);
    net.run_for(SECOND);
    let refused = |code: ErrorCode, ip| {
        let words = code.reason().to_owned();
        TurnEvent::PeerRefused(ip, TurnError::Refused(code, words))
    };
    let events = &net.endpoint(host).events;
    let events: Vec<_> = events.iter().map(|(_, event)| event.clone()).collect();
    assert!(events.contains(&refused(ErrorCode::FORBIDDEN, forbidden.ip())));
    let mismatch = ErrorCode::PEER_ADDRESS_FAMILY_MISMATCH;
    assert!(events.contains(&refused(mismatch, v6)));
    assert!(net.endpoint(host).client.is_allocated());
}

#[test]
fn an_alternate_server_is_followed() {
    let mut net = Net::seeded(8);
    let second = net.turn_server("user", "pass");
    let mut first = server();
    first.alternate = Some(second);
    let first = net.turn_server_with(first);
    let host = user(&mut net, "host", config(first));
    allocated(&mut net, host);
    assert_eq!(net.endpoint(host).client.server(), second);
    assert_eq!(net.endpoint(host).relayed().ip(), second.ip());
    assert!(
        net.endpoint(host)
            .has(|e| *e == TurnEvent::Redirected(second))
    );
}

#[test]
fn both_families() {
    let mut net = Net::seeded(9);
    let at = net.turn_server("user", "pass");
    let turn = net.host_at(at.ip()).unwrap();
    let v6 = net.ipv6(turn).unwrap();
    let both = user(&mut net, "both", config(at).with_families(Families::Both));
    let six = user(&mut net, "six", config(at).with_families(Families::V6));
    allocated(&mut net, both);
    allocated(&mut net, six);
    let families = |host: HostId| {
        let relayed = net.endpoint(host).client.relayed();
        relayed.iter().map(SocketAddr::ip).collect::<Vec<_>>()
    };
    assert_eq!(families(both), [at.ip(), v6]);
    assert_eq!(families(six), [v6]);
}

#[test]
fn closing_frees_the_allocation() {
    let mut narrow = server();
    narrow.quota = 1;
    let mut net = Net::seeded(10);
    let at = net.turn_server_with(narrow);
    let first = user(&mut net, "first", config(at));
    allocated(&mut net, first);
    let now = net.now();
    net.endpoint_mut(first).client.close(now);
    net.run_for(SECOND);
    assert!(net.endpoint(first).has(|event| *event == TurnEvent::Closed));
    let second = user(&mut net, "second", config(at));
    allocated(&mut net, second);
}

#[test]
fn a_server_that_forgets_is_noticed() {
    let (mut net, a, b) = two(11, server(), Transport::Udp);
    // A new mapping makes a stranger of the client.
    net.reboot_nat(net.site_of(a));
    net.run_for(11 * MINUTE);
    let lost = TurnEvent::Failed(TurnError::Lost);
    assert!(net.endpoint(a).has(|event| *event == lost));
    assert!(net.endpoint(b).client.is_allocated());
}

#[test]
fn a_server_in_trouble_is_asked_again() {
    for (trouble, survives) in [(3, true), (4, false)] {
        let mut shaky = server();
        shaky.trouble = trouble;
        let mut net = Net::seeded(14);
        let at = net.turn_server_with(shaky);
        let host = user(&mut net, "host", config(at));
        net.run_for(12 * MINUTE);
        let user = net.endpoint(host);
        assert_eq!(user.client.is_allocated(), survives, "{:?}", user.events);
    }
}

#[test]
fn a_stream_that_breaks_ends_the_allocation() {
    let (mut net, a, _) = two(12, server(), Transport::Tls);
    let address = net.address(a);
    net.set_up(a, address, false);
    net.run_for(11 * MINUTE);
    let failed = |event: &TurnEvent| matches!(event, TurnEvent::Failed(TurnError::StreamClosed(_)));
    assert!(net.endpoint(a).has(failed), "{:?}", net.endpoint(a).events);
}

#[test]
fn noise_is_counted() {
    let mut net = Net::seeded(13);
    let at = net.turn_server("user", "pass");
    let host = user(&mut net, "host", config(at));
    allocated(&mut net, host);
    let now = net.now();
    let client = &mut net.endpoint_mut(host).client;
    for mut noise in [
        vec![],
        vec![0x40],
        vec![0x40, 0, 0, 9, 1],
        vec![0x40, 9, 0, 1, 1, 0, 0, 0],
        vec![0; 20],
        b"\x00\x17\x00\x00\x21\x12\xa4\x42abcdefghijkl".to_vec(),
        b"\x01\x01\x00\x00\x21\x12\xa4\x42abcdefghijkl".to_vec(),
        b"\x00\x01\x00\x00\x21\x12\xa4\x42abcdefghijkl".to_vec(),
    ] {
        client.handle_message(now, &mut noise);
    }
    let stats = client.stats();
    assert_eq!(
        (stats.malformed, stats.unexpected, stats.unknown_channel),
        (5, 2, 1)
    );
}
