//! Pictures, and Opus with them, to MP4: every frame as long as it was shown, a freeze included.

use std::fs::File;
use std::time::{Duration, Instant};

use esp_wire::Frame;

use super::Recording;
use crate::Error;
use crate::h264::{Sps, is_keyframe, parameter_sets};
use crate::mp4::{FragmentWriter, Run, RunSample, TrackConfig, to_lengths};

/// How much is collected before it is written.
const FRAGMENT_TIME: Duration = Duration::from_secs(1);
const FRAGMENT_BYTES: usize = 2 << 20;

/// How long the last frame of a file is shown when there is none before it.
const LAST: Duration = Duration::from_millis(40);

/// Writes received frames; new parameter sets (another size, say) begin a new file.
pub(crate) struct Mp4Recorder {
    recording: Recording,
    open: Option<Open>,
    /// The channels of the sound, when it is Opus.
    opus: Option<u8>,
}

struct Open {
    writer: FragmentWriter<File>,
    sps: Vec<u8>,
    pps: Vec<u8>,
    video: Track,
    audio: Option<Track>,
    /// The arrival of the frame at time zero.
    arrival: Instant,
}

/// The frames of one track that are not written yet.
struct Track {
    index: usize,
    timescale: u32,
    /// What to add to a frame's `pts` to get its time in the file; known from the first frame on.
    shift: Option<i128>,
    /// When the first sample begins, in ticks.
    start: u64,
    /// Samples with their length known.
    samples: Vec<RunSample>,
    /// The bytes of `samples`, then those of `last`.
    data: Vec<u8>,
    /// The sample that lasts until the next one comes: its time, size and whether it is a keyframe.
    last: Option<(u64, usize, bool)>,
    last_duration: u32,
}

impl Mp4Recorder {
    pub(crate) fn new(recording: Recording) -> Self {
        Mp4Recorder {
            recording,
            open: None,
            opus: None,
        }
    }

    /// Says how the sound is encoded; files that begin later hold it when it is Opus.
    pub(crate) fn set_opus(&mut self, channels: Option<u8>) {
        self.opus = channels;
    }

    /// Takes a picture; what comes before the first keyframe is left out. True when it was taken.
    pub(crate) fn on_video(&mut self, frame: Frame<'_>, arrival: Instant) -> Result<bool, Error> {
        let keyframe = is_keyframe(frame.data);
        if let Some((sps, pps)) = parameter_sets(frame.data).filter(|_| keyframe) {
            let same = |open: &Open| open.sps == sps && open.pps == pps;
            if !self.open.as_ref().is_some_and(same) {
                self.finish()?;
                self.open = Some(Open::new(&self.recording, sps, pps, self.opus, arrival)?);
            }
        }
        let Some(open) = &mut self.open else {
            return Ok(false);
        };
        open.video.push(frame.pts, Duration::ZERO, keyframe, |out| {
            to_lengths(frame.data, out)
        });
        open.write_when_full()?;
        Ok(true)
    }

    /// Takes a packet of Opus; what comes before the first picture is left out.
    pub(crate) fn on_opus(&mut self, frame: Frame<'_>, arrival: Instant) -> Result<(), Error> {
        let Some(open) = &mut self.open else {
            return Ok(());
        };
        let Some(audio) = &mut open.audio else {
            return Ok(());
        };
        let since = arrival.saturating_duration_since(open.arrival);
        audio.push(frame.pts, since, true, |out| {
            out.extend_from_slice(frame.data)
        });
        open.write_when_full()
    }

    /// Ends the file.
    pub(crate) fn finish(&mut self) -> Result<(), Error> {
        match self.open.take() {
            Some(mut open) => {
                open.video.end();
                if let Some(audio) = &mut open.audio {
                    audio.end();
                }
                open.write()
            }
            None => Ok(()),
        }
    }
}

