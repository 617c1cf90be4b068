//! A datagram's way in: records of the handshake to the library, those of application data opened in place.

use std::ops::Range;

use esp_wire::Instant;

use crate::config::MAX_HANDSHAKE_DATAGRAM;
use crate::records::{Alert, Control, Opened, Owner, Records, first_record, is_plain};
use crate::{Dtls, Error, State, Violation};

impl Dtls {
    /// Takes a datagram of the peer whose first byte is 20 to 63 (RFC 7983 §7).
    ///
    /// Noise is counted and dropped; an error ends the association.
    pub fn handle_input(&mut self, now: Instant, datagram: &mut [u8]) -> Result<(), Error> {
        self.advance_to(now);
        let is_dtls = matches!(datagram.first(), Some(20..=63));
        let shaking = matches!(self.state, State::New | State::Handshaking);
        if !is_dtls || self.is_over() || (shaking && datagram.len() > MAX_HANDSHAKE_DATAGRAM) {
            self.stats.datagrams_ignored += 1;
            return Ok(());
        }
        if self.state == State::New {
            self.hold_early(datagram);
            return Ok(());
        }
        self.take(datagram)?;
        if !self.early.is_empty() && self.library.version().is_some() {
            self.replay_early()?;
        }
        Ok(())
    }

    /// As [`Dtls::handle_input`], but lends a datagram that is one record of application data to the caller at
    /// once, decrypted in place; everything else comes out of [`Dtls::poll_event`].
    pub fn open<'a>(
        &mut self,
        now: Instant,
        datagram: &'a mut [u8],
    ) -> Result<Option<&'a mut [u8]>, Error> {
        if let Some(records) = &mut self.library.records
            && self.state == State::Connected
            && matches!(datagram.first(), Some(20..=63))
            && first_record(datagram, records.is_late()) == (datagram.len(), Owner::Own)
        {
            self.advance_to(now);
            let range = self.open_record(datagram)?;
            return Ok(range.map(|range| &mut datagram[range]));
        }
        self.handle_input(now, datagram)?;
        Ok(None)
    }

    pub(crate) fn hold_early(&mut self, datagram: &[u8]) {
        if self.early.len() < self.max_early {
            self.early.push_back(datagram.to_vec());
        } else {
            self.stats.dropped += 1;
        }
    }

    pub(crate) fn replay_early(&mut self) -> Result<(), Error> {
        for mut datagram in std::mem::take(&mut self.early) {
            if self.is_over() {
                break;
            }
            self.take(&mut datagram)?;
        }
        Ok(())
    }

    /// Shares a datagram out.
    fn take(&mut self, datagram: &mut [u8]) -> Result<(), Error> {
        if !self.library.may_own_records() {
            return self.feed(datagram);
        }
        let mut fed = 0;
        let mut at = 0;
        while at < datagram.len() {
            let records = self.library.records.as_ref();
            let late = records.is_some_and(Records::is_late);
            let confirmed = records.is_some_and(Records::is_confirmed);
            let (len, mut owner) = first_record(&datagram[at..], late);
            if self.library.is_retired() {
                owner = Owner::Own;
            }
            let stale = confirmed && is_plain(&datagram[at..]);
            if owner == Owner::Own || stale {
                self.feed(&datagram[fed..at])?;
                fed = at + len;
            }
            if stale {
                self.stats.records_refused += 1;
            } else if owner == Owner::Own {
                self.take_own(&mut datagram[at..fed])?;
            }
            at += len;
        }
        self.feed(&datagram[fed..])
    }

    fn take_own(&mut self, record: &mut [u8]) -> Result<(), Error> {
        if self.is_over() {
            return Ok(());
        }
        if !self.outlet.complete {
            if self.ahead.len() < self.max_early {
                self.ahead.push_back(record.to_vec());
            } else {
                self.stats.dropped += 1;
            }
            return Ok(());
        }
        if self.library.records.is_none() {
            return self.feed(record);
        }
        if let Some(range) = self.open_record(record)? {
            let kept = self.outlet.inbox.push(&record[range], self.outlet.max_held);
            self.stats.dropped += u64::from(!kept);
        }
        Ok(())
    }

    /// Opens one whole record; where its application data lies, if it is that.
    fn open_record(&mut self, record: &mut [u8]) -> Result<Option<Range<usize>>, Error> {
        let Some(records) = &mut self.library.records else {
            return Ok(None);
        };
        match records.open(record) {
            Opened::Data(range) => {
                self.stats.datagrams_received += 1;
                self.stats.records_received += 1;
                if !self.library.is_retired() {
                    self.retire();
                }
                Ok(Some(range))
            }
            Opened::Refused => {
                self.stats.records_refused += 1;
                if records.is_worn_out() {
                    self.end(State::Failed);
                    let reason = "more forged records than the keys withstand";
                    return Err(Error::PeerMisbehaved(Violation::Protocol(reason.into())));
                }
                Ok(None)
            }
            Opened::Control(control) if self.library.is_retired() => {
                self.stats.datagrams_received += 1;
                self.on_control(&control, record)?;
                Ok(None)
            }
            Opened::Control(control) => {
                self.stats.datagrams_received += 1;
                self.tell_time()?;
                let library = &mut self.library;
                let fed = library.handle_control(self.now, &control, record, &mut self.control);
                self.settle(fed)?;
                if control.wants_answer() && !self.is_over() {
                    // The library answers a key update at its next step.
                    let answered = self.library.advance(self.now);
                    self.settle(answered)?;
                }
                Ok(None)
            }
        }
    }

    /// What the library would do, had it not retired.
    fn on_control(&mut self, control: &Control, record: &[u8]) -> Result<(), Error> {
        match control.alert(record) {
            Some(Alert::CloseNotify) => {
                // RFC 5246 §7.2.1: it is answered; in 1.3 each side closes for itself, and this one does too.
                self.library.close();
                self.outlet.peer_closed = true;
                self.settle(Ok(()))
            }
            Some(Alert::Fatal(description)) => {
                self.end(State::Failed);
                let reason = format!("a fatal alert, number {description}");
                Err(Error::PeerMisbehaved(Violation::Protocol(reason)))
            }
            None => {
                let answered = self.library.on_control(self.now, control, record);
                self.settle(answered)
            }
        }
    }

    /// Lets the library work on records of the handshake.
    fn feed(&mut self, datagram: &[u8]) -> Result<(), Error> {
        if datagram.is_empty() || self.is_over() {
            return Ok(());
        }
        self.tell_time()?;
        if self.is_over() {
            return Ok(());
        }
        let fed = self.library.handle_packet(self.now, datagram);
        match fed {
            Ok(true) => self.stats.datagrams_received += 1,
            // The flight behind a lost or late ServerHello: it is of use as soon as that is here.
            Ok(false) => self.hold_early(datagram),
            Err(_) => {}
        }
        self.settle(fed.map(|_| ()))?;
        if self.outlet.complete && !self.ahead.is_empty() {
            for mut record in std::mem::take(&mut self.ahead) {
                self.take_own(&mut record)?;
            }
        }
        Ok(())
    }
}
