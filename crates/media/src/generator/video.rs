//! Pictures: one from the source, encoded once for each format, or an encoded one passed on.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::lane::Engine;
use super::outlet::Outlet;
use super::{VideoInput, least_bitrate};
use crate::Error;
use crate::capture::VideoSettings;
use crate::codec::{Encoded, VideoEncoder, video_encoder};
use crate::h264::fits;
use crate::pace::lock;
use crate::queue::Entry;
use crate::raw::{Picture, VideoFormat, VideoSource};
use crate::source::EncodedVideoSource;

/// When a file is later than this, its clock is set anew.
const LATEST: Duration = Duration::from_secs(1);

pub(super) struct VideoSubscriber {
    pub(super) id: u64,
    pub(super) settings: VideoSettings,
    pub(super) bitrate: Arc<AtomicU32>,
    /// Set when a keyframe is asked for.
    pub(super) keyframe: Arc<AtomicBool>,
    /// Whether it has had no keyframe yet.
    pub(super) waiting: bool,
    pub(super) outlet: Option<Arc<Outlet>>,
    pub(super) epoch: Duration,
}

/// What makes two sinks share an encoder.
fn same_format(a: &VideoSettings, b: &VideoSettings) -> bool {
    VideoSettings { bitrate: 0, ..*a } == VideoSettings { bitrate: 0, ..*b }
}

/// The size and pace at which `settings` allow a source to be sent, and how often it is halved for it.
pub(super) fn plan(
    settings: VideoSettings,
    source: VideoFormat,
) -> Result<(VideoFormat, usize), Error> {
    let VideoSettings {
        info,
        profile_level,
        ..
    } = settings;
    let within = |size: u32, bound: u32| bound == 0 || size <= bound;
    let mut format = source;
    if info.fps > 0 {
        format.fps = format.fps.min(info.fps);
    }
    for halved in 0..6 {
        if format.width < 16 || format.height < 16 {
            break;
        }
        if within(format.width, info.width) && within(format.height, info.height) {
            // Half the pace is still a moving picture.
            for fps in [format.fps, format.fps.div_ceil(2)] {
                if fits(profile_level.level_idc(), format.width, format.height, fps) {
                    return Ok((VideoFormat { fps, ..format }, halved));
                }
            }
        }
        format.width = (format.width / 2) & !1;
        format.height = (format.height / 2) & !1;
    }
    Err(Error::misuse(format!(
        "H.264 at profile and level {profile_level} does not carry pictures of {}x{}",
        source.width, source.height
    )))
}

pub(super) enum VideoEngine {
    Raw(RawVideo),
    Encoded(EncodedVideo),
}

impl VideoEngine {
    pub(super) fn new(input: VideoInput, keyframe_interval: Duration) -> Self {
        match input {
            VideoInput::Raw(source) => VideoEngine::Raw(RawVideo {
                format: source.format(),
                source,
                next: 0,
                pictures: vec![Picture::default()],
                paths: Vec::new(),
                targets: Targets::default(),
                keyframe_interval,
            }),
            VideoInput::Encoded(source) => VideoEngine::Encoded(EncodedVideo {
                source,
                due: Duration::ZERO,
                last_key: None,
                keyframe_interval,
                out: Vec::new(),
                targets: Targets::default(),
            }),
        }
    }
}

impl Engine for VideoEngine {
    type Subscriber = VideoSubscriber;

    fn begin(&mut self, now: Duration) -> Duration {
        match self {
            VideoEngine::Raw(raw) => raw.begin(now),
            VideoEngine::Encoded(encoded) => {
                encoded.due = now;
                encoded.last_key = None;
                now
            }
        }
    }

    fn tick(
        &mut self,
        now: Duration,
        subscribers: &Mutex<Vec<VideoSubscriber>>,
    ) -> Result<Duration, Error> {
        match self {
            VideoEngine::Raw(raw) => raw.tick(now, subscribers),
            VideoEngine::Encoded(encoded) => encoded.tick(now, subscribers),
        }
    }
}

