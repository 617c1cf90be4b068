//! A signaling and a peer connection of one's own, under the solution.
//!
//! [`Letters`] carries messages between two ends in memory; [`Cable`] carries frames. Neither uses
//! anything of esp-webrtc but the traits that it implements.

mod cable;
mod letters;

pub use cable::{Cable, Plug};
pub use letters::{Letters, letters};
