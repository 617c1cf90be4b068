//! Sockets, clock, interfaces and threads: the only room that does I/O for a peer.
//!
//! A [`Driver`] carries any number of peers on a fixed number of threads. Each *shard* thread owns
//! its peers and their sockets, so no lock is held while a packet is worked on. What an application
//! sends waits in a bounded *outbox* for the shard; what a peer reports waits in a bounded *mailbox*
//! for the delivery threads, which call the application. So a callback that blocks does not stop
//! sending, and a full socket does not stop receiving.
//!
//! ```text
//!   send_*  ─▶ outbox ─▶ ┌───────┐ ─▶ sockets
//!                        │ shard │
//!   on_*  ◀─ mailbox ◀── └───────┘ ◀─ sockets
//! ```

mod clock;
mod config;
mod connection;
mod driver;
mod interfaces;
mod mailbox;
mod marks;
mod outbox;
mod pool;
mod resolver;
mod shard;
mod spare;
mod survey;
mod trust;

pub use clock::Clock;
pub use config::DriverConfig;
pub use connection::Connection;
pub use driver::Driver;
pub use esp_stun::behaviour;
pub use interfaces::interfaces;
pub use survey::survey;
pub use trust::{DangerousTrust, ServerTrust};
