//! A capture whose frames the program gives.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

use esp_peer::Error;
use esp_webrtc::media::h264::{NalUnits, nal_type};
use esp_webrtc::media::{CaptureSettings, FrameSink};
use esp_wire::{Codec, Frame};

use crate::border::{Outcome, bytes, invalid, read};
use crate::gate::Gate;
use crate::peer::default::Clock;
use crate::peer::default::callbacks::{audio_shown, video_shown};
use crate::peer::types::*;
use crate::webrtc::types::*;

/// The type of a NAL unit of a picture that others build on (H.264 table 7-1).
const IDR: u8 = 5;

/// A capture of frames.
pub(in crate::webrtc) struct FrameCapture {
    cfg: esp_webrtc_frame_capture_cfg_t,
    gate: Gate,
    sink: Mutex<Option<Running>>,
    /// Who gives a frame just now.
    giver: Mutex<Option<ThreadId>>,
    audio_clock: Clock,
    video_clock: Clock,
    /// The program is asked to start and stop.
    asks: AtomicBool,
}

// SAFETY: the program owes callbacks that may be called in any task; `ctx` is only handed back to them.
unsafe impl Send for FrameCapture {}
// SAFETY: as above; all that is written is behind locks.
unsafe impl Sync for FrameCapture {}

struct Running {
    /// Of the connection that the frames go to.
    owner: u64,
    sink: Box<dyn FrameSink>,
    audio: bool,
    video: Option<Codec>,
    /// A key frame came.
    begun: bool,
}

/// A frame of the program's.
///
/// # Safety
/// The pointer is NULL, or shows a frame whose bytes live during `'a`.
pub(super) unsafe fn frame<'a>(frame: *mut esp_peer_frame_t) -> Outcome<(u32, &'a [u8])> {
    // SAFETY: the caller vouches for the frame.
    let frame = unsafe { read(frame, "no frame") }?;
    // SAFETY: and for its bytes.
    let data = unsafe { bytes(frame.data, frame.size, "the bytes of a frame") }?;
    match data.is_empty() {
        true => invalid("an empty frame"),
        false => Ok((frame.pts, data)),
    }
}

fn is_keyframe(codec: Codec, data: &[u8]) -> bool {
    codec != Codec::H264 || NalUnits::new(data).any(|unit| nal_type(unit) == IDR)
}

impl FrameCapture {
    pub(super) fn new(cfg: esp_webrtc_frame_capture_cfg_t) -> Self {
        FrameCapture {
            cfg,
            gate: Gate::default(),
            sink: Mutex::new(None),
            giver: Mutex::new(None),
            audio_clock: Clock::default(),
            video_clock: Clock::default(),
            asks: AtomicBool::new(false),
        }
    }

    pub(super) fn close(&self) {
        self.gate.close();
    }

    fn asked(&self, callback: Asked) {
        if let Some(callback) = callback {
            // SAFETY: the program owes a callback of this type.
            self.gate.call(|| unsafe { callback(self.cfg.ctx) });
        }
    }

    /// Lets frames go to a sink; the program is told unless it starts by itself.
    pub(super) fn start(
        &self,
        owner: u64,
        settings: &CaptureSettings,
        sink: Box<dyn FrameSink>,
        asks: bool,
    ) -> Outcome {
        let running = Running {
            owner,
            sink,
            audio: settings.audio.is_some(),
            video: settings.video.map(|video| video.info.codec),
            begun: false,
        };
        let before = self.lock().replace(running);
        self.asks.store(asks, Ordering::Release);
        drop(before);
        let Some(on_start) = self.cfg.on_start.filter(|_| asks) else {
            return Ok(());
        };
        let wanted = wanted(settings);
        // SAFETY: the program owes a callback of this type; `wanted` lives until it returns.
        let call = || unsafe { on_start(&raw const wanted, self.cfg.ctx) };
        match self.gate.call(call) {
            None | Some(0) => Ok(()),
            Some(_) => {
                self.take(owner);
                Err(Error::Failed(
                    "the program's capture refuses to start".into(),
                ))
            }
        }
    }

    /// Takes the sink of this owner away, once no frame is on its way into it; whether it was there.
    fn take(&self, owner: u64) -> bool {
        let mut sink = self.lock();
        let is_its = sink.as_ref().is_some_and(|running| running.owner == owner);
        let taken = if is_its { sink.take() } else { None };
        drop(sink);
        taken.is_some()
    }

    pub(super) fn stop(&self, owner: u64) {
        if self.take(owner) && self.asks.load(Ordering::Acquire) {
            self.asked(self.cfg.on_stop);
        }
    }

    pub(super) fn request_keyframe(&self) {
        self.asked(self.cfg.on_keyframe);
    }

    pub(super) fn set_bitrate(&self, bitrate: u32, video: bool) {
        let callback = match video {
            true => self.cfg.on_video_bitrate,
            false => self.cfg.on_audio_bitrate,
        };
        if let Some(callback) = callback {
            // SAFETY: the program owes a callback of this type.
            self.gate
                .call(|| unsafe { callback(bitrate, self.cfg.ctx) });
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Running>> {
        self.sink.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn giver(&self) -> MutexGuard<'_, Option<ThreadId>> {
        self.giver.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works on the sink, unless this very task does so already: what is called on the way may be the program's.
    fn on_sink(&self, work: impl FnOnce(&mut Running) -> Outcome) -> Outcome {
        struct Leave<'a>(&'a FrameCapture);
        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                *self.0.giver() = None;
            }
        }
        let me = thread::current().id();
        if *self.giver() == Some(me) {
            return Err(Error::WrongState(
                "a frame is being given by this very task",
            ));
        }
        let mut sink = self.lock();
        *self.giver() = Some(me);
        let _leave = Leave(self);
        match sink.as_mut() {
            Some(running) => work(running),
            None => Err(Error::WrongState("no frames are wanted")),
        }
    }

    pub(super) fn send_audio(&self, (pts, data): (u32, &[u8])) -> Outcome {
        self.on_sink(|running| {
            if !running.audio {
                return Err(Error::WrongState("no sound is wanted"));
            }
            let pts = self.audio_clock.extend(pts);
            running.sink.on_audio(Frame { pts, data });
            Ok(())
        })
    }

    pub(super) fn send_video(&self, (pts, data): (u32, &[u8])) -> Outcome {
        let mut too_early = false;
        let done = self.on_sink(|running| {
            let Some(codec) = running.video else {
                return Err(Error::WrongState("no pictures are wanted"));
            };
            let keyframe = is_keyframe(codec, data);
            if !keyframe && !running.begun {
                too_early = true;
                return Ok(());
            }
            running.begun = true;
            let pts = self.video_clock.extend(pts);
            running.sink.on_video(Frame { pts, data }, keyframe);
            Ok(())
        });
        if too_early {
            self.request_keyframe();
        }
        done
    }
}

fn wanted(settings: &CaptureSettings) -> esp_webrtc_capture_wanted_t {
    let none = esp_webrtc_capture_wanted_t::default();
    esp_webrtc_capture_wanted_t {
        audio: settings
            .audio
            .map_or(none.audio, |audio| audio_shown(audio.info)),
        video: settings
            .video
            .map_or(none.video, |video| video_shown(video.info)),
        audio_bitrate: settings.audio.map_or(0, |audio| audio.bitrate),
        video_bitrate: settings.video.map_or(0, |video| video.bitrate),
    }
}
