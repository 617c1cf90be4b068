//! Vectors and round trips of the chunks.
