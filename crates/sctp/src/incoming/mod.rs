//! Everything on its way in: which TSNs came ([`tracker`]), fragments ([`reassembly`]), order
//! within streams ([`stream`]), and the memory that all of it shares.
//!
//! A chunk is refused, as if it had been lost, when memory is full and it does not help to empty
//! it; the next missing TSN does, so it is taken beyond the bound, up to twice of it. Beyond the bound, when
//! nothing waits for the application, the window stays open by a little, since only more fragments can
//! complete what is held.

pub(crate) mod reassembly;
pub(crate) mod stream;
pub(crate) mod tracker;

use crate::{
    Config, Delivery, PeerMisbehaved,
    channel::{Channel, Channels},
    chunk::{
        data::{Data, flag},
        forward::Forward,
    },
    pool::Pool,
    serial,
};
use reassembly::{Key, Label, Reassembly, Received};
use tracker::{Tracker, Verdict};

/// What a complete message of `len` bytes is charged: about half at least of what it costs, with its
/// bookkeeping and a buffer that comes in sizes of its own.
fn charge_of(len: usize) -> usize {
    len.max(64) + 32
}
/// The window that is left beyond the bound, in bytes.
const LEAST_WINDOW: usize = 64 << 10;
/// Free buffers that are kept for the next messages, in bytes.
const POOL: usize = 8 << 20;
/// Bytes of a part, when messages are delivered in parts.
const PART: usize = 64 << 10;

/// The receiving half of an association.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) tracker: Tracker,
    pub(crate) reassembly: Reassembly,
    pub(crate) pool: Pool,
    delivery: Delivery,
    interleaved: bool,
    limit: usize,
    /// Charge of complete messages, until the application has taken them.
    complete: usize,
    refused: u64,
    duplicates: u64,
}

/// What became of a chunk.
#[derive(Debug)]
pub(crate) enum Taken {
    /// Dropped, kept, or waiting for more.
    Nothing,
    /// These are ready for their stream; the second only in parts mode.
    Messages(Received),
}

impl Incoming {
    pub(crate) fn new(config: &Config) -> Self {
        let limit = match config.delivery {
            Delivery::Whole => config.max_message_size,
            Delivery::Parts => usize::MAX,
        };
        Incoming {
            tracker: Tracker::new(1, config.receive_buffer as u32),
            reassembly: Reassembly::new(limit, config.receive_buffer / 8),
            pool: Pool::new(config.receive_buffer.min(POOL)),
            delivery: config.delivery,
            interleaved: false,
            limit: config.receive_buffer,
            complete: 0,
            refused: 0,
            duplicates: 0,
        }
    }

    /// Takes up what the handshake settled.
    pub(crate) fn start(&mut self, first_tsn: u64, interleaved: bool) {
        self.tracker = Tracker::new(first_tsn, self.limit as u32);
        self.interleaved = interleaved;
    }

    /// Charged bytes.
    pub(crate) fn held(&self) -> usize {
        self.complete + self.reassembly.held()
    }

    /// The window to announce.
    pub(crate) fn window(&self) -> u32 {
        let held = self.held();
        let free = self.limit.saturating_sub(held);
        let least = match self.complete {
            0 => LEAST_WINDOW.min(self.limit / 4),
            _ => 0,
        };
        free.max(least.min((self.limit * 2).saturating_sub(held))) as u32
    }

    /// The window of an empty buffer.
    pub(crate) fn full_window(&self) -> u32 {
        self.limit as u32
    }

    pub(crate) fn refused(&self) -> u64 {
        self.refused
    }

    pub(crate) fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// A complete message stays in memory.
    pub(crate) fn charge(&mut self, len: usize) {
        self.complete += charge_of(len);
    }

    /// The application is done with a message.
    pub(crate) fn discharge(&mut self, bytes: Vec<u8>) {
        self.release(bytes.len());
        self.pool.give(bytes);
    }

    /// The application has taken a message of `len` bytes away.
    pub(crate) fn release(&mut self, len: usize) {
        self.complete = self.complete.saturating_sub(charge_of(len));
    }

