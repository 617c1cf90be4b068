//! The net itself: who reaches whom, when, and that a seed repeats a run.

#![allow(clippy::unwrap_used)]

mod behaviour;
mod duplex;
mod foreign;
mod nats;
mod probe;
mod services;
mod shape;
mod tcp_relays;
mod turn;
mod turn_user;
