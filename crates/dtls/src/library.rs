//! The DTLS library as an engine of this house: in virtual time, drained after every step, given back when it has
//! nothing left to do.

use std::sync::Arc;

use dimpl::Output;
use esp_wire::Instant;

use crate::clock::Clock;
use crate::config::{MAX_HANDSHAKE_DATAGRAM, MAX_QUEUED};
#[cfg(feature = "openssl")]
use crate::openssl::OpenSsl;
use crate::outlet::Outlet;
use crate::records::{Control, Owner, Records, Timing, Witness, first_record};
use crate::secrets::{self, Secrets};
use crate::{Backend, Config, Error, Version, Versions};

/// The library refuses to hand out a certificate that its caller's buffer cannot hold, by a panic; what it can
/// have put together is bounded by what it queues.
const HANDSHAKE_SCRATCH: usize = MAX_QUEUED * MAX_HANDSHAKE_DATAGRAM;
const SCRATCH: usize = 2_048;
/// Records after which the library replaces its keys when the records are ours: it seals few of them, and by
/// empty ones it is told that the time has come.
pub(crate) const LIBRARY_UPDATE_AFTER: u64 = 1_024;

/// The DTLS library, driven in virtual time and drained after every step.
pub(crate) struct Library {
    /// Gone when it has nothing left to do ([`Library::retire`]), and never there when the second works.
    dtls: Option<Box<dimpl::Dtls>>,
    clock: Clock,
    scratch: Vec<u8>,
    is_client: bool,
    /// What the library derives, as long as the records are or may become ours.
    secrets: Option<Box<Secrets>>,
    pub(crate) records: Option<Records>,
    key_update_after: u64,
    timing: Timing,
    witness: Option<Box<Witness>>,
    /// What is said in place of the library, until it is drained.
    said: Vec<u8>,
    /// It works in place of the first one.
    #[cfg(feature = "openssl")]
    second: Option<Box<OpenSsl>>,
}

impl Library {
    pub(crate) fn new(config: &Config, now: Instant) -> Result<Self, Error> {
        if config.backend == Backend::OpenSsl && !cfg!(feature = "openssl") {
            return Err(Error::Misuse(
                "this needs a build with the feature `openssl`",
            ));
        }
        let clock = Clock::new(now);
        let settings = config.for_library()?;
        let start = clock.to_library(now);
        let dtls = match config.backend {
            Backend::Own => Some(Box::new(first(config, settings, start)?)),
            Backend::OpenSsl => None,
        };
        Ok(Library {
            dtls,
            clock,
            scratch: Vec::new(),
            is_client: false,
            secrets: (config.own_records && config.backend == Backend::Own)
                .then(|| Box::new(Secrets::new())),
            records: None,
            key_update_after: config.key_update_after,
            timing: config.timing(),
            witness: None,
            said: Vec::new(),
            #[cfg(feature = "openssl")]
            second: match config.backend {
                Backend::Own => None,
                Backend::OpenSsl => Some(Box::new(OpenSsl::new(config)?)),
            },
        })
    }

    /// Called once at most: the library panics when an automatic client turns back.
    pub(crate) fn become_client(&mut self) {
        #[cfg(feature = "openssl")]
        if let Some(second) = &mut self.second {
            return second.become_client();
        }
        self.is_client = true;
        if let Some(dtls) = &mut self.dtls {
            dtls.set_active(true);
        }
    }

    /// Lets the library go when the records are ours and no message of the handshake can be missed any more.
    ///
    /// It was drained before and has set no timer.
    pub(crate) fn retire(&mut self) {
        if let Some(records) = &mut self.records
            && self.dtls.is_some()
            && records.stand_alone(self.is_client, &mut self.witness, self.timing)
        {
            self.dtls = None;
            self.secrets = None;
            self.scratch = Vec::new();
        }
    }

    /// True when all records of the peer are opened here.
    pub(crate) fn is_retired(&self) -> bool {
        #[cfg(feature = "openssl")]
        if self.second.is_some() {
            return false;
        }
        self.dtls.is_none()
    }

    /// True when the records of application data are, or may become, ours.
    pub(crate) fn may_own_records(&self) -> bool {
        self.secrets.is_some() || self.records.is_some()
    }

