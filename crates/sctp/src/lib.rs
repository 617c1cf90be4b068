//! The SCTP association, its streams and the data channels over them.
