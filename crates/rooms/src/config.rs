//! The settings of a server.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use esp_wire::IceServer;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::{Device, Error, Event, Identity};

/// Hears of events, on a thread of the server; it must not block.
pub type OnEvent = Arc<dyn Fn(&Event) + Send + Sync>;

/// The settings of a [`Server`](crate::Server).
#[derive(Clone, Default)]
pub struct Config {
    /// Where it listens; at least one.
    pub listeners: Vec<Listener>,
    /// The STUN and TURN servers that clients are told. Whoever reaches the server learns them.
    pub ice_servers: Vec<IceServer>,
    /// What bounds it.
    pub limits: Limits,
    /// A device that is served in the place of rooms.
    pub device: Option<Device>,
    /// Called for each event, from a thread of the server; it must not block.
    pub on_event: Option<OnEvent>,
}

impl Config {
    /// A server for this host alone: plain HTTP on `localhost` (127.0.0.1, and ::1 where there is IPv6).
    /// Port 0 lets the system choose.
    pub fn local(port: u16) -> Self {
        Config {
            listeners: vec![
                Listener::new(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
                Listener {
                    optional: true,
                    ..Listener::new(SocketAddr::from((Ipv6Addr::LOCALHOST, port)))
                },
            ],
            ..Config::default()
        }
    }

    /// Adds a listener.
    pub fn with_listener(mut self, listener: Listener) -> Self {
        self.listeners.push(listener);
        self
    }

    /// Sets the STUN and TURN servers that clients are told.
    pub fn with_ice_servers(mut self, servers: Vec<IceServer>) -> Self {
        self.ice_servers = servers;
        self
    }

    /// Sets the limits.
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Serves this device in the place of rooms.
    pub fn with_device(mut self, device: Device) -> Self {
        self.device = Some(device);
        self
    }

    /// Sets the function that hears of events. It is called from the server's threads and must not block.
    pub fn with_events(mut self, on_event: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.on_event = Some(Arc::new(on_event));
        self
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("listeners", &self.listeners)
            .field("ice_servers", &self.ice_servers)
            .field("limits", &self.limits)
            .field("device", &self.device)
            .finish_non_exhaustive()
    }
}

/// One address to listen on, and the names under which it may be reached.
///
/// A request whose `Host` is none of these names is refused. A loopback address is also known as
/// `localhost`; every listener also answers to the IP address at which a connection arrived.
#[derive(Clone, Debug)]
pub struct Listener {
    /// The address; port 0 lets the system choose, or takes the port of the first listener if that
    /// was chosen by the system too.
    pub address: SocketAddr,
    /// HTTPS instead of HTTP.
    pub tls: Option<TlsConfig>,
    /// Further names, without port: `doorbell.lan`, `192.0.2.7`, `[2001:db8::1]`.
    pub names: Vec<String>,
    /// The root URL under which a reverse proxy shows this listener: `https://rooms.example.org`.
    pub public_url: Option<String>,
    /// An address that this host does not have is passed over.
    pub optional: bool,
}

impl Listener {
    /// Plain HTTP on this address.
    pub fn new(address: SocketAddr) -> Self {
        Listener {
            address,
            tls: None,
            names: Vec::new(),
            public_url: None,
            optional: false,
        }
    }

    /// HTTPS on every IPv4 address of this host, reached by `addresses`.
    pub fn lan(port: u16, tls: TlsConfig, addresses: &[IpAddr]) -> Self {
        let name = |address: &IpAddr| match address {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        };
        Listener {
            tls: Some(tls),
            names: addresses.iter().map(name).collect(),
            ..Listener::new(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))
        }
    }

    /// Serves HTTPS.
    pub fn with_tls(mut self, tls: TlsConfig) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Adds a name under which it may be reached, without port.
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.names.push(name.into());
        self
    }

    /// Sets the root URL under which a reverse proxy shows this listener.
    pub fn with_public_url(mut self, url: impl Into<String>) -> Self {
        self.public_url = Some(url.into());
        self
    }
}

/// A certificate with its key. `Debug` never shows the key.
#[derive(Clone)]
pub struct TlsConfig(Arc<rustls::ServerConfig>);

impl TlsConfig {
    /// From PEM: a chain of certificates, the server's own first, and its private key (PKCS#8, SEC1 or PKCS#1).
    ///
    /// # Errors
    /// [`Error::Certificate`] when either cannot be read or they do not belong together.
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, Error> {
        let unreadable = |why: rustls::pki_types::pem::Error| Error::Certificate(why.to_string());
        let chain = CertificateDer::pem_slice_iter(certificates)
            .collect::<Result<Vec<_>, _>>()
            .map_err(unreadable)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(unreadable)?;
        Self::from_rustls(chain, key)
    }

