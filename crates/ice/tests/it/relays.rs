//! Calls through TURN servers: over every transport, with every misfortune.

use std::net::SocketAddr;

use esp_ice::{CandidateKind, Config, Event, State};
use esp_netsim::{HostId, Nat, TurnServer};
use esp_wire::{IcePolicy, IceServer, Role};

use crate::support::{Call, ms};

fn server() -> TurnServer {
    TurnServer::new(3478, "user", "secret")
}

fn login(url: String) -> IceServer {
    IceServer::turn(url, "user", "secret")
}

fn set_servers(call: &mut Call, host: HostId, servers: &[IceServer]) {
    let now = call.net.now();
    let peer = call.net.endpoint_mut(host);
    peer.agent.set_servers(now, servers);
    peer.drain(now);
}

/// Two agents behind symmetric NATs.
fn symmetric(seed: u64) -> Call {
    let mut call = Call::new(seed);
    for host in [call.a, call.b] {
        call.net.behind(host, Nat::symmetric());
    }
    call.net.delay(ms(20));
    call
}

fn relay_only(seed: u64) -> Call {
    let config = Config::default().with_policy(IcePolicy::Relay);
    Call::with(seed, config.clone(), config.with_role(Role::Controlled))
}

fn is_relayed(call: &Call, host: HostId) -> bool {
    let pair = call.peer(host).agent.selected().unwrap();
    let relayed = CandidateKind::Relayed;
    pair.local.kind == relayed || pair.remote.kind == relayed
}

#[test]
fn symmetric_nats_connect_by_a_relay_of_any_transport() {
    let transports = [
        ("", false),
        ("?transport=tcp", false),
        ("", true),
        ("?transport=udp", true),
    ];
    for (query, secure) in transports {
        for of_old in [false, true] {
            let mut call = symmetric(1);
            let at = call.net.turn_server_with(match of_old {
                true => server().of_old(),
                false => server(),
            });
            let url = match secure {
                true => format!("turns:{at}{query}"),
                false => format!("turn:{at}{query}"),
            };
            for host in [call.a, call.b] {
                set_servers(&mut call, host, &[login(url.clone())]);
            }
            call.exchange();
            let took = call.connect(ms(5_000));
            assert!(took < ms(3_000), "{url}: {took:?}");
            assert!(is_relayed(&call, call.a) && is_relayed(&call, call.b));
            // From now on it is ChannelData on one side at least.
            let heads =
                [call.a, call.b].map(|host| call.peer(host).agent.path().unwrap().room.head);
            assert!(
                heads.contains(&4) && !heads.iter().any(|head| *head > 4),
                "{heads:?}"
            );
            call.run_for(ms(30 * 60_000));
            assert_eq!(call.peer(call.a).agent.state(), State::Completed);
            call.talk();
        }
    }
}

#[test]
fn one_side_with_a_relay_is_enough_for_any_two_nats() {
    let nats = [
        None,
        Some(Nat::full_cone()),
        Some(Nat::restricted()),
        Some(Nat::port_restricted()),
        Some(Nat::symmetric()),
    ];
    for a in &nats {
        for b in &nats {
            let mut call = Call::new(2);
            for (host, nat) in [(call.a, a), (call.b, b)] {
                if let Some(nat) = nat {
                    call.net.behind(host, nat.clone());
                }
            }
            call.net.delay(ms(20));
            let at = call.net.turn_server("user", "secret");
            let (here, there) = (call.a, call.b);
            set_servers(&mut call, here, &[login(format!("turn:{at}"))]);
            // What the relay is to let through must be known.
            set_servers(&mut call, there, &[IceServer::stun(format!("stun:{at}"))]);
            call.exchange();
            let took = call.connect(ms(5_000));
            assert!(took < ms(2_000), "{a:?} to {b:?} took {took:?}");
        }
    }
}

