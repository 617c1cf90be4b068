//! The C interface: `esp_peer_*` under its known names, over the trait `PeerConnection`.
//!
//! Everything that C sees is in `include/`; the structures of `peer/types.rs` are the same, which a test holds by the
//! size and the offset of every field. Three rules keep the border safe:
//!
//! - a handle is a number out of a table (`handles.rs`), so one that was closed, or never was, is only refused;
//! - what else comes by a pointer is checked for NULL, alignment and range, and copied, before anything is done;
//! - no panic crosses the border (`border.rs`): the call fails, and the handle is good for nothing but `close`.

mod border;
mod handles;
mod log;
pub mod peer;
