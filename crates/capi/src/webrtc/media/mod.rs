//! `esp_webrtc_media.h`: captures and players by handles.

mod by_channel;
mod capture;
mod frames;
mod player;

use std::ffi::{c_char, c_int};
use std::sync::Arc;
use std::time::Duration;

use esp_peer::Error;
use esp_webrtc::media::source::{Melody, TestPicture, VideoFile, WavFile};
use esp_webrtc::media::{self, Generator, GeneratorConfig, Recording, VideoFormat};

pub(super) use self::by_channel::{Assembler, PictureSender};
pub(super) use self::capture::SolutionCapture;
use self::frames::FrameCapture;
use self::player::FramePlayer;
use super::types::*;
use crate::border::{Outcome, guard, invalid, place, read, text};
use crate::handles::Handles;
use crate::peer::types::esp_peer_frame_t;

/// Where a solution takes its frames from.
pub(super) enum Source {
    Generator(Generator),
    Frames(FrameCapture),
}

/// Where a solution puts the peer's frames.
pub(super) enum Sink {
    Null,
    File(Recording),
    Frames(Arc<FramePlayer>),
}

static CAPTURES: Handles<Source> = Handles::new(7);
static PLAYERS: Handles<Sink> = Handles::new(8);

/// The capture of a handle.
pub(super) fn capture(handle: esp_capture_handle_t) -> Outcome<Option<Arc<Source>>> {
    match (handle.is_null(), CAPTURES.get(handle)) {
        (true, _) => Ok(None),
        (false, Some(capture)) => Ok(Some(capture)),
        (false, None) => invalid("the handle is not one of an open capture"),
    }
}

/// The player of a handle.
pub(super) fn player(handle: av_render_handle_t) -> Outcome<Option<Arc<Sink>>> {
    match (handle.is_null(), PLAYERS.get(handle)) {
        (true, _) => Ok(None),
        (false, Some(player)) => Ok(Some(player)),
        (false, None) => invalid("the handle is not one of an open player"),
    }
}

fn failed(error: media::Error) -> Error {
    match error {
        media::Error::Misuse(what) => Error::InvalidArgument(what),
        error => Error::InvalidArgument(error.to_string()),
    }
}

/// Opens something and writes its handle.
///
/// # Safety
/// The pointer is NULL, or shows a place for a handle.
unsafe fn open<T: 'static>(
    name: &str,
    table: &Handles<T>,
    handle: *mut esp_capture_handle_t,
    make: impl FnOnce() -> Outcome<T>,
) -> c_int {
    crate::log::start();
    guard(name, || {
        // SAFETY: the caller vouches for the place.
        unsafe { place(handle) }?;
        let made = table.insert(make()?);
        // SAFETY: it was written to before.
        unsafe { handle.write(made) };
        Ok(())
    })
}

/// The time of day in UTC, for the clock in the test picture.
fn time_of_day() -> Duration {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Duration::from_secs(now.map_or(0, |now| now.as_secs() % 86_400))
}

fn figure(number: c_int, default: u32, what: &str) -> Outcome<u32> {
    match u32::try_from(number) {
        Ok(0) => Ok(default),
        Ok(number) => Ok(number),
        Err(_) => invalid(what),
    }
}

