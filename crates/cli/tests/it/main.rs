//! The program as its users run it.

#![allow(clippy::unwrap_used)]

mod mistakes;
mod program;
mod running;
