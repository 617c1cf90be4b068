//! The client of a TURN server (RFC 8656): one allocation, its permissions and channels.
//!
//! 1. Allocate goes without credentials, the server answers 401 with realm and nonce.
//! 2. Allocate goes again with credentials; the success brings the relayed address
//!    ([`TurnEvent::Allocated`]).
//! 3. CreatePermission for each peer's address ([`TurnClient::permit`]), refreshed every 4 minutes.
//! 4. Data flows in Send and Data indications, 36 bytes of overhead.
//! 5. ChannelBind for the peer that matters ([`TurnClient::bind_channel`]): 4 bytes of overhead.
//! 6. Refresh keeps the allocation, Refresh with lifetime 0 deletes it ([`TurnClient::close`]).
//!
//! An allocation that relays TCP has connections in place of 4 and 5: [`TurnClient::connect`] (RFC 6062).

mod client;
mod config;
mod data_connection;
mod error;
mod event;
mod frame;
mod peers;
mod request;
mod response;
mod rotation;
mod send;
mod tcp;

pub use client::TurnClient;
pub use config::{Families, TurnConfig};
pub use data_connection::DataConnection;
pub use error::TurnError;
pub use event::{Incoming, TurnEvent, TurnStats, TurnWhy};
pub use frame::{Framer, MAX_FRAME, is_channel_data};
pub use tcp::ConnectionId;
