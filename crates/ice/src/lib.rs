//! The ICE agent: candidates, pairs, checks, nomination, consent.
