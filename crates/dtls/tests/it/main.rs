//! Handshakes and records between two ends, in virtual time.

mod handshake;
mod link;
mod noise;
mod records;
mod trust;
