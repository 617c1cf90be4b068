//! Which servers a TLS stream trusts.

use std::fmt;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// Whose certificates the streams to `turns:` and `stuns:` servers accept; [`Default`] accepts what the
/// roots of Mozilla's program have signed.
#[derive(Clone, Default)]
pub struct ServerTrust {
    roots: Option<Vec<CertificateDer<'static>>>,
    unverified: bool,
}

impl ServerTrust {
    /// Trusts the certificates of this PEM text, and no others.
    ///
    /// # Errors
    /// In words, when the text is not PEM or holds no certificate.
    pub fn of_pem(pem: &[u8]) -> Result<Self, String> {
        let roots = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| format!("the roots are not PEM: {error}"))?;
        Self::of(roots)
    }

    /// Trusts these certificates in DER, and no others.
    ///
    /// # Errors
    /// In words, when there is none, or one cannot be a root.
    pub fn of_der(roots: Vec<Vec<u8>>) -> Result<Self, String> {
        Self::of(roots.into_iter().map(CertificateDer::from).collect())
    }

    fn of(roots: Vec<CertificateDer<'static>>) -> Result<Self, String> {
        if roots.is_empty() {
            return Err("there is no certificate among the roots".into());
        }
        let trust = ServerTrust {
            roots: Some(roots),
            unverified: false,
        };
        trust.store().map(|_| trust)
    }

    /// Opens what weakens security.
    pub fn dangerous(self) -> DangerousTrust {
        DangerousTrust(self)
    }

    fn store(&self) -> Result<RootCertStore, String> {
        let mut store = RootCertStore::empty();
        match &self.roots {
            None => store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Some(roots) => {
                for root in roots {
                    store
                        .add(root.clone())
                        .map_err(|error| format!("a root is unusable: {error}"))?;
                }
            }
        }
        Ok(store)
    }

    fn client(&self) -> Result<ClientConfig, String> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        if !self.unverified {
            return Ok(builder
                .with_root_certificates(self.store()?)
                .with_no_client_auth());
        }
        let verifier = Arc::new(Unverified(provider));
        Ok(builder
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth())
    }

    /// Judges what a server shows outside of TLS.
    #[cfg(feature = "openssl")]
    fn verifier(&self) -> Result<Verifier, String> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        if self.unverified {
            return Ok(Arc::new(Unverified(provider)));
        }
        let roots = Arc::new(self.store()?);
        let builder = rustls::client::WebPkiServerVerifier::builder_with_provider(roots, provider);
        let verifier = builder.build().map_err(|error| error.to_string())?;
        Ok(verifier)
    }
}

/// Judges the certificates of servers.
#[cfg(feature = "openssl")]
pub(crate) type Verifier = Arc<dyn ServerCertVerifier>;

impl fmt::Debug for ServerTrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTrust")
            .field("roots", &self.roots.as_ref().map(Vec::len))
            .field("unverified", &self.unverified)
            .finish()
    }
}

/// What weakens security, apart from the rest so that it is seen; by [`ServerTrust::dangerous`].
#[derive(Debug)]
pub struct DangerousTrust(ServerTrust);

impl DangerousTrust {
    /// Accepts any certificate for any name: whoever is on the way can pose as the server and read its
    /// credentials. Only for trials.
    pub fn insecure_skip_turn_cert_verify(self) -> ServerTrust {
        ServerTrust {
            unverified: true,
            ..self.0
        }
    }
}

/// The settings of TLS, made with the first stream that needs them.
pub(crate) struct TlsClient {
    trust: ServerTrust,
    config: OnceLock<Result<Arc<ClientConfig>, String>>,
    #[cfg(feature = "openssl")]
    datagrams: OnceLock<Result<(Verifier, openssl::ssl::SslContext), String>>,
}

impl TlsClient {
    pub(crate) fn new(trust: ServerTrust) -> Self {
        TlsClient {
            trust,
            config: OnceLock::new(),
            #[cfg(feature = "openssl")]
            datagrams: OnceLock::new(),
        }
    }

    /// What DTLS needs: who judges the certificates, and the settings.
    #[cfg(feature = "openssl")]
    pub(crate) fn datagrams(&self) -> Result<(Verifier, openssl::ssl::SslContext), String> {
        let make = || Ok((self.trust.verifier()?, crate::shard::datagram_context()?));
        self.datagrams.get_or_init(make).clone()
    }

    pub(crate) fn config(&self) -> Result<Arc<ClientConfig>, String> {
        self.config
            .get_or_init(|| self.trust.client().map(Arc::new))
            .clone()
    }
}

/// Believes every certificate; the signatures of the handshake are checked all the same.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
