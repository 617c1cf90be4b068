//! The tables in the repository are what the engines do now.

mod goodput;
mod ice;
mod recovery;
mod share;
