//! Connections over real sockets on loopback.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod calls;
mod defects;
mod pair;
mod tasks;
