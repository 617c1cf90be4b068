//! What a TURN client is told at its birth.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use esp_wire::{SocketId, Transport};

use crate::transaction::Retransmission;
use crate::turn::TurnError;

/// Which relayed addresses are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Families {
    /// One IPv4 address, what every server can give.
    #[default]
    V4,
    /// One IPv6 address (REQUESTED-ADDRESS-FAMILY).
    V6,
    /// One of each (ADDITIONAL-ADDRESS-FAMILY); servers that do not know it give IPv4.
    Both,
}

/// The settings of a TURN client. `Debug` never shows the password.
#[derive(Clone)]
pub struct TurnConfig {
    /// The socket or stream on which the server is spoken to.
    pub socket: SocketId,
    /// The server.
    pub server: SocketAddr,
    /// What lies between here and the server; TLS ends in the driver.
    pub transport: Transport,
    /// The user's name.
    pub username: String,
    /// The user's password.
    pub password: String,
    /// Which relayed addresses are asked for.
    pub families: Families,
    /// Asks for an even port, and with `true` that the next one is reserved (EVEN-PORT);
    /// [`TurnClient::reservation`](crate::turn::TurnClient::reservation) has the token then.
    pub even_port: Option<bool>,
    /// Asks for a port that was reserved so (RESERVATION-TOKEN).
    pub reservation: Option<[u8; 8]>,
    /// Asks that datagrams in Send indications are not fragmented on their way to the peer (DONT-FRAGMENT); left
    /// out with a server that does not know it.
    pub dont_fragment: bool,
    /// Asks for an allocation that relays TCP instead of UDP (RFC 6062); the server must be spoken to over TCP or
    /// TLS. Off by default.
    pub tcp: bool,
    /// The lifetime that is asked for; the server decides. `None` leaves it to the server.
    pub lifetime: Option<Duration>,
    /// How requests are retransmitted over UDP.
    pub retransmission: Retransmission,
    /// After so long without a packet to the server, a Binding indication keeps NATs open (UDP).
    pub keepalive: Duration,
    /// After so long permissions and channels are renewed; 4 minutes. Permissions live 5 minutes
    /// (RFC 8656 §9); channels live 10, and binding one again renews its peer's permission as well
    /// (§12.1), so that both are renewed alike.
    pub renewal: Duration,
    /// Peers, permissions and channels each, that may be held at once.
    pub max_peers: usize,
    /// What is said about this program, if anything.
    pub software: Option<String>,
}

impl TurnConfig {
    /// A client of `server` over UDP, with the defaults of the RFCs.
    pub fn new(socket: SocketId, server: SocketAddr, username: &str, password: &str) -> Self {
        TurnConfig {
            socket,
            server,
            transport: Transport::Udp,
            username: username.to_owned(),
            password: password.to_owned(),
            families: Families::V4,
            even_port: None,
            reservation: None,
            dont_fragment: false,
            tcp: false,
            lifetime: None,
            retransmission: Retransmission::default(),
            // RFC 8445 §11: 15 s at least.
            keepalive: Duration::from_secs(15),
            renewal: Duration::from_secs(240),
            max_peers: 64,
            software: None,
        }
    }

    /// Sets the transport.
    #[must_use]
    pub fn with_transport(mut self, transport: Transport) -> Self {
        self.transport = transport;
        self
    }

    /// Sets which relayed addresses are asked for.
    #[must_use]
    pub fn with_families(mut self, families: Families) -> Self {
        self.families = families;
        self
    }

    /// Asks for an even port; with `reserve`, also for a reservation of the next.
    #[must_use]
    pub fn with_even_port(mut self, reserve: bool) -> Self {
        self.even_port = Some(reserve);
        self
    }

    /// Asks for the port that this token reserves.
    #[must_use]
    pub fn with_reservation(mut self, token: [u8; 8]) -> Self {
        self.reservation = Some(token);
        self
    }

    /// Asks for datagrams that are not fragmented.
    #[must_use]
    pub fn with_dont_fragment(mut self, on: bool) -> Self {
        self.dont_fragment = on;
        self
    }

    /// Asks for an allocation that relays TCP; [`TurnClient::connect`](crate::turn::TurnClient::connect) reaches
    /// peers then.
    #[must_use]
    pub fn with_tcp(mut self, on: bool) -> Self {
        self.tcp = on;
        self
    }

    /// What excludes each other (RFC 8656 §7.1, RFC 6062 §4.1).
    pub(crate) fn check(&self) -> Result<(), TurnError> {
        let wrong = |what| Err(TurnError::Options(what));
        let (even, token) = (self.even_port.is_some(), self.reservation.is_some());
        let stream = matches!(self.transport, Transport::Tcp | Transport::Tls);
        match self.families {
            _ if self.tcp && !stream => wrong("TCP relays need TCP or TLS to the server"),
            _ if self.tcp && (even || token || self.dont_fragment) => {
                wrong("TCP relays have no even or reserved ports, and nothing to fragment")
            }
            _ if even && token => wrong("an even port and a reserved one exclude each other"),
            Families::V6 | Families::Both if token => {
                wrong("a reserved port has the family that it was reserved for")
            }
            Families::Both if even => wrong("an even port can be had in one family only"),
            _ => Ok(()),
        }
    }

    /// Sets the lifetime to ask for.
    #[must_use]
    pub fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    /// Sets after how long permissions and channels are renewed.
    #[must_use]
    pub fn with_renewal(mut self, renewal: Duration) -> Self {
        self.renewal = renewal;
        self
    }

    /// Sets how requests are retransmitted.
    #[must_use]
    pub fn with_retransmission(mut self, retransmission: Retransmission) -> Self {
        self.retransmission = retransmission;
        self
    }
}

impl fmt::Debug for TurnConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TurnConfig")
            .field("server", &self.server)
            .field("transport", &self.transport)
            .field("username", &self.username)
            .field("families", &self.families)
            .finish_non_exhaustive()
    }
}