/// To whom a picture goes; collected first, so that no lock is held while sinks are called.
#[derive(Default)]
struct Targets {
    list: Vec<(Arc<Outlet>, Duration, Arc<AtomicBool>)>,
}

impl Targets {
    fn collect<'a>(
        &mut self,
        subscribers: impl Iterator<Item = &'a mut VideoSubscriber>,
        keyframe: bool,
    ) {
        self.list.clear();
        for subscriber in subscribers {
            subscriber.waiting &= !keyframe;
            if !subscriber.waiting
                && let Some(outlet) = &subscriber.outlet
            {
                let flag = subscriber.keyframe.clone();
                self.list.push((outlet.clone(), subscriber.epoch, flag));
            }
        }
    }

    fn send(&mut self, time: Duration, keyframe: bool, data: &[u8]) {
        for (outlet, epoch, flag) in self.list.drain(..) {
            let pts = time.saturating_sub(epoch);
            outlet.send(Entry::Video(keyframe), pts, data, &flag);
        }
    }
}

/// Whether somebody needs a keyframe; requests are taken back only when it is `due`.
fn keyframe_wanted<'a>(subscribers: impl Iterator<Item = &'a VideoSubscriber>, due: bool) -> bool {
    let mut wanted = false;
    if due {
        for subscriber in subscribers {
            wanted |= subscriber.keyframe.swap(false, Ordering::Relaxed) | subscriber.waiting;
        }
    }
    wanted
}

pub(super) struct RawVideo {
    source: Box<dyn VideoSource>,
    format: VideoFormat,
    /// The number of the next picture, counted from the generator's start.
    next: u64,
    /// The picture, then the same at half its size, and so on.
    pictures: Vec<Picture>,
    paths: Vec<Path>,
    targets: Targets,
    keyframe_interval: Duration,
}

/// The way to one format.
struct Path {
    settings: VideoSettings,
    fps: u32,
    halved: usize,
    encoder: Box<dyn VideoEncoder>,
    bitrate: Option<u32>,
    last_key: Option<Duration>,
    out: Vec<u8>,
}

impl Path {
    fn new(settings: VideoSettings, source: VideoFormat) -> Result<Self, Error> {
        let (format, halved) = plan(settings, source)?;
        Ok(Path {
            settings,
            fps: format.fps,
            halved,
            encoder: video_encoder(settings, format)?,
            bitrate: None,
            last_key: None,
            out: Vec::new(),
        })
    }

    /// Takes up bitrates and requests for keyframes.
    fn follow(&mut self, subscribers: &[VideoSubscriber], time: Duration, interval: Duration) {
        let same = || {
            subscribers
                .iter()
                .filter(|s| same_format(&s.settings, &self.settings))
        };
        let bitrate = least_bitrate(same().map(|s| s.bitrate.load(Ordering::Relaxed)));
        if bitrate != self.bitrate {
            self.bitrate = bitrate;
            if let Some(bitrate) = bitrate {
                self.encoder.set_bitrate(bitrate);
            }
        }
        let due = self
            .last_key
            .is_none_or(|last| time.saturating_sub(last) >= interval);
        if keyframe_wanted(same(), due) {
            self.encoder.request_keyframe();
        }
    }
}

impl RawVideo {
    fn time(&self, number: u64) -> Duration {
        let nanos = u128::from(number) * 1_000_000_000 / u128::from(self.format.fps);
        Duration::from_nanos(nanos as u64)
    }

    fn number(&self, time: Duration) -> u64 {
        (time.as_nanos() * u128::from(self.format.fps) / 1_000_000_000) as u64
    }

    fn begin(&mut self, now: Duration) -> Duration {
        self.next = self.number(now) + 1;
        self.paths.clear();
        self.time(self.next)
    }

