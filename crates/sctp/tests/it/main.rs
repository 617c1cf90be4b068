//! Associations in pairs, over a link that loses, delays, reorders and duplicates.

mod answers;
mod bursts;
mod channels;
mod ecn;
mod ending;
mod expiry;
mod extensions;
mod forge;
mod goodput;
mod handshake;
mod link;
mod memory;
mod other;
mod partial;
mod path;
mod policy;
mod random;
mod reconfig;
mod requirements;
mod schedule;
mod timeouts;
mod transfer;
mod violations;
