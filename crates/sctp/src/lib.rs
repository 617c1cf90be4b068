//! The SCTP association, its streams and the data channels over them.
//!
//! [`Association`] is SCTP (RFC 9260) as WebRTC uses it inside DTLS (RFC 8261, RFC 8831) together
//! with the data channel protocol (RFC 8832). It makes no system call: packets and time go in,
//! trains of packets, events and deadlines come out.

mod association;
mod channel;
mod chunk;
mod config;
pub mod congestion;
mod cookie;
mod error;
mod event;
mod incoming;
mod outgoing;
mod packet;
mod pmtu;
mod pool;
mod ranges;
mod rto;
mod serial;
mod slab;
mod stats;
mod surplus;
mod timers;

pub use association::Association;
pub use config::{ChannelConfig, Config, Delivery, Reliability, Scheduling};
pub use error::{Error, Malformed, Misuse, PeerMisbehaved};
pub use event::{ChannelHandle, CloseReason, Event};
pub use stats::Stats;
pub use timers::Why;
