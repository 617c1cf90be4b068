//! Handshakes and records between two ends, in virtual time.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod handshake;
mod link;
mod noise;
mod own;
mod records;
#[cfg(feature = "openssl")]
mod rsa;
mod steps;
mod suites;
mod trust;
