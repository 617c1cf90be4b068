//! The program as its users run it.

mod mistakes;
mod program;
mod running;
