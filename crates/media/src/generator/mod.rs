//! A capture over sources that are not devices: generators and files.
//!
//! 1. Each medium has a thread while at least one sink wants it. It sleeps until the next frame is
//!    due, counted from one start, so that lateness does not add up.
//! 2. It takes the frame from the source and encodes it once for each distinct format that is wanted.
//! 3. It hands the result to every sink of that format, directly or through a bounded queue.

mod audio;
mod config;
mod lane;
mod outlet;
mod video;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use esp_wire::{AudioInfo, Codec, VideoInfo};

use crate::capture::{
    Capture, CaptureSettings, FrameSink, ProfileLevel, Supported, SupportedVideo,
};
use crate::codec::FRAME_TIME;
use crate::h264::least_level;
use crate::raw::VideoFormat;
use crate::{AudioFormat, Error};

pub use config::{GeneratorConfig, VideoInput};

use audio::{AudioEngine, AudioSubscriber};
use lane::Lane;
use outlet::Outlet;
use video::{VideoEngine, VideoSubscriber};

/// One source of sound and pictures for any number of captures; a frame is encoded once for all that
/// want the same format.
#[derive(Clone)]
pub struct Generator {
    shared: Arc<Shared>,
}

struct Shared {
    audio: Option<AudioPart>,
    video: Option<VideoPart>,
    isolate_sinks: bool,
    /// Time zero of all sources.
    origin: Instant,
    /// The number of the next sink.
    next_id: AtomicU64,
}

struct AudioPart {
    format: AudioFormat,
    lane: Lane<AudioEngine>,
}

struct VideoPart {
    format: VideoFormat,
    supported: SupportedVideo,
    lane: Lane<VideoEngine>,
}

impl Generator {
    /// A generator over these sources; nothing runs before a capture is started.
    ///
    /// [`Error::Misuse`] when a source has a format that cannot be used.
    pub fn new(config: GeneratorConfig) -> Result<Self, Error> {
        let origin = Instant::now();
        let audio = config
            .audio
            .map(|source| {
                let format = source.format();
                if format.sample_rate % 50 != 0 || !matches!(format.channels, 1 | 2) {
                    return Err(Error::misuse(format!(
                        "a source of sound cannot have {} channels at {} Hz",
                        format.channels, format.sample_rate
                    )));
                }
                let lane = Lane::new("media-audio", origin, AudioEngine::new(source));
                Ok(AudioPart { format, lane })
            })
            .transpose()?;
        let interval = config.keyframe_interval;
        let video = config
            .video
            .map(|input| {
                let supported = supported_video(&input)?;
                let VideoInfo {
                    width, height, fps, ..
                } = supported.info;
                Ok::<_, Error>(VideoPart {
                    format: VideoFormat { width, height, fps },
                    supported,
                    lane: Lane::new("media-video", origin, VideoEngine::new(input, interval)),
                })
            })
            .transpose()?;
        Ok(Generator {
            shared: Arc::new(Shared {
                audio,
                video,
                isolate_sinks: config.isolate_sinks,
                origin,
                next_id: AtomicU64::new(0),
            }),
        })
    }

    /// A capture of these sources; each has one sink at a time.
    pub fn capture(&self) -> Box<dyn Capture> {
        Box::new(GeneratorCapture {
            shared: self.shared.clone(),
            running: None,
            keyframe: Arc::default(),
            video_bitrate: Arc::default(),
            audio_bitrate: Arc::default(),
        })
    }

    /// Why a source has ended, when one has.
    pub fn failure(&self) -> Option<String> {
        let audio = self
            .shared
            .audio
            .as_ref()
            .and_then(|part| part.lane.failure());
        audio.or_else(|| {
            self.shared
                .video
                .as_ref()
                .and_then(|part| part.lane.failure())
        })
    }
}

fn supported_video(input: &VideoInput) -> Result<SupportedVideo, Error> {
    let supported = match input {
        VideoInput::Encoded(source) => source.format(),
        VideoInput::Raw(source) => {
            let VideoFormat { width, height, fps } = source.format();
            SupportedVideo {
                info: VideoInfo {
                    codec: Codec::H264,
                    width,
                    height,
                    fps,
                },
                profile_level: ProfileLevel::constrained_baseline(least_level(width, height, fps)),
                adjustable: true,
            }
        }
    };
    let VideoInfo {
        width, height, fps, ..
    } = supported.info;
    if width < 16 || height < 16 || width % 2 + height % 2 != 0 || fps == 0 {
        return Err(Error::misuse(format!(
            "a source of pictures cannot have {width}x{height} at {fps} a second"
        )));
    }
    Ok(supported)
}

struct GeneratorCapture {
    shared: Arc<Shared>,
    running: Option<Running>,
    keyframe: Arc<AtomicBool>,
    video_bitrate: Arc<AtomicU32>,
    audio_bitrate: Arc<AtomicU32>,
}

