//! Every pair of NAT behaviours, with and without a TURN server.

use std::fmt::Write as _;
use std::time::Duration;

use esp_ice::{CandidateKind, Config, PairReport};
use esp_netsim::Nat;
use esp_wire::{IceServer, Role};

use super::peer::Call;

/// What stands between a host and the public network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Nothing.
    None,
    /// Mapping and filtering independent of the endpoint.
    EndpointIndependent,
    /// Filtering by address.
    AddressDependent,
    /// Filtering by address and port.
    PortDependent,
    /// Mapping and filtering by address and port.
    Symmetric,
}

impl Behaviour {
    /// All, the kindest first.
    pub const ALL: [Behaviour; 5] = [
        Behaviour::None,
        Behaviour::EndpointIndependent,
        Behaviour::AddressDependent,
        Behaviour::PortDependent,
        Behaviour::Symmetric,
    ];

    fn name(self) -> &'static str {
        match self {
            Behaviour::None => "none",
            Behaviour::EndpointIndependent => "endpoint-independent",
            Behaviour::AddressDependent => "address-dependent",
            Behaviour::PortDependent => "port-dependent",
            Behaviour::Symmetric => "symmetric",
        }
    }

    fn nat(self) -> Option<Nat> {
        Some(match self {
            Behaviour::None => return None,
            Behaviour::EndpointIndependent => Nat::full_cone(),
            Behaviour::AddressDependent => Nat::restricted(),
            Behaviour::PortDependent => Nat::port_restricted(),
            Behaviour::Symmetric => Nat::symmetric(),
        })
    }
}

/// One call: who is behind what, and whether there is a TURN server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// What the controlling side is behind.
    pub a: Behaviour,
    /// What the controlled side is behind.
    pub b: Behaviour,
    /// Whether both sides may use a TURN server.
    pub turn: bool,
}

/// All cells.
pub fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for turn in [false, true] {
        for a in Behaviour::ALL {
            cells.extend(Behaviour::ALL.map(|b| Cell { a, b, turn }));
        }
    }
    cells
}

/// Whether a path exists: not when one side has a mapping for each endpoint and the other lets in
/// only the ports that it knows.
pub fn can_connect(cell: &Cell) -> bool {
    let hard = |it| matches!(it, Behaviour::PortDependent | Behaviour::Symmetric);
    let symmetric = Behaviour::Symmetric;
    let blocked = (cell.a == symmetric && hard(cell.b)) || (cell.b == symmetric && hard(cell.a));
    cell.turn || !blocked
}

/// The path that was chosen and the time to the first pair that works on both sides, as the table
/// has it.
pub fn figure(cell: &Cell) -> String {
    let config = Config::default();
    let mut call = Call::new(7, config.clone(), config.with_role(Role::Controlled));
    for (host, behaviour) in [(call.a, cell.a), (call.b, cell.b)] {
        if let Some(nat) = behaviour.nat() {
            call.net.behind(host, nat);
        }
    }
    let at = call.net.turn_server("user", "secret");
    let mut servers = vec![IceServer::stun(format!("stun:{at}"))];
    if cell.turn {
        servers.push(IceServer::turn(format!("turn:{at}"), "user", "secret"));
    }
    call.set_servers(&servers);
    call.exchange();
    let Some(took) = call.connect(Duration::from_secs(90)) else {
        return "no path".to_owned();
    };
    call.run_for(Duration::from_secs(5));
    let chosen = call.net.endpoint(call.a).agent.selected();
    let path = chosen.map_or("lost".to_owned(), |pair| path(&pair));
    format!("{path}, {} ms", took.as_millis())
}

fn path(pair: &PairReport) -> String {
    let (local, remote) = (pair.local.kind, pair.remote.kind);
    match local == CandidateKind::Host && remote == CandidateKind::Host {
        true => "host".to_owned(),
        false => format!("{local} to {remote}"),
    }
}

/// The section of the table.
pub(super) fn section() -> String {
    let mut text = String::from(
        "## NATs\n\n\
         Both sides know a STUN server. The path that was chosen, seen from the controlling side (its own \
         candidate, then the peer's), and the time from the exchange of descriptions to the first pair that \
         works on both sides. The round trip is 40 ms, also to the servers; gathering begins at the same \
         moment. Rows: what the controlling side is behind; columns: the controlled one.\n",
    );
    for turn in [false, true] {
        let title = if turn { "With TURN" } else { "Without TURN" };
        let _ = write!(text, "\n### {title}\n\n| behind |");
        for b in Behaviour::ALL {
            let _ = write!(text, " {} |", b.name());
        }
        text.push_str("\n|---|---|---|---|---|---|\n");
        for a in Behaviour::ALL {
            let _ = write!(text, "| {} |", a.name());
            for b in Behaviour::ALL {
                let _ = write!(text, " {} |", figure(&Cell { a, b, turn }));
            }
            text.push('\n');
        }
    }
    text
}
