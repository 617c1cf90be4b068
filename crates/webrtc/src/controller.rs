//! The task of a solution: it feeds the flow and does what the flow says.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use esp_media::{AudioSettings, Capture, CaptureSettings, ProfileLevel, VideoSettings};
use esp_peer::{PeerConnection, State};
use esp_signaling::Signaling;
use esp_wire::{IceServer, Role, Signal, VideoInfo};

use crate::bridge::{PeerEvents, PeerSink, SignalingBridge};
use crate::connector::Connector;
use crate::flow::{Flow, Input, Step};
use crate::shared::{EventHandler, Shared, locked};
use crate::{Event, Settings};

/// Makes the signaling of a start; `None` when there is none for it.
pub(crate) type SignalingFactory = Box<dyn FnMut() -> Option<Box<dyn Signaling>> + Send>;

/// What the controller is asked for.
pub(crate) enum Work {
    Input(Input),
    /// The peer, or a drop on the way to it, needs a key frame.
    Keyframe,
    /// The peer takes this many bits a second.
    BitrateHint(u64),
    Notice(String),
    SetEventHandler(Option<EventHandler>),
    SetBitrate {
        audio: Option<u32>,
        video: Option<u32>,
    },
    /// A message for the peer by signaling, and what became of it.
    Custom(String, std::sync::mpsc::Sender<Result<(), String>>),
    Quit,
}

pub(crate) struct Controller {
    flow: Flow,
    settings: Settings,
    make_signaling: SignalingFactory,
    signaling: Option<Box<dyn Signaling>>,
    connector: Box<dyn Connector>,
    shared: Arc<Shared>,
    events: Option<EventHandler>,
    pause_until: Option<Instant>,
    capturing: bool,
}

impl Controller {
    pub(crate) fn new(
        settings: Settings,
        make_signaling: SignalingFactory,
        connector: Box<dyn Connector>,
        shared: Arc<Shared>,
    ) -> Self {
        Controller {
            flow: Flow::new(settings.reconnects, settings.enabled),
            settings,
            make_signaling,
            signaling: None,
            connector,
            shared,
            events: None,
            pause_until: None,
            capturing: false,
        }
    }

    /// Works until it is told to quit.
    pub(crate) fn run(mut self, work: Receiver<Work>) {
        loop {
            let next = match self.pause_until {
                None => work.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(until) => work.recv_timeout(until.saturating_duration_since(Instant::now())),
            };
            match next {
                Ok(Work::Quit) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(work) => self.work(work),
                Err(RecvTimeoutError::Timeout) => {
                    self.pause_until = None;
                    self.input(Input::PauseOver);
                }
            }
        }
        self.input(Input::Stop);
        self.shared.finish_render();
    }

    fn work(&mut self, work: Work) {
        match work {
            Work::Input(input) => self.input(input),
            Work::Keyframe => self.with_capture(|capture| capture.request_keyframe()),
            Work::BitrateHint(bitrate) => self.follow(bitrate),
            Work::Notice(text) => self.tell(Event::Notice(text)),
            Work::SetEventHandler(handler) => self.events = handler,
            Work::SetBitrate { audio, video } => self.set_bitrate(audio, video),
            Work::Custom(text, answer) => {
                let sent = self.send_signal(&Signal::Customized(text.into()));
                // Nobody listens when it was only posted.
                let _ = answer.send(sent);
            }
            Work::Quit => {}
        }
    }

    fn input(&mut self, input: Input) {
        self.flow.handle(input);
        while let Some(step) = self.flow.next() {
            self.step(step);
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::StartSignaling => self.start_signaling(),
            Step::StopSignaling => {
                let stopped = self.signaling.take().map(|mut it| it.stop());
                if let Some(Err(error)) = stopped {
                    self.tell(Event::Notice(format!("leaving: {error}")));
                }
            }
            Step::SendSignal(signal) => {
                if let Err(error) = self.send_signal(&signal) {
                    self.tell(Event::Notice(format!("not sent to the peer: {error}")));
                }
            }
            Step::OpenPeer { role, servers } => self.open_peer(role, servers),
            Step::UpdateIceInfo { role, servers } => {
                self.on_peer(|peer| peer.update_ice_info(role, &servers));
            }
            Step::NewConnection => {
                if let Some(signaling) = &mut self.signaling {
                    signaling.connection_begins();
                }
                self.on_peer(|peer| peer.new_connection());
            }
            Step::PeerMessage(signal) => self.hand_to_peer(signal),
            Step::SignalingRestored => self.on_peer(|peer| peer.signaling_restored()),
            Step::Disconnect => self.on_peer(|peer| peer.disconnect()),
            Step::ClosePeer => {
                let peer = locked(&self.shared.peer).take();
                if let Some(peer) = peer {
                    peer.close();
                }
                locked(&self.shared.channels).clear();
            }
            Step::StartMedia => self.start_media(),
            Step::StopMedia => self.stop_media(),
            Step::Pause(pause) => self.pause_until = Some(Instant::now() + pause),
            Step::Tell(event) => self.tell(event),
        }
    }

    fn start_signaling(&mut self) {
        let bridge = SignalingBridge::new(&self.shared);
        let started = match (self.make_signaling)() {
            Some(signaling) => self
                .signaling
                .insert(signaling)
                .start(Box::new(bridge))
                .map_err(|error| error.to_string()),
            None => Err("there is no signaling for another start".to_owned()),
        };
        if let Err(reason) = started {
            self.flow.handle(Input::SignalingClosed { reason });
        }
    }

