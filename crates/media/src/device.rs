//! The place of cameras, microphones, loudspeakers and displays; nothing is here yet.
//!
//! A device module will implement the raw layer, and nothing above it changes:
//!
//! - a microphone is an [`AudioSource`](crate::AudioSource): `read` blocks until the block is full, and
//!   the samples it counts are the clock of the sound;
//! - a camera that gives pictures is a [`VideoSource`](crate::VideoSource); one that gives H.264 is an
//!   [`EncodedVideoSource`](crate::EncodedVideoSource);
//! - a loudspeaker is an [`AudioOut`](crate::AudioOut), a display a [`VideoOut`](crate::VideoOut); both are
//!   called on the decoding thread of their medium, so one that blocks paces it, within the bounds
//!   of the queue before it;
//! - an encoder or decoder in hardware implements the traits of [`codec`](crate::codec).
//!
//! Such a module talks to the system by ioctl and memory maps, and is the one place of this room
//! besides the encoder's bitrate that may use `unsafe`.
