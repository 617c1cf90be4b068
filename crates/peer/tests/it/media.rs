//! Sound and pictures between two peers.
