//! How two peers find each other: the [`Signaling`] trait and its clients.
//!
//! A signaling carries session descriptions, candidates, byes and messages of the application between
//! two peers, and says which of them offers and which STUN and TURN servers there are. [`AppRtc`] talks
//! to a room server of that protocol; [`Whip`] publishes to a media server over HTTP and [`Whep`] plays
//! from one; [`Janus`] does both in a video room of that server; [`pair`] joins two ends in one process. Anything else is an implementation of the trait.

mod apprtc;
mod error;
mod http;
mod janus;
pub mod json;
mod mailbox;
mod pair;
mod running;
mod settings;
mod tls;
mod traits;
mod url;
mod whip;

pub use apprtc::{AppRtc, AppRtcConfig};
pub use error::Error;
pub use esp_sdp as sdp;
pub use esp_trust::{OTHER_NAME, UNTRUSTED};
pub use janus::{Janus, JanusConfig, JanusRoom};
pub use pair::{Pair, pair};
pub use settings::Retry;
pub use tls::Trust;
pub use traits::{IceCause, IceInfo, Signaling, SignalingEvents};
pub use whip::{NEEDS_TOKEN, Whep, Whip, WhipAuth, WhipConfig};
