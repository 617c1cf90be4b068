//! SRTP and SRTCP: protect, unprotect, replay windows.
//!
//! A [`Sender`] and a [`Receiver`] each hold the session keys of one direction (RFC 3711, RFC 7714) and work on
//! packets in place, without allocation. Packets that do not belong here are counted ([`Receiver::stats`]) and
//! refused with an error that ends nothing.
//!
//! 1. [`Keying`] takes the master key and salt of one direction, as DTLS negotiated them (RFC 5764).
//! 2. [`Sender::protect_rtp`] and [`Sender::protect_rtcp`] protect each packet of a train; [`Sender::rtp_room`]
//!    and [`Sender::rtcp_room`] say how many bytes that adds.
//! 3. [`Receiver::unprotect_rtp`] and [`Receiver::unprotect_rtcp`] check and decrypt one packet.

mod cipher;
mod derivation;
mod error;
mod header;
mod keying;
mod receiver;
mod sender;
#[cfg(test)]
mod vectors;
mod window;

pub use error::Error;
pub use keying::{Keying, Profile};
pub use receiver::{Receiver, ReceiverConfig, ReceiverStats};
pub use sender::{Sender, SenderStats};
