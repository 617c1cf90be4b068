use subtle::ConstantTimeEq as _;

use crate::keys::{HmacSha1Key, HmacSha256Key};
use crate::provider;

/// MD5 over the concatenation of `parts` (RFC 1321), for STUN's long-term key alone (RFC 8489 §9.2.2).
pub fn md5(parts: &[&[u8]]) -> [u8; 16] {
    use md5::Digest as _;
    let mut hash = md5::Md5::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// SHA-1 over the concatenation of `parts` (FIPS 180-4), for old certificate fingerprints.
pub fn sha1(parts: &[&[u8]]) -> [u8; 20] {
    provider::sha1(parts)
}

/// SHA-256 over the concatenation of `parts` (FIPS 180-4).
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    provider::sha256(parts)
}

/// SHA-384 over the concatenation of `parts` (FIPS 180-4).
pub fn sha384(parts: &[&[u8]]) -> [u8; 48] {
    provider::sha384(parts)
}

/// SHA-512 over the concatenation of `parts` (FIPS 180-4).
pub fn sha512(parts: &[&[u8]]) -> [u8; 64] {
    provider::sha512(parts)
}

/// HMAC-SHA1 over the concatenation of `parts` (RFC 2104); a key in repeated use belongs in [`HmacSha1Key`].
pub fn hmac_sha1(key: &[u8], parts: &[&[u8]]) -> [u8; 20] {
    HmacSha1Key::new(key).sign(parts)
}

/// HMAC-SHA256 over the concatenation of `parts` (RFC 2104); a key in repeated use belongs in [`HmacSha256Key`].
pub fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    HmacSha256Key::new(key).sign(parts)
}

/// True when both are equal, in a time that depends on their lengths alone.
pub fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}
