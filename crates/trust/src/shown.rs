//! Judges the certificate that is shown, whoever has signed it.

use std::fmt::{self, Write};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use sha2::{Digest, Sha256};

/// Believes one certificate, or every; the signatures of the handshake are checked all the same.
pub(crate) struct Shown {
    /// Its SHA-256 hash.
    wanted: Option<[u8; 32]>,
    provider: Arc<CryptoProvider>,
}

impl Shown {
    pub(crate) fn new(wanted: Option<[u8; 32]>, provider: Arc<CryptoProvider>) -> Self {
        Shown { wanted, provider }
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shown")
    }
}

/// A hash as descriptions write it (RFC 8122 §5).
fn written(hash: &[u8]) -> String {
    let mut text = String::from("sha-256");
    for (at, byte) in hash.iter().enumerate() {
        let between = if at == 0 { ' ' } else { ':' };
        // Writing to a string does not fail.
        let _ = write!(text, "{between}{byte:02X}");
    }
    text
}

impl ServerCertVerifier for Shown {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let shown: [u8; 32] = Sha256::digest(end_entity.as_ref()).into();
        match self.wanted {
            Some(wanted) if wanted != shown => Err(rustls::Error::General(format!(
                "the server shows another certificate than the expected one, {}",
                written(&shown)
            ))),
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
