//! Calls of processes in networks of their own.

mod cable;
mod nat;
mod relay;
mod support;