    /// Lets the library take a step and takes the keys that it derived.
    ///
    /// `None` when it has retired.
    fn step<T>(&mut self, step: impl FnOnce(&mut dimpl::Dtls) -> T) -> Result<Option<T>, Error> {
        let Some(dtls) = &mut self.dtls else {
            return Ok(None);
        };
        let result = Some(secrets::watch(&mut self.secrets, || step(dtls)));
        let Some(secrets) = &mut self.secrets else {
            return Ok(result);
        };
        if let Some(keys) = secrets.take_handshake() {
            self.witness = Witness::new(keys, self.is_client).map(Box::new);
        }
        if let Some(records) = &mut self.records {
            records.update(secrets)?;
            return Ok(result);
        }
        match Records::new(secrets, self.is_client, self.key_update_after) {
            None => {}
            Some(Ok(records)) => {
                // Nothing is derived after this in 1.2.
                if matches!(records, Records::V12(_)) {
                    self.secrets = None;
                }
                self.records = Some(records);
            }
            Some(Err(_)) => self.secrets = None,
        }
        Ok(result)
    }

    pub(crate) fn version(&self) -> Option<Version> {
        #[cfg(feature = "openssl")]
        if let Some(second) = &self.second {
            return second.version();
        }
        if let Some(records) = &self.records {
            return Some(records.version());
        }
        match self.dtls.as_ref()?.protocol_version()? {
            dimpl::ProtocolVersion::DTLS1_2 => Some(Version::Dtls12),
            dimpl::ProtocolVersion::DTLS1_3 => Some(Version::Dtls13),
            _ => None,
        }
    }

    pub(crate) fn advance(&mut self, now: Instant) -> Result<(), Error> {
        #[cfg(feature = "openssl")]
        if let Some(second) = &mut self.second {
            return second.advance(now);
        }
        if let (None, Some(records)) = (&self.dtls, &mut self.records) {
            return records.on_time(now, &mut self.said);
        }
        let now = self.clock.to_library(now);
        match self.step(|dtls| dtls.handle_timeout(now))? {
            Some(Err(error)) => Err(Error::from_library(&error)),
            _ => Ok(()),
        }
    }

    /// `false` when an automatic client cannot tell the version from this datagram, which then had no effect.
    pub(crate) fn handle_packet(&mut self, now: Instant, datagram: &[u8]) -> Result<bool, Error> {
        #[cfg(feature = "openssl")]
        if let Some(second) = &mut self.second {
            return second.handle_packet(now, datagram);
        }
        // The first one was told the time before.
        let _ = now;
        match self.step(|dtls| dtls.handle_packet(datagram))? {
            None | Some(Ok(())) => Ok(true),
            Some(Err(dimpl::Error::UnexpectedMessage(
                dimpl::UnexpectedMessageError::UnrecognizedAutoServerResponse,
            ))) => Ok(false),
            Some(Err(error)) => Err(Error::from_library(&error)),
        }
    }

    pub(crate) fn close(&mut self) {
        #[cfg(feature = "openssl")]
        if let Some(second) = &mut self.second {
            return second.close();
        }
        if let Some(dtls) = &mut self.dtls {
            // A refusal means that it was over before.
            let _ = dtls.close();
        } else if let Some(records) = &mut self.records {
            records.goodbye(&mut self.said);
        }
    }

    /// Hands the library what was found in `record`, sealed as it expects.
    pub(crate) fn handle_control(
        &mut self,
        now: Instant,
        control: &Control,
        record: &mut [u8],
        buffer: &mut Vec<u8>,
    ) -> Result<(), Error> {
        if let Some(records) = &mut self.records {
            records.for_library(control, record, buffer);
        }
        if buffer.is_empty() {
            return Ok(());
        }
        self.handle_packet(now, buffer).map(|_| ())
    }

    /// Does what the library would do about a record that is no alert, had it not retired.
    pub(crate) fn on_control(
        &mut self,
        now: Instant,
        control: &Control,
        record: &[u8],
    ) -> Result<(), Error> {
        match &mut self.records {
            Some(records) => records.on_control(now, control, record, &mut self.said),
            None => Ok(()),
        }
    }

    /// Makes the library ask for new keys: it does so when it has sealed as many records as it was told, which
    /// never leave.
    pub(crate) fn start_key_update(
        &mut self,
        now: Instant,
        outlet: &mut Outlet,
    ) -> Result<(), Error> {
        if let (None, Some(records)) = (&self.dtls, &mut self.records) {
            records.start_update(now, &mut self.said);
            return Ok(());
        }
        for _ in 0..LIBRARY_UPDATE_AFTER {
            let Some(dtls) = &mut self.dtls else {
                return Ok(());
            };
            dtls.send_application_data(&[])
                .map_err(|error| Error::from_library(&error))?;
            self.drain(now, outlet)?;
        }
        self.advance(now)
    }

