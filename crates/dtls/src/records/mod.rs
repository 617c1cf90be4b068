//! The records of application data, sealed and opened in place with the keys that the handshake agreed on.
//!
//! The library shakes hands, answers repeated flights, updates keys and says goodbye; the numbers of all records
//! under application keys are given out here, so that none is ever used twice:
//!
//! 1. What the library seals under such keys is opened again and sealed under the next number of ours before it
//!    leaves ([`Records::reseal`]).
//! 2. What the peer seals under them is opened here ([`Records::open`]). Application data goes to the caller;
//!    in DTLS 1.3, the rest is sealed once more under numbers that the library expects
//!    ([`Records::for_library`]), and acknowledgments are translated between both numberings. In 1.2 the
//!    library knows other content from its header and opens it itself.
//! 3. Once the handshake asks nothing more of this end, the library retires and its memory is given back
//!    ([`Records::stand_alone`]): alerts, key updates and what an acknowledgment that was lost makes the peer send
//!    again are answered here.

mod cipher13;
mod lone;
mod numbers;
mod split;
mod v12;
mod v13;
mod window;

use std::ops::Range;

use esp_wire::Instant;

pub(crate) use lone::{Timing, Witness};
pub(crate) use split::{Owner, first_record, is_plain};

use crate::secrets::Secrets;
use crate::{Error, Version};

/// RFC 9147 §4: content types that appear here.
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;
const ACK: u8 = 26;
/// RFC 5246 §7.2: a warning.
const CLOSE_NOTIFY: [u8; 2] = [1, 0];

/// Plain text that a record carries at most (RFC 8446 §5.1).
pub(crate) const MAX_PLAIN: usize = 1 << 14;
/// Record numbers have 48 bits on the wire (RFC 9147 §4.2.1).
const MAX_NUMBER: u64 = (1 << 48) - 1;
/// Forged records that a key withstands (RFC 9147 §4.5.3).
const MAX_FORGED: u64 = 1 << 36;

/// The record layer of one association.
pub(crate) enum Records {
    V12(Box<v12::Records12>),
    V13(Box<v13::Records13>),
}

/// What an incoming record turned out to be.
#[derive(Debug)]
pub(crate) enum Opened {
    /// Application data, lying there in the record.
    Data(Range<usize>),
    /// Something that the library is to know.
    Control(Control),
    /// Forged, replayed, out of place or broken.
    Refused,
}

/// An authentic record of the peer that is no application data.
#[derive(Debug)]
pub(crate) struct Control {
    content_type: u8,
    content: Range<usize>,
    epoch: u16,
    number: u64,
}

impl Control {
    /// True when the library may have an answer.
    pub(crate) fn wants_answer(&self) -> bool {
        self.content_type != ALERT
    }

    /// The alert that it is, when that ends the association.
    pub(crate) fn alert(&self, record: &[u8]) -> Option<Alert> {
        let &[level, description] = record.get(self.content.clone())? else {
            return None;
        };
        match (self.content_type, level, description) {
            (ALERT, _, 0) => Some(Alert::CloseNotify),
            // RFC 8446 §6: in 1.3 the level says nothing, and one more alert ends nothing.
            (ALERT, _, 90) if self.epoch > 1 => None,
            (ALERT, level, _) if level == 2 || self.epoch > 1 => Some(Alert::Fatal(description)),
            _ => None,
        }
    }
}

/// An alert that ends the association (RFC 5246 §7.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alert {
    CloseNotify,
    /// With its description.
    Fatal(u8),
}

impl Records {
    /// The record layer over the keys in `secrets`; `None` as long as they are not there.
    ///
    /// An error when the suite is none that is known here: the library keeps its records then.
    pub(crate) fn new(
        secrets: &mut Secrets,
        is_client: bool,
        update_after: u64,
    ) -> Option<Result<Self, Unsupported>> {
        if let Some(keys) = secrets.take_12() {
            let records = v12::Records12::new(keys, is_client);
            return Some(records.map(|records| Records::V12(Box::new(records))));
        }
        let keys = secrets.take_both_13()?;
        let records = v13::Records13::new(keys, is_client, update_after);
        Some(records.map(|records| Records::V13(Box::new(records))))
    }

    pub(crate) fn version(&self) -> Version {
        match self {
            Records::V12(_) => Version::Dtls12,
            Records::V13(_) => Version::Dtls13,
        }
    }

