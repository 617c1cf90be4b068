//! Partial reliability: which messages are given up, and how the peer is told (RFC 3758 §3.5).

use std::time::Duration;

use esp_wire::Instant;

use super::{Outgoing, flight::Entry};
use crate::{
    channel::Channels,
    chunk::forward::{self, Skip},
    packet::Builder,
};

/// How far the peer has been, or is to be, told to skip.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Skipping {
    /// The Advanced.Peer.Ack.Point. It is a TSN that was given up: where only acknowledged ones follow, a message may go
    /// on behind them, and there are peers that would forget its beginning.
    advanced: u64,
    /// Up to here everything is acknowledged or given up.
    settled: u64,
    due: bool,
    told: Option<Told>,
}

/// The FORWARD-TSN that left last.
#[derive(Clone, Copy, Debug)]
struct Told {
    at: Instant,
    /// The Advanced.Peer.Ack.Point then.
    advanced: u64,
    /// How far it told to skip, which is less where it had no room for all streams.
    through: u64,
}

impl Skipping {
    pub(super) fn from(cumulative: u64) -> Self {
        Skipping {
            advanced: cumulative,
            settled: cumulative,
            due: false,
            told: None,
        }
    }

    /// The peer took back what it had: nothing behind this TSN counts any more.
    pub(super) fn rewind(&mut self, cumulative: u64) {
        self.advanced = cumulative;
        self.settled = cumulative;
    }
}

impl Outgoing {
    /// True when a lost fragment's message is to be given up instead of sent again.
    pub(super) fn gives_up(&self, entry: &Entry, now: Instant) -> bool {
        if !self.partial {
            return false;
        }
        self.store
            .messages
            .get(entry.message)
            .is_some_and(|message| {
                let limit = message.policy.max_retransmits;
                message.policy.expired(now) || limit.is_some_and(|limit| entry.sends > limit)
            })
    }

    /// Gives a message up, wherever its fragments are.
    pub(super) fn abandon(&mut self, channels: &mut Channels, key: u32) {
        let Some(message) = self.store.messages.get_mut(key) else {
            return;
        };
        if message.abandoned {
            return;
        }
        message.abandoned = true;
        // Keeps the record alive while its parts are taken away.
        message.references += 1;
        let message = *message;
        self.counts.abandoned += 1;
        self.drop_unsent(channels, key, message.channel);
        if message.begun {
            for tsn in message.first_tsn..=message.last_tsn {
                if let Some(entry) = self.flight.entry(tsn).copied()
                    && entry.message == key
                {
                    self.flight.abandon(tsn);
                    self.store.drop_bytes(entry.segment);
                }
            }
            if !message.ended {
                self.end_half_sent(channels, key, message.channel);
            }
        }
        if let Some(channel) = self.store.release(key) {
            channels.message_done(channel);
        }
        self.note_ended(channels, message.channel);
        self.advance();
    }

    fn drop_unsent(&mut self, channels: &mut Channels, key: u32, channel: u32) {
        let Some(entry) = channels.get_mut(channel) else {
            return;
        };
        let mut dropped = 0;
        let queue = &mut entry.out.queue;
        // A message is at the front when it has begun or its time has come, at the back when it is open.
        loop {
            let of = |place: Option<&u32>| {
                let segment = self.store.segments.get(*place?)?;
                let rest = segment.data.len() - segment.sent;
                (segment.message == key).then_some((rest, segment.fragments))
            };
            let (taken, (rest, fragments)) = match (of(queue.front()), of(queue.back())) {
                (Some(found), _) => (queue.pop_front(), found),
                (None, Some(found)) => (queue.pop_back(), found),
                (None, None) => break,
            };
            dropped += rest;
            match (taken, fragments) {
                (Some(segment), 0) => {
                    self.store.free_segment(segment);
                }
                (Some(segment), _) => self.store.drop_bytes(segment),
                (None, _) => break,
            }
        }
        entry.out.drop_unsent(dropped);
        self.store.note_sent(dropped);
        channels.note_fell(channel, dropped);
    }

    /// The peer has the beginning and must learn that no end will come: one more TSN makes room for
    /// a FORWARD-TSN that skips the message.
    fn end_half_sent(&mut self, channels: &mut Channels, key: u32, channel: u32) {
        let tsn = self.push_placeholder(key, Instant::ZERO);
        if let Some(message) = self.store.messages.get_mut(key) {
            message.ended = true;
            message.last_tsn = tsn;
            message.references += 1;
        }
        if self.current == Some(channel) {
            self.current = None;
            self.schedule(channels, channel);
        }
    }

