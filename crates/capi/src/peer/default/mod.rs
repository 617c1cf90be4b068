//! `esp_peer_default.h`: the table of operations over our own `PeerConnection`.

pub(crate) mod callbacks;
pub(crate) mod settings;
pub mod table;
mod transformer;

use std::ffi::{CStr, c_int};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use esp_driver::Connection;
use esp_peer::{
    Certificate, ChannelConfig, Error, PeerConnection, Reliability, State, TransformerSide,
};
use esp_wire::{DataFrame, DataKind, Frame, IceServer, Role};

use self::callbacks::{Callbacks, Channels, Teller};
use self::settings::Settings;
use crate::border::{NONE, Outcome, bytes, guard, invalid, run, text, utf8};
use crate::handles::Handles;
use crate::peer::types::*;
use crate::signaling::words::signal;

/// A peer of this implementation.
struct Peer {
    connection: Arc<dyn PeerConnection>,
    callbacks: Callbacks,
    channels: Channels,
    /// Somebody is in `main_loop`.
    looping: AtomicBool,
    /// A defect was met: only `close` works.
    defect: AtomicBool,
    /// Whether a peer that began anew is followed.
    follows: bool,
    /// Role and servers, to be said again before each connection, where the role is to be kept.
    kept: Option<Mutex<(Role, Vec<IceServer>)>>,
    audio_clock: Clock,
    video_clock: Clock,
}

static PEERS: Handles<Peer> = Handles::new(2);
static LOOPBACK: AtomicBool = AtomicBool::new(false);
static CERTIFICATE: Mutex<Option<Certificate>> = Mutex::new(None);

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether loopback addresses are candidates of peers that are opened now.
pub(crate) fn loopback() -> bool {
    LOOPBACK.load(Ordering::Relaxed)
}

/// The certificate that was made ahead, if there is one.
pub(crate) fn take_certificate() -> Option<Certificate> {
    locked(&CERTIFICATE).take()
}

/// Gives a connection that somebody else drives and closes a handle of this implementation.
pub(crate) fn lend(connection: Arc<dyn PeerConnection>, channels: Channels) -> esp_peer_handle_t {
    PEERS.insert(Peer::over(connection, Callbacks::deaf(), channels))
}

/// Takes such a handle back.
pub(crate) fn take_back(handle: esp_peer_handle_t) {
    PEERS.remove(handle);
}

/// Whether a table is that of this implementation.
pub(crate) fn is_ours(ops: &esp_peer_ops_t) -> bool {
    table::is_this(ops)
}

/// Times in milliseconds that wrap around, made into ones that do not.
#[derive(Default)]
pub(crate) struct Clock(AtomicU64);

impl Clock {
    pub(crate) fn extend(&self, pts: u32) -> Duration {
        let last = self.0.load(Ordering::Relaxed);
        // The nearest time with these lower bits.
        let ahead = pts.wrapping_sub(last as u32) as i32;
        let now = last
            .checked_add_signed(ahead.into())
            .unwrap_or(u64::from(pts));
        self.0.store(now, Ordering::Relaxed);
        Duration::from_millis(now)
    }
}

impl Peer {
    /// Opens a peer.
    ///
    /// # Safety
    /// The pointers in `cfg` are NULL, or show what the headers say.
    unsafe fn open(cfg: &esp_peer_cfg_t) -> Outcome<Self> {
        // SAFETY: the caller vouches for the pointers.
        let mut settings = unsafe { Settings::read(cfg, loopback()) }?;
        settings.peer.certificate = take_certificate();
        let (callbacks, channels) = (Callbacks::of(cfg), Channels::default());
        let teller = Teller::new(callbacks, channels.clone());
        let again = (settings.peer.role, settings.peer.servers.clone());
        let kept = settings.keep_role.then(|| Mutex::new(again));
        let connection = Connection::open_manual(settings.driver, settings.peer, Box::new(teller))?;
        Ok(Peer {
            kept,
            follows: cfg.no_auto_reconnect == 0,
            ..Peer::over(Arc::new(connection), callbacks, channels)
        })
    }

    fn over(connection: Arc<dyn PeerConnection>, callbacks: Callbacks, channels: Channels) -> Self {
        Peer {
            connection,
            callbacks,
            channels,
            looping: AtomicBool::new(false),
            defect: AtomicBool::new(false),
            follows: false,
            kept: None,
            audio_clock: Clock::default(),
            video_clock: Clock::default(),
        }
    }

    fn new_connection(&self) -> Outcome {
        if let Some(kept) = &self.kept {
            let (role, servers) = locked(kept).clone();
            self.connection.update_ice_info(role, &servers)?;
        }
        self.connection.new_connection()
    }

    fn update_ice_info(&self, role: Role, servers: Vec<IceServer>) -> Outcome {
        self.connection.update_ice_info(role, &servers)?;
        if let Some(kept) = &self.kept {
            *locked(kept) = (role, servers);
        }
        Ok(())
    }

    fn send_msg(&self, kind: c_int, data: &[u8]) -> Outcome {
        let text = utf8(data)?;
        let msg = match kind {
            1 | 2 => signal(kind, text)?,
            _ => return invalid("the type of a message"),
        };
        match self.connection.send_msg(&msg) {
            Err(Error::PeerBeganAnew) if self.follows => {
                tracing::info!("the peer has begun anew, and is followed");
                self.connection.disconnect()?;
                self.new_connection()?;
                self.connection.send_msg(&msg)
            }
            done => done,
        }
    }

