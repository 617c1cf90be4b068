//! A player that hands frames to the program.

use std::sync::Arc;

use esp_webrtc::media::{Error, Level, Player, PlayerConfig, Render, RenderStats};
use esp_wire::{AudioInfo, Frame, VideoInfo};

use super::Sink;
use crate::gate::Gate;
use crate::peer::default::callbacks::{audio_shown, frame_shown, video_shown};
use crate::peer::types::Told;
use crate::webrtc::types::esp_webrtc_frame_player_cfg_t;

/// A player of frames.
pub(in crate::webrtc) struct FramePlayer {
    cfg: esp_webrtc_frame_player_cfg_t,
    gate: Gate,
}

// SAFETY: the program owes callbacks that may be called in any task; `ctx` is only handed back to them.
unsafe impl Send for FramePlayer {}
// SAFETY: as above; nothing here is ever written but the gate, which has a lock.
unsafe impl Sync for FramePlayer {}

impl FramePlayer {
    pub(super) fn new(cfg: esp_webrtc_frame_player_cfg_t) -> Self {
        FramePlayer {
            cfg,
            gate: Gate::default(),
        }
    }

    pub(super) fn close(&self) {
        self.gate.close();
    }

    /// Whether the program took it; a callback that is not there takes everything.
    fn tell<T>(&self, callback: Told<T>, mut what: T) -> bool {
        let Some(callback) = callback else {
            return true;
        };
        // SAFETY: the program owes callbacks of these types; `what` lives until the call returns.
        let call = || unsafe { callback(&raw mut what, self.cfg.ctx) };
        self.gate.call(call).is_none_or(|code| code == 0)
    }
}

impl Sink {
    /// The render of a connection that begins.
    pub(in crate::webrtc) fn render(&self) -> Box<dyn Render> {
        match self {
            Sink::Null => Box::new(Player::new(PlayerConfig::new())),
            Sink::File(recording) => {
                let config = PlayerConfig::new().with_decode_video(false);
                Box::new(Player::new(config.with_recording(recording.clone())))
            }
            Sink::Frames(player) => Box::new(FrameRender {
                player: Arc::clone(player),
                stats: RenderStats::default(),
                lost: false,
            }),
        }
    }
}

/// The frames of one connection.
struct FrameRender {
    player: Arc<FramePlayer>,
    stats: RenderStats,
    lost: bool,
}

impl Render for FrameRender {
    fn on_audio_info(&mut self, info: AudioInfo) -> Result<(), Error> {
        let callback = self.player.cfg.on_audio_info;
        self.player.tell(callback, audio_shown(info));
        Ok(())
    }

    fn on_audio(&mut self, frame: Frame<'_>) {
        self.stats.audio_received += 1;
        let callback = self.player.cfg.on_audio_data;
        if !self.player.tell(callback, frame_shown(frame)) {
            self.stats.audio_dropped += 1;
        }
    }

    fn on_video_info(&mut self, info: VideoInfo) -> Result<(), Error> {
        let callback = self.player.cfg.on_video_info;
        self.player.tell(callback, video_shown(info));
        self.stats.width = info.width;
        self.stats.height = info.height;
        Ok(())
    }

    fn on_video(&mut self, frame: Frame<'_>) {
        self.stats.video_received += 1;
        let callback = self.player.cfg.on_video_data;
        if !self.player.tell(callback, frame_shown(frame)) {
            self.stats.video_dropped += 1;
            self.lost = true;
        }
    }

    fn stop(&mut self) {}

    fn level(&self) -> Level {
        Level::SILENCE
    }

    fn stats(&self) -> RenderStats {
        self.stats
    }

    fn take_keyframe_request(&mut self) -> bool {
        std::mem::take(&mut self.lost)
    }
}