    fn send_signal(&mut self, signal: &Signal<'_>) -> Result<(), String> {
        let signaling = self.signaling.as_mut().ok_or("signaling is not started")?;
        signaling
            .send_msg(signal)
            .map_err(|error| error.to_string())
    }

    fn tell(&mut self, event: Event) {
        if let Some(handler) = &mut self.events {
            handler(event);
        }
    }

    fn on_peer(&mut self, call: impl FnOnce(&dyn PeerConnection) -> Result<(), esp_peer::Error>) {
        let Some(peer) = self.shared.peer() else {
            return;
        };
        if let Err(error) = call(&*peer) {
            self.tell(Event::Notice(format!("the peer connection: {error}")));
        }
    }

    fn hand_to_peer(&mut self, signal: Signal<'static>) {
        let Some(peer) = self.shared.peer() else {
            return;
        };
        match peer.send_msg(&signal) {
            Err(esp_peer::Error::PeerBeganAnew) => {
                self.flow.handle(Input::PeerBeganAnew(signal));
            }
            Err(esp_peer::Error::WrongState(_)) if has_ended(&*peer) => {
                self.flow.handle(Input::PeerEndedBefore(signal));
            }
            Err(error) => self.tell(Event::Notice(format!("the peer connection: {error}"))),
            Ok(()) => {}
        }
    }

    fn open_peer(&mut self, role: Role, servers: Vec<IceServer>) {
        let supported = locked(&self.shared.capture)
            .as_ref()
            .filter(|_| self.settings.auto_capture)
            .map(|capture| capture.supported());
        let config = self
            .settings
            .peer_config(supported.as_ref())
            .with_role(role)
            .with_servers(servers)
            .with_trickle(
                self.signaling
                    .as_ref()
                    .map(|it| it.trickle())
                    .unwrap_or_default(),
            );
        let events = PeerEvents::new(&self.shared);
        match self.connector.open(config, Box::new(events)) {
            Ok(peer) => *locked(&self.shared.peer) = Some(peer),
            Err(error) => {
                self.tell(Event::Notice(format!("no peer connection: {error}")));
                self.flow.handle(Input::PeerNotOpened);
            }
        }
    }

    fn with_capture(&self, work: impl FnOnce(&dyn Capture)) {
        if let Some(capture) = locked(&self.shared.capture).as_ref() {
            work(&**capture);
        }
    }

    fn start_media(&mut self) {
        let Some(peer) = self.shared.peer().filter(|_| self.settings.auto_capture) else {
            return;
        };
        let agreed = *locked(&self.shared.negotiated);
        let settings = CaptureSettings {
            audio: agreed.audio.map(|info| AudioSettings {
                info,
                bitrate: self.settings.audio_bitrate,
            }),
            video: agreed.video.map(|codec| VideoSettings {
                profile_level: agreed
                    .h264_profile_level
                    .map_or_else(ProfileLevel::default, ProfileLevel),
                bitrate: self.settings.video_bitrate,
                // RFC 6184 §6.2: without fragments, a NAL unit must fit a packet.
                max_nal_size: if agreed.h264_mode == 0 { 1_000 } else { 0 },
                ..VideoSettings::new(VideoInfo {
                    codec,
                    width: 0,
                    height: 0,
                    fps: 0,
                })
            }),
        };
        if settings.audio.is_none() && settings.video.is_none() {
            return;
        }
        let sink = PeerSink::new(Arc::clone(&self.shared), peer);
        let started = match locked(&self.shared.capture).as_mut() {
            Some(capture) => capture.start(settings, Box::new(sink)),
            None => return,
        };
        match started {
            Ok(()) => self.capturing = true,
            Err(error) => self.tell(Event::Notice(format!("nothing is captured: {error}"))),
        }
    }

    fn stop_media(&mut self) {
        if std::mem::take(&mut self.capturing)
            && let Some(capture) = locked(&self.shared.capture).as_mut()
        {
            capture.stop();
        }
    }

    fn set_bitrate(&mut self, audio: Option<u32>, video: Option<u32>) {
        if let Some(bitrate) = audio {
            self.settings.audio_bitrate = bitrate;
            self.with_capture(|capture| capture.set_audio_bitrate(bitrate));
        }
        if let Some(bitrate) = video {
            self.settings.video_bitrate = bitrate;
            self.with_capture(|capture| capture.set_video_bitrate(bitrate));
        }
    }

    /// Never more than the peer takes, never more than the application asked for.
    fn follow(&mut self, hint: u64) {
        let hint = u32::try_from(hint).unwrap_or(u32::MAX);
        let most = match self.settings.video_bitrate {
            0 => hint,
            wanted => wanted.min(hint),
        };
        const LEAST: u32 = 50_000;
        self.with_capture(|capture| capture.set_video_bitrate(most.max(LEAST)));
    }
}

/// Whether a connection has ended, even if nobody was told yet.
fn has_ended(peer: &dyn PeerConnection) -> bool {
    let state = peer.query().map(|report| report.state);
    matches!(state, Ok(State::Disconnected | State::ConnectFailed))
}

/// How long `stop` of the solution may take before it goes on without an answer.
pub(crate) const STOP_PATIENCE: Duration = Duration::from_secs(10);
