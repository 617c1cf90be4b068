//! Data channels between two peers.