    /// True when a chunk fits into memory, or must be taken nevertheless to make progress.
    fn has_room(&self, verdict: Verdict, len: usize) -> Result<bool, PeerMisbehaved> {
        let held = self.held();
        if held + len <= self.limit {
            return Ok(true);
        }
        // Only incomplete messages can fill memory for good: what is complete will be taken.
        if verdict != Verdict::Next || self.complete > self.limit / 2 {
            return Ok(false);
        }
        if held + len + reassembly::OVERHEAD <= self.limit * 2 {
            return Ok(true);
        }
        match self.complete {
            0 => Err(PeerMisbehaved::TooMuchUnfinished),
            _ => Ok(false),
        }
    }

    /// Takes a DATA or I-DATA chunk (RFC 9260 §6.2, RFC 8260 §2.2.3).
    pub(crate) fn on_data(
        &mut self,
        data: &Data<'_>,
        channel: Option<&Channel>,
    ) -> Result<Taken, PeerMisbehaved> {
        let tsn = serial::unwrap32(self.tracker.cumulative(), data.tsn);
        let verdict = self.tracker.judge(tsn);
        match verdict {
            Verdict::Duplicate => {
                self.duplicates += 1;
                self.tracker.note_duplicate(tsn);
                return Ok(Taken::Nothing);
            }
            Verdict::Refused => {
                self.refused += 1;
                self.tracker.hurry();
                return Ok(Taken::Nothing);
            }
            Verdict::Next | Verdict::Ahead => {}
        }
        if !self.has_room(verdict, data.payload.len())? {
            self.refused += 1;
            self.tracker.hurry();
            return Ok(Taken::Nothing);
        }
        self.tracker.record(tsn);
        // What is held, and buffers that wait to be used again, stay within the bound together.
        let held = self.held() + data.payload.len();
        self.pool.shrink_to(self.limit.saturating_sub(held));
        // RFC 9260 §6.1: a probe of a closed window is answered at once; so is the I bit.
        if data.flags & flag::IMMEDIATE != 0 || self.held() >= self.limit {
            self.tracker.hurry();
        }
        let label = self.label(tsn, data, channel);
        if self.is_old(&label, channel) {
            return Ok(Taken::Nothing);
        }
        let key = self.key(tsn, &label, data);
        let complete = self
            .reassembly
            .insert(&mut self.pool, key, label, data)
            .map_err(|_| PeerMisbehaved::MessageTooLarge)?;
        let received = complete.or_else(|| self.part(key, channel));
        Ok(match received {
            Some(received) => {
                self.charge(received.bytes.len());
                Taken::Messages(received)
            }
            None => Taken::Nothing,
        })
    }

    /// Takes a TSN whose data is of no use.
    pub(crate) fn drop_data(&mut self, tsn: u32) {
        let tsn = serial::unwrap32(self.tracker.cumulative(), tsn);
        match self.tracker.judge(tsn) {
            Verdict::Next | Verdict::Ahead => self.tracker.record(tsn),
            Verdict::Duplicate | Verdict::Refused => self.tracker.note_duplicate(tsn),
        }
    }

    /// I-DATA was negotiated.
    pub(crate) fn is_interleaved(&self) -> bool {
        self.interleaved
    }

    fn label(&self, tsn: u64, data: &Data<'_>, channel: Option<&Channel>) -> Label {
        let unordered = data.unordered();
        let reference = match channel {
            Some(channel) if unordered => channel.inc.unordered_reference,
            Some(channel) => channel.inc.next,
            None => stream::FIRST,
        };
        let number = match self.interleaved {
            true => serial::unwrap32(reference, data.message),
            // Without a number of its own, such a message is known by its first TSN.
            false if unordered => tsn,
            false => serial::unwrap16(reference, data.message as u16),
        };
        Label {
            stream: data.stream,
            unordered,
            number,
            ppid: data.ppid,
        }
    }

