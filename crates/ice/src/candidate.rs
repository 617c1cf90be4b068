//! The candidate attribute (RFC 8839 §5.1, RFC 6544 §4.5).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use crate::priority::MAX_PRIORITY;

/// How a candidate was learned (RFC 8445 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CandidateKind {
    /// An address of an interface.
    Host,
    /// What a STUN server saw.
    ServerReflexive,
    /// What the peer saw.
    PeerReflexive,
    /// An address at a TURN server.
    Relayed,
}

impl CandidateKind {
    /// The type preference (RFC 8445 §5.1.2.2).
    pub const fn preference(self) -> u32 {
        match self {
            CandidateKind::Host => 126,
            CandidateKind::PeerReflexive => 110,
            CandidateKind::ServerReflexive => 100,
            CandidateKind::Relayed => 0,
        }
    }

    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            CandidateKind::Host => "host",
            CandidateKind::ServerReflexive => "srflx",
            CandidateKind::PeerReflexive => "prflx",
            CandidateKind::Relayed => "relay",
        }
    }
}

impl fmt::Display for CandidateKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which side of a TCP candidate connects (RFC 6544 §4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TcpType {
    /// It connects.
    Active,
    /// It listens.
    Passive,
    /// Both connect at once.
    SimultaneousOpen,
}

impl TcpType {
    const fn name(self) -> &'static str {
        match self {
            TcpType::Active => "active",
            TcpType::Passive => "passive",
            TcpType::SimultaneousOpen => "so",
        }
    }
}

/// What a candidate runs over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CandidateTransport {
    /// Datagrams.
    Udp,
    /// RFC 4571 framing over TCP.
    Tcp(TcpType),
}

/// Where a candidate is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CandidateHost {
    /// At an address.
    Address(IpAddr),
    /// At a name that has to be resolved, such as one of multicast DNS.
    Name(String),
}

/// A candidate as it travels in SDP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// What is alike among candidates, 1 to 32 ice-chars.
    pub foundation: String,
    /// The component, 1 to 256; with RTCP multiplexed it is 1.
    pub component: u16,
    /// UDP or TCP.
    pub transport: CandidateTransport,
    /// 1 to 2^31 - 1; more is better.
    pub priority: u32,
    /// Its address or name.
    pub host: CandidateHost,
    /// Its port.
    pub port: u16,
    /// How it was learned.
    pub kind: CandidateKind,
    /// The base of a reflexive candidate, the mapped address of a relayed one.
    pub related: Option<SocketAddr>,
    /// The user name fragment it belongs to, where the line says so.
    pub ufrag: Option<String>,
}

/// Why a line is no candidate that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CandidateError {
    /// A part is missing; it is named.
    Missing(&'static str),
    /// A part cannot be read; it is named.
    Invalid(&'static str),
    /// A transport or a type that this agent does not know; RFC 8839 §5.1 says to ignore the line.
    Unknown(&'static str),
    /// Longer than any candidate is.
    TooLong,
}

impl fmt::Display for CandidateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CandidateError::Missing(part) => write!(f, "no {part}"),
            CandidateError::Invalid(part) => write!(f, "the {part} cannot be read"),
            CandidateError::Unknown(part) => write!(f, "the {part} is not known"),
            CandidateError::TooLong => f.write_str("the line is too long"),
        }
    }
}

impl std::error::Error for CandidateError {}

/// Longest line that is looked at, bytes.
const MAX_LINE: usize = 1_024;

impl FromStr for Candidate {
    type Err = CandidateError;

