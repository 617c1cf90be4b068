use std::fmt;
use std::sync::Arc;

use esp_crypto::{EcdsaP256, sha256};
use zeroize::Zeroizing;

use crate::der::{self, value};
use crate::{Error, Fingerprint};

/// A self-signed certificate with its P-256 key, made once and used for any number of associations. One with an
/// RSA key, made elsewhere, serves with [`Backend::OpenSsl`](crate::Backend::OpenSsl) alone.
///
/// Clones share the memory. `Debug` shows the fingerprint and never the key.
#[derive(Clone)]
pub struct Certificate {
    inner: Arc<Inner>,
}

struct Inner {
    certificate: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
    fingerprint: Fingerprint,
    is_rsa: bool,
}

impl Certificate {
    /// Makes a key pair and signs a certificate for it.
    ///
    /// This is the one function of an engine that draws on the system's random source, inside the crypto library.
    /// The certificate says nothing about who made it and when: its name is `WebRTC`, it is valid from 2020 to
    /// 2049, and its serial number is a hash of its key. A fresh one per call keeps calls from being linked
    /// (RFC 8827 §8.3).
    pub fn generate() -> Result<Self, Error> {
        let key = EcdsaP256::generate().map_err(|_| Error::Library(NO_KEY.into()))?;
        let document = key.to_pkcs8().map_err(|_| Error::Library(NO_KEY.into()))?;
        let certificate = self_signed(&key).map_err(|_| Error::Library(NO_KEY.into()))?;
        Ok(Self::of(certificate, document, false))
    }

    /// A certificate (X.509, DER) with its P-256 key (PKCS #8, DER), as kept from an earlier
    /// [`Certificate::generate`] or made elsewhere. In a build with the feature `openssl` the key may be RSA, of
    /// 2,048 bits or more (RFC 8827 §6.5).
    ///
    /// [`Error::Malformed`] when the key is none or the certificate is not for it.
    pub fn from_der(certificate: Vec<u8>, pkcs8: Vec<u8>) -> Result<Self, Error> {
        let pkcs8 = Zeroizing::new(pkcs8);
        #[cfg(feature = "openssl")]
        if crate::openssl::is_rsa_pair(&certificate, &pkcs8) {
            return Ok(Self::of(certificate, pkcs8.to_vec(), true));
        }
        let key = EcdsaP256::from_pkcs8(&pkcs8)
            .map_err(|_| Error::Malformed("this is no P-256 key in PKCS #8"))?;
        let point = key.public_key();
        let whole = certificate.first() == Some(&der::SEQUENCE);
        if !whole || !certificate.windows(point.len()).any(|part| part == point) {
            return Err(Error::Malformed("the certificate is not for this key"));
        }
        Ok(Self::of(certificate, pkcs8.to_vec(), false))
    }

    fn of(certificate: Vec<u8>, key: Vec<u8>, is_rsa: bool) -> Self {
        let fingerprint = Fingerprint::of(&certificate);
        Certificate {
            inner: Arc::new(Inner {
                certificate,
                key: Zeroizing::new(key),
                fingerprint,
                is_rsa,
            }),
        }
    }

    /// The SHA-256 fingerprint, for the session description.
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.inner.fingerprint
    }

    /// The certificate in DER.
    pub fn certificate_der(&self) -> &[u8] {
        &self.inner.certificate
    }

    /// The private key as PKCS #8 in DER: secret, to be kept where only its owner reads it.
    pub fn private_key_pkcs8(&self) -> &[u8] {
        &self.inner.key
    }

    /// Whether the key is RSA, which the library that is built in does not know.
    pub(crate) fn is_rsa(&self) -> bool {
        self.inner.is_rsa
    }

    pub(crate) fn for_library(&self) -> dimpl::DtlsCertificate {
        dimpl::DtlsCertificate {
            certificate: self.inner.certificate.clone(),
            private_key: self.inner.key.to_vec(),
        }
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({})", self.inner.fingerprint)
    }
}

const NO_KEY: &str = "no key pair could be generated";

/// A version 3 certificate without extensions (RFC 5280 §4.1) over the key itself.
fn self_signed(key: &EcdsaP256) -> Result<Vec<u8>, esp_crypto::Error> {
    let point = key.public_key();
    let mut serial = [0; 16];
    serial.copy_from_slice(&sha256(&[&point])[..16]);
    // RFC 5280 §4.1.2.2: positive; and in its shortest form.
    serial[0] = serial[0] & 0x7f | 0x40;

    let signature_algorithm = value(der::SEQUENCE, &[der::OID_ECDSA_SHA256]);
    let attribute = value(
        der::SEQUENCE,
        &[der::OID_COMMON_NAME, &value(der::UTF8_STRING, &[b"WebRTC"])],
    );
    let name = value(der::SEQUENCE, &[&value(der::SET, &[&attribute])]);
    let validity = value(
        der::SEQUENCE,
        &[
            &value(der::UTC_TIME, &[b"200101000000Z"]),
            &value(der::UTC_TIME, &[b"491231235959Z"]),
        ],
    );
    let key_algorithm = value(der::SEQUENCE, &[der::OID_EC_PUBLIC_KEY, der::OID_P256]);
    let public_key = value(
        der::SEQUENCE,
        &[&key_algorithm, &value(der::BIT_STRING, &[&[0], &point])],
    );
    let body = value(
        der::SEQUENCE,
        &[
            &value(der::CONTEXT_0, &[&value(der::INTEGER, &[&[2]])]),
            &value(der::INTEGER, &[&serial]),
            &signature_algorithm,
            &name,
            &validity,
            &name,
            &public_key,
        ],
    );
    let signature = value(der::BIT_STRING, &[&[0], &key.sign(&body)?]);
    Ok(value(
        der::SEQUENCE,
        &[&body, &signature_algorithm, &signature],
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_its_parts() {
        let made = Certificate::generate().unwrap();
        let again = Certificate::from_der(
            made.certificate_der().to_vec(),
            made.private_key_pkcs8().to_vec(),
        )
        .unwrap();
        assert_eq!(made.fingerprint(), again.fingerprint());
        let other = Certificate::generate().unwrap();
        assert_ne!(made.fingerprint(), other.fingerprint());
        assert!(
            Certificate::from_der(
                made.certificate_der().to_vec(),
                other.private_key_pkcs8().to_vec()
            )
            .is_err()
        );
        assert!(Certificate::from_der(vec![], vec![]).is_err());
    }

    #[test]
    fn debug_shows_the_fingerprint_alone() {
        let made = Certificate::generate().unwrap();
        assert_eq!(
            format!("{made:?}"),
            format!("Certificate({})", made.fingerprint())
        );
    }
}