struct Running {
    id: u64,
    outlet: Arc<Outlet>,
}

impl GeneratorCapture {
    fn audio_subscriber(
        &self,
        id: u64,
        settings: CaptureSettings,
    ) -> Result<Option<(&AudioPart, AudioSubscriber)>, Error> {
        let Some(settings) = settings.audio else {
            return Ok(None);
        };
        let part = self.shared.audio.as_ref();
        let part = part.ok_or_else(|| Error::misuse("this capture has no sound"))?;
        // Whether it can be encoded is found out now, not on the thread.
        audio::Path::new(settings, part.format, Default::default())?;
        self.audio_bitrate
            .store(settings.bitrate, Ordering::Relaxed);
        Ok(Some((
            part,
            AudioSubscriber {
                id,
                settings,
                bitrate: self.audio_bitrate.clone(),
                outlet: None,
                epoch: Duration::ZERO,
            },
        )))
    }

    fn video_subscriber(
        &self,
        id: u64,
        settings: CaptureSettings,
    ) -> Result<Option<(&VideoPart, VideoSubscriber)>, Error> {
        let Some(settings) = settings.video else {
            return Ok(None);
        };
        let part = self.shared.video.as_ref();
        let part = part.ok_or_else(|| Error::misuse("this capture has no pictures"))?;
        if settings.info.codec != part.supported.info.codec {
            return Err(Error::misuse(format!(
                "this capture does not deliver {}",
                settings.info.codec
            )));
        }
        if part.supported.adjustable {
            video::plan(settings, part.format)?;
        }
        self.video_bitrate
            .store(settings.bitrate, Ordering::Relaxed);
        Ok(Some((
            part,
            VideoSubscriber {
                id,
                settings,
                bitrate: self.video_bitrate.clone(),
                keyframe: self.keyframe.clone(),
                waiting: true,
                outlet: None,
                epoch: Duration::ZERO,
            },
        )))
    }
}

impl Capture for GeneratorCapture {
    fn supported(&self) -> Supported {
        let formats = [
            (Codec::Opus, 48_000),
            (Codec::Pcmu, 8_000),
            (Codec::Pcma, 8_000),
        ];
        let audio = formats.map(|(codec, sample_rate)| AudioInfo {
            codec,
            sample_rate,
            channels: 1,
        });
        Supported {
            audio: self.shared.audio.iter().flat_map(|_| audio).collect(),
            video: self
                .shared
                .video
                .iter()
                .map(|part| part.supported)
                .collect(),
        }
    }

    fn start(&mut self, settings: CaptureSettings, sink: Box<dyn FrameSink>) -> Result<(), Error> {
        if self.running.is_some() {
            return Err(Error::misuse("the capture is running already"));
        }
        let id = self.shared.next_id.fetch_add(1, Ordering::Relaxed);
        let audio = self.audio_subscriber(id, settings)?;
        let video = self.video_subscriber(id, settings)?;
        let outlet = Arc::new(Outlet::new(sink, self.shared.isolate_sinks)?);
        // A multiple of 20 ms, so that the times of sound are whole frames.
        let elapsed = self.shared.origin.elapsed().as_nanos() / FRAME_TIME.as_nanos();
        let epoch = FRAME_TIME * elapsed as u32;
        let mut started = Ok(());
        if let Some((part, mut subscriber)) = audio {
            (subscriber.outlet, subscriber.epoch) = (Some(outlet.clone()), epoch);
            started = part.lane.subscribe(subscriber);
        }
        if let Some((part, mut subscriber)) = video {
            (subscriber.outlet, subscriber.epoch) = (Some(outlet.clone()), epoch);
            started = started.and_then(|()| part.lane.subscribe(subscriber));
        }
        self.running = Some(Running { id, outlet });
        if started.is_err() {
            self.stop();
        }
        started
    }

    fn stop(&mut self) {
        let Some(Running { id, outlet }) = self.running.take() else {
            return;
        };
        // First the outlet: after that no frame goes out, however long the threads take to end.
        outlet.close();
        if let Some(part) = &self.shared.audio {
            part.lane.unsubscribe(|subscriber| subscriber.id == id);
        }
        if let Some(part) = &self.shared.video {
            part.lane.unsubscribe(|subscriber| subscriber.id == id);
        }
    }

    fn request_keyframe(&self) {
        self.keyframe.store(true, Ordering::Relaxed);
    }

    fn set_video_bitrate(&self, bits_per_second: u32) {
        self.video_bitrate.store(bits_per_second, Ordering::Relaxed);
    }

    fn set_audio_bitrate(&self, bits_per_second: u32) {
        self.audio_bitrate.store(bits_per_second, Ordering::Relaxed);
    }
}

impl Drop for GeneratorCapture {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The least of the bitrates that are asked for; `None` when nobody asks.
fn least_bitrate(wanted: impl Iterator<Item = u32>) -> Option<u32> {
    wanted.filter(|bitrate| *bitrate > 0).min()
}