    /// A message that the stream has behind it: one that was skipped while some of it was on its way, or a broken peer.
    fn is_old(&self, label: &Label, channel: Option<&Channel>) -> bool {
        match (channel, label.unordered) {
            (Some(channel), true) => self.interleaved && label.number < channel.inc.unordered_next,
            (Some(channel), false) => label.number < channel.inc.next,
            (None, unordered) => !unordered && label.number < stream::FIRST,
        }
    }

    fn key(&self, tsn: u64, label: &Label, data: &Data<'_>) -> Key {
        match self.interleaved {
            // Fragment numbers may wrap in messages beyond all bounds; the run's end tells which
            // turn is meant.
            true => Key {
                stream: label.stream,
                unordered: label.unordered,
                number: label.number,
                index: u64::from(data.fragment),
            },
            false => Key {
                stream: 0,
                unordered: false,
                number: 0,
                index: tsn,
            },
        }
    }

    /// What can be delivered of an incomplete message, in parts mode.
    fn part(&mut self, key: Key, channel: Option<&Channel>) -> Option<Received> {
        if self.delivery == Delivery::Whole {
            return None;
        }
        let (at, label, len) = self.reassembly.beginning_of(key)?;
        let short = self.held() + PART < self.limit && len < PART;
        if short || len == 0 || !channel.is_some_and(|channel| channel.inc.takes_part(&label)) {
            return None;
        }
        self.reassembly.take_part(&mut self.pool, at)
    }

    /// A part of a message whose turn has come, when memory is short.
    pub(crate) fn spare_part(&mut self, channels: &Channels) -> Option<Received> {
        if self.delivery == Delivery::Whole || self.held() + PART < self.limit {
            return None;
        }
        let (at, _) = self.reassembly.beginnings().find(|(_, label)| {
            channels
                .on_stream(label.stream)
                .is_some_and(|channel| channel.inc.takes_part(label))
        })?;
        let received = self.reassembly.take_part(&mut self.pool, at)?;
        self.charge(received.bytes.len());
        Some(received)
    }

    /// Takes a FORWARD-TSN or I-FORWARD-TSN (RFC 3758 §3.6); `opened` gets messages of which parts
    /// were delivered and no more will come. False when it is out of date: what it skips was skipped or has come, and its
    /// streams may count anew by now.
    pub(crate) fn on_forward(
        &mut self,
        forward: &Forward<'_>,
        channels: &Channels,
        mut opened: impl FnMut(Label),
    ) -> bool {
        let tsn = serial::unwrap32(self.tracker.cumulative(), forward.cumulative);
        // Farther ahead than any TSN can be is noise.
        if tsn <= self.tracker.cumulative() || tsn - self.tracker.cumulative() > 65_535 {
            self.tracker.hurry();
            return false;
        }
        self.tracker.forward(tsn);
        if !self.interleaved {
            // What came behind it moves the point further.
            let tsn = self.tracker.cumulative();
            self.reassembly
                .discard_through(&mut self.pool, tsn, &mut opened);
            return true;
        }
        for skip in forward.skips() {
            let reference = match channels.on_stream(skip.stream) {
                Some(channel) if skip.unordered => channel.inc.unordered_reference,
                Some(channel) => channel.inc.next,
                None => stream::FIRST,
            };
            let number = serial::unwrap32(reference, skip.message);
            self.reassembly.discard_messages(
                &mut self.pool,
                skip.stream,
                skip.unordered,
                number,
                &mut opened,
            );
        }
        true
    }

    /// The peer reset a stream: fragments of its messages can never be completed.
    pub(crate) fn forget_stream(&mut self, stream: u16) {
        if !self.interleaved {
            return;
        }
        for unordered in [false, true] {
            self.reassembly
                .discard_messages(&mut self.pool, stream, unordered, u64::MAX, |_| {});
        }
    }

    /// Forgets what can never be completed, for a restart.
    pub(crate) fn clear_incomplete(&mut self) {
        self.reassembly.clear();
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.held() == 0
    }

    /// Gives memory back that was not needed since the last call.
    pub(crate) fn give_back(&mut self) {
        self.pool.give_back();
        self.tracker.give_back();
    }
}
