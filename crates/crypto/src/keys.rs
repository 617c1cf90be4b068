use std::fmt;

use crate::{Error, constant_time_eq, provider};

/// Bytes of an AES-GCM nonce.
pub const NONCE_LEN: usize = 12;
/// Bytes of an AES-GCM tag.
pub const TAG_LEN: usize = 16;

macro_rules! redacted {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )*};
}

redacted!(HmacSha1Key, HmacSha256Key, AesCtr, AesGcm, AesMask);

/// A key for HMAC-SHA1 (RFC 2104), set up once.
#[derive(Clone)]
pub struct HmacSha1Key(provider::HmacSha1);

impl HmacSha1Key {
    /// A key of any length.
    pub fn new(key: &[u8]) -> Self {
        HmacSha1Key(provider::HmacSha1::new(key))
    }

    /// The tag over the concatenation of `parts`.
    pub fn sign(&self, parts: &[&[u8]]) -> [u8; 20] {
        self.0.sign(parts)
    }

    /// True when `tag` is the start of the tag over `parts`, compared in constant time.
    ///
    /// A `tag` that is empty or longer than 20 bytes never matches.
    pub fn verify(&self, parts: &[&[u8]], tag: &[u8]) -> bool {
        let right = self.sign(parts);
        match right.get(..tag.len()) {
            Some(right) if !tag.is_empty() => constant_time_eq(right, tag),
            _ => false,
        }
    }
}

/// A key for HMAC-SHA256 (RFC 2104), set up once.
#[derive(Clone)]
pub struct HmacSha256Key(provider::HmacSha256);

impl HmacSha256Key {
    /// A key of any length.
    pub fn new(key: &[u8]) -> Self {
        HmacSha256Key(provider::HmacSha256::new(key))
    }

    /// The tag over the concatenation of `parts`.
    pub fn sign(&self, parts: &[&[u8]]) -> [u8; 32] {
        self.0.sign(parts)
    }

    /// True when `tag` is the start of the tag over `parts`, compared in constant time.
    ///
    /// A `tag` that is empty or longer than 32 bytes never matches.
    pub fn verify(&self, parts: &[&[u8]], tag: &[u8]) -> bool {
        let right = self.sign(parts);
        match right.get(..tag.len()) {
            Some(right) if !tag.is_empty() => constant_time_eq(right, tag),
            _ => false,
        }
    }
}

/// AES-128 or AES-256 in counter mode (NIST SP 800-38A §6.5), set up once.
pub struct AesCtr(provider::AesCtr);

impl AesCtr {
    /// A key of 16 or 32 bytes.
    pub fn new(key: &[u8]) -> Result<Self, Error> {
        match key.len() {
            16 | 32 => Ok(AesCtr(provider::AesCtr::new(key))),
            _ => Err(Error::Misuse("an AES-CTR key has 16 or 32 bytes")),
        }
    }

    /// XORs the key stream that starts at the block `counter` onto `data`; encrypts and decrypts.
    ///
    /// The block counts up as one big-endian number of 128 bits.
    pub fn apply(&self, counter: &[u8; 16], data: &mut [u8]) {
        self.0.apply(counter, data);
    }
}

/// AES-128 or AES-256 in Galois/Counter Mode with 12-byte nonces and 16-byte tags (NIST SP 800-38D), set up once.
pub struct AesGcm(provider::AesGcm);

impl AesGcm {
    /// A key of 16 or 32 bytes.
    pub fn new(key: &[u8]) -> Result<Self, Error> {
        match key.len() {
            16 | 32 => Ok(AesGcm(provider::AesGcm::new(key))),
            _ => Err(Error::Misuse("an AES-GCM key has 16 or 32 bytes")),
        }
    }

    /// Encrypts `data` in place and returns the tag over it and `aad`.
    ///
    /// A nonce must never be used twice with one key.
    pub fn seal(&self, nonce: &[u8; NONCE_LEN], aad: &[u8], data: &mut [u8]) -> [u8; TAG_LEN] {
        self.0.seal(nonce, aad, data)
    }

    /// Like [`AesGcm::seal`] for a buffer whose last [`TAG_LEN`] bytes are free and take the tag.
    pub fn seal_suffix(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        buffer: &mut [u8],
    ) -> Result<(), Error> {
        let (data, slot) = buffer
            .split_last_chunk_mut::<TAG_LEN>()
            .ok_or(Error::Misuse("no room for the tag"))?;
        *slot = self.seal(nonce, aad, data);
        Ok(())
    }

    /// Checks `tag` over `data` and `aad` and decrypts `data` in place.
    ///
    /// [`Error::Unauthentic`] when it does not match; `data` must then not be used.
    pub fn open(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        data: &mut [u8],
        tag: &[u8; TAG_LEN],
    ) -> Result<(), Error> {
        self.0.open(nonce, aad, data, tag)
    }

    /// Like [`AesGcm::open`] for a buffer that ends in the tag; returns the length of the plain text at its start.
    pub fn open_suffix(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        buffer: &mut [u8],
    ) -> Result<usize, Error> {
        let (data, tag) = buffer
            .split_last_chunk_mut::<TAG_LEN>()
            .ok_or(Error::Unauthentic)?;
        let tag = *tag;
        self.open(nonce, aad, data, &tag)?;
        Ok(data.len())
    }
}

/// AES-128 or AES-256 applied to single blocks, as record numbers and packet numbers are masked with
/// (RFC 9147 §4.2.3, RFC 9001 §5.4.3), set up once.
pub struct AesMask(provider::AesMask);

impl AesMask {
    /// A key of 16 or 32 bytes.
    pub fn new(key: &[u8]) -> Result<Self, Error> {
        match key.len() {
            16 | 32 => Ok(AesMask(provider::AesMask::new(key))),
            _ => Err(Error::Misuse("an AES key has 16 or 32 bytes")),
        }
    }

    /// The first 5 bytes of the encrypted `sample`.
    pub fn mask(&self, sample: &[u8; 16]) -> [u8; 5] {
        self.0.mask(sample)
    }
}