    /// Takes everything that the library has to say.
    pub(crate) fn drain(&mut self, now: Instant, outlet: &mut Outlet) -> Result<(), Error> {
        #[cfg(feature = "openssl")]
        if let Some(second) = &mut self.second {
            return second.drain(now, outlet);
        }
        let wanted = match outlet.complete {
            true => SCRATCH,
            false => HANDSHAKE_SCRATCH,
        };
        let Some(dtls) = &mut self.dtls else {
            return self.drain_own(outlet);
        };
        // What comes after the handshake is small and seldom.
        let mut small = [0; SCRATCH];
        if wanted > SCRATCH && self.scratch.len() < wanted {
            self.scratch.resize(wanted, 0);
        }
        loop {
            let scratch = match self.scratch.is_empty() {
                true => &mut small[..],
                false => &mut self.scratch[..],
            };
            let room = scratch.len();
            match dtls.poll_output(scratch) {
                Output::Packet(packet) => {
                    if let Some(witness) = &mut self.witness {
                        witness.note(packet);
                    }
                    // A record under keys that were not seen: they stay the library's for good.
                    self.secrets
                        .take_if(|_| self.records.is_none() && has_own_record(packet));
                    outlet.flight(packet, self.records.as_mut())?;
                }
                Output::BufferTooSmall { needed } => {
                    let len = needed.max(room + 1);
                    self.scratch.resize(len, 0);
                }
                Output::Timeout(at) => {
                    outlet.deadline = self.clock.moment(at, now);
                    break;
                }
                other => outlet.note(other),
            }
        }
        if outlet.complete && !self.scratch.is_empty() {
            self.scratch = Vec::new();
            outlet.spare = Vec::new();
            outlet.flights.shrink_to_fit();
        }
        Ok(())
    }

    fn drain_own(&mut self, outlet: &mut Outlet) -> Result<(), Error> {
        outlet.deadline = self.records.as_ref().and_then(Records::deadline);
        match self.said.is_empty() {
            true => Ok(()),
            false => outlet.flight(&std::mem::take(&mut self.said), None),
        }
    }

    /// Seals `record[head..len - tail]` into one record that fills `record`.
    ///
    /// The library was drained before, so that what it gives next is this record.
    pub(crate) fn seal(
        &mut self,
        record: &mut [u8],
        head: usize,
        tail: usize,
    ) -> Result<(), Error> {
        #[cfg(feature = "openssl")]
        if let Some(second) = &mut self.second {
            return second.seal(record, head, tail);
        }
        let len = record.len();
        let payload = payload_of(record, head, tail)?;
        let Some(dtls) = &mut self.dtls else {
            return Err(Error::Library("it has retired".into()));
        };
        dtls.send_application_data(payload)
            .map_err(|error| Error::from_library(&error))?;
        match dtls.poll_output(record) {
            Output::Packet(packet) if packet.len() == len => Ok(()),
            _ => Err(Error::Library("a record of another size came out".into())),
        }
    }
}

/// The payload of a segment with room for what a record adds.
pub(crate) fn payload_of(record: &[u8], head: usize, tail: usize) -> Result<&[u8], Error> {
    record
        .get(head..record.len().saturating_sub(tail))
        .ok_or(Error::Misuse("the segment is shorter than a record"))
}

/// The first library.
fn first(
    config: &Config,
    settings: Arc<dimpl::Config>,
    start: std::time::Instant,
) -> Result<dimpl::Dtls, Error> {
    if config.certificate.is_rsa() {
        return Err(Error::Misuse(
            "an RSA certificate needs the library of OpenSSL",
        ));
    }
    let certificate = config.certificate.for_library();
    Ok(match config.versions {
        Versions::Auto => dimpl::Dtls::new_auto(settings, certificate, start),
        Versions::Only12 => dimpl::Dtls::new_12(settings, certificate, start),
        Versions::Only13 => dimpl::Dtls::new_13(settings, certificate, start),
    })
}

/// True when `datagram`, made by the library, has a record under application keys.
fn has_own_record(mut datagram: &[u8]) -> bool {
    while !datagram.is_empty() {
        let (len, owner) = first_record(datagram, false);
        let of_epoch_1 = datagram[0] < 32 && datagram.get(3..5).is_some_and(|it| it != [0, 0]);
        if owner == Owner::Own || of_epoch_1 {
            return true;
        }
        datagram = &datagram[len..];
    }
    false
}
