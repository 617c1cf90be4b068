//! A peer connection over a table of the program's own.

use std::ffi::{CString, c_int, c_void};
use std::net::SocketAddr;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use esp_peer::{
    ChannelConfig, Error, Handler, NegotiatedMedia, PeerConfig, PeerConnection, Reliability,
    Report, RtpTransformer, TransformerSide,
};
use esp_wire::{DataFrame, DataKind, Frame, IceServer, Role, Signal};

use super::config::PeerTable;
use super::inbox::{Inbox, forget, register};
use crate::border::{Outcome, answered, size, with_zero};
use crate::gate::calling;
use crate::peer::default::callbacks::{Channels, frame_shown};
use crate::peer::default::settings;
use crate::peer::types::*;
use crate::signaling::words::{CServer, parts};

/// The pause between two rounds of the main loop: an implementation need not wait for anything in it.
const PAUSE: Duration = Duration::from_millis(10);

/// A peer connection over a table, with the task that runs its main loop.
pub(super) struct TablePeer {
    ops: esp_peer_ops_t,
    inner: esp_peer_handle_t,
    /// What its callbacks are called with.
    ctx: *mut c_void,
    channels: Channels,
    stopping: Arc<Stopping>,
    task: Mutex<Option<JoinHandle<()>>>,
    closed: AtomicBool,
}

// SAFETY: the pointers to functions are the program's, which has to expect calls of any task; `inner` is only handed
// back to them, and `ctx` is a number.
unsafe impl Send for TablePeer {}
// SAFETY: as above.
unsafe impl Sync for TablePeer {}

#[derive(Default)]
struct Stopping {
    now: Mutex<bool>,
    changed: Condvar,
}

impl Stopping {
    fn stop(&self) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    /// Pauses; whether it goes on after that.
    fn goes_on(&self) -> bool {
        let now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        if *now {
            return false;
        }
        let waited = self.changed.wait_timeout(now, PAUSE);
        !*waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// A handle on its way into a task.
struct Inner(esp_peer_handle_t);

// SAFETY: it is only handed back to the program's functions, which have to expect calls of any task.
unsafe impl Send for Inner {}

impl TablePeer {
    /// Opens a peer connection; what the implementation calls it comes with it.
    pub(super) fn open(
        theirs: &PeerTable,
        config: &PeerConfig,
        handler: Box<dyn Handler>,
        channels: Channels,
    ) -> Outcome<(Arc<Self>, esp_peer_handle_t)> {
        let open = theirs.ops.open;
        let open = open.ok_or(Error::NotSupported("the table has no `open`"))?;
        let servers = CServers::of(&config.servers);
        let mut list = servers.shown();
        let ctx = register(Inbox::new(handler, negotiated(&theirs.cfg)?));
        let (extra_cfg, extra_size) = theirs.extra.shown();
        let mut cfg = super::inbox::with_callbacks(esp_peer_cfg_t {
            server_lists: list.as_mut_ptr(),
            server_num: u8::try_from(list.len()).unwrap_or(u8::MAX),
            role: role(config.role),
            extra_cfg,
            extra_size,
            ctx,
            ..theirs.cfg
        });
        let mut inner = ptr::null_mut();
        // SAFETY: the implementation gets a configuration, and a place for its handle.
        let code = calling(|| unsafe { open(&raw mut cfg, &raw mut inner) });
        if let Err(error) = answered(code) {
            forget(ctx);
            return Err(error);
        }
        let stopping = Arc::new(Stopping::default());
        let peer = TablePeer {
            ops: theirs.ops,
            inner,
            ctx,
            channels,
            stopping,
            task: Mutex::new(None),
            closed: AtomicBool::new(false),
        };
        peer.begin()?;
        Ok((Arc::new(peer), inner))
    }

    /// Begins to run the main loop.
    fn begin(&self) -> Outcome {
        let Some(main_loop) = self.ops.main_loop else {
            return Ok(());
        };
        let (inner, stopping) = (Inner(self.inner), Arc::clone(&self.stopping));
        let task = thread::Builder::new()
            .name("esp-peer".into())
            .spawn(move || {
                let inner = inner;
                while stopping.goes_on() {
                    // What it answers is the implementation's own affair: it tells its state by callbacks.
                    // SAFETY: a handle of the implementation's own.
                    calling(|| unsafe { main_loop(inner.0) });
                }
            });
        let task = task.map_err(|error| Error::Failed(error.to_string()))?;
        *self.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
        Ok(())
    }

    fn on<F>(&self, op: Option<F>, call: impl FnOnce(F) -> c_int) -> Outcome {
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::WrongState("it is closed"));
        }
        let op = op.ok_or(Error::NotSupported("the program's implementation has none"))?;
        answered(calling(|| call(op)))
    }
}

impl PeerConnection for TablePeer {
    fn new_connection(&self) -> Outcome {
        // SAFETY: a handle of the implementation's own.
        self.on(self.ops.new_connection, |op| unsafe { op(self.inner) })
    }

    fn update_ice_info(&self, new_role: Role, servers: &[IceServer]) -> Outcome {
        let servers = CServers::of(servers);
        let mut list = servers.shown();
        let count = size(list.len());
        self.on(self.ops.update_ice_info, |op| {
            // SAFETY: a handle of the implementation's own, and as many servers.
            unsafe { op(self.inner, role(new_role), list.as_mut_ptr(), count) }
        })
    }