#[test]
fn a_direct_path_is_preferred() {
    let mut call = Call::new(3);
    call.net
        .behind(call.a, Nat::port_restricted())
        .delay(ms(20));
    let at = call.net.turn_server("user", "secret");
    for host in [call.a, call.b] {
        set_servers(&mut call, host, &[login(format!("turn:{at}"))]);
    }
    call.exchange();
    call.connect(ms(3_000));
    assert!(!is_relayed(&call, call.a));
}

#[test]
fn with_the_relay_policy_no_address_of_this_host_is_told_or_used() {
    for query in ["", "?transport=tcp"] {
        let mut call = relay_only(4);
        call.net.delay(ms(20));
        call.net.add_ipv6(call.a);
        let at = call.net.turn_server("user", "secret");
        let stun = IceServer::stun(format!("stun:{at}"));
        for host in [call.a, call.b] {
            let servers = [stun.clone(), login(format!("turn:{at}{query}"))];
            set_servers(&mut call, host, &servers);
        }
        call.exchange();
        call.connect(ms(3_000));
        for host in [call.a, call.b] {
            let peer = call.peer(host);
            let pair = peer.agent.selected().unwrap();
            assert_eq!(pair.local.kind, CandidateKind::Relayed);
            assert_eq!(pair.remote.kind, CandidateKind::Relayed);
            let lines: Vec<_> = peer.agent.candidate_lines().collect();
            assert!(!lines.is_empty());
            for line in &lines {
                assert!(line.contains("typ relay"), "{line}");
                let nowhere = line.contains("raddr 0.0.0.0 rport 9");
                assert!(nowhere || line.contains("raddr :: rport 9"), "{line}");
            }
            for pair in peer.agent.pairs() {
                assert_eq!(pair.local.kind, CandidateKind::Relayed);
            }
        }
    }
}

#[test]
fn a_port_that_the_server_knows_already_is_left() {
    let mut call = relay_only(5);
    call.net.delay(ms(20));
    let mut narrow = server();
    narrow.mismatches = 2;
    let at = call.net.turn_server_with(narrow);
    for host in [call.a, call.b] {
        set_servers(&mut call, host, &[login(format!("turn:{at}"))]);
    }
    call.exchange();
    call.connect(ms(5_000));
}

#[test]
fn an_alternate_server_is_followed_over_datagrams_and_streams() {
    for query in ["", "?transport=tcp"] {
        let mut call = relay_only(6);
        call.net.delay(ms(20));
        let second = call.net.turn_server("user", "secret");
        let mut first = server();
        first.alternate = Some(second);
        let at = call.net.turn_server_with(first);
        for host in [call.a, call.b] {
            set_servers(&mut call, host, &[login(format!("turn:{at}{query}"))]);
        }
        call.exchange();
        call.connect(ms(5_000));
        let relayed = call.peer(call.a).agent.selected().unwrap().local.address;
        assert_eq!(relayed.ip(), second.ip());
    }
}

fn failures(call: &Call, host: HostId) -> Vec<(String, String)> {
    let events = call.peer(host).events.iter();
    let failures = events.filter_map(|(_, event)| match event {
        Event::ServerFailed { url, reason } => Some((url.clone(), reason.clone())),
        _ => None,
    });
    failures.collect()
}

#[test]
fn bad_servers_are_told_in_words_and_hold_nothing_up() {
    let mut call = symmetric(7);
    let good = call.net.turn_server("user", "secret");
    let strange = call.net.turn_server("other", "secret");
    let mut full = server();
    full.quota = 0;
    let full = call.net.turn_server_with(full);
    call.net.name("turn.example", &[good.ip()]);
    let silent: SocketAddr = "198.51.100.250:3478".parse().unwrap();
    let urls = [
        format!("turn:{silent}"),
        format!("turn:{silent}?transport=tcp"),
        format!("turn:{strange}"),
        format!("turn:{full}"),
        "turns:x?transport=udp".to_owned(),
        "turn:unknown.example".to_owned(),
        "turn:turn.example".to_owned(),
    ];
    let servers = urls.clone().map(login);
    for host in [call.a, call.b] {
        set_servers(&mut call, host, &servers);
    }
    call.exchange();
    let took = call.connect(ms(5_000));
    assert!(took < ms(2_500), "{took:?}");
    call.run_for(ms(40_000));
    let told = failures(&call, call.a);
    let word = |url: &str, word: &str| {
        let of = told
            .iter()
            .filter(|(known, _)| known == url)
            .collect::<Vec<_>>();
        assert!(of.len() == 1 && of[0].1.contains(word), "{url}: {told:?}");
    };
    word(&urls[0], "answer");
    word(&urls[1], "ended");
    word(&urls[2], "refused user name");
    word(&urls[3], "486");
    word(&urls[4], "no address");
    word(&urls[5], "no address");
    assert!(!told.iter().any(|(url, _)| *url == urls[6]));
}

