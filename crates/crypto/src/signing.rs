use std::fmt;

use crate::{Error, provider};

/// A key pair for ECDSA over P-256 with SHA-256 (FIPS 186-5), the kind that WebRTC certificates have.
///
/// Making one and signing draw on the system's random source inside the provider: the one use of it here.
pub struct EcdsaP256(provider::EcdsaP256);

impl EcdsaP256 {
    /// A fresh key pair.
    ///
    /// [`Error::Misuse`] when the system has no randomness to give.
    pub fn generate() -> Result<Self, Error> {
        provider::EcdsaP256::generate().map(EcdsaP256)
    }

    /// The key pair in a PKCS #8 document (RFC 5958), DER.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, Error> {
        provider::EcdsaP256::from_pkcs8(der).map(EcdsaP256)
    }

    /// The key pair as a PKCS #8 document (RFC 5958), DER; the caller keeps it secret and clears it.
    pub fn to_pkcs8(&self) -> Result<Vec<u8>, Error> {
        self.0.to_pkcs8()
    }

    /// The public key as an uncompressed point (SEC 1 §2.3.3).
    pub fn public_key(&self) -> [u8; 65] {
        self.0.public_key()
    }

    /// The signature over `message`, an `ECDSA-Sig-Value` in DER (RFC 3279 §2.2.3).
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        self.0.sign(message)
    }
}

impl fmt::Debug for EcdsaP256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EcdsaP256(..)")
    }
}
