//! The Signaling trait and its clients.
