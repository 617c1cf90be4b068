//! What leaves a peer: out of the outbox into it, and its trains into sockets and streams.

use std::collections::VecDeque;

use esp_peer::Error;
use esp_wire::{Frame, Input, Instant, Kind, SocketId, Train};

use super::common::Note;
use super::slot::Slot;
use super::socket::Sent;
use crate::outbox::{Done, Message, Portion};

/// Trains that one peer sends before the next one gets its turn.
const TRAINS: usize = 16;
/// Frames and messages taken out of the outbox in one turn.
const SENDS: usize = 256;

/// Empty trains that a shard keeps for sockets that are full.
const SPARE: usize = 4;

/// A train that its socket was too full to take.
pub(super) struct Stuck {
    pub(super) socket: SocketId,
    train: Train,
    progress: usize,
}

impl Slot {
    /// Hands what the application sent to the peer; `true` when more waits.
    pub(super) fn empty_outbox(&mut self, now: Instant, done: &mut Done) -> bool {
        let outbox = &self.link.outbox;
        for _ in 0..SENDS {
            let Some(media) = outbox.pop_media() else {
                break;
            };
            let frame = Frame {
                pts: media.pts,
                data: &media.data,
            };
            let sent = match media.kind {
                Kind::Audio => self.peer.send_audio(now, frame),
                Kind::Video => self.peer.send_video(now, frame),
            };
            if let Err(error) = sent {
                tracing::trace!(%error, "a frame was not sent");
            }
            outbox.recycle(media.data);
        }
        let more = !self.data_blocked && self.hand_over(now, done);
        if self.data_blocked {
            self.feed_half_sent(now, done);
        }
        self.link.outbox.exchange(&mut self.pending, done, false);
        more || (!self.data_blocked && !self.pending.is_empty())
    }

    /// Hands messages to the peer, in their order, until it has no room; `true` when more wait.
    fn hand_over(&mut self, now: Instant, done: &mut Done) -> bool {
        for _ in 0..SENDS {
            if self.pending.is_empty() {
                self.link.outbox.exchange(&mut self.pending, done, false);
            }
            let Some(mut message) = self.pending.pop_front() else {
                return false;
            };
            if !self.offer(now, &mut message) {
                self.data_blocked = true;
                self.pending.push_front(message);
                return false;
            }
            done.add(message);
        }
        true
    }

    /// Offers a message to the peer; `false` when it has no room.
    fn offer(&mut self, now: Instant, message: &mut Message) -> bool {
        let (id, kind) = (message.stream_id, message.kind);
        let (peer, data) = (&mut self.peer, &mut message.data);
        let sent = match message.portion {
            Portion::Whole => peer.send_data_owned(now, id, kind, data),
            Portion::Part { last } => peer.send_data_part_owned(now, id, kind, data, last),
            Portion::Close => peer.close_data_channel(now, id),
        };
        match sent {
            Err(Error::WouldBlock) => return false,
            Err(error) => tracing::debug!(%error, "a message was not sent"),
            Ok(()) => {}
        }
        if message.portion != Portion::Whole {
            self.half_sent.retain(|other| *other != id);
        }
        if message.portion == (Portion::Part { last: false }) {
            self.half_sent.push(id);
        }
        true
    }

    /// The peer is full, but a message that has begun may be what everything else waits for: its next part goes
    /// before the others.
    fn feed_half_sent(&mut self, now: Instant, done: &mut Done) {
        for index in (0..self.half_sent.len()).rev() {
            let Some(id) = self.half_sent.get(index).copied() else {
                continue;
            };
            let next =
                |pending: &VecDeque<Message>| pending.iter().position(|it| it.stream_id == id);
            if next(&self.pending).is_none() {
                self.link.outbox.exchange(&mut self.pending, done, true);
            }
            let Some(at) = next(&self.pending) else {
                continue;
            };
            if let Some(mut message) = self.pending.remove(at) {
                match self.offer(now, &mut message) {
                    true => done.add(message),
                    false => self.pending.insert(at, message),
                }
            }
        }
    }

    /// Sends what the peer has; `true` when more waits.
    pub(super) fn send_trains(
        &mut self,
        now: Instant,
        train: &mut Train,
        spare: &mut Vec<Train>,
    ) -> bool {
        if let Some(mut stuck) = self.stuck.take() {
            if !self.push(stuck.socket, &mut stuck.train, &mut stuck.progress, now) {
                self.stuck = Some(stuck);
                return false;
            }
            if spare.len() < SPARE {
                spare.push(stuck.train);
            }
        }
        for _ in 0..TRAINS {
            if !self.peer.poll_transmit(now, train) {
                return false;
            }
            let Some(to) = train.destination() else {
                continue;
            };
            let mut progress = 0;
            if !self.push(to.socket, train, &mut progress, now) {
                let empty = spare.pop();
                let empty = empty.unwrap_or_else(|| Train::with_capacity(train.capacity()));
                self.stuck = Some(Stuck {
                    socket: to.socket,
                    train: std::mem::replace(train, empty),
                    progress,
                });
                return false;
            }
        }
        true
    }

    /// `false` when the socket is full.
    fn push(
        &mut self,
        id: SocketId,
        train: &mut Train,
        progress: &mut usize,
        now: Instant,
    ) -> bool {
        let Some((_, socket)) = self.sockets.iter().find(|(other, _)| *other == id) else {
            self.push_to_stream(id, train);
            return true;
        };
        if !self.commons.is_empty() && self.commons.contains(&id) {
            self.notes.extend(Note::of(id, train));
        }
        match socket.send(train, progress) {
            Sent::Done => true,
            Sent::Full => false,
            Sent::Refused => {
                if let Some(to) = train.destination() {
                    self.input(
                        now,
                        Input::Unreachable {
                            socket: id,
                            remote: to.remote,
                        },
                    );
                }
                true
            }
        }
    }

    /// A stream takes what it has room for; the rest is lost like a datagram in the network.
    fn push_to_stream(&mut self, id: SocketId, train: &Train) {
        if let Some(taken) = self.streams.send(id, train)
            && taken.dropped > 0
        {
            self.link.drop_from_stream(taken.dropped);
        }
    }
}
