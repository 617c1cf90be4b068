//! The DTLS library behind one seam: fingerprints in, SRTP keys out, records through.
//!
//! [`Dtls`] is one end of a DTLS 1.2 (RFC 6347) or 1.3 (RFC 9147) association as WebRTC uses it (RFC 8827,
//! RFC 8842, RFC 5764): both sides show self-signed certificates, and what counts is that their hashes are those
//! of the signaling. It makes no system call but for the randomness that key exchange and signatures draw inside
//! the library; those bytes are outside the promise that the same seed gives the same output.
//!
//! 1. [`Dtls::set_role`] starts the handshake; the client's flights come out of [`Dtls::poll_transmit`].
//! 2. [`Dtls::handle_input`] takes datagrams; flights are answered and lost ones repeated by
//!    [`Dtls::handle_timeout`].
//! 3. [`Dtls::set_remote_fingerprints`] may come before, between or after: no key and no byte of the peer leaves
//!    before its certificate matched.
//! 4. [`Event::Connected`] carries the keys for SRTP; [`Dtls::protect`] turns payloads into records,
//!    [`Event::Data`] gives those of the peer, [`Dtls::open`] at once and without a copy.
//! 5. [`Dtls::close`] says goodbye, [`Event::Closed`] tells that the peer did.
//!
//! With the feature `openssl` there is also `ServerAssociation`, our end towards a TURN or STUN server (RFC 7350),
//! whose certificate is judged by its name.

mod certificate;
mod clock;
mod config;
mod der;
mod engine;
mod error;
mod fingerprint;
mod inbox;
mod keys;
mod library;
#[cfg(feature = "openssl")]
mod openssl;
mod outlet;
mod receive;
mod record;
mod records;
mod secrets;
#[cfg(feature = "openssl")]
mod server;
#[cfg(feature = "openssl")]
mod sift;

pub use certificate::Certificate;
pub use config::{Backend, Config, Versions};
pub use engine::{Dtls, DtlsRole, Event, State, Stats, Version, Why};
pub use error::{Error, Violation};
pub use fingerprint::{Fingerprint, HashFunction};
pub use keys::{SrtpKeys, SrtpProfile};
#[cfg(feature = "openssl")]
pub use server::{Judge, Received, ServerAssociation, ServerContext};
