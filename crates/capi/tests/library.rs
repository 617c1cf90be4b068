//! The library once more, as what Cargo calls an example: those it builds before the tests run, and by themselves, which
//! it does not do with libraries that no Rust program can use. The C programs of the tests are linked with it.

#[path = "../src/border.rs"]
mod border;
#[path = "../src/gate.rs"]
mod gate;
#[path = "../src/handles.rs"]
mod handles;
#[path = "../src/log.rs"]
mod log;
#[path = "../src/peer/mod.rs"]
pub mod peer;
#[path = "../src/signaling/mod.rs"]
pub mod signaling;
#[path = "../src/webrtc/mod.rs"]
pub mod webrtc;
