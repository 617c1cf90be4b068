//! Why a call would fail, and what to do about it.

use std::borrow::Cow;

use esp_webrtc::driver::behaviour::{Findings, Mapping};

use super::servers::{Outcome, Server};
use super::{Look, kind_of};

type Words = Cow<'static, str>;

/// Whether peers behind other NATs can be reached without a relay: most of them, or only those that are
/// public or let everybody in; `None` when nothing tells.
pub(super) fn direct(look: &Look) -> Option<&'static str> {
    let way = |findings: &Findings| match (findings.translated, findings.mapping) {
        (Some(false), _) | (_, Some(Mapping::EndpointIndependent)) => Some(true),
        (_, Some(_)) => Some(false),
        _ => None,
    };
    let ways: Vec<bool> = look.nats.seen().filter_map(|(_, one)| way(one)).collect();
    match (ways.contains(&true), ways.is_empty()) {
        (true, _) => Some("most"),
        (false, false) => Some("some"),
        (false, true) => None,
    }
}

/// What all of it means, the most important first.
pub(super) fn of(look: &Look) -> Vec<Words> {
    if look.usable.is_empty() {
        return vec![
            "no address besides this host's own: only calls within this host work. Plug in a cable or join a \
             wireless network"
                .into(),
        ];
    }
    let mut words = vec!["works: calls within the networks of this host".into()];
    if look.servers.is_empty() {
        words.push("no server was asked: what lies beyond these networks is not known".into());
        return words;
    }
    if !look.servers.iter().any(Server::answers) {
        match look.servers.iter().any(Server::is_there) {
            true => words.extend(relays(look)),
            false => words.extend(nobody_answered(look)),
        }
        return words;
    }
    words.extend(udp(look));
    words.extend(nat(look));
    words.extend(relays(look));
    words
}

fn nobody_answered(look: &Look) -> Vec<Words> {
    let nameless = |server: &Server| match &server.outcome {
        Outcome::Failed(why) => why.starts_with("has a name"),
        _ => false,
    };
    if look.servers.iter().all(nameless) {
        return vec![
            "fails: calls to other networks, for no server's name resolves. Is there a way to the Internet and a \
             DNS server?"
                .into(),
        ];
    }
    let mut words: Vec<Words> =
        vec!["fails: calls to other networks, for no server answers".into()];
    words.push(match look.servers.iter().all(Server::is_udp) {
        true => "either there is no way to the Internet, or this network stops UDP: a server like \
                 turns:HOST?transport=tcp would tell, and get through"
            .into(),
        false => "there is no way to the Internet, or the servers are wrong".into(),
    });
    words
}

/// Whether datagrams get out.
fn udp(look: &Look) -> Option<Words> {
    let over_udp = || look.servers.iter().filter(|server| server.is_udp());
    let stopped = over_udp().next().is_some() && !over_udp().any(Server::answers);
    let over_stream = |server: &Server| !server.is_udp() && server.answers();
    (stopped && look.servers.iter().any(over_stream)).then(|| {
        "this network stops UDP, or its servers are down: only a relay over TCP or TLS gets out"
            .into()
    })
}

/// What the NATs let through.
fn nat(look: &Look) -> Option<Words> {
    let relay = look.servers.iter().any(Server::relays);
    let untranslated = || {
        let seen = look.nats.seen();
        let plain = seen.filter(|(_, findings)| findings.translated == Some(false));
        plain.filter_map(|(_, findings)| findings.mapped)
    };
    match direct(look) {
        Some("most") if untranslated().any(|at| kind_of(at.ip()) == "public") => {
            Some("works: direct calls; this host has a public address".into())
        }
        Some("most") if untranslated().next().is_some() => Some(
            "no NAT lies between this host and the servers: they are within its own network, and what lies beyond \
             is not known"
                .into(),
        ),
        Some("most") => Some(
            "works: direct calls to all peers but those whose NAT takes another port for each destination".into(),
        ),
        Some(_) if relay => Some(
            "this NAT takes another port for each destination: direct calls work only with peers that are public \
             or let everybody in; all others go over the relay"
                .into(),
        ),
        Some(_) => Some(
            "fails: calls to most peers behind NATs, for this NAT takes another port for each destination. Give \
             both sides a TURN server"
                .into(),
        ),
        None if look.nats.seen().next().is_some() => Some(
            "probably works: direct calls through most home routers. A second STUN server at another address \
             would tell more"
                .into(),
        ),
        None => None,
    }
}

