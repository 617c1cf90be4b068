//! The room server over real sockets.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests.

mod client;
mod device;
mod device_slow;
mod hostile;
mod identity;
mod page;
mod protocol;
mod slow;
