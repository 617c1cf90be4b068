//! The NATs on the way, in words.

use esp_webrtc::driver::behaviour::{Dependence, Findings, Mapping};
use serde_json::{Value, json};

use crate::print::Printer;

/// What the STUN servers told of the way to them, for each address family.
#[derive(Debug, Default)]
pub(super) struct Nats {
    pub(super) ipv4: Option<Findings>,
    pub(super) ipv6: Option<Findings>,
}

impl Nats {
    /// Each family that an answer came by, IPv4 first.
    pub(super) fn seen(&self) -> impl Iterator<Item = (&'static str, &Findings)> {
        let both = [("IPv4", &self.ipv4), ("IPv6", &self.ipv6)];
        both.into_iter()
            .filter_map(|(family, findings)| Some((family, findings.as_ref()?)))
            .filter(|(_, findings)| findings.answered())
    }

    pub(super) fn print(&self, printer: Printer) {
        for (family, findings) in self.seen() {
            printer.event("nat", &words(family, findings), fields(family, findings));
        }
    }
}

fn words(family: &str, findings: &Findings) -> String {
    if findings.translated == Some(false) {
        let filter = match findings.filtering {
            None => "",
            Some(Dependence::EndpointIndependent) => ", no firewall",
            Some(_) => ", a firewall that lets in whom we have sent to",
        };
        return format!("NAT over {family}: none{filter}");
    }
    let mapping = match findings.mapping {
        Some(mapping) => format!("{mapping} mapping"),
        None => "mapping unknown (it takes two servers at different addresses to tell)".into(),
    };
    let filtering = match findings.filtering {
        Some(filtering) => format!("{filtering} filtering"),
        None => "filtering unknown (no server offers RFC 5780)".into(),
    };
    let ports = match findings.keeps_ports() {
        Some(true) => ", keeps ports",
        _ => "",
    };
    let hairpin = match findings.hairpin {
        Some(true) => ", hairpins",
        _ => "",
    };
    format!("NAT over {family}: {mapping}, {filtering}{ports}{hairpin}")
}

fn fields(family: &str, findings: &Findings) -> Value {
    let mapping = findings.mapping.map(|mapping| match mapping {
        Mapping::EndpointIndependent => "endpoint-independent",
        Mapping::AddressDependent => "address-dependent",
        Mapping::AddressAndPortDependent => "address-and-port-dependent",
        Mapping::Dependent => "dependent",
    });
    let filtering = findings.filtering.map(|filtering| match filtering {
        Dependence::EndpointIndependent => "endpoint-independent",
        Dependence::AddressDependent => "address-dependent",
        Dependence::AddressAndPortDependent => "address-and-port-dependent",
    });
    json!({
        "family": family,
        "translated": findings.translated,
        "mapped": findings.mapped.map(|mapped| mapped.to_string()),
        "mapping": mapping,
        "filtering": filtering,
        "hairpin": findings.hairpin,
        "keeps_ports": findings.keeps_ports(),
        "told_by": findings.discovered_by.map(|server| server.to_string()),
    })
}
