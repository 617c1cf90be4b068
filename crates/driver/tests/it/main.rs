//! Connections over real sockets on loopback.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[cfg(target_os = "linux")]
mod addresses;
#[cfg(target_os = "linux")]
mod alone;
mod calls;
mod defects;
#[cfg(target_os = "linux")]
mod marks;
mod mtu;
#[cfg(target_os = "linux")]
mod names;
mod pair;
mod parts;
#[cfg(all(feature = "openssl", target_os = "linux"))]
mod rsa;
mod shared;
mod tasks;
mod turn;
#[cfg(all(feature = "openssl", target_os = "linux"))]
mod turn_dtls;
mod turn_server;
mod volume;
