//! The vocabulary that all rooms share: time, trains of datagrams, bytes, randomness, frames, servers.
//!
//! Nothing in here makes a system call. Time is a counter that the caller advances, randomness comes
//! from a seed that the caller provides, and bytes travel in buffers that the caller owns.

mod bytes;
mod io;
mod media;
mod rng;
mod server;
mod signal;
mod time;
mod train;

pub use bytes::{Reader, ShortRead, Writer};
pub use io::{
    Action, Destination, Ecn, Input, Interface, QueryId, Resolution, SocketId, Transport,
};
pub use media::{AudioInfo, Bytes, Codec, DataFrame, DataKind, Direction, Frame, Kind, VideoInfo};
pub use rng::Rng;
pub use server::{IcePolicy, IceServer, Role, Scheme, ServerUrl, ServerUrlError};
pub use signal::{Signal, Trickle};
pub use time::{Deadline, Instant, Origin};
pub use train::{Room, RoomError, Train};
