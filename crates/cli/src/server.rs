//! The server of this program, of rooms or of this device alone: on localhost, and with `--lan` in this network.

use std::net::IpAddr;
use std::path::PathBuf;

use esp_local::{Local, LocalConfig};
use esp_rooms::{Config, Error, Event, Identity, Listener, Server, TlsConfig};
use esp_webrtc::driver::interfaces;
use esp_webrtc::wire::IceServer;
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;

use crate::arguments::ServerOptions;
use crate::failure::Failure;

/// A server that runs.
pub(crate) struct Running {
    pub(crate) server: Server,
    pub(crate) reach: Reach,
}

/// How a server is reached.
pub(crate) struct Reach {
    /// The root URL on this host.
    pub(crate) own: String,
    /// Root URLs for this network, best first.
    pub(crate) lan: Vec<String>,
    /// SHA-256 of the certificate.
    pub(crate) fingerprint: Option<String>,
}

/// Starts a server of rooms, as the options ask for.
pub(crate) fn start(
    options: &ServerOptions,
    ice_servers: Vec<IceServer>,
    on_event: impl Fn(&Event) + Send + Sync + 'static,
) -> Result<Running, Failure> {
    let plan = plan(options, ice_servers)?;
    let server = Server::start(plan.config.clone().with_events(on_event))
        .map_err(|error| refused(options, error))?;
    let reach = plan.reach(&server);
    Ok(Running { server, reach })
}

/// Starts a server of this device alone.
pub(crate) fn start_alone(
    options: &ServerOptions,
    ice_servers: Vec<IceServer>,
) -> Result<(Local, Reach), Failure> {
    let plan = plan(options, ice_servers)?;
    let local = Local::serve(plan.config.clone(), LocalConfig::default())
        .map_err(|error| refused(options, error))?;
    let reach = local.server().map(|server| plan.reach(server));
    let reach = reach.ok_or_else(|| Failure::Failed("the server has ended at once".into()))?;
    Ok((local, reach))
}

fn refused(options: &ServerOptions, error: Error) -> Failure {
    match error {
        Error::PortTaken(address) if options.lan && address.port() == options.lan_port => {
            Failure::Failed(format!(
                "port {} is taken; choose another with --lan-port",
                options.lan_port
            ))
        }
        error => Failure::of(error),
    }
}

/// Where to listen, and under which names.
struct ServerPlan {
    config: Config,
    lan: Vec<String>,
    fingerprint: Option<String>,
}

fn plan(options: &ServerOptions, ice_servers: Vec<IceServer>) -> Result<ServerPlan, Failure> {
    let mut config = Config::local(options.port).with_ice_servers(ice_servers);
    let mut lan = Vec::new();
    let mut fingerprint = None;
    if options.lan {
        let addresses = lan_addresses()?;
        let names: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
        let identity = Identity::keep(&state_dir(options)?, &names)
            .map_err(|why| Failure::of_directory("--state", why))?;
        let tls = TlsConfig::from_identity(&identity).map_err(Failure::of)?;
        config = config.with_listener(Listener::lan(options.lan_port, tls, &addresses));
        fingerprint = Some(identity.fingerprint_text());
        lan = names;
    }
    Ok(ServerPlan {
        config,
        lan,
        fingerprint,
    })
}

impl ServerPlan {
    fn reach(self, server: &Server) -> Reach {
        let port = server
            .addresses()
            .last()
            .map_or(0, |address| address.port());
        let url = |name: String| format!("https://{name}:{port}");
        Reach {
            own: server.url().to_owned(),
            lan: self.lan.into_iter().map(url).collect(),
            fingerprint: self.fingerprint,
        }
    }
}

/// IPv4 addresses under which others in this network reach this host.
fn lan_addresses() -> Result<Vec<IpAddr>, Failure> {
    let mut addresses: Vec<IpAddr> = interfaces()
        .map_err(Failure::of)?
        .into_iter()
        .map(|interface| interface.address)
        .filter(
            |address| matches!(address, IpAddr::V4(v4) if !v4.is_loopback() && !v4.is_link_local()),
        )
        .collect();
    addresses.dedup();
    if addresses.is_empty() {
        return Err(Failure::Failed(
            "this host has no IPv4 address in a network; without --lan it serves itself".into(),
        ));
    }
    Ok(addresses)
}

fn state_dir(options: &ServerOptions) -> Result<PathBuf, Failure> {
    let set = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    // The XDG specification: what is not absolute is ignored.
    let absolute = |path: &PathBuf| path.is_absolute();
    let own = || Some(set("XDG_STATE_HOME").filter(absolute)?.join("esp-webrtc"));
    let usual = || Some(set("HOME")?.join(".local/state/esp-webrtc"));
    let given = options.state.clone();
    given.or_else(own).or_else(usual).ok_or_else(|| {
        Failure::Usage(
            "there is no home directory for the certificate; name one with --state DIR".into(),
        )
    })
}

/// A QR code for a terminal.
pub(crate) fn qr_code(text: &str) -> Result<String, Failure> {
    let code = QrCode::new(text).map_err(Failure::of)?;
    // Terminals are dark more often than light, and readers take both.
    Ok(code
        .render::<Dense1x2>()
        .dark_color(Dense1x2::Light)
        .light_color(Dense1x2::Dark)
        .quiet_zone(true)
        .build())
}

/// Whether a URL leads to this host.
pub(crate) fn is_local(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    let loopback = |address: IpAddr| address.is_loopback();
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_is_known() {
        for url in [
            "http://localhost:8080/r/a",
            "http://127.0.0.2/r/a",
            "https://[::1]:1/r/a",
        ] {
            assert!(is_local(url), "{url}");
        }
        for url in [
            "http://localhost.example.org/r/a",
            "http://192.0.2.1/r/a",
            "http://[::2]/r/a",
        ] {
            assert!(!is_local(url), "{url}");
        }
    }

    #[test]
    fn a_url_fits_a_qr_code() {
        let code = qr_code("https://192.168.100.200:8443/r/0123456789012345678901").unwrap();
        assert!(
            code.lines().all(|line| line.chars().count() <= 80),
            "{code}"
        );
    }
}
