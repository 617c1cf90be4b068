//! RTP and RTCP packets, payload formats, send and receive streams.
//!
//! [`Session`] is the engine: all RTP of one BUNDLE transport, without sockets, clock or keys.
//! Frames go in and come out whole; packets go out in trains and come in decrypted.
//!
//! ```
//! use esp_rtp::{Class, Config, Event, MediaConfig, PayloadMap, Session};
//! use esp_wire::{Codec, Direction, Frame, Instant, Kind, Origin, Train};
//! use std::time::Duration;
//!
//! let opus = PayloadMap::new(Codec::Opus, 111);
//! let sound = MediaConfig::new("0", Kind::Audio).with_codec(Direction::SendRecv, opus);
//! let now = Instant::ZERO;
//! let mut here = Session::new(Config::default(), Origin::seeded(1))?;
//! let mut there = Session::new(Config::default(), Origin::seeded(2))?;
//! here.set_media(now, std::slice::from_ref(&sound))?;
//! there.set_media(now, &[sound])?;
//!
//! let track = here.track("0").expect("it was just negotiated");
//! let frame = Frame { pts: Duration::ZERO, data: &[0xfc, 0xff, 0xfe] };
//! here.send_frame(now, track, frame)?;
//! let mut train = Train::with_capacity(65_536);
//! while let Some(class) = here.poll_transmit(now, &mut train) {
//!     for packet in train.segments_mut() {
//!         match class {
//!             Class::Rtp => there.handle_rtp(now, packet),
//!             Class::Rtcp => there.handle_rtcp(now, packet),
//!         }
//!     }
//! }
//! let mut heard = 0;
//! while let Some(event) = there.poll_event() {
//!     if let Event::Frame { data, .. } = event {
//!         assert_eq!(data, [0xfc, 0xff, 0xfe]);
//!         heard += 1;
//!     }
//! }
//! assert_eq!(heard, 1);
//! # Ok::<(), esp_rtp::Error>(())
//! ```

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
