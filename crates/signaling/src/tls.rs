//! Which server certificates are believed.

use std::fmt;
use std::sync::Arc;

use esp_sdp::Fingerprint;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use sha2::{Digest, Sha256};

use crate::Error;

/// Which certificate a server of `https` and `wss` must show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// One of a public authority (Mozilla's list), for the server's name.
    #[default]
    Public,
    /// One that these authorities signed, for the server's name; PEM text.
    Authorities(String),
    /// Exactly the one with this SHA-256 hash, whatever name it carries; for servers of one's own.
    Pinned(Fingerprint),
}

impl Trust {
    /// A client configuration that believes this.
    pub(crate) fn client_config(&self) -> Result<Arc<ClientConfig>, Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::Misuse(format!("TLS cannot be set up: {error}")))?;
        let config = match self {
            Trust::Public => {
                let roots: RootCertStore = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect();
                builder.with_root_certificates(roots)
            }
            Trust::Authorities(pem) => builder.with_root_certificates(authorities(pem)?),
            Trust::Pinned(print) => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Pin::new(print, provider)?)),
        };
        Ok(Arc::new(config.with_no_client_auth()))
    }
}

fn authorities(pem: &str) -> Result<RootCertStore, Error> {
    let wrong =
        |reason: String| Error::Misuse(format!("the CA certificates cannot be used: {reason}"));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| wrong(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(wrong(
            "there is no CERTIFICATE block in the PEM text".into(),
        ));
    }
    Ok(roots)
}

/// Believes one certificate alone.
struct Pin {
    hash: [u8; 32],
    provider: Arc<CryptoProvider>,
}

impl Pin {
    fn new(print: &Fingerprint, provider: Arc<CryptoProvider>) -> Result<Self, Error> {
        let hash = match (
            print.algorithm.as_str(),
            <[u8; 32]>::try_from(&print.value[..]),
        ) {
            ("sha-256", Ok(hash)) => hash,
            _ => {
                return Err(Error::Misuse(
                    "a pinned certificate needs its sha-256 fingerprint".into(),
                ));
            }
        };
        Ok(Pin { hash, provider })
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin")
    }
}

impl ServerCertVerifier for Pin {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let shown: [u8; 32] = Sha256::digest(end_entity.as_ref()).into();
        if shown == self.hash {
            return Ok(ServerCertVerified::assertion());
        }
        let shown = Fingerprint {
            algorithm: "sha-256".into(),
            value: shown.to_vec(),
        };
        Err(rustls::Error::General(format!(
            "the server shows another certificate than the expected one, {shown}"
        )))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unusable_trust_is_refused_in_words() {
        let short = Trust::Pinned(Fingerprint {
            algorithm: "sha-1".into(),
            value: vec![0; 20],
        });
        let error = short.client_config().unwrap_err();
        assert!(error.to_string().contains("sha-256"));
        let none = Trust::Authorities("hello".into());
        assert!(
            none.client_config()
                .unwrap_err()
                .to_string()
                .contains("PEM")
        );
        assert!(Trust::Public.client_config().is_ok());
    }
}
