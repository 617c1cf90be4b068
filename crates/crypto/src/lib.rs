//! The few primitives that SRTP and STUN need, over two providers.