    fn tick(
        &mut self,
        now: Duration,
        subscribers: &Mutex<Vec<VideoSubscriber>>,
    ) -> Result<Duration, Error> {
        // Pictures whose time is past are left out.
        let number = self.next.max(self.number(now));
        let time = self.time(number);
        self.next = number + 1;
        let picture = &mut self.pictures[0];
        picture.resize(self.format.width, self.format.height);
        if self.source.capture(time, picture)? {
            self.set_paths(time, subscribers);
            self.halve();
            for index in 0..self.paths.len() {
                self.send(index, number, time, subscribers)?;
            }
        }
        Ok(self.time(self.next))
    }

    fn set_paths(&mut self, time: Duration, subscribers: &Mutex<Vec<VideoSubscriber>>) {
        let mut subscribers = lock(subscribers);
        self.paths.retain(|path| {
            let wanted = |s: &VideoSubscriber| same_format(&s.settings, &path.settings);
            subscribers.iter().any(wanted)
        });
        subscribers.retain(|subscriber| {
            let settings = subscriber.settings;
            if self
                .paths
                .iter()
                .any(|path| same_format(&path.settings, &settings))
            {
                return true;
            }
            let made = Path::new(settings, self.format);
            made.map(|path| self.paths.push(path))
                .inspect_err(|error| tracing::error!(%error, "no encoder for a capture"))
                .is_ok()
        });
        for path in &mut self.paths {
            path.follow(&subscribers, time, self.keyframe_interval);
        }
    }

    /// Makes the smaller pictures that some path needs.
    fn halve(&mut self) {
        let most = self.paths.iter().map(|path| path.halved).max();
        let most = most.unwrap_or_default();
        self.pictures.resize_with(most + 1, Picture::default);
        for index in 1..=most {
            let (larger, smaller) = self.pictures.split_at_mut(index);
            smaller[0].halve_from(&larger[index - 1]);
        }
    }

    fn send(
        &mut self,
        index: usize,
        number: u64,
        time: Duration,
        subscribers: &Mutex<Vec<VideoSubscriber>>,
    ) -> Result<(), Error> {
        let path = &mut self.paths[index];
        let (slow, fast) = (u64::from(path.fps), u64::from(self.format.fps));
        if number * slow / fast == number.wrapping_sub(1).wrapping_mul(slow) / fast {
            return Ok(());
        }
        let picture = &self.pictures[path.halved];
        let keyframe = match path.encoder.encode(picture, time, &mut path.out)? {
            Encoded::Skipped => return Ok(()),
            outcome => outcome == Encoded::Key,
        };
        if keyframe {
            path.last_key = Some(time);
        }
        let mut subscribers = lock(subscribers);
        let same = subscribers
            .iter_mut()
            .filter(|s| same_format(&s.settings, &path.settings));
        self.targets.collect(same, keyframe);
        drop(subscribers);
        self.targets.send(time, keyframe, &path.out);
        Ok(())
    }
}

pub(super) struct EncodedVideo {
    source: Box<dyn EncodedVideoSource>,
    due: Duration,
    last_key: Option<Duration>,
    keyframe_interval: Duration,
    out: Vec<u8>,
    targets: Targets,
}

impl EncodedVideo {
    fn tick(
        &mut self,
        now: Duration,
        subscribers: &Mutex<Vec<VideoSubscriber>>,
    ) -> Result<Duration, Error> {
        if now > self.due + LATEST {
            self.due = now;
        }
        let time = self.due;
        let due = self
            .last_key
            .is_none_or(|last| time.saturating_sub(last) >= self.keyframe_interval);
        let wanted = keyframe_wanted(lock(subscribers).iter(), due);
        let unit = self.source.next_unit(wanted, &mut self.out)?;
        if unit.keyframe {
            self.last_key = Some(time);
        }
        self.targets
            .collect(lock(subscribers).iter_mut(), unit.keyframe);
        self.targets.send(time, unit.keyframe, &self.out);
        self.due = time + unit.duration;
        Ok(self.due)
    }
}
