//! Which server certificates are believed.

use std::sync::Arc;

use esp_sdp::Fingerprint;
use rustls::ClientConfig;

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
        let trust = match self {
            Trust::Public => esp_trust::Trust::default(),
            Trust::Authorities(pem) => {
                esp_trust::Trust::of_pem(pem.as_bytes()).map_err(|reason| {
                    Error::Misuse(format!("the CA certificates cannot be used: {reason}"))
                })?
            }
            Trust::Pinned(print) => esp_trust::Trust::pinned(hash(print)?),
        };
        let config = trust
            .client_config()
            .map_err(|reason| Error::Misuse(format!("TLS cannot be set up: {reason}")))?;
        Ok(Arc::new(config))
    }
}

fn hash(print: &Fingerprint) -> Result<[u8; 32], Error> {
    match <[u8; 32]>::try_from(&print.value[..]) {
        Ok(hash) if print.algorithm == "sha-256" => Ok(hash),
        _ => Err(Error::Misuse(
            "a pinned certificate needs its sha-256 fingerprint".into(),
        )),
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
