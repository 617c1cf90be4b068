//! Calls that find no way but relays of TCP (RFC 6062).

use esp_ice::{CandidateKind, CandidateTransport, Config, Event, State};
use esp_netsim::{HostId, Nat, TurnServer};
use esp_wire::{IcePolicy, IceServer, Role};

use crate::support::{Call, ms};

/// A server that relays no datagrams.
fn server() -> TurnServer {
    let mut server = TurnServer::new(3478, "user", "secret");
    server.udp_relays = false;
    server
}

fn relay_only() -> Config {
    Config::default()
        .with_policy(IcePolicy::Relay)
        .with_tcp_relays(true)
}

fn use_server(call: &mut Call, host: HostId, url: String) {
    let now = call.net.now();
    let peer = call.net.endpoint_mut(host);
    peer.agent
        .set_servers(now, &[IceServer::turn(url, "user", "secret")]);
    peer.drain(now);
}

/// `a`, behind a NAT that lets no datagram out, has relays only; `b` listens.
fn to_a_listener(seed: u64, a: Config, scheme: &str, query: &str) -> Call {
    to_a_listener_by(server(), seed, a, (scheme, query))
}

fn to_a_listener_by(
    server: TurnServer,
    seed: u64,
    a: Config,
    (scheme, query): (&str, &str),
) -> Call {
    let passive = Config::default()
        .with_tcp_passive(true)
        .with_patience(a.patience);
    let mut call = Call::with(seed, a, passive.with_role(Role::Controlled));
    call.net.behind(call.a, Nat::symmetric().without_udp());
    call.net.delay(ms(20));
    let at = call.net.turn_server_with(server);
    let host = call.a;
    use_server(&mut call, host, format!("{scheme}:{at}{query}"));
    call
}

fn between_relays(seed: u64) -> Call {
    let config = relay_only();
    let mut call = Call::with(seed, config.clone(), config.with_role(Role::Controlled));
    for host in [call.a, call.b] {
        call.net.behind(host, Nat::symmetric().without_udp());
    }
    call.net.delay(ms(20));
    let at = call.net.turn_server_with(server());
    for host in [call.a, call.b] {
        use_server(&mut call, host, format!("turn:{at}?transport=tcp"));
    }
    call
}

fn lost(call: &Call) -> usize {
    let lost = |event: &Event| matches!(event, Event::Disconnected(_));
    call.peer(call.a).count(lost) + call.peer(call.b).count(lost)
}

/// The selected pair is a relayed stream on this side.
fn assert_relayed_stream(call: &Call, host: HostId) {
    let agent = &call.peer(host).agent;
    let pair = agent.selected().unwrap();
    assert_eq!(pair.local.kind, CandidateKind::Relayed);
    assert_eq!(agent.path().unwrap().room.head, 2);
    let stream = |known: &esp_ice::LocalCandidate| {
        known.kind == CandidateKind::Relayed && known.transport != CandidateTransport::Udp
    };
    assert!(agent.candidates().iter().any(stream));
}

#[test]
fn a_relay_reaches_a_peer_that_listens() {
    for (scheme, query) in [("turn", "?transport=tcp"), ("turns", "")] {
        let mut call = to_a_listener(1, relay_only(), scheme, query);
        call.exchange();
        let took = call.connect(ms(5_000));
        assert!(took < ms(2_500), "{took:?}");
        assert_relayed_stream(&call, call.a);
        let lines: Vec<_> = call.peer(call.a).agent.candidate_lines().collect();
        let told = |line: &&String| line.contains(" tcp ") && line.contains("typ relay");
        assert!(lines.iter().any(|line| told(&line)), "{lines:?}");
        // Nonces, permissions and the allocation are renewed.
        call.run_for(ms(90 * 60_000));
        assert_eq!(call.peer(call.a).agent.state(), State::Completed);
        call.talk();
        assert_eq!(lost(&call), 0);
    }
}

#[test]
fn a_stream_that_ends_before_it_is_bound_is_replaced() {
    // Two connections are under way, one from either side. While the server keeps them, other streams are bound to
    // them, three for each in all; then another connection is asked for, which the server gives once it has
    // closed the first.
    for (seed, cuts, most) in [
        (50, 1, 3_000),
        (51, 5, 3_000),
        (52, 6, 45_000),
        (53, 9, 90_000),
    ] {
        let patient = relay_only().with_patience(ms(120_000));
        let mut server = server();
        server.cut_binds = cuts;
        let mut call = to_a_listener_by(server, seed, patient, ("turn", "?transport=tcp"));
        call.exchange();
        let took = call.connect(ms(most));
        assert!(cuts < 6 || took > ms(25_000), "{took:?}");
        assert_relayed_stream(&call, call.a);
        call.talk();
    }
}

#[test]
fn without_the_setting_there_is_no_such_way() {
    let mut call = to_a_listener(
        2,
        relay_only().with_tcp_relays(false),
        "turn",
        "?transport=tcp",
    );
    call.exchange();
    call.run_for(ms(30_000));
    for host in [call.a, call.b] {
        assert!(call.peer(host).agent.path().is_none());
    }
}

#[test]
fn from_relay_to_relay() {
    for seed in 10..20 {
        let mut call = between_relays(seed);
        if seed % 2 == 1 {
            call.net.loss(0.1);
        }
        call.exchange();
        let took = call.connect(ms(10_000));
        assert!(took < ms(5_000), "{took:?}");
        for host in [call.a, call.b] {
            assert_relayed_stream(&call, host);
        }
        call.run_for(ms(60_000));
        call.talk();
    }
}

#[test]
fn a_restart_keeps_the_streams_and_the_call() {
    let mut call = between_relays(30);
    call.exchange();
    call.connect(ms(10_000));
    for _ in 0..3 {
        let (a, b, now) = (call.a, call.b, call.net.now());
        call.net.endpoint_mut(a).agent.restart(now);
        call.describe(a, b);
        call.describe(b, a);
        call.run_for(ms(5_000));
        for host in [a, b] {
            assert_eq!(call.peer(host).agent.state(), State::Completed);
            assert_relayed_stream(&call, host);
        }
        call.talk();
    }
    assert_eq!(lost(&call), 0);
}

#[test]
fn a_server_that_relays_datagrams_is_used_for_datagrams() {
    let config = relay_only();
    let mut call = Call::with(40, config.clone(), config.with_role(Role::Controlled));
    call.net.delay(ms(20));
    let at = call.net.turn_server("user", "secret");
    for host in [call.a, call.b] {
        use_server(&mut call, host, format!("turn:{at}?transport=tcp"));
    }
    call.exchange();
    call.connect(ms(5_000));
    for host in [call.a, call.b] {
        // ChannelData, not RFC 4571.
        assert_ne!(call.peer(host).agent.path().unwrap().room.head, 2);
    }
}
