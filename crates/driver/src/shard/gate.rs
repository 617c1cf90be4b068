//! What may be sent, as the events of a peer tell it.

use esp_peer::{Event, State};

use super::slot::Slot;
use crate::outbox::Gate;

/// What an event changes about what may be sent.
pub(super) enum Gated {
    Connected,
    Ended,
    Media { audio: bool, video: bool },
    Channel(u16, bool),
}

impl Gated {
    pub(super) fn of(event: &Event<'_>) -> Option<Gated> {
        match event {
            Event::State(State::Connected) => Some(Gated::Connected),
            Event::State(State::Disconnected | State::ConnectFailed | State::Closed) => {
                Some(Gated::Ended)
            }
            Event::Negotiated(media) => Some(Gated::Media {
                audio: media.audio.is_some(),
                video: media.video.is_some(),
            }),
            Event::ChannelOpen(channel) => Some(Gated::Channel(channel.stream_id, true)),
            Event::ChannelClose(channel) => Some(Gated::Channel(channel.stream_id, false)),
            _ => None,
        }
    }
}

impl Slot {
    /// Opens or shuts the outbox.
    pub(super) fn apply(&mut self, gate: Gated) {
        let outbox = &self.link.outbox;
        match gate {
            Gated::Connected => outbox.set_gate(|gate| gate.connected = true),
            Gated::Ended => {
                self.data_blocked = false;
                self.pending.clear();
                self.half_sent.clear();
                self.low_later.clear();
                outbox.clear(false);
            }
            Gated::Media { audio, video } => outbox.set_gate(|gate: &mut Gate| {
                gate.audio = audio;
                gate.video = video;
            }),
            Gated::Channel(stream_id, true) => {
                let peer = &self.peer;
                outbox.set_gate(|gate| {
                    gate.open_channel(stream_id);
                    gate.max_message = peer.max_send_message();
                    gate.max_in_parts = peer.max_send_message_in_parts();
                    gate.max_part = peer.max_send_part();
                });
            }
            Gated::Channel(stream_id, false) => {
                self.half_sent.retain(|other| *other != stream_id);
                self.low_later.retain(|other| *other != stream_id);
                outbox.set_gate(|gate| gate.close_channel(stream_id));
            }
        }
    }
}
