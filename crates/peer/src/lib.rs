//! One WebRTC peer without I/O, and the PeerConnection trait that a custom implementation fills in.
