//! Typed session descriptions and the rules of offer and answer.
