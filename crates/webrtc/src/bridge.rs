//! The ways of frames and messages: from the capture to the peer, from the peer to the render and the
//! application.

use std::sync::Arc;
use std::sync::Weak;

use esp_media::FrameSink;
use esp_peer::{ChannelInfo, Error, Handler, NegotiatedMedia, Notice, PeerConnection, State};
use esp_signaling::{IceCause, IceInfo, SignalingEvents};
use esp_wire::{AudioInfo, DataFrame, Frame, Signal, VideoInfo};

use crate::controller::Work;
use crate::flow::Input;
use crate::shared::{Sent, Shared, locked};
use crate::words;

/// Takes frames of the capture to the peer; what does not fit is dropped and counted.
pub(crate) struct PeerSink {
    shared: Arc<Shared>,
    peer: Arc<dyn PeerConnection>,
    /// A picture was dropped: what builds on it is of no use.
    broken: bool,
}

impl PeerSink {
    pub(crate) fn new(shared: Arc<Shared>, peer: Arc<dyn PeerConnection>) -> Self {
        PeerSink {
            shared,
            peer,
            broken: false,
        }
    }
}

impl FrameSink for PeerSink {
    fn on_audio(&mut self, frame: Frame<'_>) {
        let sent = &self.shared.sent;
        Sent::count(match self.peer.send_audio(frame) {
            Ok(()) => &sent.audio,
            Err(_) => &sent.dropped,
        });
    }

    fn on_video(&mut self, frame: Frame<'_>, keyframe: bool) {
        let sent = &self.shared.sent;
        if self.broken && !keyframe {
            return Sent::count(&sent.dropped);
        }
        match self.peer.send_video(frame) {
            Ok(()) => {
                self.broken = false;
                Sent::count(&sent.video);
            }
            Err(error) => {
                Sent::count(&sent.dropped);
                self.broken = true;
                if error == Error::WouldBlock {
                    self.shared.ask(Work::Keyframe);
                }
            }
        }
    }
}

/// What the peer connection tells, on a delivery thread.
pub(crate) struct PeerEvents {
    shared: Weak<Shared>,
}

impl PeerEvents {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        PeerEvents {
            shared: Arc::downgrade(shared),
        }
    }

    fn ask(&self, work: Work) {
        if let Some(shared) = self.shared.upgrade() {
            shared.ask(work);
        }
    }
}

impl Handler for PeerEvents {
    fn on_state(&mut self, state: State) {
        if let Some(shared) = self.shared.upgrade() {
            match state {
                State::NewConnection => shared.renew_render(),
                State::Disconnected | State::ConnectFailed | State::Closed => {
                    shared.finish_render();
                }
                _ => {}
            }
        }
        self.ask(match state {
            State::VideoPliReceived => Work::Keyframe,
            state => Work::Input(Input::PeerState(state)),
        });
    }

    fn on_msg(&mut self, msg: Signal<'_>) {
        self.ask(Work::Input(Input::PeerMessage(msg.into_owned())));
    }

    fn on_negotiated(&mut self, media: NegotiatedMedia) {
        if let Some(shared) = self.shared.upgrade() {
            *locked(&shared.negotiated) = media;
        }
    }

    fn on_audio_info(&mut self, info: AudioInfo) {
        let Some(shared) = self.shared.upgrade() else {
            return;
        };
        if let Some(render) = locked(&shared.render).as_mut()
            && let Err(error) = render.on_audio_info(info)
        {
            shared.ask(Work::Notice(format!("the peer's sound: {error}")));
        }
    }

    fn on_audio_data(&mut self, frame: Frame<'_>) {
        if let Some(shared) = self.shared.upgrade()
            && let Some(render) = locked(&shared.render).as_mut()
        {
            render.on_audio(frame);
        }
    }

    fn on_video_info(&mut self, info: VideoInfo) {
        let Some(shared) = self.shared.upgrade() else {
            return;
        };
        if let Some(render) = locked(&shared.render).as_mut()
            && let Err(error) = render.on_video_info(info)
        {
            shared.ask(Work::Notice(format!("the peer's pictures: {error}")));
        }
    }

