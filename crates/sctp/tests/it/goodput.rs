//! goodput
