//! Sound: a block of 20 ms from the source, encoded once for each format.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::lane::Engine;
use super::least_bitrate;
use super::outlet::Outlet;
use crate::capture::AudioSettings;
use crate::codec::{AudioEncoder, FRAME_TIME, FRAMES_A_SECOND, audio_encoder};
use crate::pace::lock;
use crate::queue::Entry;
use crate::raw::{AudioSource, Content};
use crate::resample::{Resampler, mix};
use crate::{AudioFormat, Error};

/// When the thread is later than this, it leaves out what is past.
const LATEST: Duration = Duration::from_millis(200);

pub(super) struct AudioSubscriber {
    pub(super) id: u64,
    pub(super) settings: AudioSettings,
    pub(super) bitrate: Arc<AtomicU32>,
    pub(super) outlet: Option<Arc<Outlet>>,
    pub(super) epoch: Duration,
}

pub(super) struct AudioEngine {
    source: Box<dyn AudioSource>,
    format: AudioFormat,
    block: Vec<i16>,
    /// The number of the next block, counted from the generator's start.
    next: u32,
    paths: Vec<Path>,
    targets: Vec<(Arc<Outlet>, Duration)>,
}

/// The way to one format.
pub(super) struct Path {
    settings: AudioSettings,
    encoder: Box<dyn AudioEncoder>,
    from: AudioFormat,
    to: AudioFormat,
    resampler: Resampler,
    mixed: Vec<i16>,
    ready: Vec<i16>,
    /// When the next frame begins; the samples of all frames before it are counted in it.
    time: Option<Duration>,
    bitrate: Option<u32>,
    out: Vec<u8>,
}

impl Path {
    pub(super) fn new(
        settings: AudioSettings,
        from: AudioFormat,
        content: Content,
    ) -> Result<Self, Error> {
        let encoder = audio_encoder(settings, content)?;
        let to = encoder.format();
        Ok(Path {
            settings,
            encoder,
            from,
            to,
            resampler: Resampler::new(from.sample_rate, to.sample_rate, to.channels)?,
            mixed: Vec::new(),
            ready: Vec::new(),
            time: None,
            bitrate: None,
            out: Vec::new(),
        })
    }

    /// Takes a block of the source that began at `time`, and hands out the frames that it completes.
    fn run(
        &mut self,
        block: &[i16],
        time: Duration,
        mut send: impl FnMut(Duration, &[u8]),
    ) -> Result<(), Error> {
        self.mixed.clear();
        mix(block, self.from.channels, self.to.channels, &mut self.mixed);
        self.resampler.process(&self.mixed, &mut self.ready);
        let size = (self.to.sample_rate / FRAMES_A_SECOND) as usize * usize::from(self.to.channels);
        let whole = self.ready.len() / size * size;
        for frame in self.ready[..whole].chunks_exact(size) {
            let start = self.time.unwrap_or(time);
            self.encoder.encode(frame, &mut self.out)?;
            send(start, &self.out);
            self.time = Some(start + FRAME_TIME);
        }
        self.ready.drain(..whole);
        Ok(())
    }
}

impl AudioEngine {
    pub(super) fn new(source: Box<dyn AudioSource>) -> Self {
        let format = source.format();
        let samples = (format.sample_rate / FRAMES_A_SECOND) as usize;
        AudioEngine {
            source,
            format,
            block: vec![0; samples * usize::from(format.channels)],
            next: 0,
            paths: Vec::new(),
            targets: Vec::new(),
        }
    }

    /// Makes a path for every format that is wanted and drops the others.
    fn set_paths(&mut self, subscribers: &Mutex<Vec<AudioSubscriber>>) {
        let mut subscribers = lock(subscribers);
        let content = self.source.content();
        self.paths.retain(|path| {
            let wanted =
                |subscriber: &AudioSubscriber| subscriber.settings.info == path.settings.info;
            subscribers.iter().any(wanted)
        });
        subscribers.retain(|subscriber| {
            let settings = subscriber.settings;
            if self
                .paths
                .iter()
                .any(|path| path.settings.info == settings.info)
            {
                return true;
            }
            let made = Path::new(settings, self.format, content);
            made.map(|path| self.paths.push(path))
                .inspect_err(|error| tracing::error!(%error, "no encoder for a capture"))
                .is_ok()
        });
        for path in &mut self.paths {
            let same = subscribers
                .iter()
                .filter(|s| s.settings.info == path.settings.info);
            let bitrate = least_bitrate(same.map(|s| s.bitrate.load(Ordering::Relaxed)));
            if bitrate != path.bitrate {
                path.bitrate = bitrate;
                if let Some(bitrate) = bitrate {
                    path.encoder.set_bitrate(bitrate);
                }
            }
        }
    }
}

impl Engine for AudioEngine {
    type Subscriber = AudioSubscriber;

    fn begin(&mut self, now: Duration) -> Duration {
        self.next = blocks(now) + 1;
        self.paths.clear();
        FRAME_TIME * self.next
    }

    fn tick(
        &mut self,
        now: Duration,
        subscribers: &Mutex<Vec<AudioSubscriber>>,
    ) -> Result<Duration, Error> {
        if now > FRAME_TIME * self.next + LATEST {
            self.next = blocks(now);
            for path in &mut self.paths {
                path.time = None;
            }
        }
        let time = FRAME_TIME * self.next;
        self.next += 1;
        self.source.read(&mut self.block)?;
        self.set_paths(subscribers);
        for path in &mut self.paths {
            self.targets.clear();
            self.targets.extend(
                lock(subscribers)
                    .iter()
                    .filter(|s| s.settings.info == path.settings.info)
                    .filter_map(|s| Some((s.outlet.clone()?, s.epoch))),
            );
            path.run(&self.block, time, |start, data| {
                for (outlet, epoch) in &self.targets {
                    let pts = start.saturating_sub(*epoch);
                    outlet.send(Entry::Audio, pts, data, &AtomicBool::new(false));
                }
            })?;
        }
        self.targets.clear();
        Ok(FRAME_TIME * self.next)
    }
}

fn blocks(time: Duration) -> u32 {
    u32::try_from(time.as_nanos() / FRAME_TIME.as_nanos()).unwrap_or(u32::MAX)
}
