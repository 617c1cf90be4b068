//! Sockets, clock, interfaces and threads: the only room that does I/O for a peer.
