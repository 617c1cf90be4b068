//! A peer connection in memory: frames and messages pass through channels of the standard library.
//!
//! The controlling side says `offer`, the other `answer`; then both are connected.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use esp_webrtc::peer::{
    ChannelConfig, ChannelInfo, Error, Handler, NegotiatedMedia, PeerConfig, PeerConnection,
    Report, RtpTransformer, State, Traffic, TransformerSide,
};
use esp_webrtc::wire::{
    AudioInfo, Codec, DataFrame, DataKind, Frame, IceServer, Instant, Kind, Role, Signal, VideoInfo,
};

/// The stream of the one data channel.
pub const STREAM: u16 = 0;

enum Item {
    Begin,
    RoleIs(Role),
    Signal(Signal<'static>),
    Media(Kind, Duration, Vec<u8>),
    Data(DataKind, Vec<u8>),
    End,
    Close,
}

/// The two ends of a cable; each makes peer connections, the latest of either end are connected.
#[derive(Clone)]
pub struct Cable {
    ends: [Arc<Mutex<Option<Sender<Item>>>>; 2],
}

impl Cable {
    /// A cable with nothing plugged in.
    pub fn new() -> Self {
        Cable {
            ends: [Arc::default(), Arc::default()],
        }
    }

    /// Plugs a peer connection into end 0 or 1.
    pub fn plug(
        &self,
        end: usize,
        config: PeerConfig,
        handler: Box<dyn Handler>,
    ) -> Arc<dyn PeerConnection> {
        let (own, inbox) = channel();
        *self.ends[end]
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(own.clone());
        let connected = Arc::new(AtomicBool::new(false));
        let worker = Worker {
            role: config.role,
            audio: config.audio.first().copied(),
            video: config.video.first().copied(),
            handler,
            connected: connected.clone(),
            begun: false,
        };
        let thread = thread::spawn(move || worker.run(&inbox));
        Arc::new(Plug {
            own,
            other: self.ends[1 - end].clone(),
            connected,
            thread: Mutex::new(Some(thread)),
        })
    }
}

impl Default for Cable {
    fn default() -> Self {
        Cable::new()
    }
}

/// A peer connection at one end of a [`Cable`].
pub struct Plug {
    own: Sender<Item>,
    other: Arc<Mutex<Option<Sender<Item>>>>,
    connected: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Plug {
    fn ask(&self, item: Item) -> Result<(), Error> {
        self.own
            .send(item)
            .map_err(|_| Error::WrongState("the connection is closed"))
    }

    fn to_peer(&self, item: Item) -> Result<(), Error> {
        if !self.connected.load(Ordering::SeqCst) {
            return Err(Error::WrongState("wait for the state `connected`"));
        }
        let other = self.other.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(other) = other.as_ref() {
            // Who is gone hears nothing, as on a network.
            let _ = other.send(item);
        }
        Ok(())
    }
}

impl PeerConnection for Plug {
    fn new_connection(&self) -> Result<(), Error> {
        self.ask(Item::Begin)
    }

    fn update_ice_info(&self, role: Role, _: &[IceServer]) -> Result<(), Error> {
        self.ask(Item::RoleIs(role))
    }

    fn send_msg(&self, msg: &Signal<'_>) -> Result<(), Error> {
        self.ask(Item::Signal(msg.clone().into_owned()))
    }

    fn send_audio(&self, frame: Frame<'_>) -> Result<(), Error> {
        self.to_peer(Item::Media(Kind::Audio, frame.pts, frame.data.to_vec()))
    }

    fn send_video(&self, frame: Frame<'_>) -> Result<(), Error> {
        self.to_peer(Item::Media(Kind::Video, frame.pts, frame.data.to_vec()))
    }

    fn send_data(&self, frame: DataFrame<'_>) -> Result<(), Error> {
        if frame.stream_id != STREAM {
            return Err(Error::NotExists("no such channel"));
        }
        self.to_peer(Item::Data(frame.kind, frame.data.to_vec()))
    }

    fn create_data_channel(&self, _: ChannelConfig) -> Result<(), Error> {
        Err(Error::NotSupported("a cable has one channel"))
    }

    fn close_data_channel(&self, _: u16) -> Result<(), Error> {
        Err(Error::NotSupported("a cable has one channel"))
    }

