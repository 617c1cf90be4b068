//! Connections over real sockets on loopback.

mod calls;
mod pair;
mod tasks;
