//! Calls of processes in networks of their own.

mod browsers;
mod cable;
mod lan;
mod marks;
mod nat;
mod probe;
mod program;
mod relay;
mod support;