    /// Reads `candidate:...`, with or without `a=`; unknown extensions are skipped.
    fn from_str(line: &str) -> Result<Self, CandidateError> {
        if line.len() > MAX_LINE {
            return Err(CandidateError::TooLong);
        }
        let line = line.trim();
        let line = line.strip_prefix("a=").unwrap_or(line);
        let line = line
            .strip_prefix("candidate:")
            .ok_or(CandidateError::Missing("candidate:"))?;
        let mut words = line.split_ascii_whitespace();
        let mut word = |part| words.next().ok_or(CandidateError::Missing(part));
        let foundation = foundation(word("foundation")?)?;
        let component = number(word("component")?, 1, 256, "component")? as u16;
        let transport = word("transport")?;
        let priority = number(word("priority")?, 1, MAX_PRIORITY, "priority")?;
        let host = host(word("address")?)?;
        let port = number(word("port")?, 0, 65_535, "port")? as u16;
        if word("type")? != "typ" {
            return Err(CandidateError::Missing("type"));
        }
        let kind = kind(word("type")?)?;
        let extensions = Extensions::read(words)?;
        Ok(Candidate {
            foundation,
            component,
            transport: transport_of(transport, extensions.tcp_type)?,
            priority,
            host,
            port,
            kind,
            related: extensions.related(),
            ufrag: extensions.ufrag,
        })
    }
}

fn foundation(word: &str) -> Result<String, CandidateError> {
    // RFC 8839 §5.1 allows ice-chars; "-" and others are seen in the wild and harmless.
    if word.is_empty() || word.len() > 32 {
        return Err(CandidateError::Invalid("foundation"));
    }
    Ok(word.to_owned())
}

fn number(word: &str, least: u32, most: u32, part: &'static str) -> Result<u32, CandidateError> {
    if !word.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(CandidateError::Invalid(part));
    }
    match word.parse() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(CandidateError::Invalid(part)),
    }
}

fn host(word: &str) -> Result<CandidateHost, CandidateError> {
    if let Ok(address) = word.parse() {
        return Ok(CandidateHost::Address(address));
    }
    let fits = word.len() <= 253
        && word
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'));
    if fits && !word.is_empty() {
        Ok(CandidateHost::Name(word.to_owned()))
    } else {
        Err(CandidateError::Invalid("address"))
    }
}

fn kind(word: &str) -> Result<CandidateKind, CandidateError> {
    match word {
        "host" => Ok(CandidateKind::Host),
        "srflx" => Ok(CandidateKind::ServerReflexive),
        "prflx" => Ok(CandidateKind::PeerReflexive),
        "relay" => Ok(CandidateKind::Relayed),
        _ => Err(CandidateError::Unknown("type")),
    }
}

fn transport_of(
    word: &str,
    tcp_type: Option<TcpType>,
) -> Result<CandidateTransport, CandidateError> {
    if word.eq_ignore_ascii_case("udp") {
        Ok(CandidateTransport::Udp)
    } else if word.eq_ignore_ascii_case("tcp") {
        tcp_type
            .map(CandidateTransport::Tcp)
            .ok_or(CandidateError::Missing("tcptype"))
    } else {
        Err(CandidateError::Unknown("transport"))
    }
}

/// What follows the type: name and value, in pairs.
#[derive(Default)]
struct Extensions {
    address: Option<IpAddr>,
    port: Option<u16>,
    tcp_type: Option<TcpType>,
    ufrag: Option<String>,
}

impl Extensions {
    fn read<'a>(mut words: impl Iterator<Item = &'a str>) -> Result<Self, CandidateError> {
        let mut read = Extensions::default();
        while let Some(name) = words.next() {
            // RFC 8839 §5.1: a value may be empty, and a name that is not understood is skipped.
            let Some(value) = words.next() else { break };
            match name {
                // A related address is for diagnostics only; a name in its place is no error.
                "raddr" => read.address = value.parse().ok(),
                "rport" => read.port = value.parse().ok(),
                "ufrag" => read.ufrag = Some(value.to_owned()),
                "tcptype" => {
                    read.tcp_type = Some(match value {
                        "active" => TcpType::Active,
                        "passive" => TcpType::Passive,
                        "so" => TcpType::SimultaneousOpen,
                        _ => return Err(CandidateError::Unknown("tcptype")),
                    });
                }
                _ => {}
            }
        }
        Ok(read)
    }

    fn related(&self) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.address?, self.port?))
    }
}

