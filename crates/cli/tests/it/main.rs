//! The program as its users run it.

#![allow(clippy::unwrap_used)]

mod mistakes;
mod program;
mod running;
mod streams;
#[path = "../../../signaling/tests/it/studio.rs"]
#[allow(dead_code, reason = "the tests of the client ask more of it")]
mod studio;

use esp_webrtc::signaling::sdp;
