//! The solution as an application sees it.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::sync::mpsc::channel;
use std::thread::{self, JoinHandle};

use esp_driver::{Driver, DriverConfig};
use esp_media::{Capture, Level, Render, RenderStats};
use esp_peer::{PeerConnection, Report as PeerReport};
use esp_signaling::Signaling;
use esp_wire::{DataFrame, DataKind};

use crate::connector::Connector;
use crate::controller::{Controller, STOP_PATIENCE, SignalingFactory, Work};
use crate::flow::Input;
use crate::shared::{ChannelHandler, EventHandler, Media, Shared, locked};
use crate::{Error, Settings};

/// By which way a message of the application goes to the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// Signaling: also before the peers are connected.
    Signaling,
    /// The first data channel that is open.
    DataChannel,
}

/// A snapshot of the solution.
#[derive(Clone, Debug)]
pub struct Report {
    /// Of the peer connection, if one is open.
    pub peer: Option<PeerReport>,
    /// Packets of sound handed to the peer connection.
    pub audio_sent: u64,
    /// Pictures handed to the peer connection.
    pub video_sent: u64,
    /// Frames that the peer connection did not take.
    pub frames_dropped: u64,
    /// What was received and rendered.
    pub render: Option<RenderStats>,
    /// How loud the received sound is.
    pub level: Option<Level>,
}

/// Puts a [`WebRtc`] together.
pub struct Builder {
    settings: Settings,
    signaling: SignalingFactory,
    connector: Option<Box<dyn Connector>>,
    media: Media,
}

impl Builder {
    /// With these settings.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// With peer connections from here; by default from a [`Driver`] of its own.
    pub fn connector(mut self, connector: impl Connector + 'static) -> Self {
        self.connector = Some(Box::new(connector));
        self
    }

    /// With this source of sound and pictures.
    pub fn capture(mut self, capture: impl Capture + 'static) -> Self {
        self.media.capture = Some(Box::new(capture));
        self
    }

    /// As [`capture`](Self::capture), for one that is boxed already.
    pub fn capture_boxed(mut self, capture: Box<dyn Capture>) -> Self {
        self.media.capture = Some(capture);
        self
    }

    /// With this sink for the peer's sound and pictures, which serves the first connection alone.
    pub fn render(self, render: impl Render + 'static) -> Self {
        let mut render: Option<Box<dyn Render>> = Some(Box::new(render));
        self.render_factory(move || render.take())
    }

    /// With a new sink for each connection; it is stopped when the connection ends.
    pub fn render_factory(
        mut self,
        make: impl FnMut() -> Option<Box<dyn Render>> + Send + 'static,
    ) -> Self {
        self.media.render = Some(Box::new(make));
        self
    }

    /// Makes the solution; [`WebRtc::start`] puts it online.
    ///
    /// # Errors
    /// [`Error::System`] when the system gives no thread.
    pub fn open(self) -> Result<WebRtc, Error> {
        let system = |error: std::io::Error| Error::System(error.to_string());
        let connector = match self.connector {
            Some(connector) => connector,
            None => Box::new(Driver::start(DriverConfig::default()).map_err(system)?),
        };
        let (sender, work) = channel();
        let shared = Arc::new(Shared::new(sender, self.media));
        let controller = Controller::new(
            self.settings,
            self.signaling,
            connector,
            Arc::clone(&shared),
        );
        let thread = thread::Builder::new()
            .name("webrtc".into())
            .spawn(move || controller.run(work))
            .map_err(system)?;
        Ok(WebRtc {
            shared,
            thread: Mutex::new(Some(thread)),
        })
    }
}

/// Signaling, a peer connection and media behind a few settings.
///
/// Every method may be called from any thread, also from the callbacks; only [`close`](Self::close) and dropping it
/// wait for the end. What happens is told to the event handler.
pub struct WebRtc {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl WebRtc {
    /// Begins to put a solution together around a signaling, which serves one [`start`](Self::start).
    pub fn builder(signaling: impl Signaling + 'static) -> Builder {
        let mut signaling: Option<Box<dyn Signaling>> = Some(Box::new(signaling));
        WebRtc::builder_with(move || signaling.take())
    }

    /// As [`builder`](Self::builder), with a new signaling for each [`start`](Self::start); `None` refuses to start.
    pub fn builder_with(
        signaling: impl FnMut() -> Option<Box<dyn Signaling>> + Send + 'static,
    ) -> Builder {
        Builder {
            settings: Settings::default(),
            signaling: Box::new(signaling),
            connector: None,
            media: Media::default(),
        }
    }

    /// Tells `handler` what happens, on a thread of the solution.
    pub fn set_event_handler(&self, handler: EventHandler) {
        self.shared.ask(Work::SetEventHandler(Some(handler)));
    }

