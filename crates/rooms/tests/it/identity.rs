use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;

use esp_rooms::{Config, Error, Identity, Listener, TlsConfig};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};

use crate::client::{Answer, House, PATIENCE, calm, read_answer};

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("esp-rooms-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn names() -> Vec<String> {
    vec!["localhost".to_owned(), "127.0.0.1".to_owned()]
}

#[test]
fn an_identity_is_kept_and_closed_to_others() {
    let folder = Folder::new("kept");
    let inner = folder.0.join("a/b");
    let first = Identity::keep(&inner, &names()).unwrap();
    let again = Identity::keep(&inner, &["other".to_owned()]).unwrap();
    assert_eq!(first.fingerprint(), again.fingerprint());
    assert_eq!(first.certificate_pem(), again.certificate_pem());
    assert_eq!(first.fingerprint_text().len(), 32 * 3 - 1);
    assert!(!format!("{first:?}").contains("PRIVATE"));
    let other = Identity::generate(&names()).unwrap();
    assert_ne!(first.fingerprint(), other.fingerprint());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let file = inner.join("identity.pem");
        let mode = || std::fs::metadata(&file).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(), 0o600);
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        Identity::keep(&inner, &names()).unwrap();
        assert_eq!(mode(), 0o600);
    }
}

#[test]
fn an_old_or_damaged_identity_is_not_used() {
    let folder = Folder::new("old");
    let first = Identity::keep(&folder.0, &names()).unwrap();
    let file = folder.0.join("identity.pem");
    let text = std::fs::read_to_string(&file).unwrap();
    let (_, rest) = text.split_once('\n').unwrap();
    std::fs::write(&file, format!("expires: 1000\n{rest}")).unwrap();
    let second = Identity::keep(&folder.0, &names()).unwrap();
    assert_ne!(first.fingerprint(), second.fingerprint());
    std::fs::write(&file, "expires: 99999999999\nnothing\n").unwrap();
    let error = Identity::keep(&folder.0, &names()).unwrap_err();
    assert!(error.to_string().contains("damaged"), "{error}");
}

#[test]
fn certificates_that_do_not_fit_are_refused() {
    let (one, other) = (
        Identity::generate(&names()).unwrap(),
        Identity::generate(&names()).unwrap(),
    );
    let one_pem = one.certificate_pem().as_bytes();
    for result in [
        TlsConfig::from_pem(b"", one.key_pem().as_bytes()),
        TlsConfig::from_pem(one_pem, b""),
        TlsConfig::from_pem(one_pem, other.key_pem().as_bytes()),
        TlsConfig::from_der(vec![vec![1, 2, 3]], vec![4, 5]),
    ] {
        assert!(matches!(result, Err(Error::Certificate(_))));
    }
}

/// A connection by TLS, believing this identity.
pub(crate) fn connect(
    house: &House,
    identity: &Identity,
) -> rustls::StreamOwned<rustls::ClientConnection, TcpStream> {
    let mut roots = rustls::RootCertStore::empty();
    let der = CertificateDer::from_pem_slice(identity.certificate_pem().as_bytes()).unwrap();
    roots.add(der).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let connection = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, house.address.port()));
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    rustls::StreamOwned::new(connection, stream)
}

fn ask(house: &House, identity: &Identity, host: &str, line: &str) -> Answer {
    let mut stream = connect(house, identity);
    let request = format!("{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    read_answer(&mut stream)
}

#[test]
fn a_network_is_served_by_https() {
    let identity = Identity::generate(&names()).unwrap();
    let tls = TlsConfig::from_identity(&identity).unwrap();
    let listener = Listener::lan(0, tls, &["192.0.2.7".parse().unwrap()]);
    let house = House::with(Config::local(0).with_limits(calm()).with_listener(listener));
    let lan = house.server.addresses().last().copied().unwrap();
    let root = format!("https://192.0.2.7:{}", lan.port());
    assert_eq!(house.server.urls().last(), Some(&root));
    let house = House {
        address: lan,
        ..house
    };
    // By the address that was told, and by the one where the connection arrives.
    for host in ["192.0.2.7", "127.0.0.1"] {
        let host = format!("{host}:{}", lan.port());
        let answer = ask(&house, &identity, &host, "POST /join/demo");
        let params = &answer.json()["params"];
        assert_eq!(params["wss_url"], format!("wss://{host}/ws"));
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.contains(&format!("wss://{host}")), "{policy}");
    }
    let other = format!("evil.example:{}", lan.port());
    assert_eq!(ask(&house, &identity, &other, "GET /").status, 403);
    // Plain HTTP on the port of HTTPS is cut, and harms nobody.
    assert_eq!(house.get("/").status, 0);
    let host = format!("127.0.0.1:{}", lan.port());
    assert_eq!(ask(&house, &identity, &host, "GET /").status, 200);
}
