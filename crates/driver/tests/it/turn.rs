//! Calls over a TURN server that is reached over UDP, TCP and TLS, and over nothing else.

use esp_driver::{Driver, DriverConfig, ServerTrust};
use esp_peer::{PeerConnection, State};
use esp_wire::{DataFrame, DataKind, IcePolicy, IceServer};

use crate::pair::{End, Told, begin, ends};
use crate::turn_server::Server;

/// Two ends that are connected over relays of this server alone.
pub(crate) fn relayed(url: &str, trust: ServerTrust) -> (Driver, [End; 2]) {
    let settings = DriverConfig::default().with_server_trust(trust);
    let driver = Driver::start(settings).unwrap();
    let pair = ends(
        &|mut config, handler| {
            config.policy = IcePolicy::Relay;
            config.servers = vec![IceServer::turn(url, "user", "secret")];
            driver.open(config, handler).unwrap()
        },
        [None, None],
    );
    begin(&pair);
    for end in &pair {
        end.wait_state(State::Connected);
    }
    (driver, pair)
}

/// A message of many packets passes both ways, and no address but relayed ones was told.
pub(crate) fn talk(pair: &[End; 2]) {
    let stream_id = pair[0].wait_channel().stream_id;
    assert_eq!(pair[1].wait_channel().stream_id, stream_id);
    let large: Vec<u8> = (0..100_000).map(|at: u32| (at % 251) as u8).collect();
    for (from, to) in [(0, 1), (1, 0)] {
        let frame = DataFrame {
            kind: DataKind::Binary,
            stream_id,
            data: &large,
        };
        pair[from].connection.send_data(frame).unwrap();
        assert!(pair[to].wait_data() == large);
    }
    for end in pair {
        let report = end.connection.query().unwrap();
        let lines = &report.local_candidates;
        assert!(!lines.is_empty());
        assert!(lines.iter().all(|line| line.contains("typ relay")));
        assert_eq!(report.stream_dropped, 0);
    }
}

#[test]
fn a_call_passes_over_every_transport_to_the_server() {
    let server = Server::start("user", "secret");
    let urls = [
        format!("turn:{}", server.udp),
        format!("turn:{}?transport=tcp", server.tcp),
        format!("turns:{}", server.tls),
    ];
    let mut before = 0;
    for url in urls {
        let (_driver, pair) = relayed(&url, server.trust.clone());
        talk(&pair);
        let after = server.relayed();
        assert!(after > before + 100, "{url}: {before} then {after}");
        before = after;
    }
}

/// What one end is told of a server that cannot be used.
pub(crate) fn failure(url: &str, trust: ServerTrust) -> String {
    let settings = DriverConfig::default().with_server_trust(trust);
    let driver = Driver::start(settings).unwrap();
    let pair = ends(
        &|mut config, handler| {
            config.policy = IcePolicy::Relay;
            config.servers = vec![IceServer::turn(url, "user", "secret")];
            driver.open(config, handler).unwrap()
        },
        [None, None],
    );
    begin(&pair);
    let (told, reason) = pair[0].wait(|told| match told {
        Told::ServerFailed(url, reason) => Some((url, reason)),
        _ => None,
    });
    assert_eq!(told, url);
    reason
}

#[test]
fn a_server_that_cannot_be_trusted_is_told_in_words() {
    let server = Server::start("user", "secret");
    let reason = failure(&format!("turns:{}", server.tls), ServerTrust::default());
    assert!(reason.contains("no trusted root"), "{reason}");
}

#[cfg(not(feature = "openssl"))]
#[test]
fn without_the_feature_dtls_is_refused_by_its_name() {
    let url = "turns:127.0.0.1?transport=udp";
    let reason = failure(url, ServerTrust::default());
    assert!(reason.contains("the feature `openssl`"), "{reason}");
}
