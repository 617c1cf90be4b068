//! The peer as a whole, in virtual time on the seeded network.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod again;
mod calls;
mod data;
mod ecn;
mod glare;
mod lossy;
mod media;
mod mtu;
mod parts;
mod paths;
mod restarts;
mod snap;
mod station;
