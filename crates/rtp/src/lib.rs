//! RTP and RTCP packets, payload formats, send and receive streams.