    fn send_msg(&self, msg: &Signal<'_>) -> Outcome {
        let Some((kind @ 1..=2, text)) = parts(msg) else {
            return Ok(());
        };
        let mut data = with_zero(text.as_bytes());
        let mut shown = esp_peer_msg_t {
            kind,
            data: data.as_mut_ptr(),
            size: size(text.len()),
        };
        // SAFETY: a handle of the implementation's own, and a message that lives until the call returns.
        self.on(self.ops.send_msg, |op| unsafe {
            op(self.inner, &raw mut shown)
        })
    }

    fn send_audio(&self, frame: Frame<'_>) -> Outcome {
        let mut shown = frame_shown(frame);
        // SAFETY: as above.
        self.on(self.ops.send_audio, |op| unsafe {
            op(self.inner, &raw mut shown)
        })
    }

    fn send_video(&self, frame: Frame<'_>) -> Outcome {
        let mut shown = frame_shown(frame);
        // SAFETY: as above.
        self.on(self.ops.send_video, |op| unsafe {
            op(self.inner, &raw mut shown)
        })
    }

    fn send_data(&self, frame: DataFrame<'_>) -> Outcome {
        let mut shown = esp_peer_data_frame_t {
            kind: match frame.kind {
                DataKind::Binary => 1,
                DataKind::Text => 2,
            },
            stream_id: frame.stream_id,
            data: frame.data.as_ptr().cast_mut(),
            size: size(frame.data.len()),
        };
        // SAFETY: as above.
        self.on(self.ops.send_data, |op| unsafe {
            op(self.inner, &raw mut shown)
        })
    }

    fn create_data_channel(&self, config: ChannelConfig) -> Outcome {
        let label = CString::new(config.label)
            .map_err(|_| Error::InvalidArgument("a label with a zero".into()))?;
        let (kind, limit) = match config.reliability {
            Reliability::Reliable => (0, 0),
            Reliability::MaxLifetime(life) => {
                (1, u16::try_from(life.as_millis()).unwrap_or(u16::MAX))
            }
            Reliability::MaxRetransmits(count) => (2, count),
        };
        let mut shown = esp_peer_data_channel_cfg_t {
            kind,
            ordered: c_bool::from(config.ordered),
            label: label.as_ptr().cast_mut(),
            limit,
        };
        let op = self.ops.create_data_channel;
        // SAFETY: as above.
        self.on(op, |op| unsafe { op(self.inner, &raw mut shown) })
    }

    fn close_data_channel(&self, stream_id: u16) -> Outcome {
        let label = self.channels.label(stream_id);
        let label = label.ok_or(Error::NotExists("no open data channel has this stream"))?;
        let op = self.ops.close_data_channel;
        // SAFETY: as above.
        self.on(op, |op| unsafe { op(self.inner, label.as_ptr()) })
    }

    fn request_keyframe(&self) -> Outcome {
        Err(Error::NotSupported("a table of operations has no such one"))
    }

    fn main_loop(&self) -> Outcome {
        Ok(())
    }

    fn disconnect(&self) -> Outcome {
        // SAFETY: a handle of the implementation's own.
        self.on(self.ops.disconnect, |op| unsafe { op(self.inner) })
    }

    fn query(&self) -> Result<Report, Error> {
        Err(Error::NotSupported(
            "the program's implementation has no report",
        ))
    }

    fn set_rtp_transformer(
        &self,
        _: TransformerSide,
        _: Option<Box<dyn RtpTransformer>>,
    ) -> Outcome {
        Err(Error::NotSupported("by the handle of the peer connection"))
    }

    fn paired_addr(&self) -> Option<SocketAddr> {
        None
    }

    fn close(&self) {
        if self.closed.swap(true, Ordering::AcqRel) {
            return;
        }
        self.stopping.stop();
        let task = self
            .task
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(task) = task
            && task.thread().id() != thread::current().id()
            && task.join().is_err()
        {
            tracing::error!("the task of a main loop panicked");
        }
        if let Some(close) = self.ops.close {
            // SAFETY: a handle of the implementation's own, that is handed over this last time.
            calling(|| unsafe { close(self.inner) });
        }
        forget(self.ctx);
    }
}

impl Drop for TablePeer {
    fn drop(&mut self) {
        self.close();
    }
}

fn role(role: Role) -> c_int {
    match role {
        Role::Controlling => 0,
        Role::Controlled => 1,
    }
}

/// What will be sent, as far as the configuration says: a table has no word for what was agreed on.
fn negotiated(cfg: &esp_peer_cfg_t) -> Outcome<NegotiatedMedia> {
    let (audio, video) = (
        settings::direction(cfg.audio_dir, "audio_dir")?,
        settings::direction(cfg.video_dir, "video_dir")?,
    );
    let video = match (cfg.video_info.codec, video.sends()) {
        (1, true) => Some(esp_wire::Codec::H264),
        _ => None,
    };
    Ok(NegotiatedMedia {
        audio: settings::audio(&cfg.audio_info)?.filter(|_| audio.sends()),
        video,
        h264_profile_level: None,
        h264_mode: 1,
    })
}

/// Servers in texts of C, one for each URL.
struct CServers(Vec<CServer>);

impl CServers {
    fn of(servers: &[IceServer]) -> Self {
        let single = |server: &IceServer, url: &String| IceServer {
            urls: vec![url.clone()],
            ..server.clone()
        };
        let each = servers
            .iter()
            .flat_map(|server| server.urls.iter().map(move |url| single(server, url)));
        CServers(each.map(|server| CServer::of(Some(&server))).collect())
    }

    /// Pointers into this.
    fn shown(&self) -> Vec<esp_peer_ice_server_cfg_t> {
        self.0.iter().map(CServer::shown).collect()
    }
}
