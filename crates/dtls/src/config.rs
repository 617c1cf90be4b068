use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dimpl::crypto::Dtls12CipherSuite;

use crate::library::LIBRARY_UPDATE_AFTER;
use crate::records::Timing;
use crate::{Certificate, Error, secrets};

/// Which versions of DTLS an association speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Versions {
    /// 1.3 where the peer has it, else 1.2.
    #[default]
    Auto,
    /// 1.2 alone (RFC 6347).
    Only12,
    /// 1.3 alone (RFC 9147).
    Only13,
}

/// The library that an association is made with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Backend {
    /// The one that is built in: both versions, and peers with ECDSA certificates.
    #[default]
    Own,
    /// OpenSSL of the system, in a build with the feature `openssl`: DTLS 1.2 alone, and peers with RSA
    /// certificates too. It tells the time for its retransmissions itself.
    OpenSsl,
}

/// The settings of an association.
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) certificate: Certificate,
    pub(crate) versions: Versions,
    pub(crate) backend: Backend,
    pub(crate) mtu: usize,
    pub(crate) first_timeout: Duration,
    pub(crate) handshake_timeout: Duration,
    pub(crate) max_held: usize,
    pub(crate) max_early: usize,
    pub(crate) own_records: bool,
    pub(crate) key_update_after: u64,
}

/// What of the settings the library knows.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Key {
    mtu: usize,
    first_timeout: Duration,
    handshake_timeout: Duration,
    own_records: bool,
    key_update_after: u64,
}

/// The library tests its crypto provider each time that it takes settings, which costs more than a handshake: what
/// it accepted once is kept. Only settings are in here, nothing of any association.
static ACCEPTED: Mutex<Vec<(Key, Arc<dimpl::Config>)>> = Mutex::new(Vec::new());
/// Different settings that are kept.
const MAX_ACCEPTED: usize = 16;

/// Datagrams that the library keeps until they complete a message.
pub(crate) const MAX_QUEUED: usize = 48;
/// Bytes that a datagram may have during the handshake.
pub(crate) const MAX_HANDSHAKE_DATAGRAM: usize = 2_048;
/// Half of what a key bears (RFC 9147 §4.5.3), and then some.
const MAX_KEY_UPDATE_AFTER: u64 = 1 << 24;

impl Config {
    /// The defaults over `certificate`: both versions, datagrams of 1,200 bytes, 30 s for the handshake.
    pub fn new(certificate: Certificate) -> Self {
        Config {
            certificate,
            versions: Versions::Auto,
            backend: Backend::Own,
            mtu: 1_200,
            first_timeout: Duration::from_millis(150),
            handshake_timeout: Duration::from_secs(30),
            max_held: 256 * 1024,
            max_early: 16,
            own_records: true,
            key_update_after: 1 << 23,
        }
    }

    /// The versions to speak.
    pub fn with_versions(mut self, versions: Versions) -> Self {
        self.versions = versions;
        self
    }

    /// The library; [`Error::Misuse`] at the birth of an association when it is not built in.
    pub fn with_backend(mut self, backend: Backend) -> Self {
        self.backend = backend;
        self
    }

    /// Bytes that a handshake datagram has at most, 256 to 2,048; 1,200 by default.
    pub fn with_mtu(mut self, mtu: usize) -> Self {
        self.mtu = mtu;
        self
    }

    /// Time before a flight is sent again, doubled each time; 150 ms by default (RFC 9147 §5.8.2).
    pub fn with_first_timeout(mut self, timeout: Duration) -> Self {
        self.first_timeout = timeout;
        self
    }

    /// Time that the handshake may take from its first datagram on; 30 s by default.
    pub fn with_handshake_timeout(mut self, timeout: Duration) -> Self {
        self.handshake_timeout = timeout;
        self
    }

