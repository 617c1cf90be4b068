//! The STUN codec against published vectors, arbitrary input and whole exchanges.

#![allow(clippy::unwrap_used)]

mod auth;
mod differential;
mod foreign;
mod messages;
mod refusals;
mod round_trip;
mod tcp_relays;
mod turn;
mod vectors;
