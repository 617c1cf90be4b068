//! A solution: what is configured, and what runs between start and stop.

use std::ffi::c_int;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use esp_peer::Error;
use esp_webrtc::media::Render;
use esp_webrtc::{Settings, Via, WebRtc};
use esp_wire::{DataFrame, DataKind};

use super::calls::{Calls, Progress, VIA_DATA_CHANNEL, VIA_SIGNALING};
use super::channels::{ChannelTeller, PictureTaker, tell_all_closed};
use super::config::Config;
use super::media::{PictureSender, Sink, SolutionCapture, Source};
use super::peers::{Opener, Slot};
use super::signaling::{self, Owed, Started};
use crate::border::{NONE, Outcome, invalid};
use crate::gate::is_within;
use crate::peer::default::callbacks::Channels;
use crate::peer::default::settings;
use crate::peer::types::esp_peer_handle_t;

/// An open solution.
pub(super) struct Solution {
    config: Arc<Config>,
    pub(super) calls: Arc<Calls>,
    state: Mutex<State>,
}

/// What may change between two starts.
struct State {
    running: Option<Arc<Running>>,
    enabled: bool,
    auto_capture: bool,
    audio_bitrate: u32,
    video_bitrate: u32,
    capture: Option<Arc<Source>>,
    player: Option<Arc<Sink>>,
}

/// What runs between start and stop.
struct Running {
    webrtc: WebRtc,
    slot: Slot,
    channels: Channels,
    progress: Arc<Progress>,
}

impl Running {
    /// Ends it; from within a callback without waiting for any task.
    fn end(&self) {
        self.slot.empty();
        match is_within() {
            true => self.webrtc.begin_close(),
            false => self.webrtc.close(),
        }
    }
}

fn error(error: esp_webrtc::Error) -> Error {
    match error {
        esp_webrtc::Error::Peer(error) => error,
        esp_webrtc::Error::NoDataChannel => Error::NotExists("no data channel is open"),
        esp_webrtc::Error::Closed => Error::WrongState("it was stopped"),
        esp_webrtc::Error::NotConnected => Error::WrongState("there is no peer connection"),
        error => Error::Failed(error.to_string()),
    }
}

