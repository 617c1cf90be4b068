//! Who is measured: one module each behind one small trait.

mod ours;
mod quinn;
mod raw;
#[cfg(feature = "str0m")]
mod str0m;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::Suite;

/// No connection takes longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What a pair is to be connected for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// This many open data channels.
    Channels(usize),
    /// One video track.
    Media,
}

/// Bytes that the receiving end was given.
#[derive(Default)]
pub(crate) struct Arrived(AtomicU64);

impl Arrived {
    /// These came.
    pub(crate) fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Bytes so far.
    pub(crate) fn so_far(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Makes connected pairs, both ends in this process over UDP on loopback.
pub(crate) trait Contender {
    /// Connects two ends; returns when both see all channels open, or media can flow.
    fn connect(&mut self, wish: Wish, arrived: Arc<Arrived>) -> Result<Box<dyn Pair>, String>;

    /// Whether it has data channels for this case.
    fn has_flow(&self, _message: usize, _channels: usize) -> bool {
        true
    }
}

/// Two connected ends; dropping them ends the connection.
pub(crate) trait Pair {
    /// Starts to send messages of this size on all channels in turn, as fast as they are taken.
    fn pour(&mut self, message: usize);

    /// Starts to send this many RTP packets of 1,100 bytes a second.
    fn stream(&mut self, _packets: u32) {}

    /// What protects the bytes, where it is known.
    fn security(&self) -> Option<String> {
        None
    }
}

/// All that this build knows and that take part in this suite, in the order of a round.
pub(crate) fn names(suite: Suite) -> Vec<&'static str> {
    let mut names = vec![
        "ours",
        #[cfg(feature = "str0m")]
        "str0m",
    ];
    if suite == Suite::Data {
        names.extend(["quinn", "udp", "udp-gso", "aes-gcm"]);
    }
    names
}

/// The contender of this name.
pub(crate) fn named(name: &str) -> Option<Box<dyn Contender>> {
    Some(match name {
        "ours" => Box::new(ours::Ours::default()),
        #[cfg(feature = "str0m")]
        "str0m" => Box::new(str0m::Str0m::default()),
        "quinn" => Box::new(quinn::Quinn::default()),
        "udp" => Box::new(raw::Raw::Plain),
        "udp-gso" => Box::new(raw::Raw::Segmented),
        "aes-gcm" => Box::new(raw::Raw::Sealed),
        _ => return None,
    })
}
