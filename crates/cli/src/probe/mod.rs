//! A look at the network: addresses, servers and how fast they answer, the NATs on the way, and what all
//! of that means for calls.

mod nat;
mod servers;
mod verdict;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use esp_webrtc::driver::interfaces;
use serde_json::json;

use self::nat::Nats;
use self::servers::{Outcome, Server};
use crate::arguments::Probe;
use crate::failure::Failure;
use crate::print::{Printer, clean};

/// All that was seen.
#[derive(Debug, Default)]
struct Look {
    /// Addresses by which other hosts may reach this one.
    usable: Vec<IpAddr>,
    servers: Vec<Server>,
    nats: Nats,
}

/// Looks, and says what is usable.
pub(crate) fn run(arguments: Probe, printer: Printer) -> Result<(), Failure> {
    let servers = match arguments.no_servers {
        true => Vec::new(),
        false => arguments.credentials.of_servers(&arguments.servers)?,
    };
    let mut look = Look {
        usable: print_interfaces(printer)?,
        ..Look::default()
    };
    let trust = arguments.trust()?;
    let until = Instant::now() + arguments.timeout;
    (look.servers, look.nats) = servers::ask(servers, &trust, until)?;
    for server in &look.servers {
        print_server(server, printer);
    }
    look.nats.print(printer);
    let verdict = verdict::of(&look);
    let words: Vec<String> = verdict.iter().map(ToString::to_string).collect();
    printer.event(
        "result",
        &words.join("\n             "),
        json!({
            "text": words,
            "direct": verdict::direct(&look),
            "relay": look.servers.iter().any(Server::relays),
            "asked": look.servers.len(),
        }),
    );
    Ok(())
}

fn print_interfaces(printer: Printer) -> Result<Vec<IpAddr>, Failure> {
    let mut usable = Vec::new();
    for interface in interfaces().map_err(Failure::of)? {
        let kind = kind_of(interface.address);
        if kind != "this host alone" {
            usable.push(interface.address);
        }
        printer.event(
            "interface",
            &format!("address {} on {} ({kind})", interface.address, interface.name),
            json!({ "address": interface.address.to_string(), "name": interface.name, "kind": kind }),
        );
    }
    Ok(usable)
}

/// How far an address reaches, in words.
fn kind_of(address: IpAddr) -> &'static str {
    match address {
        address if address.is_loopback() => "this host alone",
        IpAddr::V4(v4) if v4.is_private() => "private",
        // RFC 6598: the addresses of a carrier's NAT.
        IpAddr::V4(v4) if v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64 => {
            "private, of a carrier's NAT"
        }
        IpAddr::V4(v4) if v4.is_link_local() => "this link alone",
        IpAddr::V6(v6) if v6.is_unicast_link_local() => "this link alone",
        IpAddr::V6(v6) if v6.is_unique_local() => "private",
        _ => "public",
    }
}

fn print_server(server: &Server, printer: Printer) {
    let (ok, words, address) = match &server.outcome {
        Outcome::Answered { mapped: None } => (true, "answers".into(), None),
        Outcome::Answered {
            mapped: Some(mapped),
        } => (
            true,
            format!("answers: it sees us at {mapped}"),
            Some(mapped),
        ),
        Outcome::Relay { relayed } => (true, format!("gives a relay at {relayed}"), Some(relayed)),
        Outcome::Failed(reason) => (false, clean(reason, 500), None),
    };
    let time = match server.after {
        Some(after) => format!(" ({})", millis(after)),
        None => String::new(),
    };
    let fields = json!({
        "url": server.url,
        "ok": ok,
        "ms": server.after.map(|after| after.as_secs_f64() * 1e3),
        "mapped": address.filter(|_| !server.relays()).map(ToString::to_string),
        "relayed": address.filter(|_| server.relays()).map(ToString::to_string),
        "reason": (!ok).then_some(&words),
    });
    let line = format!("server {} {words}{time}", server.url);
    printer.event("server", &line, fields);
}

fn millis(time: Duration) -> String {
    match time.as_secs_f64() * 1e3 {
        ms if ms < 10.0 => format!("{ms:.1} ms"),
        ms => format!("{ms:.0} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_addresses_reach() {
        for (address, kind) in [
            ("127.0.0.1", "this host alone"),
            ("192.168.1.2", "private"),
            ("100.64.0.1", "private, of a carrier's NAT"),
            ("100.128.0.1", "public"),
            ("169.254.3.4", "this link alone"),
            ("fe80::1", "this link alone"),
            ("fd00::1", "private"),
            ("2001:db8::1", "public"),
        ] {
            assert_eq!(kind_of(address.parse().unwrap()), kind, "{address}");
        }
    }
}
