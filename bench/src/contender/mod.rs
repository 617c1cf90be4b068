//! Who is measured: one module each behind one small trait.

#[cfg(feature = "libdatachannel")]
mod libdatachannel;
mod ours;
mod quinn;
mod raw;
#[cfg(feature = "str0m")]
mod str0m;
#[cfg(feature = "webrtc")]
mod webrtc;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use esp_peer::DtlsVersions;
use tokio::runtime::Runtime;

use crate::Suite;

/// No connection takes longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Bytes of a datagram that every path is sure to carry: the bound for all.
pub(crate) const SMALL: usize = 1_200;
/// Bytes of a datagram on Ethernet, and on a path of 9,000: cases of their own.
const ETHERNET: usize = 1_472;
const JUMBO: usize = 8_952;

/// How figures with such datagrams are set apart.
fn sized(datagram: usize) -> Option<String> {
    (datagram > SMALL).then(|| format!("datagrams of up to {datagram} bytes"))
}

/// Bytes that an application has under way where it has to count itself.
#[cfg(any(feature = "webrtc", feature = "libdatachannel"))]
pub(crate) const BUFFERED: usize = 4 << 20;

/// The runtime of a contender, made at first: two threads for both ends.
fn runtime(known: &mut Option<Arc<Runtime>>) -> Result<Arc<Runtime>, String> {
    let made = match known.take() {
        Some(made) => made,
        None => {
            let made = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build();
            Arc::new(made.map_err(|it| it.to_string())?)
        }
    };
    Ok(Arc::clone(known.insert(made)))
}

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

/// Set when a channel that was full may go on.
#[derive(Default)]
pub(crate) struct Writable {
    now: Mutex<bool>,
    wake: Condvar,
}

impl Writable {
    /// It may go on.
    pub(crate) fn set(&self) {
        if let Ok(mut now) = self.now.lock() {
            *now = true;
            self.wake.notify_one();
        }
    }

    /// Waits for that, at most for a moment: a pair may have been dropped meanwhile.
    pub(crate) fn wait(&self) {
        let Ok(now) = self.now.lock() else {
            return;
        };
        let patience = Duration::from_millis(200);
        let waited = self.wake.wait_timeout_while(now, patience, |now| !*now);
        if let Ok((mut now, _)) = waited {
            *now = false;
        }
    }
}

/// Makes connected pairs, both ends in this process over UDP on loopback.
pub(crate) trait Contender {
    /// Connects two ends; returns when both see all channels open, or media can flow.
    fn connect(&mut self, wish: Wish, arrived: Arc<Arrived>) -> Result<Box<dyn Pair>, String>;

    /// What sets its figures apart from those of the others.
    fn apart(&self) -> Option<String> {
        None
    }

    /// Whether Rust's allocator sees what it allocates.
    fn allocates_in_rust(&self) -> bool {
        true
    }

    /// Whether it knows messages and channels; else it takes part in the first case alone.
    fn has_messages(&self) -> bool {
        self.apart().is_none()
    }
}

/// Two connected ends; dropping them ends the connection.
pub(crate) trait Pair {
    /// Starts to send messages of this size on all channels in turn, as fast as they are taken.
    fn pour(&mut self, message: usize);

    /// Starts to send this many RTP packets of 1,100 bytes a second.
    fn stream(&mut self, _packets: u32) {}

    /// What protects the bytes, where a contender tells it; else it is seen on the wire.
    fn security(&self) -> Option<String> {
        None
    }
}

/// The other WebRTC stacks of this build.
const OTHERS: &[&str] = &[
    #[cfg(feature = "str0m")]
    "str0m",
    #[cfg(feature = "webrtc")]
    "webrtc",
    #[cfg(feature = "libdatachannel")]
    "libdatachannel",
];

/// All that this build knows and that take part in this suite, in the order of a round.
pub(crate) fn names(suite: Suite) -> Vec<&'static str> {
    let mut names = vec!["ours"];
    if suite != Suite::Media {
        names.push("ours-dtls12");
    }
    names.extend(OTHERS);
    if suite == Suite::Data {
        names.extend(["quinn", "ours-1472"]);
        #[cfg(feature = "webrtc")]
        names.push("webrtc-1472");
        #[cfg(feature = "libdatachannel")]
        names.push("libdatachannel-1472");
        names.extend(["quinn-1472", "ours-8952"]);
        #[cfg(feature = "webrtc")]
        names.push("webrtc-8952");
        names.extend(["udp", "udp-gso", "aes-gcm"]);
    }
    if suite == Suite::Media {
        names.push("ours-paced");
    }
    if suite == Suite::Memory {
        names.push("ours-ice");
    }
    names
}

/// The contender of this name.
pub(crate) fn named(name: &str) -> Option<Box<dyn Contender>> {
    let ours = ours::Ours::default();
    Some(match name {
        "ours" => Box::new(ours),
        "ours-dtls12" => Box::new(ours.with_dtls(DtlsVersions::Only12)),
        "ours-1472" => Box::new(ours.with_datagrams(ETHERNET)),
        "ours-8952" => Box::new(ours.with_datagrams(JUMBO)),
        "ours-paced" => Box::new(ours.with_default_pacer()),
        #[cfg(feature = "str0m")]
        "str0m" => Box::new(str0m::Str0m::default()),
        #[cfg(feature = "webrtc")]
        "webrtc" => Box::new(webrtc::WebRtc::new(SMALL)),
        #[cfg(feature = "webrtc")]
        "webrtc-1472" => Box::new(webrtc::WebRtc::new(ETHERNET)),
        #[cfg(feature = "webrtc")]
        "webrtc-8952" => Box::new(webrtc::WebRtc::new(JUMBO)),
        #[cfg(feature = "libdatachannel")]
        "libdatachannel" => Box::new(libdatachannel::LibDataChannel::new(SMALL)),
        #[cfg(feature = "libdatachannel")]
        "libdatachannel-1472" => Box::new(libdatachannel::LibDataChannel::new(ETHERNET)),
        "quinn" => Box::new(quinn::Quinn::new(SMALL)),
        "quinn-1472" => Box::new(quinn::Quinn::new(ETHERNET)),
        "udp" => Box::new(raw::Raw::Plain),
        "udp-gso" => Box::new(raw::Raw::Segmented),
        "aes-gcm" => Box::new(raw::Raw::Sealed),
        _ => return None,
    })
}
