//! The peer as a whole, in virtual time on the seeded network.

mod calls;
mod data;
mod media;
mod station;
