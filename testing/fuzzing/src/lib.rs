//! What the fuzzer runs: one function for each target, which takes any bytes and may not panic.
//!
//! Parsers take the bytes as they are. Engines take them as a list of steps ([`Bytes`]): commands, losses,
//! the passing of time, packets of the other side as they are or changed, and noise; what must always hold
//! is asserted after each. The binaries of `fuzz/` and the tests of this package call the same functions.

#![allow(clippy::expect_used)]

mod bytes;
mod dcep;
mod dtls;
mod dtls_server;
mod ice;
// What `signaling` compiles once more stands on it.
#[path = "../../../crates/signaling/src/json.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    reason = "clients in other crates use more of it than is tried here"
)]
mod json;
mod media;
mod net;
mod peer;
mod relay;
mod rtp;
mod sctp;
mod sdp;
mod session;
mod signaling;
mod srtp;
mod stun;
mod turn;

pub use bytes::Bytes;

/// A target: its name, which is also that of its binary and of its corpus, and what it runs.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: &[Target] = &[
    ("dcep", dcep::messages),
    ("dtls", dtls::steps),
    ("dtls_server", dtls_server::steps),
    ("ice_agent", ice::agents),
    ("ice_candidate", ice::candidate),
    ("ice_relay", relay::steps),
    ("media_file", media::video_file),
    ("media_mp4", media::mp4),
    ("media_opus", media::opus),
    ("media_wav", media::wav),
    ("peer", peer::steps),
    ("rtcp", rtp::rtcp),
    ("rtp_formats", rtp::formats),
    ("rtp_packet", rtp::packet),
    ("rtp_session", session::steps),
    ("sctp_association", sctp::association),
    ("sctp_packet", sctp::packets),
    ("sdp_agreement", sdp::agreement),
    ("sdp_description", sdp::description),
    ("signaling", signaling::messages),
    ("srtp", srtp::packets),
    ("stun_message", stun::message),
    ("stun_stream", stun::stream),
    ("turn_client", turn::steps),
];

/// Runs the target of this name.
///
/// # Panics
/// When there is none of that name, and where the target finds a fault.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    let (_, target) = target.expect("a target of this name");
    target(data);
}