    fn on_video_data(&mut self, frame: Frame<'_>) {
        let Some(shared) = self.shared.upgrade() else {
            return;
        };
        let lost = match locked(&shared.render).as_mut() {
            Some(render) => {
                render.on_video(frame);
                render.take_keyframe_request()
            }
            None => false,
        };
        if lost && let Some(peer) = shared.peer() {
            // Too early or too late: the next lost picture asks again.
            let _ = peer.request_keyframe();
        }
    }

    fn on_channel_open(&mut self, channel: &ChannelInfo) {
        let Some(shared) = self.shared.upgrade() else {
            return;
        };
        locked(&shared.channels).push(channel.clone());
        if let Some(peer) = shared.peer()
            && let Some(handler) = locked(&shared.channel_handler).as_mut()
        {
            handler.on_open(channel, &peer);
        }
    }

    fn on_data(&mut self, frame: DataFrame<'_>) {
        if let Some(shared) = self.shared.upgrade()
            && let Some(peer) = shared.peer()
            && let Some(handler) = locked(&shared.channel_handler).as_mut()
        {
            handler.on_data(frame, &peer);
        }
    }

    fn on_data_part(&mut self, part: DataFrame<'_>, last: bool) {
        if let Some(shared) = self.shared.upgrade()
            && let Some(peer) = shared.peer()
            && let Some(handler) = locked(&shared.channel_handler).as_mut()
        {
            handler.on_data_part(part, last, &peer);
        }
    }

    fn on_buffered_amount_low(&mut self, stream_id: u16) {
        if let Some(shared) = self.shared.upgrade()
            && let Some(peer) = shared.peer()
            && let Some(handler) = locked(&shared.channel_handler).as_mut()
        {
            handler.on_buffered_amount_low(stream_id, &peer);
        }
    }

    fn on_writable(&mut self, stream_id: u16) {
        if let Some(shared) = self.shared.upgrade()
            && let Some(peer) = shared.peer()
            && let Some(handler) = locked(&shared.channel_handler).as_mut()
        {
            handler.on_writable(stream_id, &peer);
        }
    }

    fn on_channel_close(&mut self, channel: &ChannelInfo) {
        let Some(shared) = self.shared.upgrade() else {
            return;
        };
        locked(&shared.channels).retain(|open| open.stream_id != channel.stream_id);
        if let Some(handler) = locked(&shared.channel_handler).as_mut() {
            handler.on_close(channel);
        }
    }

    fn on_notice(&mut self, notice: &Notice<'_>) {
        if let Notice::BitrateHint(bitrate) = notice {
            self.ask(Work::BitrateHint(*bitrate));
        }
        if let Some(text) = words::of_notice(notice) {
            self.ask(Work::Notice(text));
        }
    }
}

/// What signaling tells, on a thread of its own.
pub(crate) struct SignalingBridge {
    shared: Weak<Shared>,
}

impl SignalingBridge {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        SignalingBridge {
            shared: Arc::downgrade(shared),
        }
    }

    fn tell(&self, input: Input) {
        if let Some(shared) = self.shared.upgrade() {
            shared.ask(Work::Input(input));
        }
    }
}

impl SignalingEvents for SignalingBridge {
    fn on_ice_info(&mut self, info: IceInfo) {
        let IceInfo {
            servers,
            role,
            cause,
        } = info;
        self.tell(Input::IceInfo {
            role,
            servers,
            rejoined: cause == IceCause::Rejoined,
        });
    }

    fn on_connected(&mut self) {
        self.tell(Input::SignalingConnected);
    }

    fn on_msg(&mut self, msg: Signal<'_>) {
        self.tell(Input::SignalingMessage(msg.into_owned()));
    }

    fn on_close(&mut self, reason: &str) {
        self.tell(Input::SignalingClosed {
            reason: reason.to_owned(),
        });
    }

    fn on_reconnecting(&mut self, reason: &str) {
        self.tell(Input::SignalingInterrupted {
            reason: reason.to_owned(),
        });
    }

    fn on_peer_lost(&mut self) {
        self.tell(Input::PeerLost);
    }
}
