//! Which path ICE finds through which NATs, and how soon.

pub mod nats;
mod peer;
pub mod speed;

/// The text of `docs/tables/ice.md`.
pub fn table() -> String {
    format!(
        "# ICE: paths and times\n\n\
         Computed by `cargo xtask tables ice` in virtual time, seeds fixed; some cells are computed again by the \
         tests.\n\n{}\n{}",
        nats::section(),
        speed::section()
    )
}
