//! Browsers, servers and other stacks as counterparts.
//!
//! [`Browser`] is a real Chromium or Firefox, [`Program`] the real `esp-webrtc`, [`janus::Janus`] a real Janus;
//! [`local`] makes calls within one process, [`data`] lets a bare device and a page talk by data channels. The
//! tests lie in `tests/it`, the programs `show`, `soak` and `bulk` in `src/bin`.

mod browser;
pub mod data;
pub mod deadlink;
pub mod directory;
pub mod janus;
pub mod load;
pub mod local;
mod page;
pub mod process;
mod program;
mod site;
pub mod sound;
pub mod wait;

pub use browser::{Browser, Kind, Launch};
pub use page::Page;
pub use program::Program;
pub use site::Site;

/// What went right, or in words what did not.
pub type Outcome<T> = Result<T, String>;
