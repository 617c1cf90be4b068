//! Timelines, netsim scenarios and properties of the ICE agent.

// A test that unwraps is a test that fails with a place.
#![allow(clippy::unwrap_used)]

mod chaos;
mod conduct;
mod lite;
mod mobility;
mod narrow;
mod nats;
mod pacing;
mod policy;
mod properties;
mod relays;
mod scripted;
mod servers;
mod speed;
mod support;
mod tcp;
mod tcp_relays;