    /// RFC 3758 §3.5 C1 to C3. What the peer was not told yet is told at once (F3 allows 500 ms).
    pub(super) fn advance(&mut self) {
        let cumulative = self.flight.cumulative();
        let (settled, abandoned) = self.flight.settled(self.skipping.settled);
        self.skipping.settled = settled;
        let advanced = abandoned.unwrap_or(self.skipping.advanced);
        self.skipping.advanced = advanced;
        if advanced <= cumulative {
            self.skipping.due = false;
            self.skipping.told = None;
            return;
        }
        let news = self
            .skipping
            .told
            .is_none_or(|told| advanced > told.advanced || cumulative >= told.through);
        self.skipping.due |= news && self.skips_something();
    }

    fn skips_something(&self) -> bool {
        self.partial && self.skipping.advanced > self.flight.cumulative()
    }

    /// A SACK came that still lies behind what was skipped: tell again, once a round trip.
    pub(super) fn repeat_skip(&mut self, now: Instant, round_trip: Duration) {
        let waited = self
            .skipping
            .told
            .is_none_or(|told| now.since(told.at) >= round_trip);
        self.skipping.due |= waited && self.skips_something();
    }

    /// The retransmission timer expired: tell again.
    pub(super) fn force_skip(&mut self) {
        self.skipping.due = self.skips_something();
    }

    /// True when a FORWARD-TSN is to be sent.
    pub(crate) fn skip_is_due(&self) -> bool {
        self.skipping.due
    }

    /// Writes the FORWARD-TSN that is due.
    pub(crate) fn emit_skip(&mut self, packet: &mut Builder<'_>, now: Instant) {
        let capacity = forward::capacity(packet.room(), self.interleaved);
        let mut skips: Vec<Skip> = Vec::new();
        let mut last = self.flight.cumulative();
        for tsn in last + 1..=self.skipping.advanced {
            let Some(entry) = self.flight.entry(tsn) else {
                break;
            };
            let skip = match entry.state {
                super::flight::State::Abandoned => self.skip_of(entry.message),
                _ => None,
            };
            if let Some(skip) = skip {
                let known = skips.iter().position(|known| {
                    (known.stream, known.unordered) == (skip.stream, skip.unordered)
                });
                match known {
                    // Messages of one stream have ascending TSNs.
                    Some(index) => skips[index].message = skip.message,
                    None if skips.len() < capacity => skips.push(skip),
                    None => break,
                }
            }
            last = tsn;
        }
        // Without room for a single stream there is nothing to tell; the next packet has more.
        if last > self.flight.cumulative()
            && forward::emit(packet, last as u32, &skips, self.interleaved)
        {
            self.skipping.due = false;
            self.skipping.told = Some(Told {
                at: now,
                advanced: self.skipping.advanced,
                through: last,
            });
        }
    }

    /// What the peer must be told about a message besides its TSNs.
    fn skip_of(&self, message: u32) -> Option<Skip> {
        let message = self.store.messages.get(message)?;
        // RFC 3758 §3.2: only ordered messages are listed; RFC 8260 §2.3.1: both kinds.
        if message.unordered && !self.interleaved {
            return None;
        }
        Some(Skip {
            stream: message.stream,
            unordered: message.unordered,
            message: message.number,
        })
    }
}

impl Outgoing {
    /// Gives up the message of which more parts were to come, if that can be told to the peer or need not
    /// be; else it stays open.
    pub(crate) fn give_up_open(&mut self, channels: &mut Channels, channel: u32) {
        let Some(entry) = channels.get_mut(channel) else {
            return;
        };
        let Some(key) = entry.out.open else {
            return;
        };
        let Some(message) = self.store.messages.get_mut(key) else {
            return;
        };
        if message.begun && !self.partial {
            return;
        }
        message.open = false;
        entry.out.open = None;
        if message.abandoned {
            self.store.settle(key, &mut entry.out);
            return;
        }
        self.abandon(channels, key);
    }

    /// Drops all messages of a channel that has sent nothing.
    pub(crate) fn abandon_channel(&mut self, channels: &mut Channels, channel: u32) {
        while let Some(front) = channels
            .get(channel)
            .and_then(|channel| channel.out.queue.front().copied())
        {
            let Some(message) = self
                .store
                .segments
                .get(front)
                .map(|segment| segment.message)
            else {
                return;
            };
            if let Some(message) = self.store.messages.get_mut(message) {
                message.open = false;
            }
            self.abandon(channels, message);
        }
    }
}