#[test]
fn leaving_frees_the_allocation() {
    for query in ["", "?transport=tcp"] {
        let mut call = relay_only(8);
        let mut narrow = server();
        narrow.quota = 2;
        let at = call.net.turn_server_with(narrow);
        for host in [call.a, call.b] {
            set_servers(&mut call, host, &[login(format!("turn:{at}{query}"))]);
        }
        call.exchange();
        call.connect(ms(3_000));
        let now = call.net.now();
        let a = call.a;
        call.net.endpoint_mut(a).agent.leave(now);
        call.run_for(ms(500));
        assert!(!call.peer(a).agent.is_leaving());
        call.net.endpoint_mut(a).agent.close();
        call.run_for(ms(10));
        let origin = call.net.origin("third");
        let config = Config::default().with_policy(IcePolicy::Relay);
        let third = call
            .net
            .host("third", crate::support::Peer::new(config, origin));
        set_servers(&mut call, third, &[login(format!("turn:{at}{query}"))]);
        call.run_for(ms(1_000));
        assert_eq!(call.peer(third).agent.candidate_lines().count(), 2);
    }
}

#[test]
fn credentials_change_mid_call() {
    for strict in [false, true] {
        for (query, minutes) in [("", 30), ("?transport=tcp", 30)] {
            let mut call = relay_only(9);
            call.net.delay(ms(20));
            let mut changing = server();
            changing.strict = strict;
            let change = esp_wire::Instant::from_millis(60_000);
            changing.later = Some((change, "late".to_owned(), "later".to_owned()));
            let at = call.net.turn_server_with(changing);
            let url = format!("turn:{at}{query}");
            for host in [call.a, call.b] {
                set_servers(&mut call, host, &[login(url.clone())]);
            }
            call.exchange();
            call.connect(ms(3_000));
            call.run_for(ms(60_000));
            let late = IceServer::turn(url.clone(), "late", "later");
            for host in [call.a, call.b] {
                set_servers(&mut call, host, std::slice::from_ref(&late));
            }
            let base = call.peer(call.a).agent.selected().unwrap().base;
            call.run_for(ms(minutes * 60_000));
            for host in [call.a, call.b] {
                let peer = call.peer(host);
                assert_eq!(
                    peer.count(|event| matches!(event, Event::Disconnected(_))),
                    0
                );
                assert_eq!(failures(&call, host), []);
                // A server that is strict has given another allocation for the new user.
                let relayed = peer.agent.candidate_lines().count();
                assert_eq!(relayed, if strict { 4 } else { 2 });
            }
            assert_eq!(call.peer(call.a).agent.selected().unwrap().base, base);
            call.talk();
        }
    }
}