impl Solution {
    pub(super) fn new(config: Config) -> Self {
        let enabled = config.given.no_auto_reconnect == 0;
        Solution {
            calls: Arc::new(Calls::new(&config.given)),
            config: Arc::new(config),
            state: Mutex::new(State {
                running: None,
                enabled,
                auto_capture: true,
                audio_bitrate: 0,
                video_bitrate: 0,
                capture: None,
                player: None,
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn running(&self) -> Outcome<Arc<Running>> {
        let running = self.state().running.clone();
        running.ok_or(Error::WrongState("it is not started"))
    }

    pub(super) fn set_media(&self, capture: Option<Arc<Source>>, player: Option<Arc<Sink>>) {
        let mut state = self.state();
        let before = (state.capture.take(), state.player.take());
        (state.capture, state.player) = (capture, player);
        drop(state);
        // Their threads may take a moment to end.
        drop(before);
    }

    pub(super) fn set_no_auto_capture(&self, no_auto_capture: bool) {
        self.state().auto_capture = !no_auto_capture;
    }

    pub(super) fn enable(&self, enabled: bool) {
        let mut state = self.state();
        match &state.running {
            Some(running) => running.webrtc.enable_peer_connection(enabled),
            None => state.enabled = enabled,
        }
    }

    pub(super) fn set_video_bitrate(&self, bitrate: u32) {
        let mut state = self.state();
        state.video_bitrate = bitrate;
        if let Some(running) = &state.running {
            running.webrtc.set_video_bitrate(bitrate);
        }
    }

    pub(super) fn set_audio_bitrate(&self, bitrate: u32) {
        let mut state = self.state();
        state.audio_bitrate = bitrate;
        if let Some(running) = &state.running {
            running.webrtc.set_audio_bitrate(bitrate);
        }
    }

    /// Starts; the code of the signaling's own start comes through.
    pub(super) fn start(&self) -> Outcome<c_int> {
        let started = Arc::new(Started::default());
        let mut state = self.state();
        if state.running.is_some() {
            return Err(Error::WrongState("it is started already"));
        }
        let running = Arc::new(self.make(&state, &started)?);
        state.running = Some(Arc::clone(&running));
        running.webrtc.start();
        drop(state);
        if is_within() {
            return Ok(NONE);
        }
        let outcome = started.wait();
        if outcome != Ok(NONE) {
            let mut state = self.state();
            if state
                .running
                .as_ref()
                .is_some_and(|it| Arc::ptr_eq(it, &running))
            {
                state.running = None;
            }
            drop(state);
            running.end();
        }
        outcome
    }

    fn make(&self, state: &State, started: &Arc<Started>) -> Outcome<Running> {
        let (slot, channels) = (Slot::default(), Channels::default());
        let progress = Arc::new(Progress::default());
        let config = &self.config;
        let mut opener = Opener::new(Arc::clone(config), channels.clone(), slot.clone())?;
        let settings = Settings::default()
            .with_bitrates(state.audio_bitrate, state.video_bitrate)
            .with_reconnects(config.given.no_auto_reconnect == 0)
            .with_enabled(state.enabled);
        let (its_config, owed) = (Arc::clone(config), Owed(Arc::clone(started)));
        let mut builder = WebRtc::builder_with(move || Some(signaling::make(&its_config, &owed.0)))
            .settings(settings)
            .connector(move |config, handler| opener.open(config, handler));
        if let Some(source) = &state.capture {
            let sender = config
                .pictures
                .map(|way| PictureSender::new(way, slot.clone(), channels.clone()));
            builder = builder.capture(SolutionCapture::new(
                Arc::clone(source),
                Arc::clone(&self.calls),
                config.given.video_info,
                state.auto_capture,
                sender,
            ));
        }
        if let Some(player) = state.player.clone() {
            builder = builder.render_factory(move || {
                let render: Box<dyn Render> = player.render();
                Some(render)
            });
        }
        let webrtc = builder.open().map_err(error)?;
        let (calls, its_progress) = (Arc::clone(&self.calls), Arc::clone(&progress));
        webrtc.set_event_handler(Box::new(move |event| its_progress.on_event(&calls, event)));
        webrtc.set_channel_handler(Box::new(ChannelTeller {
            calls: Arc::clone(&self.calls),
            channels: channels.clone(),
            pictures: self.picture_taker(state)?,
            memory: Vec::new(),
        }));
        Ok(Running {
            webrtc,
            slot,
            channels,
            progress,
        })
    }

    fn picture_taker(&self, state: &State) -> Outcome<Option<PictureTaker>> {
        let info = settings::pictures(&self.config.given.video_info)?;
        let way = self.config.pictures;
        Ok(way.map(|way| PictureTaker::new(way, info, state.player.clone())))
    }

    pub(super) fn send_custom_data(&self, via: c_int, data: &[u8]) -> Outcome {
        let text = std::str::from_utf8(data);
        match (via, text) {
            (VIA_SIGNALING, Err(_)) => invalid("a message by signaling that is not UTF-8"),
            (VIA_SIGNALING, Ok(text)) => {
                let running = self.running()?;
                if is_within() {
                    running.webrtc.post_custom_data(text);
                    return Ok(());
                }
                running
                    .webrtc
                    .send_custom_data(Via::Signaling, text)
                    .map_err(error)
            }
            (VIA_DATA_CHANNEL, text) => {
                let running = self.running()?;
                let peer = running.webrtc.peer_connection();
                let peer = peer.ok_or(Error::WrongState("there is no peer connection"))?;
                let stream_id = running.channels.first();
                peer.send_data(DataFrame {
                    kind: match text {
                        Ok(_) => DataKind::Text,
                        Err(_) => DataKind::Binary,
                    },
                    stream_id: stream_id.ok_or(Error::NotExists("no data channel is open"))?,
                    data,
                })
            }
            _ => invalid("no way for a message"),
        }
    }

    pub(super) fn peer_connection(&self) -> Outcome<esp_peer_handle_t> {
        let handle = self.running()?.slot.handle();
        handle.ok_or(Error::WrongState("there is no peer connection"))
    }

    pub(super) fn restart(&self) -> Outcome {
        self.running()?.webrtc.restart();
        Ok(())
    }

    /// Writes figures to the log; what the peer connection writes itself is left to the caller.
    pub(super) fn query(&self) -> Outcome<esp_peer_handle_t> {
        let running = self.running()?;
        if !running.progress.is_connected() {
            return Err(Error::WrongState("it is not connected"));
        }
        let report = running.webrtc.query();
        tracing::info!(
            "sent: {} packets of sound, {} pictures, dropped: {} frames; received: {:?}",
            report.audio_sent,
            report.video_sent,
            report.frames_dropped,
            report.render
        );
        self.peer_connection()
    }

    /// Stops; what is open is told closed, where that is wanted and nobody is in a callback.
    pub(super) fn stop(&self, tell: bool) {
        let running = self.state().running.take();
        let Some(running) = running else {
            return;
        };
        running.end();
        if tell && !is_within() {
            tell_all_closed(&self.calls, &running.channels);
            running.progress.on_stopped(&self.calls);
        }
    }
}
