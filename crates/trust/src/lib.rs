//! Which servers' certificates are believed: one rule for all that speak TLS or DTLS to a server.

mod shown;
mod words;

pub use self::words::{OTHER_NAME, UNTRUSTED, words, words_of_io};

use std::fmt;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use self::shown::Shown;

/// Who judges the certificates of servers.
pub type Verifier = Arc<dyn ServerCertVerifier>;

/// Whose certificates are believed; [`Default`] are those that the roots of Mozilla's program have signed, for the
/// server's name.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Trust(Rule);

#[derive(Clone, Default, PartialEq, Eq)]
enum Rule {
    #[default]
    Public,
    Roots(Vec<CertificateDer<'static>>),
    Pinned([u8; 32]),
    Anyone,
}

impl Trust {
    /// What the authorities of this PEM text have signed, for the server's name, and nothing else.
    ///
    /// # Errors
    /// In words, when the text is not PEM or holds no certificate, or one that cannot be a root.
    pub fn of_pem(pem: &[u8]) -> Result<Self, String> {
        let roots = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| format!("the roots are not PEM: {error}"))?;
        match roots.is_empty() {
            true => Err("there is no certificate in the PEM text".into()),
            false => Self::of(roots),
        }
    }

    /// The same for authorities in DER.
    ///
    /// # Errors
    /// In words, when there is none, or one cannot be a root.
    pub fn of_der(roots: Vec<Vec<u8>>) -> Result<Self, String> {
        match roots.is_empty() {
            true => Err("there is no certificate among the roots".into()),
            false => Self::of(roots.into_iter().map(CertificateDer::from).collect()),
        }
    }

    fn of(roots: Vec<CertificateDer<'static>>) -> Result<Self, String> {
        let trust = Trust(Rule::Roots(roots));
        trust.store().map(|_| trust)
    }

    /// Exactly the certificate with this SHA-256 hash, whatever name it carries.
    pub fn pinned(hash: [u8; 32]) -> Self {
        Trust(Rule::Pinned(hash))
    }

    /// Any certificate for any name: whoever is on the way can pose as the server. To be offered by what is called
    /// dangerous only.
    pub fn anyone() -> Self {
        Trust(Rule::Anyone)
    }

    fn store(&self) -> Result<RootCertStore, String> {
        let mut store = RootCertStore::empty();
        match &self.0 {
            Rule::Roots(roots) => {
                for root in roots {
                    store
                        .add(root.clone())
                        .map_err(|error| format!("a root is unusable: {error}"))?;
                }
            }
            _ => store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        }
        Ok(store)
    }

    /// Judges what a server shows, within TLS or outside of it.
    ///
    /// # Errors
    /// In words, when the roots are of no use.
    pub fn verifier(&self) -> Result<Verifier, String> {
        self.verifier_with(Arc::new(aws_lc_rs::default_provider()))
    }

    fn verifier_with(&self, provider: Arc<CryptoProvider>) -> Result<Verifier, String> {
        match self.0 {
            Rule::Pinned(hash) => Ok(Arc::new(Shown::new(Some(hash), provider))),
            Rule::Anyone => Ok(Arc::new(Shown::new(None, provider))),
            Rule::Public | Rule::Roots(_) => {
                let roots = Arc::new(self.store()?);
                let builder = WebPkiServerVerifier::builder_with_provider(roots, provider);
                let verifier = builder.build().map_err(|error| error.to_string())?;
                Ok(verifier)
            }
        }
    }

    /// The settings of TLS towards servers that are to be believed so.
    ///
    /// # Errors
    /// As for [`Trust::verifier`].
    pub fn client_config(&self) -> Result<ClientConfig, String> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        // Ours or the library's own, which is the same that it would take by itself.
        Ok(builder
            .dangerous()
            .with_custom_certificate_verifier(self.verifier_with(provider)?)
            .with_no_client_auth())
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Rule::Public => f.write_str("Public"),
            Rule::Roots(roots) => write!(f, "Roots({})", roots.len()),
            Rule::Pinned(_) => f.write_str("Pinned"),
            Rule::Anyone => f.write_str("Anyone"),
        }
    }
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::{ServerName, UnixTime};
    use sha2::{Digest, Sha256};

    use super::*;

    fn judge(trust: &Trust, shown: &[u8], name: &'static str) -> Result<(), rustls::Error> {
        let name = ServerName::try_from(name).unwrap();
        let shown = CertificateDer::from(shown);
        let now = UnixTime::now();
        let verifier = trust.verifier().unwrap();
        verifier
            .verify_server_cert(&shown, &[], &name, &[], now)
            .map(drop)
    }

    #[test]
    fn each_rule_believes_what_it_says_and_nothing_else() {
        let make = |name: &str| rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let (own, other) = (make("own.example"), make("own.example"));
        let (own, other) = (own.cert, other.cert);
        let rooted = [
            Trust::of_pem(own.pem().as_bytes()).unwrap(),
            Trust::of_der(vec![own.der().to_vec()]).unwrap(),
        ];
        for trust in &rooted {
            assert!(judge(trust, own.der(), "own.example").is_ok());
            assert!(judge(trust, own.der(), "other.example").is_err());
            assert!(judge(trust, other.der(), "own.example").is_err());
            assert!(trust.client_config().is_ok());
        }
        let pinned = Trust::pinned(Sha256::digest(own.der()).into());
        assert!(judge(&pinned, own.der(), "other.example").is_ok());
        let refused = judge(&pinned, other.der(), "own.example").unwrap_err();
        assert!(refused.to_string().contains("sha-256 "), "{refused}");
        assert!(judge(&Trust::anyone(), other.der(), "any.example").is_ok());
        assert!(judge(&Trust::default(), own.der(), "own.example").is_err());
    }

    #[test]
    fn roots_that_are_none_are_refused_in_words() {
        let refused = |trust: Result<Trust, String>| trust.unwrap_err();
        assert!(refused(Trust::of_pem(b"hello")).contains("PEM"));
        assert!(refused(Trust::of_der(Vec::new())).contains("no certificate"));
        assert!(refused(Trust::of_der(vec![vec![1, 2, 3]])).contains("unusable"));
    }
}
