//! What the probe says of real NATs, asked of a real server.

use std::net::{IpAddr, SocketAddr};

use esp_e2e::{Program, wait};
use esp_lab::{Coturn, CoturnConfig, Host, Internet, Nat, Outcome, Process, Site};
use esp_webrtc::driver::behaviour::{Dependence, Findings, Mapping};
use esp_webrtc::driver::survey;
use serde_json::Value;

use crate::support::PATIENCE;

/// A server with two addresses and two ports, which offers the tests of RFC 5780.
fn server(internet: &Internet) -> Outcome<Coturn> {
    let other = format!("--listening-ip={}", Internet::V4_OTHER);
    Coturn::start(internet, &CoturnConfig::default().with_option(&other))
}

/// Looks until the server has answered each question: it has two seconds and a half for each, which is no time on a
/// machine that is busy elsewhere.
fn look(host: &Host) -> Outcome<Findings> {
    let ip: IpAddr = Internet::V4.parse().map_err(|_| "no address")?;
    let server = SocketAddr::new(ip, 3478);
    wait::until("the server does not answer", PATIENCE, || {
        let found = host.namespace().inside(|| survey(&[server], PATIENCE));
        let found = found.and_then(|found| found.map_err(|error| error.to_string()));
        match found {
            Ok(found) if found.mapping.is_none() || found.filtering.is_none() => None,
            done => Some(done),
        }
    })?
}

#[test]
fn both_kinds_of_nat_are_named() -> Outcome<()> {
    let internet = Internet::new()?;
    let server = server(&internet)?;
    for (nat, mapping) in [
        (Nat::Cone, Mapping::EndpointIndependent),
        (Nat::Symmetric, Mapping::AddressAndPortDependent),
    ] {
        let site = Site::v4(&internet, nat)?;
        let found = look(&Host::at(&site, "host")?)?;
        let words = format!("{nat:?}: {found:?}{}", server.said());
        assert_eq!(found.translated, Some(true), "{words}");
        assert_eq!(found.mapping, Some(mapping), "{words}");
        let strict = Dependence::AddressAndPortDependent;
        assert_eq!(found.filtering, Some(strict), "{words}");
    }
    Ok(())
}

#[test]
fn the_program_says_what_a_symmetric_nat_means_for_calls() -> Outcome<()> {
    let internet = Internet::new()?;
    let server = server(&internet)?;
    let site = Site::v4(&internet, Nat::Symmetric)?;
    let host = Host::at(&site, "host")?;
    let turn = server.turn("tcp");
    let arguments: Vec<String> = [
        "probe",
        "--json",
        "--timeout",
        "30",
        "--server",
        &server.stun().urls[0],
        "--server",
        &turn.urls[0],
        "--ice-user",
        &turn.username,
        "--ice-password",
        &turn.credential,
    ]
    .map(str::to_owned)
    .to_vec();
    let program = Program::path()?.to_string_lossy();
    let ask = || {
        let process = Process::start(host.namespace(), &program, &arguments)?;
        let event = |name: &str| -> Outcome<Value> {
            let line = process.wait_for(&format!("\"event\":\"{name}\""), PATIENCE)?;
            serde_json::from_str(&line).map_err(|error| error.to_string())
        };
        let servers = [event("server")?, event("server")?];
        Ok::<_, String>((servers, event("nat")?, event("result")?))
    };
    // The server's answers may be late, as above.
    let ([first, second], nat, result) =
        wait::until("the server does not answer", PATIENCE, || match ask() {
            Ok(([first, second], nat, _))
                if first["ok"] != true || second["ok"] != true || nat["mapping"].is_null() =>
            {
                None
            }
            done => Some(done),
        })??;
    assert!(
        first["mapped"].is_string() && first["ms"].is_number(),
        "{first}"
    );
    assert!(
        second["relayed"].is_string() && second["ms"].is_number(),
        "{second}"
    );
    assert_eq!(nat["mapping"], "address-and-port-dependent", "{nat}");
    assert_eq!(
        (&result["direct"], &result["relay"]),
        (&"some".into(), &true.into())
    );
    let words = result["text"].to_string();
    assert!(words.contains("all others go over the relay"), "{words}");
    Ok(())
}
