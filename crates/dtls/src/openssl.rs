//! The second library, OpenSSL's, for peers whose certificate is RSA (the first one speaks ECDSA alone).
//!
//! It speaks DTLS 1.2, its suites are those of RFC 8827 §6.5 with either kind of certificate, on either side.
//! It repeats lost flights by a clock of its own, the system's: it is asked to every [`LOOK`], and in virtual time
//! nothing is repeated. All records pass through it.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::time::Duration;

use esp_wire::Instant;
use openssl::error::ErrorStack;
use openssl::pkey::{Id, PKey};
use openssl::srtp::SrtpProfileId;
use openssl::ssl::{
    ErrorCode, Ssl, SslContext, SslMethod, SslOptions, SslStream, SslVerifyMode, SslVersion,
};
use openssl::x509::X509;
use zeroize::Zeroizing;

use crate::config::MAX_QUEUED;
use crate::library::payload_of;
use crate::outlet::Outlet;
use crate::server::{refused, waits};
use crate::sift::{least, sift};
use crate::{Config, Error, SrtpProfile, Version, Versions};

/// So often it may look whether a flight is to be repeated.
const LOOK: Duration = Duration::from_millis(100);
/// Bytes that a record holds at most.
const MAX_RECORD: usize = 1 << 14;
const SUITES: &str = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:\
                      ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384";
const PROFILES: &str = "SRTP_AEAD_AES_128_GCM:SRTP_AEAD_AES_256_GCM:SRTP_AES128_CM_SHA1_80";

/// Datagrams on their way in and out, as OpenSSL's socket.
#[derive(Default)]
struct Pipe {
    incoming: VecDeque<Vec<u8>>,
    outgoing: VecDeque<Vec<u8>>,
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let datagram = self.incoming.pop_front().ok_or(ErrorKind::WouldBlock)?;
        // What is longer than any record of ours is cut, and no record any more.
        let len = datagram.len().min(buffer.len());
        buffer[..len].copy_from_slice(&datagram[..len]);
        Ok(len)
    }
}

