//! One WebRTC peer without I/O, and the `PeerConnection` trait that a custom implementation fills in.
//!
//! [`Peer`] composes the engines: SDP and ICE find a path, DTLS secures it, SRTP and RTP carry sound and
//! pictures, SCTP carries data. It has the verbs of every engine and makes no system call; the driver gives
//! it sockets and a clock, `netsim` a network in virtual time.
//!
//! [`PeerConnection`] and [`Handler`] are what applications see. They mirror the operations and callbacks
//! of `esp_peer`.

mod call;
mod config;
mod connection;
mod error;
mod event;
mod peer;
mod report;
mod sockets;
mod state;
mod transformer;

pub use config::{ChannelConfig, PeerConfig, Reliability};
pub use connection::{
    ChannelInfo, Handler, NegotiatedMedia, Notice, PeerConnection, RtpTransformer, TransformerSide,
};
pub use error::Error;
pub use event::Event;
pub use peer::{Peer, Why};
pub use report::{Report, Traffic};
pub use state::State;

pub use esp_dtls::{Backend as DtlsBackend, Certificate, Versions as DtlsVersions};
pub use esp_ice as ice;
pub use esp_rtp as rtp;
pub use esp_sctp as sctp;
