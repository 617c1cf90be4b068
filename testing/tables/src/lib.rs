//! Tables of what the engines do in virtual time, held in the repository as snapshots: a change
//! of behaviour shows in their diff.
//!
//! `cargo xtask tables NAME` writes one anew; the tests compute some of its cells again.

pub mod bandwidth;
pub mod goodput;
pub mod ice;
