//! A real TURN server.

use std::fs;
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use esp_e2e::directory::Directory;
use esp_e2e::wait;
use esp_webrtc::wire::IceServer;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use crate::{Internet, Outcome, Process};

const USER: &str = "lab";
const PASSWORD: &str = "secret of the lab";
const START: Duration = Duration::from_secs(180);
/// Where it listens: plain, and secured.
const PORTS: [u16; 2] = [3478, 5349];
/// A Binding request without attributes (RFC 8489 §5).
const BINDING: [u8; 20] = *b"\x00\x01\x00\x00\x21\x12\xa4\x42is it there?";

/// How a coturn is set up; [`Default`] listens at [`Internet::V4`] with one user.
#[derive(Clone, Debug)]
pub struct CoturnConfig {
    address: &'static str,
    v6: bool,
    rest_secret: Option<String>,
    options: Vec<String>,
}

impl Default for CoturnConfig {
    fn default() -> Self {
        CoturnConfig {
            address: Internet::V4,
            v6: false,
            rest_secret: None,
            options: Vec::new(),
        }
    }
}

impl CoturnConfig {
    /// At the internet's other address.
    #[must_use]
    pub fn at_the_other_address(mut self) -> Self {
        self.address = Internet::V4_OTHER;
        self
    }

    /// With IPv6 besides: [`Internet::V6`] listens and relays, too.
    #[must_use]
    pub fn with_v6(mut self) -> Self {
        self.v6 = true;
        self
    }

    /// With names that expire, for which [`rest_login`] makes passwords out of this secret.
    #[must_use]
    pub fn with_rest_secret(mut self, secret: &str) -> Self {
        self.rest_secret = Some(secret.to_owned());
        self
    }

    /// With an option of its command line.
    #[must_use]
    pub fn with_option(mut self, option: &str) -> Self {
        self.options.push(option.to_owned());
        self
    }

    fn arguments(&self, directory: &str) -> Vec<String> {
        let mut all: Vec<String> = [
            "-n",
            "--no-cli",
            "--log-file=stdout",
            "--simple-log",
            "--verbose",
            "--fingerprint",
            "--realm=lab",
            "--relay-threads=1",
        ]
        .map(str::to_owned)
        .to_vec();
        for (option, file) in [
            ("pidfile", "pid"),
            ("userdb", "users"),
            ("cert", "certificate.pem"),
            ("pkey", "key.pem"),
        ] {
            all.push(format!("--{option}={directory}/{file}"));
        }
        let v6 = self.v6.then_some(Internet::V6);
        for address in [Some(self.address), v6].into_iter().flatten() {
            all.push(format!("--listening-ip={address}"));
            all.push(format!("--relay-ip={address}"));
        }
        match &self.rest_secret {
            None => {
                all.push("--lt-cred-mech".into());
                all.push(format!("--user={USER}:{PASSWORD}"));
            }
            Some(secret) => {
                all.push("--use-auth-secret".into());
                all.push(format!("--static-auth-secret={secret}"));
            }
        }
        all.extend(self.options.iter().cloned());
        all
    }
}

/// The name and password that coturn's "REST API" takes until `expiry`, in Unix seconds.
pub fn rest_login(secret: &str, expiry: u64) -> (String, String) {
    let name = format!("{expiry}:lab");
    let mut mac =
        Hmac::<Sha1>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(name.as_bytes());
    let password = STANDARD.encode(mac.finalize().into_bytes());
    (name, password)
}

/// A running coturn; it is killed when this is dropped.
#[derive(Debug)]
pub struct Coturn {
    process: Process,
    address: &'static str,
    roots: String,
    _directory: Directory,
}

impl Coturn {
    /// Starts it in the internet and waits until it listens.
    ///
    /// # Errors
    /// When it is not installed or does not come up.
    pub fn start(internet: &Internet, config: &CoturnConfig) -> Outcome<Self> {
        let directory = Directory::new("coturn")?;
        let roots = certificate(&directory, config.address)?;
        let arguments = config.arguments(&directory.path().to_string_lossy());
        let process = Process::start(internet.namespace(), "turnserver", &arguments)?;
        let mut addresses = vec![config.address];
        addresses.extend(config.v6.then_some(Internet::V6));
        for address in addresses {
            let ip = address.parse().map_err(|_| "no address")?;
            internet
                .namespace()
                .inside(|| wait::until("coturn does not listen", START, || listens(ip)))?
                .map_err(|why| format!("{why}{}", process.said()))?;
        }
        Ok(Coturn {
            process,
            address: config.address,
            roots,
            _directory: directory,
        })
    }

    /// The root of its certificate, in PEM.
    pub fn roots(&self) -> &str {
        &self.roots
    }

    /// Its URL as a STUN server.
    pub fn stun(&self) -> IceServer {
        IceServer::stun(format!("stun:{}", self.address))
    }

    /// Its URL as a TURN server over `udp`, `tcp`, `tls` or `dtls`, for its one user.
    pub fn turn(&self, transport: &str) -> IceServer {
        IceServer::turn(self.url(self.address, transport), USER, PASSWORD)
    }

    /// The same at its address of IPv6.
    pub fn turn_v6(&self, transport: &str) -> IceServer {
        let address = format!("[{}]", Internet::V6);
        IceServer::turn(self.url(&address, transport), USER, PASSWORD)
    }

    /// The same with a login of [`rest_login`].
    pub fn turn_as(&self, transport: &str, login: &(String, String)) -> IceServer {
        IceServer::turn(self.url(self.address, transport), &login.0, &login.1)
    }

    fn url(&self, address: &str, transport: &str) -> String {
        match transport {
            "tls" => format!("turns:{address}?transport=tcp"),
            "dtls" => format!("turns:{address}?transport=udp"),
            other => format!("turn:{address}?transport={other}"),
        }
    }

    /// What it has said lately.
    pub fn said(&self) -> String {
        self.process.said()
    }

    /// Kills it: what it relays ends without a word.
    pub fn kill(self) {
        self.process.kill();
    }
}

/// Whether it takes streams and answers over UDP there, on each port.
fn listens(ip: IpAddr) -> Option<()> {
    for port in PORTS {
        let at = SocketAddr::new(ip, port);
        TcpStream::connect(at).ok()?;
        let socket = UdpSocket::bind(SocketAddr::new(ip, 0)).ok()?;
        socket.connect(at).ok()?;
        let moment = Duration::from_millis(500);
        socket.set_read_timeout(Some(moment)).ok()?;
        socket.send(&BINDING).ok()?;
        socket.recv(&mut [0; 1_500]).ok()?;
    }
    Some(())
}

/// Writes a certificate for its addresses, and gives the root that has signed it.
fn certificate(directory: &Directory, address: &str) -> Outcome<String> {
    let words = |error: rcgen::Error| error.to_string();
    let mut root = rcgen::CertificateParams::new(Vec::new()).map_err(words)?;
    root.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let root_key = rcgen::KeyPair::generate().map_err(words)?;
    let root_certificate = root.self_signed(&root_key).map_err(words)?;
    let issuer = rcgen::Issuer::new(root, root_key);
    let names = vec![address.to_owned(), Internet::V6.to_owned()];
    let key = rcgen::KeyPair::generate().map_err(words)?;
    let certificate = rcgen::CertificateParams::new(names)
        .and_then(|params| params.signed_by(&key, &issuer))
        .map_err(words)?;
    for (file, text) in [
        ("certificate.pem", certificate.pem()),
        ("key.pem", key.serialize_pem()),
    ] {
        let path = directory.path().join(file);
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(root_certificate.pem())
}
