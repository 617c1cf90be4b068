//! A look at the network: addresses, the candidates that come of them, and the servers that answer.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::mpsc::{Sender, channel};
use std::time::Instant;

use esp_webrtc::driver::interfaces;
use esp_webrtc::peer::{Handler, Notice};
use esp_webrtc::wire::{IceServer, Signal};
use esp_webrtc::{Driver, DriverConfig, PeerConfig, PeerConnection};
use serde_json::json;

use crate::arguments::{Probe, ice_servers};
use crate::failure::Failure;
use crate::print::{Printer, clean};

/// Looks, and says what is usable.
pub(crate) fn run(arguments: Probe, printer: Printer) -> Result<(), Failure> {
    let servers = match arguments.no_servers {
        true => Vec::new(),
        false => ice_servers(
            &arguments.servers,
            &arguments.ice_user,
            &arguments.ice_password,
        )?,
    };
    print_interfaces(printer)?;
    let found = gather(servers.clone(), Instant::now() + arguments.timeout)?;
    print_candidates(&found, printer);
    let words = verdict(&found, &servers);
    let kinds: Vec<&str> = found.kinds().into_iter().collect();
    printer.event(
        "result",
        &words.join("\n             "),
        json!({ "kinds": kinds, "text": words, "asked": servers.len() }),
    );
    Ok(())
}

fn print_interfaces(printer: Printer) -> Result<(), Failure> {
    for interface in interfaces().map_err(Failure::of)? {
        let words = match interface.address {
            address if address.is_loopback() => "this host alone",
            IpAddr::V4(v4) if v4.is_private() => "private",
            IpAddr::V4(v4) if v4.is_link_local() => "this link alone",
            IpAddr::V6(v6) if v6.is_unicast_link_local() => "this link alone",
            IpAddr::V6(v6) if v6.is_unique_local() => "private",
            _ => "public",
        };
        printer.event(
            "interface",
            &format!("address {} on {} ({words})", interface.address, interface.name),
            json!({ "address": interface.address.to_string(), "name": interface.name, "kind": words }),
        );
    }
    Ok(())
}

/// What gathering found.
#[derive(Debug, Default)]
struct Found {
    candidates: Vec<Candidate>,
    failed: Vec<(String, String)>,
    finished: bool,
}

#[derive(Debug, PartialEq, Eq)]
struct Candidate {
    protocol: String,
    address: String,
    port: String,
    kind: String,
}

impl Found {
    fn kinds(&self) -> BTreeSet<&str> {
        self.candidates
            .iter()
            .map(|candidate| candidate.kind.as_str())
            .collect()
    }
}

enum Heard {
    Candidate(String),
    Failed(String, String),
    Finished,
}

struct Listener {
    heard: Sender<Heard>,
}

impl Handler for Listener {
    fn on_msg(&mut self, msg: Signal<'_>) {
        if let Signal::Candidate { candidate, .. } = msg
            && candidate.is_empty()
        {
            let _ = self.heard.send(Heard::Finished);
        }
    }

    fn on_notice(&mut self, notice: &Notice<'_>) {
        let heard = match notice {
            Notice::LocalCandidate(line) => Heard::Candidate(line.to_string()),
            Notice::ServerFailed { url, reason } => {
                Heard::Failed(url.to_string(), reason.to_string())
            }
            _ => return,
        };
        let _ = self.heard.send(heard);
    }
}

/// Gathers until all servers have answered or `until` comes.
fn gather(servers: Vec<IceServer>, until: Instant) -> Result<Found, Failure> {
    let (heard, hearing) = channel();
    let driver = Driver::start(DriverConfig::default()).map_err(Failure::of)?;
    let config = PeerConfig::default()
        .with_data_channels(true)
        .with_servers(servers);
    let connection = driver
        .open(config, Box::new(Listener { heard }))
        .map_err(Failure::of)?;
    connection.new_connection().map_err(Failure::of)?;
    let mut found = Found::default();
    while !found.finished
        && let Ok(heard) = hearing.recv_timeout(until.saturating_duration_since(Instant::now()))
    {
        match heard {
            Heard::Candidate(line) => found.candidates.extend(parse(&line)),
            Heard::Failed(url, reason) => found.failed.push((url, reason)),
            Heard::Finished => found.finished = true,
        }
    }
    connection.close();
    Ok(found)
}