impl Open {
    fn new(
        recording: &Recording,
        sps: &[u8],
        pps: &[u8],
        opus: Option<u8>,
        arrival: Instant,
    ) -> Result<Self, Error> {
        // Before the file is made: a garbled set leaves none behind.
        Sps::parse(sps).ok_or_else(|| Error::malformed("a parameter set is garbled"))?;
        let mut tracks = vec![TrackConfig::Avc {
            sps: sps.to_vec(),
            pps: pps.to_vec(),
        }];
        tracks.extend(opus.map(|channels| TrackConfig::Opus { channels }));
        let (file, path) = recording.create("mp4")?;
        tracing::info!(path = %path.display(), "recording pictures");
        Ok(Open {
            writer: FragmentWriter::new(file, &tracks)?,
            sps: sps.to_vec(),
            pps: pps.to_vec(),
            video: Track::new(0, tracks[0].timescale()),
            audio: tracks.get(1).map(|track| Track::new(1, track.timescale())),
            arrival,
        })
    }

    fn write_when_full(&mut self) -> Result<(), Error> {
        let full =
            |track: &Track| track.span() >= FRAGMENT_TIME || track.data.len() > FRAGMENT_BYTES;
        if full(&self.video) || self.audio.as_ref().is_some_and(full) {
            self.write()?;
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), Error> {
        let tracks = [Some(&self.video), self.audio.as_ref()];
        let runs: Vec<Run<'_>> = tracks
            .into_iter()
            .flatten()
            .filter(|track| !track.samples.is_empty())
            .map(Track::run)
            .collect();
        if !runs.is_empty() {
            self.writer.write(&runs)?;
        }
        self.video.clear();
        if let Some(audio) = &mut self.audio {
            audio.clear();
        }
        Ok(())
    }
}

impl Track {
    fn new(index: usize, timescale: u32) -> Self {
        Track {
            index,
            timescale,
            shift: None,
            start: 0,
            samples: Vec::new(),
            data: Vec::new(),
            last: None,
            last_duration: 0,
        }
    }

    fn ticks(&self, time: Duration) -> i128 {
        // Rounded: 20 ms in nanoseconds are 960 ticks, not 959.
        (time.as_nanos() as i128 * i128::from(self.timescale) + 500_000_000) / 1_000_000_000
    }

    /// Appends a sample, which begins `first` after the file when it is the first one.
    fn push(
        &mut self,
        pts: Duration,
        first: Duration,
        sync: bool,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        let ticks = self.ticks(pts);
        let first = self.ticks(first);
        let shift = *self.shift.get_or_insert(first - ticks);
        let time = u64::try_from(ticks + shift).unwrap_or(0);
        let time = match self.last.take() {
            Some((before, size, sync)) => {
                // A clock that goes backwards must not: every sample lasts at least one tick.
                let time = time.max(before + 1);
                let duration = u32::try_from(time - before).unwrap_or(u32::MAX);
                self.complete(duration, size, sync);
                before + u64::from(duration)
            }
            None => {
                self.start = time;
                time
            }
        };
        let size = self.data.len();
        write(&mut self.data);
        self.last = Some((time, self.data.len() - size, sync));
    }

    fn complete(&mut self, duration: u32, size: usize, sync: bool) {
        self.samples.push(RunSample {
            duration,
            size: size as u32,
            sync,
        });
        self.last_duration = duration;
    }

    /// Gives the last sample a length: that of the one before it.
    fn end(&mut self) {
        if let Some((_, size, sync)) = self.last.take() {
            let duration = match self.last_duration {
                0 => self.ticks(LAST) as u32,
                before => before.min(self.timescale),
            };
            self.complete(duration, size, sync);
        }
    }

    /// How long the complete samples last together.
    fn span(&self) -> Duration {
        let ticks: u64 = self.samples.iter().map(|s| u64::from(s.duration)).sum();
        Duration::from_nanos(ticks.saturating_mul(1_000_000_000) / u64::from(self.timescale))
    }

    fn run(&self) -> Run<'_> {
        let size = self.last.map_or(0, |(_, size, _)| size);
        Run {
            track: self.index,
            time: self.start,
            samples: &self.samples,
            data: &self.data[..self.data.len() - size],
        }
    }

    /// Drops what was written; the last sample stays.
    fn clear(&mut self) {
        let size = self.last.map_or(0, |(_, size, _)| size);
        self.data.drain(..self.data.len() - size);
        self.samples.clear();
        if let Some((time, _, _)) = self.last {
            self.start = time;
        }
    }
}
