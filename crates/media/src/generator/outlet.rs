//! The way from a lane to one sink.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use esp_wire::Frame;

use crate::Error;
use crate::capture::FrameSink;
use crate::pace::lock;
use crate::queue::{Entry, FrameQueue, Limits};

/// Half a second of sound, a second of pictures.
const LIMITS: Limits = Limits {
    audio: 25,
    video: 30,
    bytes: 4 << 20,
};

pub(super) enum Outlet {
    /// The lane calls the sink.
    Direct(Mutex<Option<Box<dyn FrameSink>>>),
    /// A thread of the sink's own calls it.
    Queued {
        queue: Arc<FrameQueue>,
        thread: Mutex<Option<JoinHandle<()>>>,
    },
}

impl Outlet {
    pub(super) fn new(mut sink: Box<dyn FrameSink>, isolated: bool) -> Result<Self, Error> {
        if !isolated {
            return Ok(Outlet::Direct(Mutex::new(Some(sink))));
        }
        let queue = Arc::new(FrameQueue::new(LIMITS));
        let source = queue.clone();
        let thread = thread::Builder::new()
            .name("media-sink".to_owned())
            .spawn(move || {
                let mut data = Vec::new();
                while let Some((entry, pts)) = source.pop(&mut data) {
                    deliver(&mut *sink, entry, pts, &data);
                }
            })?;
        Ok(Outlet::Queued {
            queue,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Hands a frame on; sets `keyframe` when the sink lost pictures by it.
    pub(super) fn send(&self, entry: Entry, pts: Duration, data: &[u8], keyframe: &AtomicBool) {
        match self {
            Outlet::Direct(sink) => {
                if let Some(sink) = &mut *lock(sink) {
                    deliver(&mut **sink, entry, pts, data);
                }
            }
            Outlet::Queued { queue, .. } => {
                queue.push(entry, pts, data);
                if queue.keyframe_wanted.swap(false, Ordering::Relaxed) {
                    keyframe.store(true, Ordering::Relaxed);
                }
            }
        }
    }

    /// Ends delivery; a call that is under way is waited for.
    pub(super) fn close(&self) {
        match self {
            Outlet::Direct(sink) => {
                lock(sink).take();
            }
            Outlet::Queued { queue, thread } => {
                queue.close(true);
                if let Some(thread) = lock(thread).take()
                    && thread.thread().id() != thread::current().id()
                {
                    // A sink that panicked has said so already.
                    let _ = thread.join();
                }
            }
        }
    }
}

fn deliver(sink: &mut dyn FrameSink, entry: Entry, pts: Duration, data: &[u8]) {
    let frame = Frame { pts, data };
    match entry {
        Entry::Audio => sink.on_audio(frame),
        Entry::Video(keyframe) => sink.on_video(frame, keyframe),
        Entry::AudioInfo(_) | Entry::VideoInfo(_) => {}
    }
}