impl Write for Pipe {
    fn write(&mut self, datagram: &[u8]) -> io::Result<usize> {
        if self.outgoing.len() < MAX_QUEUED {
            self.outgoing.push_back(datagram.to_vec());
        }
        Ok(datagram.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The fewest bits of an RSA key.
const MIN_RSA_BITS: u32 = 2_048;

/// Whether this is an RSA key that is long enough, with a certificate for it.
pub(crate) fn is_rsa_pair(certificate: &[u8], pkcs8: &[u8]) -> bool {
    let pair = X509::from_der(certificate).and_then(|certificate| {
        let key = PKey::private_key_from_pkcs8(pkcs8)?;
        Ok((certificate.public_key()?, key))
    });
    pair.is_ok_and(|(public, key)| {
        key.id() == Id::RSA && key.bits() >= MIN_RSA_BITS && public.public_eq(&key)
    })
}

/// One association of OpenSSL's.
pub(crate) struct OpenSsl {
    session: SslStream<Pipe>,
    is_client: bool,
    complete: bool,
    told: bool,
    scratch: Vec<u8>,
    /// How long the handshake may take, and when it has taken too long.
    patience: Duration,
    until: Option<Instant>,
}

impl OpenSsl {
    pub(crate) fn new(config: &Config) -> Result<Self, Error> {
        if config.versions == Versions::Only13 {
            return Err(Error::Misuse("OpenSSL speaks no DTLS 1.3"));
        }
        Self::build(config).map_err(|error| Error::Library(error.to_string()))
    }

    fn build(config: &Config) -> Result<Self, ErrorStack> {
        let mut context = SslContext::builder(SslMethod::dtls())?;
        let certificate = X509::from_der(config.certificate.certificate_der())?;
        let key = PKey::private_key_from_der(config.certificate.private_key_pkcs8())?;
        context.set_certificate(&certificate)?;
        context.set_private_key(&key)?;
        context.set_min_proto_version(Some(SslVersion::DTLS1_2))?;
        context.set_cipher_list(SUITES)?;
        context.set_tlsext_use_srtp(PROFILES)?;
        context.set_options(SslOptions::NO_QUERY_MTU | SslOptions::NO_TICKET);
        // Both sides show self-signed certificates, which the fingerprint judges (RFC 8827 §6.5).
        let mode = SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT;
        context.set_verify_callback(mode, |_, _| true);
        let mut ssl = Ssl::new(&context.build())?;
        ssl.set_mtu(config.mtu as u32)?;
        Ok(OpenSsl {
            session: SslStream::new(ssl, Pipe::default())?,
            is_client: false,
            complete: false,
            told: false,
            scratch: Vec::new(),
            patience: config.handshake_timeout,
            until: None,
        })
    }

    pub(crate) fn become_client(&mut self) {
        self.is_client = true;
    }

    pub(crate) fn version(&self) -> Option<Version> {
        self.complete.then_some(Version::Dtls12)
    }

    /// Goes on with the handshake.
    pub(crate) fn advance(&mut self, now: Instant) -> Result<(), Error> {
        if self.complete {
            return Ok(());
        }
        if *self.until.get_or_insert(now + self.patience) <= now {
            return Err(Error::Timeout);
        }
        let step = match self.is_client {
            true => self.session.connect(),
            false => self.session.accept(),
        };
        match step {
            Ok(()) => self.complete = true,
            Err(error) if waits(&error) => {}
            Err(error) => return Err(refused(&error)),
        }
        Ok(())
    }

    pub(crate) fn handle_packet(&mut self, now: Instant, datagram: &[u8]) -> Result<bool, Error> {
        let mut datagram = datagram.to_vec();
        let kept = sift(&mut datagram, least(self.session.ssl()));
        datagram.truncate(kept);
        let pipe = self.session.get_mut();
        if !datagram.is_empty() && pipe.incoming.len() < MAX_QUEUED {
            pipe.incoming.push_back(datagram);
        }
        self.advance(now).map(|()| true)
    }

    pub(crate) fn close(&mut self) {
        if self.complete {
            // A refusal means that it was over before.
            let _ = self.session.shutdown();
        }
    }

    /// Takes everything that it has to say.
    pub(crate) fn drain(&mut self, now: Instant, outlet: &mut Outlet) -> Result<(), Error> {
        if self.complete {
            if !std::mem::replace(&mut self.told, true) {
                self.tell(outlet)?;
            }
            self.read(outlet)?;
        }
        outlet.deadline = (!self.complete).then(|| now + LOOK);
        while let Some(datagram) = self.session.get_mut().outgoing.pop_front() {
            outlet.flight(&datagram, None)?;
        }
        Ok(())
    }

    /// What the handshake has brought.
    fn tell(&self, outlet: &mut Outlet) -> Result<(), Error> {
        let library = |error: ErrorStack| Error::Library(error.to_string());
        let ssl = self.session.ssl();
        outlet.complete = true;
        outlet.peer_certificate = match ssl.peer_certificate() {
            Some(certificate) => Some(certificate.to_der().map_err(library)?),
            None => None,
        };
        let profile = ssl.selected_srtp_profile().map(|profile| profile.id());
        let profile = match profile {
            Some(SrtpProfileId::SRTP_AES128_CM_SHA1_80) => SrtpProfile::Aes128CmSha1_80,
            Some(SrtpProfileId::SRTP_AEAD_AES_128_GCM) => SrtpProfile::AeadAes128Gcm,
            Some(SrtpProfileId::SRTP_AEAD_AES_256_GCM) => SrtpProfile::AeadAes256Gcm,
            _ => return Ok(()),
        };
        // RFC 5764 §4.2.
        let len = 2 * (profile.key_len() + profile.salt_len());
        let mut keys = Zeroizing::new(vec![0; len]);
        ssl.export_keying_material(&mut keys, "EXTRACTOR-dtls_srtp", None)
            .map_err(library)?;
        outlet.keying = Some((profile, keys));
        Ok(())
    }

    fn read(&mut self, outlet: &mut Outlet) -> Result<(), Error> {
        self.scratch.resize(MAX_RECORD, 0);
        loop {
            match self.session.ssl_read(&mut self.scratch) {
                Ok(len) => outlet.receive(&self.scratch[..len]),
                Err(error) if waits(&error) => return Ok(()),
                Err(error) if error.code() == ErrorCode::ZERO_RETURN => {
                    outlet.peer_closed = true;
                    return Ok(());
                }
                Err(error) => return Err(refused(&error)),
            }
        }
    }

    /// Seals `record[head..len - tail]` into one record that fills `record`.
    pub(crate) fn seal(
        &mut self,
        record: &mut [u8],
        head: usize,
        tail: usize,
    ) -> Result<(), Error> {
        let payload = payload_of(record, head, tail)?;
        if payload.is_empty() {
            return Err(Error::Misuse("an empty record cannot be sealed"));
        }
        self.session
            .ssl_write(payload)
            .map_err(|error| refused(&error))?;
        match self.session.get_mut().outgoing.pop_back() {
            Some(sealed) if sealed.len() == record.len() => {
                record.copy_from_slice(&sealed);
                Ok(())
            }
            _ => Err(Error::Library("a record of another size came out".into())),
        }
    }
}
