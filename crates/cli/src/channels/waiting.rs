//! Messages that wait until their channel has room.

use esp_webrtc::peer::Error;
use esp_webrtc::wire::{DataFrame, DataKind};

use super::Desk;

/// What waits to be sent on a channel at most; a peer that does not read loses the channel.
const MOST_BYTES: usize = 8 << 20;
const MOST_MESSAGES: usize = 1_024;

impl Desk {
    /// Sends a message, behind those that wait.
    pub(super) fn send(&mut self, id: u16, kind: DataKind, data: &[u8]) {
        let (Some(channel), Some(peer)) = (self.channels.get_mut(&id), &self.peer) else {
            return;
        };
        if channel.waiting.is_empty() {
            let frame = DataFrame {
                kind,
                stream_id: id,
                data,
            };
            if peer.send_data(frame) != Err(Error::WouldBlock) {
                return;
            }
        }
        channel.waiting_bytes += data.len();
        channel.waiting.push_back((kind, data.to_vec()));
        if channel.waiting_bytes > MOST_BYTES || channel.waiting.len() > MOST_MESSAGES {
            let _ = peer.close_data_channel(id);
            channel.waiting.clear();
            channel.waiting_bytes = 0;
        }
    }

    pub(super) fn flush(&mut self, id: u16) {
        let (Some(channel), Some(peer)) = (self.channels.get_mut(&id), &self.peer) else {
            return;
        };
        while let Some((kind, data)) = channel.waiting.front() {
            let frame = DataFrame {
                kind: *kind,
                stream_id: id,
                data,
            };
            if peer.send_data(frame) == Err(Error::WouldBlock) {
                return;
            }
            channel.waiting_bytes -= data.len();
            channel.waiting.pop_front();
        }
    }
}