#[test]
fn servers_come_and_go_mid_call() {
    let mut call = relay_only(10);
    call.net.delay(ms(20));
    let first = call.net.turn_server("user", "secret");
    let second = call.net.turn_server("user", "secret");
    for host in [call.a, call.b] {
        set_servers(&mut call, host, &[login(format!("turn:{first}"))]);
    }
    call.exchange();
    call.connect(ms(3_000));
    for host in [call.a, call.b] {
        set_servers(&mut call, host, &[login(format!("turn:{second}"))]);
    }
    call.run_for(ms(2_000));
    // The one in use stays, the new one stands by.
    let agent = &call.peer(call.a).agent;
    assert_eq!(agent.selected().unwrap().base.ip(), first.ip());
    assert_eq!(agent.candidate_lines().count(), 4);
    call.talk();
    // A restart moves the call, and the old one is given back.
    let (a, b, now) = (call.a, call.b, call.net.now());
    let host = call.net.host_at(first.ip()).unwrap();
    call.net.set_up(host, first.ip(), false);
    call.net.endpoint_mut(a).agent.restart(now);
    call.describe(a, b);
    call.describe(b, a);
    call.run_for(ms(60_000));
    let agent = &call.peer(call.a).agent;
    assert_eq!(agent.selected().unwrap().base.ip(), second.ip());
    assert_eq!(agent.candidate_lines().count(), 2);
    call.talk();
}

#[test]
fn another_server_takes_over_when_one_dies() {
    for query in ["", "?transport=tcp"] {
        let mut call = relay_only(11);
        call.net.delay(ms(20));
        let first = call.net.turn_server("user", "secret");
        let second = call.net.turn_server("user", "secret");
        for host in [call.a, call.b] {
            let servers = [first, second].map(|at| login(format!("turn:{at}{query}")));
            set_servers(&mut call, host, &servers);
        }
        call.exchange();
        call.connect(ms(3_000));
        let used = call.peer(call.a).agent.selected().unwrap();
        let host = call.net.host_at(used.base.ip()).unwrap();
        call.net.set_up(host, used.base.ip(), false);
        let since = call.net.now();
        call.talk();
        let took = call.net.now().since(since);
        assert!(took < ms(10_000), "{query} {took:?}");
    }
}

#[test]
fn loss_only_delays_a_relayed_call() {
    for seed in 0..8 {
        for query in ["", "?transport=tcp"] {
            let mut call = symmetric(100 + seed);
            call.net.delay(ms(50)).loss(0.3).jitter(ms(10));
            let at = call.net.turn_server("user", "secret");
            for host in [call.a, call.b] {
                set_servers(&mut call, host, &[login(format!("turn:{at}{query}"))]);
            }
            call.exchange();
            call.connect(ms(30_000));
        }
    }
}

#[test]
fn hosts_of_different_families_meet_at_a_relay() {
    let mut call = Call::new(12);
    call.net.delay(ms(20));
    let at = call.net.turn_server("user", "secret");
    let (a, b) = (call.a, call.b);
    // `b` knows IPv6 only.
    let v6 = call.net.add_ipv6(b);
    call.net
        .set_interfaces(b, &[("eth0", esp_netsim::SiteId::PUBLIC, v6)]);
    set_servers(&mut call, a, &[login(format!("turn:{at}"))]);
    call.exchange();
    call.connect(ms(3_000));
    let pair = call.peer(a).agent.selected().unwrap();
    assert_eq!(pair.local.kind, CandidateKind::Relayed);
    assert!(pair.local.address.is_ipv6());
}

#[test]
fn merged_datagrams_of_different_lengths_come_out_whole() {
    for query in ["", "?transport=tcp"] {
        let mut call = relay_only(13);
        call.net.merge_arrivals(true);
        let at = call.net.turn_server("user", "secret");
        for host in [call.a, call.b] {
            set_servers(&mut call, host, &[login(format!("turn:{at}{query}"))]);
        }
        call.exchange();
        call.connect(ms(3_000));
        let (a, b) = (call.a, call.b);
        let before = call.peer(b).received.len();
        let lengths = [7, 8, 5, 6, 100, 99, 100, 1, 2, 3, 4];
        for len in lengths {
            call.net.endpoint_mut(a).outgoing.push_back(vec![0x80; len]);
        }
        call.run_for(ms(1_000));
        let mut got: Vec<_> = call.peer(b).received[before..]
            .iter()
            .map(Vec::len)
            .collect();
        let mut sent = lengths.to_vec();
        got.sort_unstable();
        sent.sort_unstable();
        assert_eq!(got, sent);
    }
}
