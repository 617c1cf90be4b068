//! The options that several commands have, by groups.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use esp_webrtc::PeerConfig;
use esp_webrtc::driver::ServerTrust;
use esp_webrtc::peer::DtlsVersions;
use esp_webrtc::peer::ice::InterfaceFilter;
use esp_webrtc::signaling::Trust;
use esp_webrtc::wire::{IcePolicy, IceServer, Scheme, ServerUrl};

use super::values::{ports, seconds, size};
use crate::failure::Failure;

/// Where a room server listens.
#[derive(Args)]
#[command(next_help_heading = "Room server")]
pub(crate) struct ServerOptions {
    /// Port of the page on localhost; 0 lets the system choose
    #[arg(long, default_value_t = 8080)]
    pub(crate) port: u16,
    /// Serve this network too, over HTTPS with a certificate of its own
    #[arg(long)]
    pub(crate) lan: bool,
    /// Port of the page in this network
    #[arg(long, default_value_t = 8443, requires = "lan")]
    pub(crate) lan_port: u16,
    /// Where the certificate is kept [default: $XDG_STATE_HOME/esp-webrtc or ~/.local/state/esp-webrtc]
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
}

/// Which servers of `https` are believed.
#[derive(Args)]
#[command(next_help_heading = "Room server of others")]
pub(crate) struct TrustOptions {
    /// Believe only the https server with this SHA-256 fingerprint (hexadecimal, colons)
    #[arg(long, value_name = "FINGERPRINT", conflicts_with = "ca")]
    pub(crate) pin: Option<String>,
    /// Believe https servers with a certificate of these authorities (PEM)
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
}

impl TrustOptions {
    /// What that means.
    pub(crate) fn trust(&self) -> Result<Trust, Failure> {
        if let Some(pin) = &self.pin {
            let print = format!("sha-256 {pin}").parse();
            return match print {
                Ok(print) => Ok(Trust::Pinned(print)),
                Err(_) => Err(Failure::Usage(format!(
                    "{pin:?} is not a fingerprint: write 32 bytes in hexadecimal with colons between them"
                ))),
            };
        }
        match &self.ca {
            None => Ok(Trust::Public),
            Some(path) => {
                let wrong = |why: String| {
                    Failure::of_option("--ca", format_args!("{}: {why}", path.display()))
                };
                let text = std::fs::read_to_string(path).map_err(|it| wrong(it.to_string()))?;
                // Found out now, not with the first attempt to join.
                ServerTrust::of_pem(text.as_bytes()).map_err(wrong)?;
                Ok(Trust::Authorities(text))
            }
        }
    }
}

/// STUN and TURN servers.
#[derive(Args)]
#[command(next_help_heading = "STUN and TURN")]
pub(crate) struct IceOptions {
    /// A server for both sides, as in stun:HOST or turn:HOST:PORT?transport=tcp; again for more
    #[arg(long, value_name = "URL")]
    pub(crate) ice_server: Vec<String>,
    #[command(flatten)]
    pub(crate) credentials: Credentials,
}

impl IceOptions {
    /// The servers.
    pub(crate) fn servers(&self) -> Result<Vec<IceServer>, Failure> {
        self.credentials.of_servers(&self.ice_server)
    }
}

/// What TURN servers want to know.
#[derive(Args)]
pub(crate) struct Credentials {
    /// User of the TURN servers
    #[arg(
        long,
        value_name = "NAME",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) ice_user: String,
    /// Password of the TURN servers, or @FILE that holds it
    #[arg(
        long,
        value_name = "PASSWORD",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) ice_password: String,
}

impl Credentials {
    /// Servers of these URLs; the credential goes to those that take one.
    pub(crate) fn of_servers(&self, urls: &[String]) -> Result<Vec<IceServer>, Failure> {
        ice_servers(urls, &self.ice_user, &self.ice_password)
    }
}

fn ice_servers(urls: &[String], user: &str, password: &str) -> Result<Vec<IceServer>, Failure> {
    let password = match password.strip_prefix('@') {
        None => password.to_owned(),
        Some(path) => std::fs::read_to_string(path)
            .map(|text| text.trim_end_matches(['\r', '\n']).to_owned())
            .map_err(|error| {
                Failure::of_option("--ice-password", format_args!("@{path}: {error}"))
            })?,
    };
    let one = |url: &String| {
        let parsed: ServerUrl = url
            .parse()
            .map_err(|error| Failure::Usage(format!("{error}")))?;
        match parsed.scheme {
            Scheme::Stun | Scheme::Stuns => Ok(IceServer::stun(url)),
            Scheme::Turn | Scheme::Turns if user.is_empty() => Err(Failure::Usage(format!(
                "{url} needs a user: --ice-user NAME --ice-password PASSWORD"
            ))),
            Scheme::Turn | Scheme::Turns => Ok(IceServer::turn(url, user, password.as_str())),
        }
    };
    urls.iter().map(one).collect()
}