    /// Takes over the alerts as well, when the handshake asks nothing more of this end; `true` from then on.
    ///
    /// In 1.2 a client has the last flight, and a server knows from the first record of application data that
    /// its last one has arrived.
    /// In 1.3 it is over when all is acknowledged; what an acknowledgment that was lost needs is kept.
    pub(crate) fn stand_alone(
        &mut self,
        is_client: bool,
        witness: &mut Option<Box<Witness>>,
        timing: Timing,
    ) -> bool {
        match self {
            Records::V12(records) => records.stand_alone(is_client),
            Records::V13(records) => records.stand_alone(witness, timing),
        }
    }

    /// Puts a close_notify behind `out`, unless it cannot be sealed.
    pub(crate) fn goodbye(&mut self, out: &mut Vec<u8>) {
        match self {
            Records::V12(records) => out.extend(records.goodbye().unwrap_or_default()),
            Records::V13(records) => records.goodbye(out),
        }
    }

    /// Answers a record that is no alert, once the library has retired.
    pub(crate) fn on_control(
        &mut self,
        now: Instant,
        control: &Control,
        record: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        match self {
            Records::V12(_) => Ok(()),
            Records::V13(records) => records.on_control(now, control, record, out),
        }
    }

    /// Asks for new keys, once the library has retired.
    pub(crate) fn start_update(&mut self, now: Instant, out: &mut Vec<u8>) {
        if let Records::V13(records) = self {
            records.start_update(now, true, out);
        }
    }

    /// When [`Records::on_time`] is to be called.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self {
            Records::V12(_) => None,
            Records::V13(records) => records.deadline(),
        }
    }

    /// Sends again what was not acknowledged in time.
    pub(crate) fn on_time(&mut self, now: Instant, out: &mut Vec<u8>) -> Result<(), Error> {
        match self {
            Records::V12(_) => Ok(()),
            Records::V13(records) => records.on_time(now, out),
        }
    }

    /// Takes the keys of a new epoch.
    pub(crate) fn update(&mut self, secrets: &mut Secrets) -> Result<(), Error> {
        match self {
            Records::V12(_) => Ok(()),
            Records::V13(records) => records.update(secrets),
        }
    }

    /// Seals the payload in `record` that the room for this version surrounds.
    pub(crate) fn seal(&mut self, record: &mut [u8]) -> Result<(), Error> {
        match self {
            Records::V12(records) => records.seal(record),
            Records::V13(records) => records.seal(record),
        }
    }

    /// Opens `record`, which is one whole record, in place.
    pub(crate) fn open(&mut self, record: &mut [u8]) -> Opened {
        match self {
            Records::V12(records) => records.open(record),
            Records::V13(records) => records.open(record),
        }
    }

    /// Puts all application records of a datagram of the library under our numbers.
    ///
    /// The library's own application data is taken out; an error means that the datagram must not leave.
    pub(crate) fn reseal(&mut self, datagram: &mut Vec<u8>) -> Result<(), Error> {
        let resealed = match self {
            Records::V12(records) => records.reseal(datagram),
            Records::V13(records) => records.reseal(datagram),
        };
        resealed.ok_or_else(|| Error::Library("a record of the library cannot be opened".into()))
    }

    /// Writes what [`Records::open`] found in `record` as the library expects to receive it.
    pub(crate) fn for_library(&mut self, control: &Control, record: &mut [u8], out: &mut Vec<u8>) {
        out.clear();
        if let Records::V13(records) = self {
            records.for_library(control, record, out);
        }
    }

    /// True when the epochs of key updates have reached the low bits of the handshake's.
    pub(crate) fn is_late(&self) -> bool {
        match self {
            Records::V12(_) => false,
            Records::V13(records) => records.is_late(),
        }
    }

    /// True when the peer has shown that its handshake is over, so that no plain record of it means anything.
    ///
    /// In 1.3 data may come before the peer has our last flight, which it asks for by a plain record.
    pub(crate) fn is_confirmed(&self) -> bool {
        match self {
            Records::V12(records) => records.is_confirmed(),
            Records::V13(_) => false,
        }
    }

    /// True once when the sending keys are to be replaced.
    pub(crate) fn wants_update(&mut self) -> bool {
        match self {
            Records::V12(_) => false,
            Records::V13(records) => records.wants_update(),
        }
    }

    /// True when more records were forged than the keys withstand.
    pub(crate) fn is_worn_out(&self) -> bool {
        let forged = match self {
            Records::V12(records) => records.forged(),
            Records::V13(records) => records.forged(),
        };
        forged >= MAX_FORGED
    }
}

/// The suite that was agreed on is none that is known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unsupported;

fn exhausted() -> Error {
    Error::Library("the sending keys are used up".into())
}

#[cfg(test)]
mod tests;