/// What the TURN servers give.
fn relays(look: &Look) -> Option<Words> {
    let mut turn = look.servers.iter().filter(|server| server.is_turn());
    if look.servers.iter().any(Server::relays) {
        return Some("works: calls over a relay, to any peer that connects at all".into());
    }
    let first = turn.next()?;
    let why = match &first.outcome {
        Outcome::Failed(why) => why.as_str(),
        _ => "it gave none",
    };
    let hint = match why {
        why if why.contains("401") || why.contains("credential") || why.contains("password") => {
            ". Check the user and the password"
        }
        why if why.contains("certificate") => {
            ". Check the server's certificate, or give its authority with --server-ca"
        }
        _ => "",
    };
    Some(format!("fails: calls that need a relay ({} {why}){hint}", first.url).into())
}

#[cfg(test)]
mod tests {
    use super::super::nat::Nats;
    use super::*;

    fn server(url: &str, outcome: Outcome) -> Server {
        Server {
            url: url.into(),
            kind: url.parse().unwrap(),
            outcome,
            after: None,
        }
    }

    fn answered(url: &str) -> Server {
        let mapped = "203.0.113.1:4001".parse().ok();
        server(url, Outcome::Answered { mapped })
    }

    fn silent(url: &str) -> Server {
        server(url, Outcome::Failed("did not answer".into()))
    }

    fn relayed(url: &str) -> Server {
        let relayed = "203.0.113.9:4001".parse().unwrap();
        server(url, Outcome::Relay { relayed })
    }

    fn look(servers: Vec<Server>, mapping: Option<Mapping>) -> Look {
        let ipv4 = mapping.map(|mapping| {
            let mut findings = Findings::default();
            let mut answer =
                esp_webrtc::driver::behaviour::Answer::of("198.51.100.2:3478".parse().unwrap());
            answer.mapped = Some("203.0.113.1:4001".parse().unwrap());
            findings.answers = vec![answer];
            findings.translated = Some(true);
            findings.mapping = Some(mapping);
            findings
        });
        Look {
            usable: vec!["192.168.1.2".parse().unwrap()],
            servers,
            nats: Nats { ipv4, ipv6: None },
        }
    }

    #[track_caller]
    fn says(look: &Look, all: &[&str]) {
        let words = of(look).join("\n");
        for part in all {
            assert!(words.contains(part), "{part:?} is not in:\n{words}");
        }
    }

    #[test]
    fn each_way_to_fail_has_its_words() {
        let mut alone = look(Vec::new(), None);
        says(&alone, &["no server was asked"]);
        alone.usable.clear();
        says(&alone, &["only calls within this host", "Plug in"]);
        says(
            &look(vec![silent("stun:a"), silent("stun:b")], None),
            &["no server answers", "stops UDP", "turns:"],
        );
        let nameless = server(
            "stun:a",
            Outcome::Failed("has a name that does not resolve in time".into()),
        );
        says(&look(vec![nameless], None), &["DNS"]);
        says(
            &look(vec![silent("stun:a"), relayed("turns:b")], None),
            &["stops UDP", "works: calls over a relay"],
        );
        let refused = server("turn:b", Outcome::Failed("failed: 401 Unauthorized".into()));
        says(
            &look(
                vec![answered("stun:a"), refused],
                Some(Mapping::EndpointIndependent),
            ),
            &[
                "works: direct calls to all peers but",
                "fails: calls that need a relay",
                "password",
            ],
        );
    }

    #[test]
    fn servers_that_refuse_or_are_near_say_little_of_the_network() {
        let why = "failed: TURN: the server refused user name and password";
        let refused = server("turn:b", Outcome::Failed(why.into()));
        let words = of(&look(vec![refused], None)).join("\n");
        assert!(
            words.contains("Check the user") && !words.contains("DNS"),
            "{words}"
        );
        let mut near = look(vec![answered("stun:a")], Some(Mapping::EndpointIndependent));
        if let Some(findings) = &mut near.nats.ipv4 {
            findings.translated = Some(false);
            findings.mapped = "192.168.1.2:9".parse().ok();
        }
        says(&near, &["within its own network"]);
    }

    #[test]
    fn a_nat_that_changes_ports_needs_a_relay() {
        let symmetric = Some(Mapping::AddressAndPortDependent);
        let without = look(vec![answered("stun:a")], symmetric);
        says(
            &without,
            &["fails: calls to most peers behind NATs", "TURN"],
        );
        assert_eq!(direct(&without), Some("some"));
        let with = look(vec![answered("stun:a"), relayed("turn:b")], symmetric);
        says(
            &with,
            &["all others go over the relay", "works: calls over a relay"],
        );
    }
}
