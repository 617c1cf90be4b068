//! TURN over DTLS against coturn, whose certificate is RSA and signed by an intermediate authority.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;

use esp_driver::ServerTrust;
use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509Name};

use crate::pair::PATIENCE;
use crate::turn::{failure, relayed, talk};

/// Its own, so that servers of other tests are not in the way.
const HOME: &str = "127.0.0.77";

/// A certificate with its RSA key.
pub(crate) type Pair = (X509, PKey<Private>);

pub(crate) fn certificate(name: &str, serial: u32, issuer: Option<&Pair>, authority: bool) -> Pair {
    let key = PKey::from_rsa(Rsa::generate(2_048).unwrap()).unwrap();
    let mut subject = X509Name::builder().unwrap();
    subject.append_entry_by_text("CN", name).unwrap();
    let subject = subject.build();
    let mut builder = X509Builder::new().unwrap();
    builder.set_version(2).unwrap();
    let serial = BigNum::from_u32(serial).unwrap().to_asn1_integer().unwrap();
    builder.set_serial_number(&serial).unwrap();
    builder.set_subject_name(&subject).unwrap();
    let by = issuer.map_or(&*subject, |(issuer, _)| issuer.subject_name());
    builder.set_issuer_name(by).unwrap();
    builder.set_pubkey(&key).unwrap();
    let (from, to) = (Asn1Time::days_from_now(0), Asn1Time::days_from_now(30));
    builder.set_not_before(&from.unwrap()).unwrap();
    builder.set_not_after(&to.unwrap()).unwrap();
    if authority {
        let extension = BasicConstraints::new().critical().ca().build().unwrap();
        builder.append_extension(extension).unwrap();
    } else {
        let mut names = SubjectAlternativeName::new();
        let context = builder.x509v3_context(None, None);
        let names = names.ip(name).build(&context).unwrap();
        builder.append_extension(names).unwrap();
    }
    let signer = issuer.map_or(&key, |(_, key)| key);
    builder.sign(signer, MessageDigest::sha256()).unwrap();
    (builder.build(), key)
}

/// coturn; it ends, and its files go, when this is dropped.
struct Coturn {
    child: Child,
    folder: PathBuf,
    secured: SocketAddr,
    trust: ServerTrust,
}

impl Coturn {
    fn start() -> Self {
        let root = certificate("a root of tests", 1, None, true);
        let middle = certificate("an intermediate of tests", 2, Some(&root), true);
        let leaf = certificate(HOME, 3, Some(&middle), false);
        let folder = std::env::temp_dir().join(format!("esp-turn-dtls-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let [chain, key] = ["chain.pem", "key.pem"].map(|name| folder.join(name));
        let parts = [leaf.0.to_pem().unwrap(), middle.0.to_pem().unwrap()];
        std::fs::write(&chain, parts.concat()).unwrap();
        std::fs::write(&key, leaf.1.private_key_to_pem_pkcs8().unwrap()).unwrap();
        let [plain, secured] = free_ports();
        let file = |what: &str, path: &PathBuf| format!("--{what}={}", path.display());
        let mut child = Command::new("turnserver")
            .args(["-n", "--no-cli", "--lt-cred-mech", "--user=user:secret"])
            .args(["--realm=test", "--allow-loopback-peers", "--no-rfc5780"])
            .args(["--log-file=stdout", "--simple-log", "--verbose"])
            .arg(format!("--listening-ip={HOME}"))
            .arg(format!("--relay-ip={HOME}"))
            .arg(format!("--listening-port={}", plain.port()))
            .arg(format!("--tls-listening-port={}", secured.port()))
            .args([file("cert", &chain), file("pkey", &key)])
            .arg(file("pidfile", &folder.join("pid")))
            .arg(file("userdb", &folder.join("users")))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("coturn is installed");
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let coturn = Coturn {
            child,
            folder,
            secured,
            trust: ServerTrust::of_der(vec![root.0.to_der().unwrap()]).unwrap(),
        };
        let (said, heard) = channel();
        // It reads to the end: coturn must not stop for a pipe that is full.
        std::thread::spawn(move || {
            lines
                .map_while(Result::ok)
                .for_each(|line| drop(said.send(line)))
        });
        let opened = format!("DTLS/UDP listener opened on: {secured}");
        loop {
            let line = heard.recv_timeout(PATIENCE).expect("coturn is not ready");
            if line.contains(&opened) {
                return coturn;
            }
        }
    }
}

impl Drop for Coturn {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Two ports that neither a TCP nor a UDP socket has.
fn free_ports() -> [SocketAddr; 2] {
    let held = [(); 2].map(|()| {
        loop {
            let listener = TcpListener::bind((HOME, 0)).unwrap();
            let local = listener.local_addr().unwrap();
            if let Ok(socket) = UdpSocket::bind(local) {
                return (listener, socket);
            }
        }
    });
    held.map(|(listener, _)| listener.local_addr().unwrap())
}

#[test]
fn a_call_passes_over_turn_in_dtls() {
    let coturn = Coturn::start();
    let url = format!("turns:{}?transport=udp", coturn.secured);
    let (_driver, pair) = relayed(&url, coturn.trust.clone());
    talk(&pair);
    drop(pair);
    let reason = failure(&url, ServerTrust::default());
    assert!(reason.contains("no trusted root"), "{reason}");
    let skipping = ServerTrust::default()
        .dangerous()
        .insecure_skip_turn_cert_verify();
    let (_driver, pair) = relayed(&url, skipping);
    talk(&pair);
}

#[test]
fn a_server_that_is_not_there_is_told_in_words() {
    // The port of a socket that hears somebody else alone, so that no other gets it.
    let held = UdpSocket::bind((HOME, 0)).unwrap();
    held.connect((HOME, 9)).unwrap();
    let nobody = held.local_addr().unwrap();
    let url = format!("turns:{nobody}?transport=udp");
    let reason = failure(&url, ServerTrust::default());
    assert!(reason.contains("refused"), "{reason}");
}