fn test_source(cfg: &esp_webrtc_test_capture_cfg_t) -> Outcome<Source> {
    let mut config = GeneratorConfig::new();
    if cfg.no_audio == 0 {
        config = config.with_audio(Melody::new());
    }
    if cfg.no_video == 0 {
        let picture = TestPicture::new(VideoFormat {
            width: figure(cfg.width, TestPicture::DEFAULT.width, "width")?,
            height: figure(cfg.height, TestPicture::DEFAULT.height, "height")?,
            fps: figure(cfg.fps, TestPicture::DEFAULT.fps, "fps")?,
        });
        config = config.with_video(picture.map_err(failed)?.with_clock(time_of_day()));
    }
    let generator = Generator::new(config).map_err(failed)?;
    Ok(Source::Generator(generator))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn esp_webrtc_capture_open_test(
    cfg: *const esp_webrtc_test_capture_cfg_t,
    capture: *mut esp_capture_handle_t,
) -> c_int {
    let make = || {
        let cfg = match cfg.is_null() {
            true => esp_webrtc_test_capture_cfg_t::default(),
            // SAFETY: the caller owes a configuration.
            false => unsafe { read(cfg, "no configuration") }?,
        };
        test_source(&cfg)
    };
    // SAFETY: the caller owes a place for a handle.
    unsafe { open("esp_webrtc_capture_open_test", &CAPTURES, capture, make) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn esp_webrtc_capture_open_file(
    cfg: *const esp_webrtc_file_capture_cfg_t,
    capture: *mut esp_capture_handle_t,
) -> c_int {
    let make = || {
        // SAFETY: the caller owes a configuration.
        let cfg = unsafe { read(cfg, "no configuration") }?;
        // SAFETY: and its texts.
        let video = unsafe { text(cfg.video, "a path that is not UTF-8") }?;
        // SAFETY: as above.
        let audio = unsafe { text(cfg.audio, "a path that is not UTF-8") }?;
        let fps = figure(cfg.fps, 0, "fps")?;
        if video.is_none() && audio.is_none() {
            return invalid("no file");
        }
        let mut config = GeneratorConfig::new();
        if let Some(path) = video {
            let fps = Some(fps).filter(|fps| *fps != 0);
            config = config.with_encoded_video(VideoFile::open(path, fps).map_err(failed)?);
        }
        if let Some(path) = audio {
            config = config.with_audio(WavFile::open(path).map_err(failed)?);
        }
        let generator = Generator::new(config).map_err(failed)?;
        Ok(Source::Generator(generator))
    };
    // SAFETY: the caller owes a place for a handle.
    unsafe { open("esp_webrtc_capture_open_file", &CAPTURES, capture, make) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn esp_webrtc_capture_open_frames(
    cfg: *const esp_webrtc_frame_capture_cfg_t,
    capture: *mut esp_capture_handle_t,
) -> c_int {
    let make = || {
        // SAFETY: the caller owes a configuration.
        let cfg = unsafe { read(cfg, "no configuration") }?;
        Ok(Source::Frames(FrameCapture::new(cfg)))
    };
    // SAFETY: the caller owes a place for a handle.
    unsafe { open("esp_webrtc_capture_open_frames", &CAPTURES, capture, make) }
}

/// Gives a frame to a capture of frames.
fn give(
    name: &str,
    handle: esp_capture_handle_t,
    give: impl FnOnce(&FrameCapture) -> Outcome,
) -> c_int {
    guard(name, || match CAPTURES.get(handle).as_deref() {
        None => invalid("the handle is not one of an open capture"),
        Some(Source::Generator(_)) => Err(Error::NotSupported("not a capture of frames")),
        Some(Source::Frames(capture)) => give(capture),
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn esp_webrtc_capture_send_video(
    capture: esp_capture_handle_t,
    frame: *mut esp_peer_frame_t,
) -> c_int {
    give("esp_webrtc_capture_send_video", capture, |capture| {
        // SAFETY: the caller owes a frame.
        let frame = unsafe { frames::frame(frame) }?;
        capture.send_video(frame)
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn esp_webrtc_capture_send_audio(
    capture: esp_capture_handle_t,
    frame: *mut esp_peer_frame_t,
) -> c_int {
    give("esp_webrtc_capture_send_audio", capture, |capture| {
        // SAFETY: the caller owes a frame.
        let frame = unsafe { frames::frame(frame) }?;
        capture.send_audio(frame)
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn esp_webrtc_capture_close(capture: esp_capture_handle_t) -> c_int {
    guard("esp_webrtc_capture_close", || {
        match CAPTURES.remove(capture).as_deref() {
            None => invalid("the handle is not one of an open capture"),
            Some(Source::Generator(_)) => Ok(()),
            Some(Source::Frames(capture)) => {
                capture.close();
                Ok(())
            }
        }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn esp_webrtc_player_open_null(player: *mut av_render_handle_t) -> c_int {
    // SAFETY: the caller owes a place for a handle.
    unsafe {
        open("esp_webrtc_player_open_null", &PLAYERS, player, || {
            Ok(Sink::Null)
        })
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn esp_webrtc_player_open_file(
    dir: *const c_char,
    stem: *const c_char,
    player: *mut av_render_handle_t,
) -> c_int {
    let make = || {
        // SAFETY: the caller owes texts.
        let dir = unsafe { text(dir, "a path that is not UTF-8") }?;
        // SAFETY: as above.
        let stem = unsafe { text(stem, "a name that is not UTF-8") }?;
        let (Some(dir), Some(stem)) = (dir, stem) else {
            return invalid("no directory or no name");
        };
        Recording::new(dir, &stem).map(Sink::File).map_err(failed)
    };
    // SAFETY: the caller owes a place for a handle.
    unsafe { open("esp_webrtc_player_open_file", &PLAYERS, player, make) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn esp_webrtc_player_open_frames(
    cfg: *const esp_webrtc_frame_player_cfg_t,
    player: *mut av_render_handle_t,
) -> c_int {
    let make = || {
        // SAFETY: the caller owes a configuration.
        let cfg = unsafe { read(cfg, "no configuration") }?;
        Ok(Sink::Frames(Arc::new(FramePlayer::new(cfg))))
    };
    // SAFETY: the caller owes a place for a handle.
    unsafe { open("esp_webrtc_player_open_frames", &PLAYERS, player, make) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn esp_webrtc_player_close(player: av_render_handle_t) -> c_int {
    guard("esp_webrtc_player_close", || {
        match PLAYERS.remove(player).as_deref() {
            None => invalid("the handle is not one of an open player"),
            Some(Sink::Frames(player)) => {
                player.close();
                Ok(())
            }
            Some(_) => Ok(()),
        }
    })
}
