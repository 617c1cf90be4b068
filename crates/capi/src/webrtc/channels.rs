//! What a solution hears of data channels.

use std::sync::Arc;
use std::time::Instant;

use esp_peer::{ChannelInfo, PeerConnection};
use esp_webrtc::media::Render;
use esp_webrtc::{ChannelHandler, wire::VideoInfo};
use esp_wire::{DataFrame, Frame};

use super::calls::Calls;
use super::config::Pictures;
use super::media::{Assembler, Sink};
use crate::peer::default::callbacks::Channels;
use crate::peer::types::esp_peer_data_channel_info_t;

/// Tells the program of channels and messages, or takes pictures out of them.
pub(super) struct ChannelTeller {
    pub(super) calls: Arc<Calls>,
    pub(super) channels: Channels,
    pub(super) pictures: Option<PictureTaker>,
    /// Filled anew for each message.
    pub(super) memory: Vec<u8>,
}

/// Takes pictures that came by a data channel to the player.
pub(super) struct PictureTaker {
    pub(super) way: Pictures,
    pub(super) info: Option<VideoInfo>,
    pub(super) player: Option<Arc<Sink>>,
    assembler: Assembler,
    /// From the first picture of a connection on.
    render: Option<(Box<dyn Render>, Instant)>,
}

impl PictureTaker {
    pub(super) fn new(way: Pictures, info: Option<VideoInfo>, player: Option<Arc<Sink>>) -> Self {
        PictureTaker {
            way,
            info,
            player,
            assembler: Assembler::default(),
            render: None,
        }
    }

    fn take(&mut self, message: &[u8]) {
        let picture = match self.way {
            Pictures::Whole => Some(message),
            Pictures::Chunks(_) => self.assembler.take(message),
        };
        let (Some(data), Some(player), Some(info)) = (picture, &self.player, self.info) else {
            return;
        };
        let (render, began) = self.render.get_or_insert_with(|| {
            let mut render = player.render();
            if let Err(error) = render.on_video_info(info) {
                tracing::warn!("the peer's pictures: {error}");
            }
            (render, Instant::now())
        });
        render.on_video(Frame {
            pts: began.elapsed(),
            data,
        });
    }

    fn finish(&mut self) {
        if let Some((mut render, _)) = self.render.take() {
            render.stop();
        }
    }
}

impl ChannelHandler for ChannelTeller {
    fn on_open(&mut self, channel: &ChannelInfo, _: &Arc<dyn PeerConnection>) {
        let label = self.channels.open(channel);
        self.calls.channel_opened(esp_peer_data_channel_info_t {
            label: label.as_ptr(),
            stream_id: channel.stream_id,
        });
    }

    fn on_data(&mut self, frame: DataFrame<'_>, _: &Arc<dyn PeerConnection>) {
        match &mut self.pictures {
            Some(pictures) => pictures.take(frame.data),
            None => self.calls.data(frame, &mut self.memory),
        }
    }

    fn on_close(&mut self, channel: &ChannelInfo) {
        if let Some(pictures) = &mut self.pictures {
            pictures.finish();
        }
        tell_closed(&self.calls, &self.channels, channel.stream_id);
    }
}

/// Tells the program that a channel is closed, once.
fn tell_closed(calls: &Calls, channels: &Channels, stream_id: u16) {
    if let Some(label) = channels.take(stream_id) {
        calls.channel_closed(esp_peer_data_channel_info_t {
            label: label.as_ptr(),
            stream_id,
        });
    }
}

/// Tells the program that the channels are closed that still were open.
pub(super) fn tell_all_closed(calls: &Calls, channels: &Channels) {
    while let Some(stream_id) = channels.first() {
        tell_closed(calls, channels, stream_id);
    }
}
