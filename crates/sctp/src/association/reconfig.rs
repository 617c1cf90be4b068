//! What the peer asks for by RE-CONFIG (RFC 6525 §5.2), and our answers; our own requests are in
//! [`super::reset`].
//!
//! 1. The peer resets its streams, asks us to reset ours, or wants more streams, in one chunk of at most two requests
//! 2. One chunk with an answer to each, and a SACK; the same answers when the requests come again
//! 3. Our own request for the other direction of a channel that the peer closes

use esp_wire::Instant;

use super::{Association, delivery::Notice};
use crate::{
    channel::{Phase as ChannelPhase, Reset},
    chunk::reconfig::{self, Outcome, Request},
    serial,
};

impl Association {
    /// Takes a RE-CONFIG chunk (RFC 6525 §5.2).
    pub(super) fn on_reconfig(&mut self, now: Instant, value: &[u8]) {
        let Ok(requests) = reconfig::parse(value) else {
            self.stats.packets_dropped += 1;
            return;
        };
        // RFC 6525 §5.2.1: all answers go into one chunk.
        let mut answers = Vec::with_capacity(2);
        for request in requests {
            let answer = match request {
                Request::Response { sequence, outcome } => {
                    self.on_response(now, sequence, outcome);
                    continue;
                }
                Request::OutgoingReset {
                    sequence,
                    last_tsn,
                    streams,
                    ..
                } => self.answer(sequence, |this| this.reset_incoming(last_tsn, &streams)),
                Request::IncomingReset { sequence, streams } => {
                    self.answer(sequence, |this| this.reset_asked(&streams))
                }
                Request::AddOutgoing { sequence, count } => {
                    self.answer(sequence, |this| this.grant_streams(u32::from(count)))
                }
                Request::AddIncoming { sequence, count } => {
                    self.answer(sequence, |this| this.streams_asked(u32::from(count)))
                }
                // RFC 8831 §6.2 has no use for it: channels are numbered by streams, not by TSNs.
                Request::TsnReset { sequence } => self.answer(sequence, |_| Outcome::Denied),
            };
            answers.push(answer);
        }
        if !answers.is_empty() {
            self.control
                .answer(reconfig::emit(&answers), self.packet_size);
            self.inc.tracker.hurry();
        }
        self.pursue_reconfig(now);
    }

    /// Performs a request of the peer once, and answers it every time.
    fn answer(&mut self, sequence: u32, perform: impl FnOnce(&mut Self) -> Outcome) -> Request {
        let known = self
            .reconfig
            .answers
            .iter()
            .find(|(known, _)| *known == sequence)
            .map(|(_, outcome)| *outcome);
        let outcome = match known {
            Some(outcome) => outcome,
            None if sequence == self.reconfig.expected => {
                let outcome = perform(self);
                // RFC 6525 §5.2.2 E2: the same request will come again.
                if outcome != Outcome::InProgress {
                    self.reconfig.expected = sequence.wrapping_add(1);
                    self.reconfig.answers.push_back((sequence, outcome));
                    if self.reconfig.answers.len() > 2 {
                        self.reconfig.answers.pop_front();
                    }
                }
                outcome
            }
            None => Outcome::BadSequence,
        };
        Request::Response { sequence, outcome }
    }

    /// RFC 6525 §5.2.2: the peer begins its streams anew.
    fn reset_incoming(&mut self, last_tsn: u32, streams: &[u16]) -> Outcome {
        let cumulative = self.inc.tracker.cumulative();
        if serial::unwrap32(cumulative, last_tsn) > cumulative {
            return Outcome::InProgress;
        }
        if streams
            .iter()
            .any(|stream| u32::from(*stream) >= self.reconfig.inbound)
        {
            return Outcome::WrongStream;
        }
        for stream in streams {
            self.inc.forget_stream(*stream);
        }
        let keys = match streams.is_empty() {
            true => self.channels.keys(),
            false => streams
                .iter()
                .filter_map(|stream| self.channels.key_on(*stream))
                .collect(),
        };
        let last = serial::unwrap32(cumulative, last_tsn);
        for key in keys {
            // Some peers reset a stream once more in answer to our reset. When the stream has been opened
            // anew by then, and the peer has not seen that, it is not the new channel that they mean.
            let late = self.channels.get(key).is_some_and(|channel| {
                channel.phase == ChannelPhase::Opening && !channel.known && last <= channel.born
            });
            if !late {
                self.reset_incoming_channel(key);
            }
        }
        Outcome::Performed
    }

    fn reset_incoming_channel(&mut self, key: u32) {
        let handle = self.channels.handle(key);
        let (Some(channel), Some(handle)) = (self.channels.get_mut(key), handle) else {
            return;
        };
        let Some(stream) = channel.stream else {
            return;
        };
        let leftovers: Vec<_> = channel.inc.reset().collect();
        channel.incoming_reset = true;
        let phase = channel.phase;
        for received in leftovers {
            self.inc.discharge(received.bytes);
        }
        self.inc.forget_stream(stream);
        match phase {
            ChannelPhase::Unannounced => {
                self.fail_channel(key);
                return;
            }
            ChannelPhase::Closing => {}
            _ => self.delivering.deliver(Notice::Closing(handle)),
        }
        // RFC 8831 §6.7: the other side resets its own direction, too; with all others of this request.
        self.mark_reset(key);
        self.finish_close(key);
    }

    /// RFC 6525 §5.2.3: the peer asks us to reset our streams, or all that there are.
    fn reset_asked(&mut self, streams: &[u16]) -> Outcome {
        let mut keys: Vec<u32> = match streams.is_empty() {
            true => self.channels.keys(),
            false => streams
                .iter()
                .filter_map(|stream| self.channels.key_on(*stream))
                .collect(),
        };
        keys.retain(|key| {
            self.channels.get(*key).is_some_and(|channel| {
                channel.stream.is_some() && channel.outgoing_reset == Reset::No
            })
        });
        if keys.is_empty() {
            return Outcome::NothingToDo;
        }
        for key in keys {
            self.mark_reset(key);
        }
        Outcome::Performed
    }

    /// RFC 6525 §5.2.5: the peer wants more streams to send on.
    fn grant_streams(&mut self, count: u32) -> Outcome {
        match self.reconfig.inbound + count <= 65_535 {
            true => {
                self.reconfig.inbound += count;
                Outcome::Performed
            }
            false => Outcome::Denied,
        }
    }

    /// RFC 6525 §5.2.6: the peer wants us to have more streams to send on; our own request follows.
    fn streams_asked(&mut self, count: u32) -> Outcome {
        let wanted = self.reconfig.outbound + count;
        match wanted <= 65_535 {
            true => {
                self.reconfig.desired = self.reconfig.desired.max(wanted);
                Outcome::Performed
            }
            false => Outcome::Denied,
        }
    }
}
