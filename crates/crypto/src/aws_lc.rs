//! The provider over aws-lc-rs.

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey, quic};
use aws_lc_rs::cipher::{AES_128, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use aws_lc_rs::{digest, hmac};

use crate::{Error, NONCE_LEN, TAG_LEN};

pub(crate) const NAME: &str = "aws-lc";

fn hash<const N: usize>(algorithm: &'static digest::Algorithm, parts: &[&[u8]]) -> [u8; N] {
    let mut context = digest::Context::new(algorithm);
    for part in parts {
        context.update(part);
    }
    let mut out = [0; N];
    out.copy_from_slice(context.finish().as_ref());
    out
}

pub(crate) fn sha1(parts: &[&[u8]]) -> [u8; 20] {
    hash(&digest::SHA1_FOR_LEGACY_USE_ONLY, parts)
}

pub(crate) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    hash(&digest::SHA256, parts)
}

pub(crate) fn sha384(parts: &[&[u8]]) -> [u8; 48] {
    hash(&digest::SHA384, parts)
}

pub(crate) fn sha512(parts: &[&[u8]]) -> [u8; 64] {
    hash(&digest::SHA512, parts)
}

fn sign<const N: usize>(key: &hmac::Key, parts: &[&[u8]]) -> [u8; N] {
    let mut context = hmac::Context::with_key(key);
    for part in parts {
        context.update(part);
    }
    let mut out = [0; N];
    out.copy_from_slice(context.sign().as_ref());
    out
}

#[derive(Clone)]
pub(crate) struct HmacSha1(hmac::Key);

impl HmacSha1 {
    pub(crate) fn new(key: &[u8]) -> Self {
        HmacSha1(hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key))
    }

    pub(crate) fn sign(&self, parts: &[&[u8]]) -> [u8; 20] {
        sign(&self.0, parts)
    }
}

#[derive(Clone)]
pub(crate) struct HmacSha256(hmac::Key);

impl HmacSha256 {
    pub(crate) fn new(key: &[u8]) -> Self {
        HmacSha256(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    pub(crate) fn sign(&self, parts: &[&[u8]]) -> [u8; 32] {
        sign(&self.0, parts)
    }
}

pub(crate) struct AesCtr(EncryptingKey);

impl AesCtr {
    pub(crate) fn new(key: &[u8]) -> Self {
        let algorithm = if key.len() == 16 { &AES_128 } else { &AES_256 };
        let key = UnboundCipherKey::new(algorithm, key)
            .and_then(EncryptingKey::ctr)
            .expect("the key's length was checked");
        AesCtr(key)
    }

    pub(crate) fn apply(&self, counter: &[u8; 16], data: &mut [u8]) {
        self.0
            .less_safe_encrypt(data, EncryptionContext::Iv128(counter.into()))
            .expect("counter mode takes any length");
    }
}

pub(crate) struct AesMask(quic::HeaderProtectionKey);

impl AesMask {
    pub(crate) fn new(key: &[u8]) -> Self {
        let algorithm = if key.len() == 16 {
            &quic::AES_128
        } else {
            &quic::AES_256
        };
        let key = quic::HeaderProtectionKey::new(algorithm, key);
        AesMask(key.expect("the key's length was checked"))
    }

    pub(crate) fn mask(&self, sample: &[u8; 16]) -> [u8; 5] {
        self.0.new_mask(sample).expect("a sample is one block")
    }
}

pub(crate) struct AesGcm(LessSafeKey);

impl AesGcm {
    pub(crate) fn new(key: &[u8]) -> Self {
        let algorithm = if key.len() == 16 {
            &AES_128_GCM
        } else {
            &AES_256_GCM
        };
        let key = UnboundKey::new(algorithm, key).expect("the key's length was checked");
        AesGcm(LessSafeKey::new(key))
    }

    pub(crate) fn seal(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        data: &mut [u8],
    ) -> [u8; TAG_LEN] {
        let tag = self
            .0
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(*nonce), Aad::from(aad), data)
            .expect("fewer than 2^36 bytes");
        let mut out = [0; TAG_LEN];
        out.copy_from_slice(tag.as_ref());
        out
    }

    pub(crate) fn open(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        data: &mut [u8],
        tag: &[u8; TAG_LEN],
    ) -> Result<(), Error> {
        self.0
            .open_in_place_separate_tag(
                Nonce::assume_unique_for_key(*nonce),
                Aad::from(aad),
                tag,
                data,
            )
            .map(|_| ())
            .map_err(|_| Error::Unauthentic)
    }
}

pub(crate) struct EcdsaP256(EcdsaKeyPair);

impl EcdsaP256 {
    pub(crate) fn generate() -> Result<Self, Error> {
        EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)
            .map(EcdsaP256)
            .map_err(|_| Error::Misuse("no key pair could be generated"))
    }

    pub(crate) fn from_pkcs8(der: &[u8]) -> Result<Self, Error> {
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der)
            .map(EcdsaP256)
            .map_err(|_| Error::Misuse("this is no P-256 key in PKCS #8"))
    }

    pub(crate) fn to_pkcs8(&self) -> Result<Vec<u8>, Error> {
        self.0
            .to_pkcs8v1()
            .map(|document| document.as_ref().to_vec())
            .map_err(|_| Error::Misuse("the key cannot be exported"))
    }

    pub(crate) fn public_key(&self) -> [u8; 65] {
        let mut out = [0; 65];
        out.copy_from_slice(self.0.public_key().as_ref());
        out
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        self.0
            .sign(&SystemRandom::new(), message)
            .map(|signature| signature.as_ref().to_vec())
            .map_err(|_| Error::Misuse("the system has no randomness to sign with"))
    }
}