    /// From DER: a chain of certificates, the server's own first, and its private key.
    ///
    /// # Errors
    /// [`Error::Certificate`] when either cannot be read or they do not belong together.
    pub fn from_der(certificates: Vec<Vec<u8>>, key: Vec<u8>) -> Result<Self, Error> {
        let chain = certificates.into_iter().map(CertificateDer::from).collect();
        let key = PrivateKeyDer::try_from(key).map_err(|why| Error::Certificate(why.to_owned()))?;
        Self::from_rustls(chain, key)
    }

    /// From a kept self-signed certificate.
    ///
    /// # Errors
    /// [`Error::Certificate`] when it is damaged.
    pub fn from_identity(identity: &Identity) -> Result<Self, Error> {
        Self::from_pem(
            identity.certificate_pem().as_bytes(),
            identity.key_pem().as_bytes(),
        )
    }

    fn from_rustls(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, Error> {
        if chain.is_empty() {
            return Err(Error::Certificate("there is none in the file".to_owned()));
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let unusable = |why: rustls::Error| Error::Certificate(why.to_string());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(unusable)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsConfig(Arc::new(config)))
    }

    pub(crate) fn server_config(&self) -> Arc<rustls::ServerConfig> {
        self.0.clone()
    }
}

impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsConfig")
    }
}

/// What bounds a server. An address is an IPv4 address or an IPv6 /64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Rooms that exist at a time.
    pub rooms: usize,
    /// Clients of one address in all rooms.
    pub clients_per_address: usize,
    /// Open connections.
    pub connections: usize,
    /// Open connections of one address.
    pub connections_per_address: usize,
    /// Bytes of one message or request body.
    pub message_size: usize,
    /// Messages that wait for a client that has not registered, or reads slowly.
    pub queue_messages: usize,
    /// Bytes of such messages.
    pub queue_bytes: usize,
    /// Requests and messages a second from one address, in the long run.
    pub rate: u32,
    /// Requests and messages that one address may send at once.
    pub burst: u32,
    /// A client that has not been heard for this long has left; time in which the server itself stood still does not
    /// count.
    pub ghost_expiry: Duration,
    /// Between two pings to a client; at most a third of `ghost_expiry`.
    pub ping_interval: Duration,
    /// For a request's head to arrive, its body, a TLS handshake, the register command, or for a client to
    /// take bytes that are sent to it; each by itself.
    pub patience: Duration,
}

impl Default for Limits {
    /// 1000 rooms, 64 KiB messages, 15 s to expiry, and room for tens of clients on one address.
    fn default() -> Self {
        Limits {
            rooms: 1000,
            clients_per_address: 64,
            connections: 512,
            connections_per_address: 128,
            message_size: 64 * 1024,
            queue_messages: 256,
            queue_bytes: 512 * 1024,
            rate: 200,
            burst: 1000,
            ghost_expiry: Duration::from_secs(15),
            ping_interval: Duration::from_secs(5),
            patience: Duration::from_secs(10),
        }
    }
}

impl Limits {
    pub(crate) fn check(&self) -> Result<(), Error> {
        let counts = [
            ("rooms", self.rooms),
            ("clients_per_address", self.clients_per_address),
            ("connections", self.connections),
            ("connections_per_address", self.connections_per_address),
            ("message_size", self.message_size),
            ("queue_messages", self.queue_messages),
            ("queue_bytes", self.queue_bytes),
            ("rate", self.rate as usize),
            ("burst", self.burst as usize),
        ];
        if let Some((name, _)) = counts.iter().find(|(_, value)| *value == 0) {
            return Err(Error::Misuse(format!("the limit {name} must not be 0")));
        }
        if self.patience.is_zero() || self.ping_interval.is_zero() {
            return Err(Error::Misuse(
                "patience and ping_interval must not be 0".to_owned(),
            ));
        }
        if self.ping_interval * 3 > self.ghost_expiry {
            return Err(Error::Misuse(
                "ping_interval must be at most a third of ghost_expiry".to_owned(),
            ));
        }
        Ok(())
    }

    /// How often silent clients are looked for; they are found within `ghost_expiry`.
    pub(crate) fn sweep_interval(&self) -> Duration {
        (self.ghost_expiry / 15).max(Duration::from_millis(1))
    }
}
