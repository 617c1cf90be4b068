//! What was found about servers and NATs.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use crate::ErrorCode;

/// What of the remote end a filter looks at (RFC 4787 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dependence {
    /// Nothing: everybody gets in.
    EndpointIndependent,
    /// Its address.
    AddressDependent,
    /// Its address and port.
    AddressAndPortDependent,
}

impl fmt::Display for Dependence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Dependence::EndpointIndependent => "endpoint-independent",
            Dependence::AddressDependent => "address-dependent",
            Dependence::AddressAndPortDependent => "address- and port-dependent",
        })
    }
}

/// When a NAT takes another external address and port (RFC 4787 §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mapping {
    /// Never: one for each socket inside.
    EndpointIndependent,
    /// For each remote address.
    AddressDependent,
    /// For each remote address and port.
    AddressAndPortDependent,
    /// For each remote address at least; two servers say so, and neither can say more.
    Dependent,
}

impl fmt::Display for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mapping::EndpointIndependent => "endpoint-independent",
            Mapping::AddressDependent => "address-dependent",
            Mapping::AddressAndPortDependent => "address- and port-dependent",
            Mapping::Dependent => "address-dependent, perhaps port-dependent too",
        })
    }
}

/// What one server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The server.
    pub server: SocketAddr,
    /// The address that it saw us at.
    pub mapped: Option<SocketAddr>,
    /// From the first request to the answer; `None` when none came.
    pub after: Option<Duration>,
    /// Its words when it refused.
    pub refused: Option<(ErrorCode, String)>,
    /// The other address that it names (OTHER-ADDRESS, RFC 5780 §7.4).
    pub other: Option<SocketAddr>,
}

impl Answer {
    /// No answer yet of this server.
    pub fn of(server: SocketAddr) -> Self {
        Answer {
            server,
            mapped: None,
            after: None,
            refused: None,
            other: None,
        }
    }
}

/// What is known of the way to the servers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Findings {
    /// What each server answered, in the order in which they were given.
    pub answers: Vec<Answer>,
    /// Our port on this host.
    pub local_port: u16,
    /// What the first server to answer saw.
    pub mapped: Option<SocketAddr>,
    /// Whether that is an address that this host does not have: there is a NAT.
    pub translated: Option<bool>,
    /// The mapping behaviour, as far as the servers can tell.
    pub mapping: Option<Mapping>,
    /// The filtering behaviour; `None` when no server could test it.
    pub filtering: Option<Dependence>,
    /// Whether we reach our own external address from inside.
    pub hairpin: Option<bool>,
    /// The server that offered RFC 5780's tests.
    pub discovered_by: Option<SocketAddr>,
    /// Why no socket could be opened.
    pub failure: Option<String>,
    /// What that server's other address saw at its first port, and at its second.
    pub(super) other_address: Option<SocketAddr>,
    pub(super) other_port: Option<SocketAddr>,
}

impl Findings {
    pub(super) fn new(answers: Vec<Answer>) -> Self {
        Findings {
            answers,
            ..Findings::default()
        }
    }

    /// Whether any server answered.
    pub fn answered(&self) -> bool {
        self.answers.iter().any(|answer| answer.mapped.is_some())
    }

    /// Whether the external port is that of this host.
    pub fn keeps_ports(&self) -> Option<bool> {
        self.mapped.map(|mapped| mapped.port() == self.local_port)
    }

    /// What two servers at different addresses tell of the mapping.
    pub(super) fn compare_servers(&self) -> Option<Mapping> {
        let seen = |answer: &Answer| Some((answer.server.ip(), answer.mapped?));
        let mut seen = self.answers.iter().filter_map(seen);
        let (first, mapped) = seen.next()?;
        let mut others = seen.filter(|(server, _)| *server != first).peekable();
        others.peek()?;
        Some(match others.all(|(_, other)| other == mapped) {
            true => Mapping::EndpointIndependent,
            false => Mapping::Dependent,
        })
    }
}
