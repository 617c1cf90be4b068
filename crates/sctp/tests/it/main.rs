//! Associations in pairs, over a link that loses, delays, reorders and duplicates.

mod channels;
mod ecn;
mod goodput;
mod handshake;
mod link;
mod other;
mod partial;
mod path;
mod random;
mod reconfig;
mod transfer;
