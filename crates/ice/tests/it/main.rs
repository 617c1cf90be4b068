//! Timelines, netsim scenarios and properties of the ICE agent.

// A test that unwraps is a test that fails with a place.
#![allow(clippy::unwrap_used)]

mod chaos;
mod conduct;
mod mobility;
mod nats;
mod properties;
mod relays;
mod scripted;
mod servers;
mod speed;
mod support;
mod tcp;