    fn send_media(
        &self,
        frame: &esp_peer_frame_t,
        data: &[u8],
        clock: &Clock,
        send: impl FnOnce(&dyn PeerConnection, Frame<'_>) -> Outcome,
    ) -> Outcome {
        let pts = clock.extend(frame.pts);
        send(self.connection.as_ref(), Frame { pts, data })
    }

    fn send_data(&self, frame: &esp_peer_data_frame_t, data: &[u8]) -> Outcome {
        let kind = match frame.kind {
            1 => DataKind::Binary,
            2 => DataKind::Text,
            _ => return invalid("the type of a data frame"),
        };
        self.connection.send_data(DataFrame {
            kind,
            stream_id: frame.stream_id,
            data,
        })
    }

    fn create_data_channel(&self, channel: &esp_peer_data_channel_cfg_t, label: &str) -> Outcome {
        let config = ChannelConfig {
            ordered: channel.ordered != 0,
            reliability: match channel.kind {
                0 => Reliability::Reliable,
                1 => Reliability::MaxLifetime(Duration::from_millis(channel.limit.into())),
                2 => Reliability::MaxRetransmits(channel.limit),
                _ => return invalid("the type of a data channel"),
            },
            ..ChannelConfig::new(label)
        };
        self.connection.create_data_channel(config)
    }

    fn close_data_channel(&self, label: &CStr) -> Outcome {
        let found = self.channels.find(label);
        let stream_id = found.ok_or(Error::NotExists("no open data channel has this label"))?;
        self.connection.close_data_channel(stream_id)
    }

    fn main_loop(&self) -> Outcome {
        struct Leave<'a>(&'a AtomicBool);
        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                self.0.store(false, Ordering::Release);
            }
        }
        if self.looping.swap(true, Ordering::Acquire) {
            return Err(Error::WrongState(
                "main_loop is running already, or this is one of its callbacks",
            ));
        }
        let _leave = Leave(&self.looping);
        self.connection.main_loop()
    }

    fn query(&self) -> Outcome {
        let report = self.connection.query()?;
        tracing::info!("state: {}, role: {:?}", report.state, report.role);
        if let Some(reason) = &report.reason {
            tracing::info!("the last connection ended: {reason}");
        }
        tracing::info!(
            "paired with {:?}, round trip {:?}, DTLS {:?}, SRTP {:?}",
            report.paired,
            report.rtt,
            report.dtls,
            report.srtp
        );
        tracing::info!("traffic: {:?}", report.traffic);
        tracing::info!(
            "pairs: {}, candidates: {:?}",
            report.pairs.len(),
            report.local_candidates
        );
        Ok(())
    }

    fn set_rtp_transformer(
        &self,
        role: c_int,
        transformer: Option<Box<dyn esp_peer::RtpTransformer>>,
    ) -> Outcome {
        let side = match role {
            0 => TransformerSide::Sender,
            1 => TransformerSide::Receiver,
            _ => return invalid("the role of a transformer"),
        };
        self.connection.set_rtp_transformer(side, transformer)
    }

    fn close(&self) {
        self.connection.close();
        self.callbacks.state(State::Closed);
    }
}

/// Works on a peer; a defect that is met leaves it good for `close` alone.
fn work(name: &str, handle: esp_peer_handle_t, work: impl FnOnce(&Peer) -> Outcome) -> c_int {
    let Some(peer) = PEERS.get(handle) else {
        return guard(name, || invalid("the handle is not one of an open peer"));
    };
    let done = run(name, || {
        if peer.defect.load(Ordering::Acquire) {
            return Err(Error::Failed("an earlier defect; only close works".into()));
        }
        work(&peer)
    });
    let code = done.unwrap_or_else(|| {
        peer.defect.store(true, Ordering::Release);
        Error::Failed(String::new()).code()
    });
    // The last of a peer that was closed meanwhile goes here.
    if run(name, move || {
        drop(peer);
        Ok(())
    }) == Some(NONE)
    {
        return code;
    }
    Error::Failed(String::new()).code()
}

/// The remote address of the pair that a peer of this implementation uses.
pub(super) fn paired_addr(handle: esp_peer_handle_t) -> Outcome<esp_peer_addr_t> {
    let Some(peer) = PEERS.get(handle) else {
        return Err(Error::NotSupported("another implementation"));
    };
    let paired = peer.connection.paired_addr();
    paired.map(address).ok_or(Error::WrongState("not paired"))
}

fn address(socket: SocketAddr) -> esp_peer_addr_t {
    /// The system's numbers.
    const AF_INET: u8 = 2;
    const AF_INET6: u8 = match () {
        () if cfg!(target_vendor = "apple") => 30,
        () if cfg!(target_os = "freebsd") => 28,
        () if cfg!(windows) => 23,
        () => 10,
    };
    let mut bytes = [0; 16];
    let family = match socket.ip() {
        IpAddr::V4(ip) => {
            bytes[..4].copy_from_slice(&ip.octets());
            AF_INET
        }
        IpAddr::V6(ip) => {
            bytes = ip.octets();
            AF_INET6
        }
    };
    esp_peer_addr_t {
        family,
        port: socket.port(),
        bytes,
    }
}

#[cfg(test)]
mod tests;
