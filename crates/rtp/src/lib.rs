//! RTP and RTCP packets, payload formats, send and receive streams.
//!
//! [`Session`] is the engine: all RTP of one BUNDLE transport, without sockets, clock or keys.
//! Frames go in and come out whole; packets go out in trains and come in decrypted.

mod clock;
pub mod congestion;
mod error;
pub mod extension;
pub mod format;
mod pacing;
pub mod packet;
mod receive;
mod route;
pub mod rtcp;
mod send;
mod session;
mod transform;

pub use error::{Error, Malformed, Misuse};
pub use extension::Extension;
pub use session::{
    Class, Config, Dropped, EndReason, Event, JitterConfig, LocalSsrcs, MediaConfig, PayloadMap,
    ReceiveStats, SendStats, Session, Stats, TrackId, TrackStats, Why,
};
pub use transform::{Buffers, EncodedSize, FrameInfo, Side, TransformError, Transformer};
