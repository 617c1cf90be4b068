//! What leaves a peer: out of the outbox into it, and its trains into sockets and streams.

use esp_peer::Error;
use esp_wire::{DataFrame, Frame, Input, Instant, Kind, SocketId, Train};

use super::common::Note;
use super::slot::Slot;
use super::socket::Sent;

/// Trains that one peer sends before the next one gets its turn.
const TRAINS: usize = 16;
/// Frames and messages taken out of the outbox in one turn.
const SENDS: usize = 64;

/// A train that its socket was too full to take.
pub(super) struct Stuck {
    pub(super) socket: SocketId,
    train: Train,
    progress: usize,
}

impl Slot {
    /// Hands what the application sent to the peer; `true` when more waits.
    pub(super) fn empty_outbox(&mut self, now: Instant) -> bool {
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
        if self.data_blocked {
            return false;
        }
        for _ in 0..SENDS {
            let Some(message) = outbox.pop_data() else {
                return false;
            };
            let frame = DataFrame {
                kind: message.kind,
                stream_id: message.stream_id,
                data: &message.data,
            };
            match self.peer.send_data(now, frame) {
                Err(Error::WouldBlock) => {
                    self.data_blocked = true;
                    outbox.unpop_data(message);
                    return false;
                }
                Err(error) => {
                    tracing::debug!(%error, "a message was not sent");
                    outbox.recycle(message.data);
                }
                Ok(()) => outbox.recycle(message.data),
            }
        }
        true
    }

    /// Sends what the peer has; `true` when more waits.
    pub(super) fn send_trains(&mut self, now: Instant, train: &mut Train) -> bool {
        if let Some(mut stuck) = self.stuck.take()
            && !self.push(stuck.socket, &mut stuck.train, &mut stuck.progress, now)
        {
            self.stuck = Some(stuck);
            return false;
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
                self.stuck = Some(Stuck {
                    socket: to.socket,
                    train: std::mem::replace(train, Train::with_capacity(Train::MAX_BYTES)),
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
