//! The few primitives that SRTP, DTLS fingerprints and STUN need, over two providers.
//!
//! The feature `aws-lc` (default) uses aws-lc-rs, `rust-crypto` uses crates without any C; with both on, aws-lc
//! works. The interface is the same and so are the bytes. Keys are made once and used for any number of packets
//! without allocation; none of them shows itself in `Debug`.

mod checksum;
mod error;
mod hash;
mod keys;
mod signing;

#[cfg(feature = "aws-lc")]
#[path = "aws_lc.rs"]
mod provider;

#[cfg(all(feature = "rust-crypto", not(feature = "aws-lc")))]
#[path = "rust_crypto.rs"]
mod provider;

#[cfg(not(any(feature = "aws-lc", feature = "rust-crypto")))]
compile_error!("esp-crypto needs a provider: enable the feature `aws-lc` or `rust-crypto`");

pub use checksum::{crc32, crc32c};
pub use error::Error;
pub use hash::{constant_time_eq, hmac_sha1, hmac_sha256, md5, sha1, sha256, sha384, sha512};
pub use keys::{AesCtr, AesGcm, AesMask, HmacSha1Key, HmacSha256Key, NONCE_LEN, TAG_LEN};
pub use signing::EcdsaP256;

/// The name of the provider that was built in, for logs and measurements.
pub const PROVIDER: &str = provider::NAME;
