//! The session as a whole: over a link in virtual time, packet by packet, and under random operations.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod call;
mod link;
mod repair;
mod single;
mod steps;
