//! The solution: signaling, a peer and media behind a few settings.
