//! OpenSSL as our library, against an OpenSSL peer whose certificate is RSA, and against ourselves.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};

use esp_dtls::{
    Backend, Certificate, Config, Dtls, DtlsRole, Error, Event, Fingerprint, SrtpKeys, SrtpProfile,
    State, Version, Versions, Violation,
};
use esp_wire::{Instant, Origin, Train};
use openssl::asn1::Asn1Time;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::ssl::{Ssl, SslContext, SslMethod, SslOptions, SslStream, SslVerifyMode};
use openssl::x509::{X509, X509Name};

use crate::link::certificate;

#[derive(Default)]
struct Pipe {
    incoming: VecDeque<Vec<u8>>,
    outgoing: VecDeque<Vec<u8>>,
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let datagram = self.incoming.pop_front().ok_or(ErrorKind::WouldBlock)?;
        buffer[..datagram.len()].copy_from_slice(&datagram);
        Ok(datagram.len())
    }
}

impl Write for Pipe {
    fn write(&mut self, datagram: &[u8]) -> io::Result<usize> {
        self.outgoing.push_back(datagram.to_vec());
        Ok(datagram.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A peer as an old browser is: an RSA certificate, DTLS 1.2, one profile of SRTP.
struct Peer {
    session: SslStream<Pipe>,
    role: DtlsRole,
    fingerprint: Fingerprint,
    done: bool,
}

/// A self-signed certificate with an RSA key of so many bits.
fn rsa(bits: u32) -> (X509, PKey<Private>) {
    let key = PKey::from_rsa(Rsa::generate(bits).unwrap()).unwrap();
    let mut name = X509Name::builder().unwrap();
    name.append_entry_by_text("CN", "old").unwrap();
    let name = name.build();
    let mut made = X509::builder().unwrap();
    made.set_subject_name(&name).unwrap();
    made.set_issuer_name(&name).unwrap();
    made.set_pubkey(&key).unwrap();
    let (from, to) = (Asn1Time::days_from_now(0), Asn1Time::days_from_now(30));
    made.set_not_before(&from.unwrap()).unwrap();
    made.set_not_after(&to.unwrap()).unwrap();
    made.sign(&key, MessageDigest::sha256()).unwrap();
    (made.build(), key)
}

impl Peer {
    fn new(role: DtlsRole) -> Self {
        let (made, key) = rsa(2_048);
        let mut context = SslContext::builder(SslMethod::dtls()).unwrap();
        context.set_certificate(&made).unwrap();
        context.set_private_key(&key).unwrap();
        context.set_options(SslOptions::NO_QUERY_MTU);
        context
            .set_tlsext_use_srtp("SRTP_AES128_CM_SHA1_80")
            .unwrap();
        context.set_verify_callback(SslVerifyMode::PEER, |_, _| true);
        let mut ssl = Ssl::new(&context.build()).unwrap();
        ssl.set_mtu(1_200).unwrap();
        Peer {
            session: SslStream::new(ssl, Pipe::default()).unwrap(),
            role,
            fingerprint: Fingerprint::of(&made.to_der().unwrap()),
            done: false,
        }
    }

    fn step(&mut self) {
        if !self.done {
            let step = match self.role {
                DtlsRole::Client => self.session.connect(),
                DtlsRole::Server => self.session.accept(),
            };
            self.done = step.is_ok();
        }
    }

    /// The keys as RFC 5764 §4.2 lays them out.
    fn keys(&self) -> Vec<u8> {
        let mut keys = vec![0; 2 * (16 + 14)];
        let ssl = self.session.ssl();
        ssl.export_keying_material(&mut keys, "EXTRACTOR-dtls_srtp", None)
            .unwrap();
        keys
    }
}

/// Us, with what we said.
struct Own {
    dtls: Dtls,
    now: Instant,
    srtp: Option<SrtpKeys>,
    heard: Vec<Vec<u8>>,
    closed: bool,
}

impl Own {
    fn new(backend: Backend, role: DtlsRole, peer: Fingerprint) -> Self {
        let config = Config::new(certificate(0)).with_backend(backend);
        let mut dtls = Dtls::new(&config, &Origin::seeded(3)).unwrap();
        let now = Instant::ZERO;
        dtls.set_role(now, role).unwrap();
        dtls.set_remote_fingerprints(vec![peer]).unwrap();
        Own {
            dtls,
            now,
            srtp: None,
            heard: Vec::new(),
            closed: false,
        }
    }

    fn flush(&mut self) -> Vec<Vec<u8>> {
        let mut train = Train::with_capacity(Train::MAX_BYTES);
        let mut sent = Vec::new();
        while self.dtls.poll_transmit(self.now, &mut train) {
            sent.extend(train.segments().map(<[u8]>::to_vec));
        }
        sent
    }

    fn listen(&mut self) {
        while let Some(event) = self.dtls.poll_event() {
            match event {
                Event::Connected { version, srtp } => {
                    assert_eq!(version, Version::Dtls12);
                    self.srtp = srtp;
                }
                Event::Data(data) => self.heard.push(data.to_vec()),
                Event::Closed => self.closed = true,
            }
        }
    }

    fn seal(&mut self, data: &[u8]) -> Vec<u8> {
        let mut train = Train::with_capacity(Train::MAX_BYTES);
        train.begin(self.dtls.room(), data.len());
        assert!(train.push(data));
        self.dtls.protect(self.now, &mut train).unwrap();
        train.segment(0).to_vec()
    }
}

/// Carries datagrams until both are silent; the error that ended our side.
fn carry(own: &mut Own, peer: &mut Peer) -> Result<(), Error> {
    loop {
        let mut quiet = true;
        for datagram in own.flush() {
            peer.session.get_mut().incoming.push_back(datagram);
            quiet = false;
        }
        peer.step();
        while let Some(mut datagram) = peer.session.get_mut().outgoing.pop_front() {
            quiet = false;
            own.dtls.handle_input(own.now, &mut datagram)?;
        }
        own.listen();
        if quiet {
            return Ok(());
        }
    }
}

#[test]
fn a_peer_with_an_rsa_certificate_connects_in_either_role() {
    for role in [DtlsRole::Client, DtlsRole::Server] {
        let other = match role {
            DtlsRole::Client => DtlsRole::Server,
            DtlsRole::Server => DtlsRole::Client,
        };
        let mut peer = Peer::new(other);
        let mut own = Own::new(Backend::OpenSsl, role, peer.fingerprint.clone());
        carry(&mut own, &mut peer).unwrap();
        assert_eq!(own.dtls.state(), State::Connected);
        assert!(peer.done);
        // The keys are the same, each side's own first.
        let keys = own.srtp.clone().unwrap();
        assert_eq!(keys.profile, SrtpProfile::Aes128CmSha1_80);
        let theirs = peer.keys();
        let (client, server) = match role {
            DtlsRole::Client => (&keys.local_key, &keys.remote_key),
            DtlsRole::Server => (&keys.remote_key, &keys.local_key),
        };
        assert_eq!((&theirs[..16], &theirs[16..32]), (&client[..], &server[..]));
        // They were told our certificate.
        let shown = peer.session.ssl().peer_certificate().unwrap();
        let shown = Fingerprint::of(&shown.to_der().unwrap());
        assert_eq!(&shown, certificate(0).fingerprint());
        // Records, both ways.
        for len in [1, 100, 1_150] {
            let record = own.seal(&vec![7; len]);
            peer.session.get_mut().incoming.push_back(record);
            let mut plain = [0; 2_000];
            assert_eq!(peer.session.ssl_read(&mut plain).unwrap(), len);
        }
        // What is too short for its keys is noise, and so is a forged record.
        for body in 0..40_u8 {
            let mut short = vec![23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 99, 0, body];
            short.resize(13 + usize::from(body), 0);
            own.dtls.handle_input(own.now, &mut short).unwrap();
        }
        peer.session.ssl_write(b"from the old one").unwrap();
        carry(&mut own, &mut peer).unwrap();
        assert_eq!(own.heard, [b"from the old one"]);
        let mut forged = own.seal(b"x");
        own.dtls.handle_input(own.now, &mut forged).unwrap();
        peer.session.shutdown().unwrap();
        carry(&mut own, &mut peer).unwrap();
        assert!(own.closed);
    }
}

#[test]
fn another_certificate_than_the_announced_one_is_refused() {
    let mut peer = Peer::new(DtlsRole::Server);
    let announced = certificate(1).fingerprint().clone();
    let mut own = Own::new(Backend::OpenSsl, DtlsRole::Client, announced);
    let error = carry(&mut own, &mut peer).unwrap_err();
    assert!(matches!(
        error,
        Error::PeerMisbehaved(Violation::Fingerprint { .. })
    ));
    assert!(own.srtp.is_none() && own.dtls.state() == State::Failed);
}

#[test]
fn the_library_that_is_built_in_cannot() {
    let mut peer = Peer::new(DtlsRole::Server);
    let mut own = Own::new(Backend::Own, DtlsRole::Client, peer.fingerprint.clone());
    let _ = carry(&mut own, &mut peer);
    assert_ne!(own.dtls.state(), State::Connected);
}

#[test]
fn the_two_libraries_understand_each_other() {
    for backends in [
        [Backend::OpenSsl, Backend::Own],
        [Backend::Own, Backend::OpenSsl],
        [Backend::OpenSsl, Backend::OpenSsl],
    ] {
        let now = Instant::ZERO;
        let mut ends = [0, 1].map(|at| {
            let config = Config::new(certificate(at)).with_backend(backends[at]);
            Dtls::new(&config, &Origin::seeded(4)).unwrap()
        });
        let mut train = Train::with_capacity(Train::MAX_BYTES);
        for (at, role) in [DtlsRole::Client, DtlsRole::Server].into_iter().enumerate() {
            let theirs = certificate(1 - at).fingerprint().clone();
            ends[at].set_remote_fingerprints(vec![theirs]).unwrap();
            ends[at].set_role(now, role).unwrap();
        }
        let mut keys = [None, None];
        let mut quiet = 0;
        while quiet < 2 {
            quiet += 1;
            for at in [0, 1] {
                while ends[at].poll_transmit(now, &mut train) {
                    quiet = 0;
                    for segment in train.segments() {
                        let mut copy = segment.to_vec();
                        ends[1 - at].handle_input(now, &mut copy).unwrap();
                    }
                }
                while let Some(event) = ends[at].poll_event() {
                    if let Event::Connected { srtp, .. } = event {
                        keys[at] = srtp;
                    }
                }
            }
        }
        let [Some(client), Some(server)] = keys else {
            panic!("{backends:?}: {:?}", ends.map(|end| end.state()));
        };
        assert_eq!(client.local_key, server.remote_key);
        assert_eq!(client.remote_salt, server.local_salt);
    }
}

#[test]
fn it_speaks_no_1_3() {
    let config = Config::new(certificate(0))
        .with_backend(Backend::OpenSsl)
        .with_versions(Versions::Only13);
    let refused = Dtls::new(&config, &Origin::seeded(5)).err();
    assert!(matches!(refused, Some(Error::Misuse(_))));
}

#[test]
fn a_certificate_of_ours_may_be_rsa_where_openssl_shows_it() {
    let (made, key) = rsa(2_048);
    let (made, key) = (made.to_der().unwrap(), key.private_key_to_pkcs8().unwrap());
    let ours = Certificate::from_der(made.clone(), key).unwrap();
    assert_eq!(ours.fingerprint(), &Fingerprint::of(&made));
    let refused = Dtls::new(&Config::new(ours.clone()), &Origin::seeded(6)).err();
    assert!(matches!(refused, Some(Error::Misuse(why)) if why.contains("RSA")));
    let config = Config::new(ours).with_backend(Backend::OpenSsl);
    assert!(Dtls::new(&config, &Origin::seeded(6)).is_ok());
    // Another's key, and one that is too short.
    let other = rsa(2_048).1.private_key_to_pkcs8().unwrap();
    assert!(Certificate::from_der(made, other).is_err());
    let (made, key) = rsa(1_024);
    let (made, key) = (made.to_der().unwrap(), key.private_key_to_pkcs8().unwrap());
    assert!(Certificate::from_der(made, key).is_err());
}
