//! STUN and TURN servers, their URLs and credentials.

use std::fmt;
use std::str::FromStr;

use crate::Transport;

/// Which side of ICE nominates (RFC 8445 §6.1.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Role {
    /// Chooses the pair; the side that sent the offer.
    #[default]
    Controlling,
    /// Follows the other side's choice.
    Controlled,
}

impl Role {
    /// The other role.
    pub const fn other(self) -> Self {
        match self {
            Role::Controlling => Role::Controlled,
            Role::Controlled => Role::Controlling,
        }
    }
}

/// Which candidates may be used (RFC 8828 and W3C `RTCIceTransportPolicy`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum IcePolicy {
    /// All of them.
    #[default]
    All,
    /// Relayed ones only: the peer never learns an address of this host.
    Relay,
}

/// One or more URLs of a server with the credentials they share. `Debug` never shows the credential.
#[derive(Clone, PartialEq, Eq)]
pub struct IceServer {
    /// `stun:`, `stuns:`, `turn:` and `turns:` URLs.
    pub urls: Vec<String>,
    /// User name, empty for STUN.
    pub username: String,
    /// Password, empty for STUN.
    pub credential: String,
}

impl IceServer {
    /// A STUN server.
    pub fn stun(url: impl Into<String>) -> Self {
        IceServer {
            urls: vec![url.into()],
            username: String::new(),
            credential: String::new(),
        }
    }

    /// A TURN server with its long-term credential.
    pub fn turn(
        url: impl Into<String>,
        username: impl Into<String>,
        credential: impl Into<String>,
    ) -> Self {
        IceServer {
            urls: vec![url.into()],
            username: username.into(),
            credential: credential.into(),
        }
    }
}

impl fmt::Debug for IceServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IceServer")
            .field("urls", &self.urls)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// What a server offers and whether it is reached over TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `stun:` (RFC 7064).
    Stun,
    /// `stuns:`, STUN over TLS.
    Stuns,
    /// `turn:` (RFC 7065).
    Turn,
    /// `turns:`, TURN over TLS.
    Turns,
}

/// A parsed server URL.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServerUrl {
    /// What kind of server, secured or not.
    pub scheme: Scheme,
    /// Host name, IPv4 address, or IPv6 address without brackets.
    pub host: String,
    /// Port; 3478, or 5349 for the secured schemes, when the URL has none.
    pub port: u16,
    /// UDP, TCP or TLS; `turns:` and `stuns:` with `transport=udp` are [`Transport::Dtls`].
    pub transport: Transport,
}

/// A URL is not one of a STUN or TURN server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerUrlError {
    url: String,
    reason: &'static str,
}

impl fmt::Display for ServerUrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is not a server URL: {}; write stun:HOST[:PORT] or turn:HOST[:PORT][?transport=udp|tcp]",
            self.url, self.reason
        )
    }
}

impl std::error::Error for ServerUrlError {}

impl FromStr for ServerUrl {
    type Err = ServerUrlError;

    fn from_str(url: &str) -> Result<Self, ServerUrlError> {
        parse(url).map_err(|reason| ServerUrlError {
            url: url.to_owned(),
            reason,
        })
    }
}

fn parse(url: &str) -> Result<ServerUrl, &'static str> {
    let (scheme, rest) = url.split_once(':').ok_or("it has no scheme")?;
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "stun" => Scheme::Stun,
        "stuns" => Scheme::Stuns,
        "turn" => Scheme::Turn,
        "turns" => Scheme::Turns,
        _ => return Err("its scheme is none of stun, stuns, turn, turns"),
    };
    let (address, query) = match rest.split_once('?') {
        Some((address, query)) => (address, Some(query)),
        None => (rest, None),
    };
    let secure = matches!(scheme, Scheme::Stuns | Scheme::Turns);
    let transport = match query {
        None if secure => Transport::Tls,
        None => Transport::Udp,
        // STUN URLs have no query (RFC 7064 §3.1), but many configurations carry one.
        Some(query) => match query.strip_prefix("transport=") {
            Some("udp") if secure => Transport::Dtls,
            Some("udp") => Transport::Udp,
            Some("tcp" | "tls") if secure => Transport::Tls,
            Some("tcp") => Transport::Tcp,
            _ => return Err("its transport is neither udp nor tcp"),
        },
    };
    let (host, port) = split_port(address)?;
    if host.is_empty() || host.contains(['/', '@', ' ']) {
        return Err("its host is not a name or an address");
    }
    Ok(ServerUrl {
        scheme,
        host: host.to_owned(),
        port: port.unwrap_or(if secure { 5349 } else { 3478 }),
        transport,
    })
}

fn split_port(address: &str) -> Result<(&str, Option<u16>), &'static str> {
    let number = |port: &str| match port.parse() {
        Ok(0) | Err(_) => Err("its port is not a number from 1 to 65535"),
        Ok(port) => Ok(Some(port)),
    };
    if let Some(rest) = address.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or("its bracket is not closed")?;
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, number(port)?)),
            None if rest.is_empty() => Ok((host, None)),
            None => Err("something follows its address"),
        };
    }
    match address.split_once(':') {
        Some((host, port)) => Ok((host, number(port)?)),
        None => Ok((address, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_rfc_7064_and_7065() {
        let url: ServerUrl = "stun:example.org".parse().unwrap();
        assert_eq!((url.scheme, url.port), (Scheme::Stun, 3478));
        let url: ServerUrl = "turns:example.org".parse().unwrap();
        assert_eq!((url.port, url.transport), (5349, Transport::Tls));
        let url: ServerUrl = "turn:[2001:db8::1]:99?transport=tcp".parse().unwrap();
        assert_eq!((url.host.as_str(), url.port), ("2001:db8::1", 99));
        assert_eq!(url.transport, Transport::Tcp);
        let url: ServerUrl = "turns:example.org?transport=udp".parse().unwrap();
        assert_eq!((url.port, url.transport), (5349, Transport::Dtls));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (url, word) in [
            ("example.org", "scheme"),
            ("http:example.org", "scheme"),
            ("stun:", "host"),
            ("turn:a:0", "port"),
            ("turn:a?transport=sctp", "transport"),
            ("turn:[::1", "bracket"),
        ] {
            let error = url.parse::<ServerUrl>().unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn a_credential_is_never_shown() {
        let server = IceServer::turn("turn:a", "me", "secret");
        assert!(!format!("{server:?}").contains("secret"));
    }
}
