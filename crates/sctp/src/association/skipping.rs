//! What the peer gives up: FORWARD-TSN and I-FORWARD-TSN (RFC 3758 §3.6, RFC 8260 §2.3.1).
//!
//! 1. TSNs up to the one that is named count as received
//! 2. Fragments of messages that can not be completed any more are dropped
//! 3. Streams go on behind the messages that are named

use super::{Association, delivery::Notice};
use crate::{
    ChannelConfig, PeerMisbehaved,
    channel::Phase as ChannelPhase,
    chunk::{Chunk, control::cause, forward::Forward, kind},
    incoming::reassembly::Label,
};

impl Association {
    /// Takes either chunk.
    pub(super) fn on_forward(&mut self, chunk: &Chunk<'_>) {
        if !self.phase.is_connected() {
            return;
        }
        let interleaved = self.inc.is_interleaved();
        if (chunk.kind == kind::I_FORWARD_TSN) != interleaved {
            // RFC 8260 §2.3.1
            self.fail(PeerMisbehaved::WrongDataChunk, cause::PROTOCOL_VIOLATION);
            return;
        }
        let Ok(forward) = Forward::parse(chunk.value, interleaved) else {
            self.stats.packets_dropped += 1;
            return;
        };
        let mut opened = Vec::new();
        let taken = self
            .inc
            .on_forward(&forward, &self.channels, |label| opened.push(label));
        if !taken {
            return;
        }
        for label in opened {
            self.abort_open(label);
        }
        for skip in forward.skips() {
            if skip.unordered {
                self.channels.skip_unordered(skip.stream, skip.message);
            } else if u32::from(skip.stream) < self.reconfig.inbound()
                && let Some(key) = self.stream_for_skip(skip.stream)
            {
                self.in_order(key, |inc, deliver| {
                    inc.skip(skip.message, interleaved, deliver);
                    None
                });
            }
        }
    }

    /// The channel on a stream of which a message is skipped; a stream never seen gets one, so that
    /// the next message is not waited for in vain.
    fn stream_for_skip(&mut self, stream: u16) -> Option<u32> {
        if let Some(key) = self.channels.key_on(stream) {
            return Some(key);
        }
        (self.channels.len() < self.config.max_channels).then(|| {
            self.channels.add(
                ChannelConfig::default(),
                Some(stream),
                true,
                ChannelPhase::Unannounced,
            )
        })
    }

    /// A message of which parts were delivered will not go on.
    fn abort_open(&mut self, label: Label) {
        let Some(key) = self.channels.key_on(label.stream) else {
            return;
        };
        if let Some(channel) = self.channels.handle(key) {
            self.delivering.deliver(Notice::MessageAborted {
                channel,
                stream: label.stream,
            });
        }
        self.in_order(key, |inc, deliver| {
            inc.abort_open(&label, deliver);
            None
        });
    }
}