    fn request_keyframe(&self) -> Result<(), Error> {
        Ok(())
    }

    fn main_loop(&self) -> Result<(), Error> {
        Ok(())
    }

    fn disconnect(&self) -> Result<(), Error> {
        self.connected.store(false, Ordering::SeqCst);
        self.ask(Item::End)
    }

    fn query(&self) -> Result<Report, Error> {
        let connected = self.connected.load(Ordering::SeqCst);
        Ok(Report {
            at: Instant::ZERO,
            state: if connected {
                State::Connected
            } else {
                State::Disconnected
            },
            role: Role::Controlled,
            reason: None,
            setup: None,
            local_candidates: Vec::new(),
            pairs: Vec::new(),
            paired: None,
            rtt: None,
            dtls: None,
            srtp: None,
            rtp: None,
            sctp: None,
            traffic: Traffic::default(),
            media_dropped_by_application: 0,
            stream_dropped: 0,
            shared_port_strays: 0,
        })
    }

    fn set_rtp_transformer(
        &self,
        _: TransformerSide,
        _: Option<Box<dyn RtpTransformer>>,
    ) -> Result<(), Error> {
        Err(Error::NotSupported("there is no RTP on a cable"))
    }

    fn paired_addr(&self) -> Option<SocketAddr> {
        None
    }

    fn close(&self) {
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            let _ = self.ask(Item::Close);
            if thread.thread().id() != thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

impl Drop for Plug {
    fn drop(&mut self) {
        self.close();
    }
}

/// What serves one plug: everything its owner is told comes from here.
struct Worker {
    role: Role,
    audio: Option<AudioInfo>,
    video: Option<VideoInfo>,
    handler: Box<dyn Handler>,
    connected: Arc<AtomicBool>,
    begun: bool,
}

impl Worker {
    fn run(mut self, inbox: &Receiver<Item>) {
        for item in inbox {
            match item {
                Item::Begin => self.begin(),
                Item::RoleIs(role) => self.role = role,
                Item::Signal(Signal::Sdp(text)) if self.begun => self.on_description(&text),
                Item::Signal(_) => {}
                Item::Media(kind, pts, data) if self.is_connected() => {
                    let frame = Frame { pts, data: &data };
                    match kind {
                        Kind::Audio => self.handler.on_audio_data(frame),
                        Kind::Video => self.handler.on_video_data(frame),
                    }
                }
                Item::Data(kind, data) if self.is_connected() => {
                    self.handler.on_data(DataFrame {
                        kind,
                        stream_id: STREAM,
                        data: &data,
                    });
                }
                Item::Media(..) | Item::Data(..) => {}
                Item::End => {
                    self.begun = false;
                    self.handler.on_state(State::Disconnected);
                }
                Item::Close => break,
            }
        }
    }

    fn is_connected(&self) -> bool {
        self.connected.load(Ordering::SeqCst)
    }

    fn begin(&mut self) {
        self.begun = true;
        self.connected.store(false, Ordering::SeqCst);
        self.handler.on_state(State::NewConnection);
        if self.role == Role::Controlling {
            self.handler.on_msg(Signal::Sdp("offer".into()));
        }
    }

    fn on_description(&mut self, text: &str) {
        if text == "offer" {
            self.handler.on_msg(Signal::Sdp("answer".into()));
        }
        self.handler.on_negotiated(NegotiatedMedia {
            audio: self.audio,
            video: self.video.map(|info| info.codec),
            h264_profile_level: Some([0x42, 0xe0, 0x1f]),
            h264_mode: 1,
        });
        self.connected.store(true, Ordering::SeqCst);
        self.handler.on_state(State::Paired);
        self.handler.on_state(State::Connected);
        if let Some(info) = self.audio {
            self.handler.on_audio_info(info);
        }
        if let Some(info) = self.video {
            debug_assert_eq!(info.codec, Codec::H264);
            self.handler.on_video_info(info);
        }
        self.handler.on_state(State::DataChannelConnected);
        self.handler.on_state(State::DataChannelOpened);
        self.handler.on_channel_open(&ChannelInfo {
            stream_id: STREAM,
            label: "cable".into(),
            protocol: String::new(),
        });
    }
}
