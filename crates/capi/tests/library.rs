//! The library once more, as what Cargo calls an example: those it builds before the tests run, and by themselves, which
//! it does not do with libraries that no Rust program can use. The C programs of the tests are linked with it.

#[path = "../src/border.rs"]
mod border;
#[path = "../src/handles.rs"]
mod handles;
#[path = "../src/log.rs"]
mod log;
#[path = "../src/peer/mod.rs"]
pub mod peer;
