//! A render that decodes, measures, records, and hands on what it decoded.
//!
//! Each medium has a bounded queue and a thread, from its first format on. Sound that does not fit
//! pushes out the oldest; pictures that do not fit are dropped up to the next keyframe, which is asked
//! for.

mod audio;
mod video;

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use esp_wire::{AudioInfo, Codec, Frame, Kind, VideoInfo};

use crate::Error;
use crate::codec::audio_decoder;
use crate::h264::is_keyframe;
use crate::level::{Level, LevelMeter};
use crate::pace::lock;
use crate::queue::{Entry, FrameQueue, Limits};
use crate::raw::{AudioOut, VideoOut};
use crate::record::{Mp4Recorder, Recording};
use crate::render::{Render, RenderStats};

/// What a [`Player`] does.
pub struct PlayerConfig {
    /// Where received sound (WAV) and pictures (MP4) are written, if anywhere.
    pub recording: Option<Recording>,
    /// Whether pictures are decoded; on by default.
    pub decode_video: bool,
    /// Where decoded sound goes.
    pub audio_out: Option<Box<dyn AudioOut>>,
    /// Where decoded pictures go.
    pub video_out: Option<Box<dyn VideoOut>>,
    /// How many packets of sound wait at most; 50 by default.
    pub audio_queue: usize,
    /// How many pictures wait at most; 60 by default.
    pub video_queue: usize,
    /// How many bytes wait at most, for each medium; 8 MiB by default.
    pub queue_bytes: usize,
    /// Pictures with more pixels are not decoded; 1920x1088 by default.
    pub max_pixels: u32,
}

impl Default for PlayerConfig {
    fn default() -> Self {
        PlayerConfig {
            recording: None,
            decode_video: true,
            audio_out: None,
            video_out: None,
            audio_queue: 50,
            video_queue: 60,
            queue_bytes: 8 << 20,
            max_pixels: 1_920 * 1_088,
        }
    }
}

impl PlayerConfig {
    /// Decodes and measures, and keeps nothing.
    pub fn new() -> Self {
        PlayerConfig::default()
    }

    /// Writes what is received to files.
    pub fn with_recording(mut self, recording: Recording) -> Self {
        self.recording = Some(recording);
        self
    }

    /// Decodes pictures, or leaves them encoded to save time.
    pub fn with_decode_video(mut self, decode: bool) -> Self {
        self.decode_video = decode;
        self
    }

    /// Hands decoded sound to `out`.
    pub fn with_audio_out(mut self, out: impl AudioOut + 'static) -> Self {
        self.audio_out = Some(Box::new(out));
        self
    }

    /// Hands decoded pictures to `out`.
    pub fn with_video_out(mut self, out: impl VideoOut + 'static) -> Self {
        self.video_out = Some(Box::new(out));
        self
    }
}

/// Decodes, measures and records what is received.
pub struct Player {
    config: PlayerConfig,
    counters: Arc<Counters>,
    meter: LevelMeter,
    mp4: Option<Arc<Mutex<Mp4Recorder>>>,
    audio: Option<Worker>,
    video: Option<Worker>,
    /// Whether frames of the present format can be used.
    audio_known: bool,
    video_codec: Option<Codec>,
    stopped: bool,
}

struct Worker {
    queue: Arc<FrameQueue>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Counters {
    audio_received: AtomicU64,
    audio_decoded: AtomicU64,
    audio_concealed: AtomicU64,
    audio_dropped: AtomicU64,
    video_received: AtomicU64,
    video_decoded: AtomicU64,
    video_dropped: AtomicU64,
    width: AtomicU32,
    height: AtomicU32,
    video_recorded: AtomicU64,
    samples_recorded: AtomicU64,
    record_errors: AtomicU64,
    keyframe_wanted: AtomicBool,
}

impl Counters {
    fn record_failed(&self, error: &Error) {
        self.record_errors.fetch_add(1, Ordering::Relaxed);
        tracing::error!(%error, "a recording has ended");
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Player {
    /// A player for one call; its threads begin with the first format of their medium.
    pub fn new(config: PlayerConfig) -> Self {
        let mp4 = config.recording.clone().map(Mp4Recorder::new);
        Player {
            config,
            counters: Arc::default(),
            meter: LevelMeter::new(),
            mp4: mp4.map(|mp4| Arc::new(Mutex::new(mp4))),
            audio: None,
            video: None,
            audio_known: false,
            video_codec: None,
            stopped: false,
        }
    }

    /// The meter of the received sound, readable from any thread without a lock.
    pub fn meter(&self) -> LevelMeter {
        self.meter.clone()
    }

    fn spawn(
        &self,
        kind: Kind,
        work: impl FnOnce(Arc<FrameQueue>) + Send + 'static,
    ) -> Result<Worker, Error> {
        let queue = Arc::new(FrameQueue::new(Limits {
            audio: self.config.audio_queue.max(1),
            video: self.config.video_queue.max(1),
            bytes: self.config.queue_bytes,
        }));
        let name = match kind {
            Kind::Audio => "media-play-audio",
            Kind::Video => "media-play-video",
        };
        let source = queue.clone();
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || work(source))?;
        Ok(Worker {
            queue,
            thread: Some(thread),
        })
    }

    fn start_audio(&mut self) -> Result<(), Error> {
        if self.audio.is_none() {
            let worker = audio::AudioWorker::new(
                self.counters.clone(),
                self.meter.clone(),
                self.config.recording.clone(),
                self.mp4.clone(),
                self.config.audio_out.take(),
            );
            self.audio = Some(self.spawn(Kind::Audio, |queue| worker.run(&queue))?);
        }
        Ok(())
    }

    fn start_video(&mut self) -> Result<(), Error> {
        if self.video.is_none() {
            let worker = video::VideoWorker::new(
                self.counters.clone(),
                self.mp4.clone(),
                self.config.video_out.take(),
                self.config.decode_video.then_some(self.config.max_pixels),
            );
            self.video = Some(self.spawn(Kind::Video, |queue| worker.run(&queue))?);
        }
        Ok(())
    }
}

impl Render for Player {
    fn on_audio_info(&mut self, info: AudioInfo) -> Result<(), Error> {
        if self.stopped {
            return Err(Error::misuse("the player has been stopped"));
        }
        self.audio_known = false;
        // Whether it can be decoded is found out now, not on the thread.
        audio_decoder(info)?;
        self.start_audio()?;
        if let Some(worker) = &self.audio {
            worker
                .queue
                .push(Entry::AudioInfo(info), Duration::ZERO, &[]);
            self.audio_known = true;
        }
        Ok(())
    }

