//! What the controller, the callbacks of the peer and the application share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use esp_media::{Capture, Render};
use esp_peer::{ChannelInfo, NegotiatedMedia, PeerConnection};
use esp_wire::DataFrame;

use crate::Event;
use crate::controller::Work;

/// What the solution tells of data channels, on a delivery thread of the driver.
#[allow(unused_variables)]
pub trait ChannelHandler: Send {
    /// A channel is up.
    fn on_open(&mut self, channel: &ChannelInfo, peer: &Arc<dyn PeerConnection>) {}

    /// A message arrived.
    fn on_data(&mut self, frame: DataFrame<'_>, peer: &Arc<dyn PeerConnection>) {}

    /// A part of a message arrived, `last` ends it; where messages are taken in parts.
    fn on_data_part(&mut self, part: DataFrame<'_>, last: bool, peer: &Arc<dyn PeerConnection>) {}

    /// What waits to be sent on a channel has fallen to the threshold that was set for it.
    fn on_buffered_amount_low(&mut self, stream_id: u16, peer: &Arc<dyn PeerConnection>) {}

    /// A channel that was full takes messages again.
    fn on_writable(&mut self, stream_id: u16, peer: &Arc<dyn PeerConnection>) {}

    /// A channel ended.
    fn on_close(&mut self, channel: &ChannelInfo) {}
}

/// What the application hears, on the controller's thread.
pub type EventHandler = Box<dyn FnMut(Event) + Send>;

/// Makes the render of a connection that begins; `None` for none.
pub(crate) type RenderFactory = Box<dyn FnMut() -> Option<Box<dyn Render>> + Send>;

#[derive(Default)]
pub(crate) struct Media {
    pub(crate) capture: Option<Box<dyn Capture>>,
    pub(crate) render: Option<RenderFactory>,
}

/// Frames on their way to the peer.
#[derive(Default)]
pub(crate) struct Sent {
    pub(crate) audio: AtomicU64,
    pub(crate) video: AtomicU64,
    pub(crate) dropped: AtomicU64,
}

impl Sent {
    pub(crate) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

pub(crate) struct Shared {
    pub(crate) work: Sender<Work>,
    /// Taken by the controller alone for as long as a start or stop takes; never by a sink.
    pub(crate) capture: Mutex<Option<Box<dyn Capture>>>,
    /// The render of the present connection, or of the last one.
    pub(crate) render: Mutex<Option<Box<dyn Render>>>,
    render_factory: Mutex<Option<RenderFactory>>,
    pub(crate) peer: Mutex<Option<Arc<dyn PeerConnection>>>,
    pub(crate) negotiated: Mutex<NegotiatedMedia>,
    pub(crate) channels: Mutex<Vec<ChannelInfo>>,
    pub(crate) channel_handler: Mutex<Option<Box<dyn ChannelHandler>>>,
    pub(crate) sent: Sent,
}

impl Shared {
    pub(crate) fn new(work: Sender<Work>, media: Media) -> Self {
        Shared {
            work,
            capture: Mutex::new(media.capture),
            render: Mutex::default(),
            render_factory: Mutex::new(media.render),
            peer: Mutex::default(),
            negotiated: Mutex::default(),
            channels: Mutex::default(),
            channel_handler: Mutex::default(),
            sent: Sent::default(),
        }
    }

    /// The peer connection that is open.
    pub(crate) fn peer(&self) -> Option<Arc<dyn PeerConnection>> {
        locked(&self.peer).clone()
    }

    /// Takes a new render into use for a connection that begins.
    pub(crate) fn renew_render(&self) {
        self.finish_render();
        let made = locked(&self.render_factory)
            .as_mut()
            .and_then(|make| make());
        if made.is_some() {
            *locked(&self.render) = made;
        }
    }

    /// Lets the render work off what it has; its figures can still be read.
    pub(crate) fn finish_render(&self) {
        if let Some(render) = locked(&self.render).as_mut() {
            render.stop();
        }
    }

    /// Hands work to the controller; after its end, nobody is there for it.
    pub(crate) fn ask(&self, work: Work) {
        let _ = self.work.send(work);
    }
}

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
