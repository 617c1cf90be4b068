//! What a peer reports, on its way into its mailbox.

use std::sync::Arc;

use esp_peer::{Event, Notice, Peer, State};
use esp_wire::DataFrame;

use super::gate::Gated;
use super::slot::Slot;
use crate::mailbox::{Batch, Letter};

/// Events of one peer that are put into its mailbox before the next one gets its turn.
const EVENTS: usize = 256;

impl Slot {
    /// Puts the peer's events into the mailbox; `true` when more wait.
    pub(super) fn fill_mailbox(&mut self, batch: &mut Batch, mail: &mut bool) -> bool {
        let link = Arc::clone(&self.link);
        let mut room = link.mailbox.room();
        self.peer.set_delivery(room > 0);
        for _ in 0..EVENTS {
            let Some(event) = self.peer.poll_event() else {
                self.call_low(batch);
                let more = self.call_writable(batch);
                *mail |= link.mailbox.put_all(batch);
                return more;
            };
            let letter = match event {
                Event::Data(DataFrame {
                    stream_id, kind, ..
                }) => Letter::Data(stream_id, kind, take_data(&mut self.peer, batch)),
                Event::DataPart { part, last } => {
                    let (stream_id, kind) = (part.stream_id, part.kind);
                    Letter::Part(stream_id, kind, take_data(&mut self.peer, batch), last)
                }
                Event::Writable(_) => {
                    self.data_blocked = false;
                    continue;
                }
                Event::BufferedAmountLow(stream_id) => {
                    let outbox = &link.outbox;
                    if outbox.is_low(stream_id, 0).is_some() && !self.low_later.contains(&stream_id)
                    {
                        self.low_later.push(stream_id);
                    }
                    continue;
                }
                event => {
                    let gate = Gated::of(&event);
                    let letter = Letter::of(event, batch);
                    if let Some(gate) = gate {
                        self.apply(gate);
                    }
                    match letter {
                        Some(letter) => letter,
                        None => continue,
                    }
                }
            };
            if !letter.is_media() {
                room = room.saturating_sub(letter.weight());
            }
            batch.push(letter);
            if room == 0 {
                *mail |= link.mailbox.put_all(batch);
                room = link.mailbox.room();
                self.peer.set_delivery(room > 0);
            }
        }
        *mail |= link.mailbox.put_all(batch);
        true
    }

    /// Calls those that wait for it, once little waits in the outbox, too.
    fn call_low(&mut self, batch: &mut Batch) {
        let (peer, outbox) = (&mut self.peer, &self.link.outbox);
        self.low_later.retain(|stream_id| {
            let beyond = peer.buffered_amount(*stream_id).unwrap_or(0);
            let low = outbox.is_low(*stream_id, beyond);
            if low == Some(true) {
                batch.push(Letter::BufferedAmountLow(*stream_id));
            }
            low == Some(false)
        });
    }

    /// Tells channels that were refused that there is room; `true` when the outbox can go on.
    fn call_writable(&mut self, batch: &mut Batch) -> bool {
        let outbox = &self.link.outbox;
        outbox.take_writable(|stream_id| batch.push(Letter::Writable(stream_id)));
        !self.data_blocked && (!self.pending.is_empty() || self.link.outbox.has_data())
    }

    /// Tells the application that the peer is gone because of a defect; `true` when the mailbox must be put in
    /// line.
    pub(super) fn report_defect(&self, reason: &str) -> bool {
        self.link.outbox.clear(true);
        let notice = Notice::Ended {
            reason: reason.to_owned().into(),
        };
        let mailbox = &self.link.mailbox;
        let first = mailbox.put(Event::Notice(notice));
        mailbox.put(Event::State(State::Closed)) || first
    }
}

/// Takes the bytes of a message without a copy.
fn take_data(peer: &mut Peer, batch: &mut Batch) -> Vec<u8> {
    let mut data = batch.buffer();
    peer.take_data(&mut data);
    data
}