    fn on_audio(&mut self, frame: Frame<'_>) {
        count(&self.counters.audio_received);
        match &self.audio {
            Some(worker) if self.audio_known => {
                worker.queue.push(Entry::Audio, frame.pts, frame.data);
            }
            _ => count(&self.counters.audio_dropped),
        }
    }

    fn on_video_info(&mut self, info: VideoInfo) -> Result<(), Error> {
        if self.stopped {
            return Err(Error::misuse("the player has been stopped"));
        }
        self.video_codec = None;
        if info.codec != Codec::H264 {
            return Err(Error::misuse(format!(
                "there is no decoder for {}",
                info.codec
            )));
        }
        self.start_video()?;
        if let Some(worker) = &self.video {
            worker
                .queue
                .push(Entry::VideoInfo(info), Duration::ZERO, &[]);
            self.video_codec = Some(info.codec);
        }
        Ok(())
    }

    fn on_video(&mut self, frame: Frame<'_>) {
        count(&self.counters.video_received);
        match &self.video {
            Some(worker) if self.video_codec.is_some() => {
                let keyframe = is_keyframe(frame.data);
                worker
                    .queue
                    .push(Entry::Video(keyframe), frame.pts, frame.data);
            }
            _ => count(&self.counters.video_dropped),
        }
    }

    fn stop(&mut self) {
        self.stopped = true;
        self.audio_known = false;
        self.video_codec = None;
        let workers = [&mut self.audio, &mut self.video];
        for worker in workers.into_iter().flatten() {
            worker.queue.close(false);
            if let Some(thread) = worker.thread.take()
                && thread.thread().id() != thread::current().id()
            {
                // An output that panicked has said so already.
                let _ = thread.join();
            }
        }
        if let Some(mp4) = &self.mp4
            && let Err(error) = lock(mp4).finish()
        {
            self.counters.record_failed(&error);
        }
    }

    fn level(&self) -> Level {
        self.meter.level()
    }

    fn stats(&self) -> RenderStats {
        let counters = &self.counters;
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let queue = |worker: &Option<Worker>, counter: fn(&FrameQueue) -> &AtomicU64| {
            worker
                .as_ref()
                .map_or(0, |worker| get(counter(&worker.queue)))
        };
        RenderStats {
            audio_received: get(&counters.audio_received),
            audio_decoded: get(&counters.audio_decoded),
            audio_concealed: get(&counters.audio_concealed),
            audio_dropped: get(&counters.audio_dropped) + queue(&self.audio, |q| &q.audio_dropped),
            video_received: get(&counters.video_received),
            video_decoded: get(&counters.video_decoded),
            video_dropped: get(&counters.video_dropped) + queue(&self.video, |q| &q.video_dropped),
            width: counters.width.load(Ordering::Relaxed),
            height: counters.height.load(Ordering::Relaxed),
            video_recorded: get(&counters.video_recorded),
            samples_recorded: get(&counters.samples_recorded),
            record_errors: get(&counters.record_errors),
        }
    }

    fn take_keyframe_request(&mut self) -> bool {
        let queue = self
            .video
            .as_ref()
            .is_some_and(|worker| worker.queue.keyframe_wanted.swap(false, Ordering::Relaxed));
        self.counters.keyframe_wanted.swap(false, Ordering::Relaxed) | queue
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        self.stop();
    }
}
