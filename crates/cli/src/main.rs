//! The esp-webrtc program.

fn main() {}
