//! The solution: signaling, a peer and media behind a few settings.
//!
//! [`WebRtc`] joins by a [`Signaling`], opens a [`PeerConnection`], sends what a [`Capture`] delivers and gives
//! what arrives to a [`Render`]. Each of the four can be an implementation of one's own. Everything that an
//! application needs is re-exported from here.

mod bridge;
mod connector;
mod controller;
mod error;
mod event;
mod flow;
mod settings;
mod shared;
mod solution;
mod words;

pub use connector::Connector;
pub use error::Error;
pub use event::Event;
pub use settings::Settings;
pub use shared::{ChannelHandler, EventHandler};
pub use solution::{Builder, Report, Via, WebRtc};

pub use esp_driver as driver;
pub use esp_media as media;
pub use esp_peer as peer;
pub use esp_signaling as signaling;
pub use esp_wire as wire;

pub use esp_driver::{Connection, Driver, DriverConfig};
pub use esp_media::{Capture, Render};
pub use esp_peer::{PeerConfig, PeerConnection};
pub use esp_signaling::Signaling;

/// The example of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
pub struct Readme;
