//! The thread of received sound.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use esp_wire::{AudioInfo, Codec, Frame};

use super::{Counters, count};
use crate::AudioFormat;
use crate::codec::{AudioDecoder, audio_decoder};
use crate::level::LevelMeter;
use crate::pace::lock;
use crate::queue::{Entry, FrameQueue};
use crate::raw::AudioOut;
use crate::record::{Mp4Recorder, Recording, WavRecorder};

/// Losses up to this are made up from the sound around them.
const CONCEALED: Duration = Duration::from_millis(100);

/// Pauses up to this are kept as silence in recordings; after a longer one the clock is set anew.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A packet that much before its time belongs to a clock that was set anew.
const JUMP_BACK: Duration = Duration::from_secs(1);

pub(super) struct AudioWorker {
    counters: Arc<Counters>,
    meter: LevelMeter,
    wav: Option<WavRecorder>,
    mp4: Option<Arc<Mutex<Mp4Recorder>>>,
    out: Option<Box<dyn AudioOut>>,
    stream: Option<Stream>,
    pcm: Vec<i16>,
}

/// Sound of one format.
struct Stream {
    info: AudioInfo,
    decoder: Box<dyn AudioDecoder>,
    format: AudioFormat,
    /// When the next packet should begin.
    expected: Option<Duration>,
    /// Samples for each channel in the last packet.
    samples: usize,
}

impl AudioWorker {
    pub(super) fn new(
        counters: Arc<Counters>,
        meter: LevelMeter,
        recording: Option<Recording>,
        mp4: Option<Arc<Mutex<Mp4Recorder>>>,
        out: Option<Box<dyn AudioOut>>,
    ) -> Self {
        AudioWorker {
            counters,
            meter,
            wav: recording.map(WavRecorder::new),
            mp4,
            out,
            stream: None,
            pcm: Vec::new(),
        }
    }

    pub(super) fn run(mut self, queue: &FrameQueue) {
        let mut data = Vec::new();
        while let Some((entry, pts)) = queue.pop(&mut data) {
            match entry {
                Entry::AudioInfo(info) => self.on_info(info),
                Entry::Audio => self.on_packet(Frame { pts, data: &data }),
                Entry::Video(_) | Entry::VideoInfo(_) => {}
            }
        }
        if let Some(mut wav) = self.wav.take()
            && let Err(error) = wav.finish()
        {
            self.counters.record_failed(&error);
        }
    }

    fn on_info(&mut self, info: AudioInfo) {
        if self
            .stream
            .as_ref()
            .is_some_and(|stream| stream.info == info)
        {
            return;
        }
        let decoder = match audio_decoder(info) {
            Ok(decoder) => decoder,
            Err(error) => {
                tracing::warn!(%error, "received sound cannot be decoded");
                self.stream = None;
                return;
            }
        };
        let format = decoder.format();
        self.stream = Some(Stream {
            info,
            decoder,
            format,
            expected: None,
            samples: (format.sample_rate / 50) as usize,
        });
        if let Some(mp4) = &self.mp4 {
            let opus = (info.codec == Codec::Opus).then_some(info.channels);
            lock(mp4).set_opus(opus);
        }
    }

    fn on_packet(&mut self, frame: Frame<'_>) {
        let Some(mut stream) = self.stream.take() else {
            count(&self.counters.audio_dropped);
            return;
        };
        self.record_packet(&stream, frame);
        self.play(&mut stream, frame);
        self.stream = Some(stream);
    }

    fn play(&mut self, stream: &mut Stream, frame: Frame<'_>) {
        // Times come from RTP, in whole samples, so half a packet is far from any rounding.
        let slack = stream.time(stream.samples) / 2;
        if let Some(expected) = stream.expected {
            if frame.pts + slack < expected && expected - frame.pts < JUMP_BACK {
                count(&self.counters.audio_dropped);
                return;
            }
            let gap = frame.pts.saturating_sub(expected);
            if gap > slack && gap <= CONCEALED {
                self.conceal(stream, gap, frame.data);
            } else if gap > slack && gap <= LONGEST_PAUSE {
                self.pause(stream, gap);
            }
        }
        match stream.decoder.decode(frame.data, &mut self.pcm) {
            Ok(()) => count(&self.counters.audio_decoded),
            Err(error) => {
                tracing::debug!(%error, "a packet of sound was dropped");
                count(&self.counters.audio_dropped);
                stream.expected = Some(frame.pts);
                return;
            }
        }
        let samples = self.pcm.len() / usize::from(stream.format.channels);
        stream.samples = samples.max(1);
        stream.expected = Some(frame.pts + stream.time(samples));
        self.hand_on(stream.format);
    }

    /// Fills a loss, packet by packet; the packet after it may help with the last one.
    fn conceal(&mut self, stream: &mut Stream, gap: Duration, next: &[u8]) {
        let rate = u128::from(stream.format.sample_rate);
        let mut missing = ((gap.as_nanos() * rate + 500_000_000) / 1_000_000_000) as usize;
        while missing > 0 {
            let samples = missing.min(stream.samples);
            missing -= samples;
            let next = (missing == 0).then_some(next);
            if stream
                .decoder
                .conceal(samples, next, &mut self.pcm)
                .is_err()
            {
                self.pcm.clear();
                self.pcm
                    .resize(samples * usize::from(stream.format.channels), 0);
            }
            count(&self.counters.audio_concealed);
            self.hand_on(stream.format);
        }
    }

    /// Keeps a pause as silence in the recording.
    fn pause(&mut self, stream: &Stream, gap: Duration) {
        let rate = u128::from(stream.format.sample_rate);
        let mut missing = (gap.as_nanos() * rate / 1_000_000_000) as usize;
        while missing > 0 && self.wav.is_some() {
            let samples = missing.min(stream.format.sample_rate as usize);
            missing -= samples;
            self.pcm.clear();
            self.pcm
                .resize(samples * usize::from(stream.format.channels), 0);
            self.record(stream.format);
        }
    }

    fn hand_on(&mut self, format: AudioFormat) {
        let samples = self.pcm.len() / usize::from(format.channels);
        self.meter
            .measure(&self.pcm, samples as f32 / format.sample_rate as f32);
        self.record(format);
        if let Some(out) = &mut self.out {
            out.on_pcm(format, &self.pcm);
        }
    }

    fn record(&mut self, format: AudioFormat) {
        let Some(wav) = &mut self.wav else {
            return;
        };
        match wav.write(format, &self.pcm) {
            Ok(()) => {
                let samples = self.pcm.len() / usize::from(format.channels);
                self.counters
                    .samples_recorded
                    .fetch_add(samples as u64, Ordering::Relaxed);
            }
            Err(error) => {
                self.counters.record_failed(&error);
                self.wav = None;
            }
        }
    }

    fn record_packet(&mut self, stream: &Stream, frame: Frame<'_>) {
        if stream.info.codec != Codec::Opus {
            return;
        }
        let written = match &self.mp4 {
            Some(mp4) => lock(mp4).on_opus(frame, Instant::now()),
            None => Ok(()),
        };
        if let Err(error) = written {
            self.counters.record_failed(&error);
            self.mp4 = None;
        }
    }
}

impl Stream {
    fn time(&self, samples: usize) -> Duration {
        let nanos = samples as u64 * 1_000_000_000 / u64::from(self.format.sample_rate);
        Duration::from_nanos(nanos)
    }
}
