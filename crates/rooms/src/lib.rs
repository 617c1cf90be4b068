//! The room server and its page.
//!
//! A [`Server`] brings two clients of a room together by the AppRTC protocol: each joins by HTTP,
//! registers on a WebSocket, and what one says is relayed to the other. It also serves the page with
//! which a browser joins. The protocol and the page are described in `PROTOCOL.md` of this crate.
//!
//! ```no_run
//! use esp_rooms::{Config, Server};
//!
//! let server = Server::start(Config::local(8080))?;
//! println!("{}", server.room_url("demo"));
//! # Ok::<(), esp_rooms::Error>(())
//! ```
//!
//! A server may serve a [`Device`] in the place of rooms: one page listens to it and talks to it, over HTTP alone.
//!
//! What guards it: `Host` must name one of the listener's own names (DNS rebinding), an `Origin` must
//! be the server's own (a page of another site), there are no CORS headers, a strict Content Security
//! Policy covers the page, and rooms, messages, queues, connections and rates are bounded by [`Limits`].

mod awake;
mod config;
mod device;
mod error;
mod event;
mod guard;
mod identity;
mod listen;
mod mail;
mod names;
mod page;
mod rate;
mod rooms;
mod routes;
mod server;
mod socket;

pub use config::{Config, Limits, Listener, OnEvent, TlsConfig};
pub use device::{Device, DeviceConfig, Full, Heard};
pub use error::Error;
pub use event::{Event, Left, Refusal, Stats};
pub use identity::Identity;
pub use names::{RoomName, RoomNameError};
pub use server::Server;