/// What is sent and what becomes of what is received.
#[derive(Args)]
#[command(next_help_heading = "Sound and pictures")]
pub(crate) struct MediaOptions {
    /// Send this file in a loop instead of the test picture: H.264 as MP4 or byte stream, no B-frames
    #[arg(long, value_name = "FILE", conflicts_with = "no_video")]
    pub(crate) video: Option<PathBuf>,
    /// Pictures a second of a byte stream that does not say so
    #[arg(long, value_name = "NUMBER", requires = "video", value_parser = clap::value_parser!(u32).range(1..=240))]
    pub(crate) fps: Option<u32>,
    /// Send this WAV file in a loop instead of the melody
    #[arg(long, value_name = "FILE", conflicts_with = "no_audio")]
    pub(crate) audio: Option<PathBuf>,
    /// No pictures, neither way
    #[arg(long)]
    pub(crate) no_video: bool,
    /// No sound, neither way
    #[arg(long)]
    pub(crate) no_audio: bool,
    /// Record each call to WAV and MP4 in this directory
    #[arg(long, value_name = "DIR")]
    pub(crate) record: Option<PathBuf>,
    /// Seconds between two lines with levels and figures; 0 for none
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "10")]
    pub(crate) levels: Duration,
}

/// The connection and its channels.
#[derive(Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct LinkOptions {
    /// The version of DTLS; auto is 1.3 where the peer has it
    #[arg(long, value_enum, default_value_t = Dtls::Auto)]
    pub(crate) dtls: Dtls,
    /// The library that speaks DTLS; OpenSSL's speaks 1.2, also with peers whose certificate is RSA
    #[cfg(feature = "openssl")]
    #[arg(long, value_enum, default_value_t = DtlsLibrary::BuiltIn)]
    pub(crate) dtls_library: DtlsLibrary,
    /// Connect over TURN servers alone: the peer never learns an address of this host
    #[arg(long)]
    pub(crate) relay_only: bool,
    /// Tell addresses of this host by names that only this network resolves (mDNS), as browsers do
    #[arg(long)]
    pub(crate) hide_addresses: bool,
    /// Local ports to use, as in 50000-50100, for a firewall that lets in these
    #[arg(long, value_name = "FIRST-LAST", value_parser = ports)]
    pub(crate) udp_ports: Option<RangeInclusive<u16>>,
    /// Use this network interface, again for more; all are used without it
    #[arg(long, value_name = "NAME")]
    pub(crate) interface: Vec<String>,
    /// Take in TCP streams of the peer too, for networks without UDP
    #[arg(long)]
    pub(crate) tcp: bool,
    /// Keep files that the peer sends, in this directory; without it they are refused
    #[arg(long, value_name = "DIR")]
    pub(crate) files: Option<PathBuf>,
    /// The most that the directory of --files may hold
    #[arg(long, value_name = "BYTES", value_parser = size, default_value = "100M", requires = "files")]
    pub(crate) quota: u64,
}

impl LinkOptions {
    /// The settings of a peer as these options want them.
    pub(crate) fn shape(&self, mut peer: PeerConfig) -> PeerConfig {
        if self.relay_only {
            peer.policy = IcePolicy::Relay;
        }
        #[cfg(feature = "openssl")]
        if self.dtls_library == DtlsLibrary::OpenSsl {
            peer.dtls_backend = esp_webrtc::peer::DtlsBackend::OpenSsl;
        }
        peer.ice.ports = self.udp_ports.clone();
        peer.ice.hide_addresses = self.hide_addresses;
        peer.ice.tcp_passive = self.tcp;
        if !self.interface.is_empty() {
            peer.ice.interfaces = InterfaceFilter::Only(self.interface.clone());
        }
        peer
    }
}

/// Versions of DTLS.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Dtls {
    #[value(name = "1.2")]
    V12,
    #[value(name = "1.3")]
    V13,
    // 1.3 where the peer has it.
    Auto,
}

impl From<Dtls> for DtlsVersions {
    fn from(dtls: Dtls) -> Self {
        match dtls {
            Dtls::V12 => DtlsVersions::Only12,
            Dtls::V13 => DtlsVersions::Only13,
            Dtls::Auto => DtlsVersions::Auto,
        }
    }
}

/// Libraries of DTLS.
#[cfg(feature = "openssl")]
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DtlsLibrary {
    BuiltIn,
    #[value(name = "openssl")]
    OpenSsl,
}

/// How to print.
#[derive(Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct Output {
    /// Print events as words, or as one JSON object a line (`esp-webrtc help events` lists them)
    #[arg(long, value_enum, default_value_t = Events::Text)]
    pub(crate) events: Events,
    /// The same as --events json
    #[arg(long, conflicts_with = "events")]
    pub(crate) json: bool,
    /// Log on standard error; more often for more
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

impl Output {
    /// How events are printed.
    pub(crate) fn events(&self) -> Events {
        match self.json {
            true => Events::Json,
            false => self.events,
        }
    }
}

/// How events are printed.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Events {
    Text,
    Json,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turn_needs_a_user() {
        let urls = ["turn:a".to_owned(), "stun:b".to_owned()];
        assert!(ice_servers(&urls, "", "").is_err());
        let servers = ice_servers(&urls, "me", "secret").unwrap();
        assert_eq!(servers[0].credential, "secret");
        assert_eq!(servers[1].credential, "");
        assert!(ice_servers(&["http://a".to_owned()], "", "").is_err());
        assert!(ice_servers(&urls, "me", "@/nowhere/at/all").is_err());
    }
}