/// The parts of a candidate line (RFC 8839 §5.1).
fn parse(line: &str) -> Option<Candidate> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [_, _, protocol, _, address, port, "typ", kind, ..] = words[..] else {
        return None;
    };
    Some(Candidate {
        protocol: protocol.to_lowercase(),
        address: address.to_owned(),
        port: port.to_owned(),
        kind: kind.to_owned(),
    })
}

fn print_candidates(found: &Found, printer: Printer) {
    for candidate in &found.candidates {
        let Candidate {
            protocol,
            address,
            port,
            kind,
        } = candidate;
        let means = match kind.as_str() {
            "host" => "an address of this host",
            "srflx" => "how a STUN server sees this host",
            "relay" => "on a TURN server",
            _ => "seen by a peer",
        };
        printer.event(
            "candidate",
            &format!("candidate {kind}: {address} port {port}, {protocol} ({means})"),
            json!({ "kind": kind, "address": address, "port": port, "protocol": protocol }),
        );
    }
    for (url, reason) in &found.failed {
        let reason = clean(reason, 500);
        printer.event(
            "server_failed",
            &format!("server {url}: {reason}"),
            json!({ "url": url, "reason": reason }),
        );
    }
}

/// What that means for calls.
fn verdict(found: &Found, servers: &[IceServer]) -> Vec<String> {
    let kinds = found.kinds();
    let mut words = Vec::new();
    if kinds.contains("host") {
        words.push("usable: calls within the networks of this host".to_owned());
    } else {
        words
            .push("no usable address besides this host's own: calls within this host alone".into());
    }
    if kinds.contains("srflx") {
        words.push("usable: calls through most home routers (a STUN server answered)".into());
    }
    if kinds.contains("relay") {
        words.push("usable: calls through any firewall that lets the TURN server pass".into());
    }
    if !servers.is_empty() && !kinds.contains("srflx") && !kinds.contains("relay") {
        let public = |candidate: &Candidate| {
            let v4 = candidate.address.parse::<std::net::Ipv4Addr>();
            v4.is_ok_and(|v4| !v4.is_private() && !v4.is_loopback() && !v4.is_link_local())
        };
        words.push(match found.candidates.iter().any(public) {
            true => "no other address was seen by a server: this host has a public one".into(),
            false => "no server answered: calls to other networks need one that does".into(),
        });
    }
    if !found.finished {
        words.push("not all servers have answered in time".into());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(lines: &[&str], finished: bool) -> Found {
        Found {
            candidates: lines.iter().filter_map(|line| parse(line)).collect(),
            finished,
            ..Found::default()
        }
    }

    #[test]
    fn what_was_found_is_said_in_words() {
        let host = "candidate:1 1 UDP 2130706431 192.168.1.2 4000 typ host";
        let srflx = "candidate:2 1 udp 1 203.0.113.1 4001 typ srflx raddr 0.0.0.0 rport 0";
        let servers = [IceServer::stun("stun:a")];
        let words = verdict(&found(&[host, srflx], true), &servers).join("\n");
        assert!(words.contains("networks of this host") && words.contains("home routers"));
        let words = verdict(&found(&[host], false), &servers).join("\n");
        assert!(words.contains("no server answered") && words.contains("in time"));
        let words = verdict(&found(&[], true), &[]).join("\n");
        assert!(words.contains("within this host alone"));
        assert_eq!(parse("nonsense"), None);
    }
}
