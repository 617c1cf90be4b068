//! The C interface: `esp_peer_*`, `esp_peer_signaling_*` and `esp_webrtc_*` under their known names, over the traits of the
//! peer connection and of signaling, and over the solution.
//!
//! Everything that C sees is in `include/`; the structures of `types.rs` in each folder are the same, which a test holds
//! by the size and the offset of every field. Four rules keep the border safe:
//!
//! - a handle is a number out of a table (`handles.rs`), so one that was closed, or never was, is only refused; so is the
//!   context that a program's own implementation calls us back with;
//! - what else comes by a pointer is checked for NULL, alignment and range, and copied, before anything is done;
//! - no panic crosses the border (`border.rs`): the call fails, and the handle is good for nothing but `close`;
//! - callbacks of a solution, a capture or a player pass a gate (`gate.rs`), which is shut when it is closed.

mod border;
mod gate;
mod handles;
#[cfg(test)]
mod layout;
mod log;
pub mod peer;
pub mod signaling;
pub mod webrtc;
