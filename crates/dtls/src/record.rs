use esp_wire::{Instant, Room, Train};

use crate::records::MAX_PLAIN;
use crate::{Dtls, Error, State, Version};

/// Record header and explicit nonce (RFC 6347 §4.1, RFC 5288 §3), tag.
const ROOM_12: Room = Room { head: 21, tail: 16 };
/// Unified header with 16-bit sequence number and length (RFC 9147 §4), content type and tag.
const ROOM_13: Room = Room { head: 5, tail: 17 };
const ROOM_UNKNOWN: Room = Room { head: 21, tail: 17 };

impl Dtls {
    /// The bytes that a record adds to a payload; the most it may be as long as the version is not agreed on.
    pub fn room(&self) -> Room {
        match self.version() {
            Some(Version::Dtls12) => ROOM_12,
            Some(Version::Dtls13) => ROOM_13,
            None => ROOM_UNKNOWN,
        }
    }

    /// Turns each payload of `train` into exactly one DTLS record, in place; takes [`Dtls::room`] of its room.
    ///
    /// [`Error::Misuse`] when the association is not connected or the train was laid out with less room; any other
    /// error ends the association.
    pub fn protect(&mut self, now: Instant, train: &mut Train) -> Result<(), Error> {
        if self.state != State::Connected {
            return Err(Error::Misuse("DTLS is not connected"));
        }
        let Room { head, tail } = self.room();
        if head > train.room().head || tail > train.room().tail {
            return Err(Error::Misuse("the train has no room for DTLS records"));
        }
        if self.library.records.is_some() {
            return self.protect_own(now, train);
        }
        // Empties the library, so that what comes out next are these records.
        self.advance_to(now);
        self.tell_time()?;
        if self.state != State::Connected {
            return Err(Error::Misuse("DTLS is not connected"));
        }
        train
            .grow(head, tail)
            .map_err(|_| Error::Misuse("the train has no room for DTLS records"))?;
        for segment in train.segments_mut() {
            let sealed = self.library.seal(segment, head, tail);
            self.stats.records_sent += u64::from(sealed.is_ok());
            // The library's queue is short and a full one is fatal: it is drained after every record.
            self.settle(sealed)?;
        }
        Ok(())
    }

    fn protect_own(&mut self, now: Instant, train: &mut Train) -> Result<(), Error> {
        let Room { head, tail } = self.room();
        if train.payload_size() > MAX_PLAIN {
            return Err(Error::Misuse("a record holds 2^14 bytes at most"));
        }
        train
            .grow(head, tail)
            .map_err(|_| Error::Misuse("the train has no room for DTLS records"))?;
        let Some(records) = &mut self.library.records else {
            return Ok(());
        };
        let mut sealed = Ok(());
        for segment in train.segments_mut() {
            sealed = records.seal(segment);
            if sealed.is_err() {
                break;
            }
            self.stats.records_sent += 1;
        }
        if sealed.is_err() {
            return self.settle(sealed);
        }
        // While a flight is on its way, the library has no other message to send.
        if self.outlet.deadline.is_none() && records.wants_update() {
            self.advance_to(now);
            self.tell_time()?;
            let started = self.library.start_key_update(self.now, &mut self.outlet);
            self.settle(started)?;
        }
        Ok(())
    }
}
