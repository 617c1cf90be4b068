//! Servers with certificates of their own, over HTTPS and WSS.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use esp_sdp::Fingerprint;
use esp_signaling::{
    AppRtc, AppRtcConfig, IceCause, OTHER_NAME, Retry, Signaling, Trust, UNTRUSTED,
};
use esp_wire::Role;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::fake::Fake;
use crate::{Ear, Told, custom, patient, recorder};

/// TLS before a fake server: bytes are passed on both ways.
fn tls_before(fake: &Fake) -> (SocketAddr, String, Vec<u8>) {
    tls_in(fake, |_| ())
}

/// The same with a certificate of other terms.
fn tls_in(
    fake: &Fake,
    change: impl FnOnce(&mut rcgen::CertificateParams),
) -> (SocketAddr, String, Vec<u8>) {
    tls_at(fake.address, change)
}

/// TLS before whatever listens there.
pub(crate) fn tls_at(
    plain: SocketAddr,
    change: impl FnOnce(&mut rcgen::CertificateParams),
) -> (SocketAddr, String, Vec<u8>) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut terms = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    change(&mut terms);
    let cert = terms.self_signed(&key).unwrap();
    let (pem, der) = (cert.pem(), cert.der().to_vec());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from(der.clone())],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let config = config.clone();
            std::thread::spawn(move || relay(stream, config, plain));
        }
    });
    (address, pem, der)
}

/// One thread serves a connection: short read timeouts let both directions have their turn.
fn relay(stream: TcpStream, config: Arc<ServerConfig>, plain: SocketAddr) {
    let turn = Some(Duration::from_millis(5));
    let mut inner = TcpStream::connect(plain).unwrap();
    stream.set_read_timeout(turn).unwrap();
    inner.set_read_timeout(turn).unwrap();
    let mut outer = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
    let mut bytes = vec![0; 16_384];
    let is_pending = |error: &std::io::Error| {
        matches!(
            error.kind(),
            std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
        )
    };
    loop {
        match outer.read(&mut bytes) {
            Ok(0) => return,
            Ok(read) => inner.write_all(&bytes[..read]).unwrap(),
            Err(error) if is_pending(&error) => {}
            Err(_) => return,
        }
        match inner.read(&mut bytes) {
            Ok(0) => return,
            Ok(read) => {
                if outer.write_all(&bytes[..read]).is_err() {
                    return;
                }
            }
            Err(error) if is_pending(&error) => {}
            Err(_) => return,
        }
    }
}

fn start(url: &str, trust: Trust) -> (AppRtc, Ear) {
    let retry = Retry {
        first: Duration::from_millis(1),
        attempts: Some(1),
        ..Retry::default()
    };
    let config = AppRtcConfig::new(url)
        .unwrap()
        .with_trust(trust)
        .with_retry(retry);
    let mut client = AppRtc::new(patient(config));
    let (events, ear) = recorder();
    client.start(events).unwrap();
    (client, ear)
}

fn works(url: &str, trust: Trust, fake: &Fake) {
    fake.state().initiator = true;
    fake.state().relative = true;
    let (mut client, ear) = start(url, trust);
    ear.expect(&[
        Told::Ice(Role::Controlling, IceCause::Joined, 1),
        Told::Connected,
    ]);
    client.send_msg(&custom("SECRET")).unwrap();
    fake.wait_for("post c1");
    fake.say("c1", r#"{"type":"customized","data":"HEARD"}"#);
    ear.expect(&[Told::Msg(custom("HEARD"))]);
    client.stop().unwrap();
}

fn print_of(der: &[u8]) -> Fingerprint {
    use sha2::Digest;
    Fingerprint {
        algorithm: "sha-256".into(),
        value: sha2::Sha256::digest(der).to_vec(),
    }
}

#[test]
fn a_pinned_certificate_is_believed_whatever_its_name() {
    let fake = Fake::start();
    let (address, _, der) = tls_before(&fake);
    works(
        &format!("https://{address}/r/demo"),
        Trust::Pinned(print_of(&der)),
        &fake,
    );
}

#[test]
fn another_certificate_than_the_pinned_one_is_not() {
    let fake = Fake::start();
    let (address, _, _) = tls_before(&fake);
    let wrong = Trust::Pinned(print_of(b"another"));
    let (_client, ear) = start(&format!("https://{address}/r/demo"), wrong);
    let words = ear.words();
    assert!(words.contains("another certificate"), "{words}");
    assert!(fake.state().log.is_empty());
}

#[test]
fn authorities_of_ones_own_and_the_public_ones() {
    let fake = Fake::start();
    let (address, pem, _) = tls_before(&fake);
    let own = Trust::Authorities(pem);
    let public = start(&format!("https://{address}/r/demo"), Trust::Public);
    let words = public.1.words();
    assert!(words.contains("cannot be reached"), "{words}");
    assert!(words.contains(UNTRUSTED), "{words}");
    // The name must fit too: the certificate is that of localhost.
    let (_client, ear) = start(&format!("https://{address}/r/demo"), own);
    let words = ear.words();
    assert!(words.contains(OTHER_NAME), "{words}");
    assert!(words.contains("localhost, not 127.0.0.1"), "{words}");
}

#[test]
fn a_server_that_is_not_secured_is_told_as_such() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/r/demo", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            // It answers what it has read: bytes left unread would reset the connection.
            let mut heard = [0; 16_384];
            let _ = stream.read(&mut heard);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
            while let Ok(1..) = stream.read(&mut heard) {}
        }
    });
    let (_client, ear) = start(&url, Trust::Public);
    let words = ear.words();
    assert!(words.contains("does not speak TLS"), "{words}");
}

#[test]
fn a_certificate_out_of_its_time_is_told_as_such() {
    for (years, words) in [(2001..2002, "has expired"), (2999..3000, "not valid yet")] {
        let fake = Fake::start();
        let (address, pem, _) = tls_in(&fake, |certificate| {
            certificate.not_before = rcgen::date_time_ymd(years.start, 1, 1);
            certificate.not_after = rcgen::date_time_ymd(years.end, 1, 1);
        });
        let url = format!("https://localhost:{}/r/demo", address.port());
        let (_client, ear) = start(&url, Trust::Authorities(pem));
        let told = ear.words();
        assert!(told.contains(words), "{told}");
    }
}
