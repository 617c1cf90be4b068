//! Calls within one process, over loopback.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use esp_webrtc::media::{
    Capture, CaptureSettings, FrameSink, Generator, GeneratorConfig, VideoFormat, VideoSettings,
};
use esp_webrtc::peer::{ChannelInfo, Error as PeerError, PeerConnection};
use esp_webrtc::wire::{Codec, DataFrame, Frame, VideoInfo};
use esp_webrtc::{ChannelHandler, PeerConfig, Settings};

use crate::Outcome;

/// A small picture, cheap to encode.
pub const SMALL: VideoFormat = VideoFormat {
    width: 160,
    height: 128,
    fps: 15,
};

/// A capture of the melody and a small moving picture.
///
/// # Errors
/// Those of the generator.
pub fn small_capture() -> Outcome<Box<dyn Capture>> {
    let generator = GeneratorConfig::test_signal(SMALL)
        .and_then(Generator::new)
        .map_err(|error| error.to_string())?;
    Ok(generator.capture())
}

/// Settings for a call over loopback.
pub fn settings() -> Settings {
    Settings::default().with_peer(
        PeerConfig::default()
            .with_data_channels(false)
            .with_loopback(),
    )
}

/// One encoded picture that stands for itself: parameter sets and an IDR slice, Annex B.
///
/// # Errors
/// Those of the generator; when no picture comes.
pub fn keyframe() -> Outcome<Vec<u8>> {
    struct First(Sender<Vec<u8>>);
    impl FrameSink for First {
        fn on_audio(&mut self, _: Frame<'_>) {}
        fn on_video(&mut self, frame: Frame<'_>, keyframe: bool) {
            if keyframe {
                let _ = self.0.send(frame.data.to_vec());
            }
        }
    }
    let (sender, pictures) = channel();
    let mut capture = small_capture()?;
    let video = VideoSettings::new(VideoInfo {
        codec: Codec::H264,
        width: 0,
        height: 0,
        fps: 0,
    });
    let settings = CaptureSettings {
        audio: None,
        video: Some(video),
    };
    capture
        .start(settings, Box::new(First(sender)))
        .map_err(|error| error.to_string())?;
    let picture = pictures
        .recv_timeout(Duration::from_secs(120))
        .map_err(|_| "no picture came from the generator");
    capture.stop();
    Ok(picture?)
}

/// A number that grows, and can be waited for.
#[derive(Clone, Debug, Default)]
pub struct Counter {
    value: Arc<AtomicU64>,
}

impl Counter {
    /// Counts one more.
    pub fn count(&self) {
        self.value.fetch_add(1, Ordering::Relaxed);
    }

    /// How many there were.
    pub fn value(&self) -> u64 {
        self.value.load(Ordering::Relaxed)
    }
}

/// A switch that is thrown once, by one thread, and waited for by others.
#[derive(Clone, Debug, Default)]
pub struct Switch {
    inner: Arc<(Mutex<bool>, Condvar)>,
}

impl Switch {
    /// Throws it.
    pub fn throw(&self) {
        *self.lock() = true;
        self.inner.1.notify_all();
    }

    /// Waits until it is thrown; `false` when `patience` was over first.
    pub fn wait(&self, patience: Duration) -> bool {
        let (thrown, _) = self
            .inner
            .1
            .wait_timeout_while(self.lock(), patience, |thrown| !*thrown)
            .unwrap_or_else(PoisonError::into_inner);
        *thrown
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.inner.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A data channel as its user sees it: what came, and what may be sent.
pub struct Channels {
    opened: Receiver<(u16, Arc<dyn PeerConnection>)>,
    messages: Receiver<Vec<u8>>,
    writable: Receiver<u16>,
}

struct Handler {
    opened: Sender<(u16, Arc<dyn PeerConnection>)>,
    messages: Sender<Vec<u8>>,
    writable: Sender<u16>,
}

impl Channels {
    /// The two halves: what a solution calls, and where it arrives.
    pub fn new() -> (Box<dyn ChannelHandler>, Self) {
        let (to_opened, opened) = channel();
        let (to_messages, messages) = channel();
        let (to_writable, writable) = channel();
        let handler = Handler {
            opened: to_opened,
            messages: to_messages,
            writable: to_writable,
        };
        let channels = Channels {
            opened,
            messages,
            writable,
        };
        (Box::new(handler), channels)
    }

    /// The next channel that opens.
    ///
    /// # Errors
    /// When none does.
    pub fn opened(&self, patience: Duration) -> Outcome<(u16, Arc<dyn PeerConnection>)> {
        self.opened
            .recv_timeout(patience)
            .map_err(|_| format!("no data channel opened within {} s", patience.as_secs()))
    }

    /// The next message.
    ///
    /// # Errors
    /// When none comes.
    pub fn message(&self, patience: Duration) -> Outcome<Vec<u8>> {
        self.messages
            .recv_timeout(patience)
            .map_err(|_| format!("no message came within {} s", patience.as_secs()))
    }

    /// Sends a message, waiting for room as often as it takes.
    ///
    /// # Errors
    /// What the connection says, but for a full queue; when room never comes.
    pub fn send(
        &self,
        peer: &dyn PeerConnection,
        frame: DataFrame<'_>,
        patience: Duration,
    ) -> Outcome<()> {
        loop {
            match peer.send_data(frame) {
                Ok(()) => return Ok(()),
                Err(PeerError::WouldBlock) => {
                    self.writable
                        .recv_timeout(patience)
                        .map_err(|_| "the channel did not become writable again")?;
                }
                Err(error) => return Err(error.to_string()),
            }
        }
    }
}

impl ChannelHandler for Handler {
    fn on_open(&mut self, channel: &ChannelInfo, peer: &Arc<dyn PeerConnection>) {
        let _ = self.opened.send((channel.stream_id, Arc::clone(peer)));
    }

    fn on_data(&mut self, frame: DataFrame<'_>, _: &Arc<dyn PeerConnection>) {
        let _ = self.messages.send(frame.data.to_vec());
    }

    fn on_writable(&mut self, stream_id: u16, _: &Arc<dyn PeerConnection>) {
        let _ = self.writable.send(stream_id);
    }
}