impl Candidate {
    /// The same candidate with the related address hidden (RFC 8839 §5.1).
    pub fn hiding_related(mut self) -> Self {
        self.related = self.related.map(|related| match related {
            SocketAddr::V4(_) => SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 9),
            SocketAddr::V6(_) => SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 9),
        });
        self
    }
}

impl fmt::Display for Candidate {
    /// Writes `candidate:...`, without `a=`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let transport = match self.transport {
            CandidateTransport::Udp => "udp",
            CandidateTransport::Tcp(_) => "tcp",
        };
        write!(
            f,
            "candidate:{} {} {transport} {} ",
            self.foundation, self.component, self.priority
        )?;
        match &self.host {
            CandidateHost::Address(address) => write!(f, "{address}")?,
            CandidateHost::Name(name) => f.write_str(name)?,
        }
        write!(f, " {} typ {}", self.port, self.kind)?;
        if let Some(related) = self.related {
            write!(f, " raddr {} rport {}", related.ip(), related.port())?;
        }
        if let CandidateTransport::Tcp(tcp_type) = self.transport {
            write!(f, " tcptype {}", tcp_type.name())?;
        }
        if let Some(ufrag) = &self.ufrag {
            write!(f, " ufrag {ufrag}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Candidate {
        line.parse().unwrap()
    }

    #[test]
    fn the_example_of_rfc_8839() {
        let line =
            "candidate:2 1 UDP 1694498815 192.0.2.3 45664 typ srflx raddr 203.0.113.141 rport 8998";
        let candidate = read(line);
        assert_eq!(candidate.kind, CandidateKind::ServerReflexive);
        assert_eq!(
            candidate.related,
            Some("203.0.113.141:8998".parse().unwrap())
        );
        assert_eq!(candidate.to_string(), line.replace("UDP", "udp"));
    }

    #[test]
    fn lines_of_browsers() {
        let chromium = read(
            "candidate:842163049 1 udp 1677729535 2001:db8::7 46154 typ srflx raddr :: rport 0 generation 0 ufrag EEtu network-id 3 network-cost 10",
        );
        assert_eq!(chromium.ufrag.as_deref(), Some("EEtu"));
        let hidden = read(
            "a=candidate:0 1 UDP 2122252543 1c6a5a5f-2d0b-4b9e-9d8f-1b1f5a4c3e2d.local 51348 typ host",
        );
        assert!(matches!(hidden.host, CandidateHost::Name(_)));
        let tcp = read("candidate:1 1 tcp 1518280447 10.0.0.1 9 typ host tcptype active");
        assert_eq!(tcp.transport, CandidateTransport::Tcp(TcpType::Active));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, word) in [
            ("", "candidate:"),
            ("candidate:", "foundation"),
            ("candidate:1 0 udp 1 1.1.1.1 1 typ host", "component"),
            ("candidate:1 1 sctp 1 1.1.1.1 1 typ host", "transport"),
            (
                "candidate:1 1 udp 2147483648 1.1.1.1 1 typ host",
                "priority",
            ),
            ("candidate:1 1 udp +1 1.1.1.1 1 typ host", "priority"),
            ("candidate:1 1 udp 1 a/b 1 typ host", "address"),
            ("candidate:1 1 udp 1 1.1.1.1 65536 typ host", "port"),
            ("candidate:1 1 udp 1 1.1.1.1 1 type host", "type"),
            ("candidate:1 1 udp 1 1.1.1.1 1 typ other", "type"),
            ("candidate:1 1 tcp 1 1.1.1.1 1 typ host", "tcptype"),
        ] {
            let error = line.parse::<Candidate>().unwrap_err().to_string();
            assert!(error.contains(word), "{line:?}: {error}");
        }
    }

    #[test]
    fn a_related_address_can_be_hidden() {
        let line = "candidate:2 1 udp 5 192.0.2.3 4 typ srflx raddr 203.0.113.141 rport 8998";
        let hidden = read(line).hiding_related().to_string();
        assert!(hidden.ends_with("raddr 0.0.0.0 rport 9"), "{hidden}");
    }
}