    /// Bytes of application data kept until they are taken, and while the certificate is not checked yet; more is
    /// dropped as on a lossy path. 256 KiB by default.
    pub fn with_max_held(mut self, bytes: usize) -> Self {
        self.max_held = bytes;
        self
    }

    /// Datagrams of up to 2,048 bytes kept before the role is known; 16 by default.
    pub fn with_max_early(mut self, datagrams: usize) -> Self {
        self.max_early = datagrams;
        self
    }

    /// Whether application data is sealed and opened in place by this crate, the default, or by the library, which
    /// copies and allocates for each record.
    ///
    /// The library keeps the records of an association that agrees on ChaCha20-Poly1305.
    pub fn with_own_records(mut self, own: bool) -> Self {
        self.own_records = own;
        self
    }

    /// Records that are sealed under one key of DTLS 1.3 before it is replaced (RFC 9147 §4.5.3), 1 to 2^24; 2^23
    /// by default.
    pub fn with_key_update_after(mut self, records: u64) -> Self {
        self.key_update_after = records;
        self
    }

    /// The certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    pub(crate) fn for_library(&self) -> Result<Arc<dimpl::Config>, Error> {
        if !(256..=MAX_HANDSHAKE_DATAGRAM).contains(&self.mtu) {
            return Err(Error::Misuse("the MTU must be 256 to 2,048 bytes"));
        }
        if self.first_timeout.is_zero() || self.first_timeout > self.handshake_timeout {
            return Err(Error::Misuse(
                "the first timeout must be within the handshake's",
            ));
        }
        if !(1..=MAX_KEY_UPDATE_AFTER).contains(&self.key_update_after) {
            return Err(Error::Misuse("a key must serve 1 to 2^24 records"));
        }
        let key = Key {
            mtu: self.mtu,
            first_timeout: self.first_timeout,
            handshake_timeout: self.handshake_timeout,
            own_records: self.own_records,
            key_update_after: if self.own_records {
                LIBRARY_UPDATE_AFTER
            } else {
                self.key_update_after
            },
        };
        let mut accepted = ACCEPTED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, config)) = accepted.iter().find(|(known, _)| *known == key) {
            return Ok(Arc::clone(config));
        }
        let config = self.build_for_library(key)?;
        if accepted.len() < MAX_ACCEPTED {
            accepted.push((key, Arc::clone(&config)));
        }
        Ok(config)
    }

    fn build_for_library(&self, key: Key) -> Result<Arc<dimpl::Config>, Error> {
        let mut builder = dimpl::Config::builder();
        if key.own_records {
            builder = builder.with_crypto_provider(secrets::provider());
        }
        builder
            .aead_encryption_limit(key.key_update_after)
            .mtu(self.mtu)
            .max_queue_rx(MAX_QUEUED)
            .max_queue_tx(MAX_QUEUED)
            // ICE has shown that the peer owns its address.
            .use_server_cookie(false)
            .flight_start_rto(self.first_timeout)
            .flight_retries(self.retries())
            .handshake_timeout(self.handshake_timeout)
            // RFC 8827 §6.5 asks for AES-128-GCM; both of these add the same bytes to a record.
            .dtls12_cipher_suites(&[
                Dtls12CipherSuite::ECDHE_ECDSA_AES128_GCM_SHA256,
                Dtls12CipherSuite::ECDHE_ECDSA_AES256_GCM_SHA384,
            ])
            .build()
            .map(Arc::new)
            .map_err(|error| Error::Library(error.to_string()))
    }

    pub(crate) fn timing(&self) -> Timing {
        Timing {
            first: self.first_timeout,
            retries: self.retries(),
        }
    }

    /// As many doublings as the handshake has time for, even when each timer fires a quarter early.
    fn retries(&self) -> usize {
        let mut covered = self.first_timeout;
        let mut retries = 1;
        while covered < self.handshake_timeout * 2 && retries < 32 {
            covered = covered.saturating_mul(2);
            retries += 1;
        }
        retries
    }
}
