//! Which servers a TLS stream trusts.

use std::fmt;
use std::sync::{Arc, OnceLock};

use esp_trust::Trust;
#[cfg(feature = "openssl")]
use esp_trust::Verifier;
use rustls::ClientConfig;

/// Whose certificates the streams to `turns:` and `stuns:` servers accept; [`Default`] accepts what the
/// roots of Mozilla's program have signed.
#[derive(Clone, Default)]
pub struct ServerTrust(Trust);

impl ServerTrust {
    /// Trusts the certificates of this PEM text, and no others.
    ///
    /// # Errors
    /// In words, when the text is not PEM or holds no certificate.
    pub fn of_pem(pem: &[u8]) -> Result<Self, String> {
        Trust::of_pem(pem).map(ServerTrust)
    }

    /// Trusts these certificates in DER, and no others.
    ///
    /// # Errors
    /// In words, when there is none, or one cannot be a root.
    pub fn of_der(roots: Vec<Vec<u8>>) -> Result<Self, String> {
        Trust::of_der(roots).map(ServerTrust)
    }

    /// Opens what weakens security.
    pub fn dangerous(self) -> DangerousTrust {
        DangerousTrust(())
    }
}

impl fmt::Debug for ServerTrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ServerTrust").field(&self.0).finish()
    }
}

/// What weakens security, apart from the rest so that it is seen; by [`ServerTrust::dangerous`].
#[derive(Debug)]
pub struct DangerousTrust(());

impl DangerousTrust {
    /// Accepts any certificate for any name: whoever is on the way can pose as the server and read its
    /// credentials. Only for trials.
    pub fn insecure_skip_turn_cert_verify(self) -> ServerTrust {
        ServerTrust(Trust::anyone())
    }
}

/// The settings of TLS, made with the first stream that needs them.
pub(crate) struct TlsClient {
    trust: Trust,
    config: OnceLock<Result<Arc<ClientConfig>, String>>,
    #[cfg(feature = "openssl")]
    datagrams: OnceLock<Result<(Verifier, esp_dtls::ServerContext), String>>,
}

impl TlsClient {
    pub(crate) fn new(trust: ServerTrust) -> Self {
        TlsClient {
            trust: trust.0,
            config: OnceLock::new(),
            #[cfg(feature = "openssl")]
            datagrams: OnceLock::new(),
        }
    }

    /// What DTLS needs: who judges the certificates, and the settings.
    #[cfg(feature = "openssl")]
    pub(crate) fn datagrams(&self) -> Result<(Verifier, esp_dtls::ServerContext), String> {
        let make = || {
            let context = esp_dtls::ServerContext::new().map_err(|error| error.to_string())?;
            Ok((self.trust.verifier()?, context))
        };
        self.datagrams.get_or_init(make).clone()
    }

    pub(crate) fn config(&self) -> Result<Arc<ClientConfig>, String> {
        self.config
            .get_or_init(|| self.trust.client_config().map(Arc::new))
            .clone()
    }
}
