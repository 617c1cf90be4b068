//! Browsers, servers and other stacks as counterparts.
//!
//! [`Browser`] is a real Chromium or Firefox, [`Program`] the real `esp-webrtc`; [`local`] makes calls within one process. The
//! tests lie in `tests/it`, the programs `show` and `soak` in `src/bin`.

mod browser;
pub mod directory;
pub mod local;
mod page;
pub mod process;
mod program;
pub mod sound;
pub mod wait;

pub use browser::{Browser, Kind, Launch};
pub use page::Page;
pub use program::Program;

/// What went right, or in words what did not.
pub type Outcome<T> = Result<T, String>;