    /// Tells `handler` of data channels, on a delivery thread of the driver.
    pub fn set_channel_handler(&self, handler: Box<dyn ChannelHandler>) {
        *locked(&self.shared.channel_handler) = Some(handler);
    }

    /// Joins by signaling and connects as the settings say.
    pub fn start(&self) {
        self.shared.ask(Work::Input(Input::Start));
    }

    /// Disconnects and leaves; [`start`](Self::start) may follow.
    pub fn stop(&self) {
        self.shared.ask(Work::Input(Input::Stop));
    }

    /// Ends the connection and begins a new one; signaling stays.
    pub fn restart(&self) {
        self.shared.ask(Work::Input(Input::Restart));
    }

    /// Lets the connection begin, or ends it and waits; signaling stays either way.
    pub fn enable_peer_connection(&self, enabled: bool) {
        self.shared.ask(Work::Input(Input::Enable(enabled)));
    }

    /// Ends the connection and says goodbye to the peer; the room is entered anew, and a connection waits for
    /// [`enable_peer_connection`](Self::enable_peer_connection).
    pub fn hang_up(&self) {
        self.shared.ask(Work::Input(Input::HangUp));
    }

    /// Says the offer once more that the peer waits for and seems not to have heard. Does nothing where the peer is to
    /// offer, where no connection was begun, or where it is up.
    pub fn repeat_offer(&self) {
        self.shared.ask(Work::Input(Input::RepeatOffer));
    }

    /// Sets the target for pictures, in bits a second.
    pub fn set_video_bitrate(&self, bits_per_second: u32) {
        self.shared.ask(Work::SetBitrate {
            audio: None,
            video: Some(bits_per_second),
        });
    }

    /// Sets the target for sound, in bits a second.
    pub fn set_audio_bitrate(&self, bits_per_second: u32) {
        self.shared.ask(Work::SetBitrate {
            audio: Some(bits_per_second),
            video: None,
        });
    }

    /// Sends a message of the application to the peer. Not from within the event handler by signaling.
    ///
    /// # Errors
    /// [`Error::NoDataChannel`], or what the peer connection or signaling says.
    pub fn send_custom_data(&self, via: Via, text: &str) -> Result<(), Error> {
        match via {
            Via::Signaling => {
                let (answer, answered) = channel();
                self.shared.ask(Work::Custom(text.to_owned(), answer));
                answered
                    .recv_timeout(STOP_PATIENCE)
                    .map_err(|_| Error::Closed)?
                    .map_err(Error::Signaling)
            }
            Via::DataChannel => {
                let peer = self.shared.peer().ok_or(Error::NotConnected)?;
                let stream_id = locked(&self.shared.channels)
                    .first()
                    .map(|channel| channel.stream_id)
                    .ok_or(Error::NoDataChannel)?;
                Ok(peer.send_data(DataFrame {
                    kind: DataKind::Text,
                    stream_id,
                    data: text.as_bytes(),
                })?)
            }
        }
    }

    /// Sends a message by signaling without waiting for what becomes of it; also from the event handler.
    pub fn post_custom_data(&self, text: &str) {
        let (answer, _) = channel();
        self.shared.ask(Work::Custom(text.to_owned(), answer));
    }

    /// The peer connection, while one is open.
    pub fn peer_connection(&self) -> Option<Arc<dyn PeerConnection>> {
        self.shared.peer()
    }

    /// A snapshot of states and figures.
    pub fn query(&self) -> Report {
        let render = locked(&self.shared.render);
        let (stats, level) = match render.as_ref() {
            Some(render) => (Some(render.stats()), Some(render.level())),
            None => (None, None),
        };
        drop(render);
        let sent = &self.shared.sent;
        Report {
            peer: self.shared.peer().and_then(|peer| peer.query().ok()),
            audio_sent: sent.audio.load(Ordering::Relaxed),
            video_sent: sent.video.load(Ordering::Relaxed),
            frames_dropped: sent.dropped.load(Ordering::Relaxed),
            render: stats,
            level,
        }
    }

    /// Stops and gives everything back; waits until the peer and the room were told, a few seconds at most.
    pub fn close(&self) {
        self.shared.ask(Work::Quit);
        let thread = locked(&self.thread).take();
        if let Some(thread) = thread
            && thread.thread().id() != thread::current().id()
            && thread.join().is_err()
        {
            tracing::error!("the solution's task panicked");
        }
    }

    /// As [`close`](Self::close), but waits for nothing: also from within callbacks of data channels, captures and
    /// renders, whose threads are waited for by the end.
    pub fn begin_close(&self) {
        self.shared.ask(Work::Quit);
        // Dropping it lets the thread go on by itself.
        drop(locked(&self.thread).take());
    }
}

impl Drop for WebRtc {
    fn drop(&mut self) {
        self.close();
    }
}
