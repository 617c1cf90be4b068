use std::collections::VecDeque;

use dimpl::Output;
use esp_wire::Instant;
use zeroize::Zeroizing;

use crate::clock::Clock;
use crate::config::{MAX_HANDSHAKE_DATAGRAM, MAX_QUEUED};
use crate::inbox::Inbox;
use crate::{Config, Error, SrtpProfile, Version, Versions};

/// The library refuses to hand out a certificate that its caller's buffer cannot hold, by a panic; what it can
/// have put together is bounded by what it queues.
const HANDSHAKE_SCRATCH: usize = MAX_QUEUED * MAX_HANDSHAKE_DATAGRAM;
const SCRATCH: usize = 2_048;
/// Handshake datagrams that wait for [`crate::Dtls::poll_transmit`].
const MAX_FLIGHTS: usize = 64;
/// Buffers of sent handshake datagrams that are kept for the next.
const SPARE: usize = 4;

/// The DTLS library, driven in virtual time and drained after every step.
pub(crate) struct Library {
    dtls: dimpl::Dtls,
    clock: Clock,
    scratch: Vec<u8>,
}

/// Where the library's output goes.
#[derive(Default)]
pub(crate) struct Outlet {
    pub(crate) flights: VecDeque<Vec<u8>>,
    pub(crate) spare: Vec<Vec<u8>>,
    pub(crate) inbox: Inbox,
    pub(crate) max_held: usize,
    pub(crate) peer_certificate: Option<Vec<u8>>,
    pub(crate) keying: Option<(SrtpProfile, Zeroizing<Vec<u8>>)>,
    pub(crate) complete: bool,
    pub(crate) peer_closed: bool,
    pub(crate) deadline: Option<Instant>,
    pub(crate) dropped: u64,
}

impl Outlet {
    fn flight(&mut self, packet: &[u8]) {
        if self.flights.len() >= MAX_FLIGHTS {
            self.dropped += 1;
            return;
        }
        let mut buffer = self.spare.pop().unwrap_or_default();
        buffer.clear();
        buffer.extend_from_slice(packet);
        self.flights.push_back(buffer);
    }

    pub(crate) fn recycle(&mut self, buffer: Vec<u8>) {
        if self.spare.len() < SPARE && !self.complete {
            self.spare.push(buffer);
        }
    }
}

impl Library {
    pub(crate) fn new(config: &Config, now: Instant) -> Result<Self, Error> {
        let clock = Clock::new(now);
        let settings = config.for_library()?;
        let certificate = config.certificate.for_library();
        let start = clock.to_library(now);
        let dtls = match config.versions {
            Versions::Auto => dimpl::Dtls::new_auto(settings, certificate, start),
            Versions::Only12 => dimpl::Dtls::new_12(settings, certificate, start),
            Versions::Only13 => dimpl::Dtls::new_13(settings, certificate, start),
        };
        Ok(Library {
            dtls,
            clock,
            scratch: Vec::new(),
        })
    }

    /// Called once at most: the library panics when an automatic client turns back.
    pub(crate) fn become_client(&mut self) {
        self.dtls.set_active(true);
    }

    pub(crate) fn version(&self) -> Option<Version> {
        match self.dtls.protocol_version()? {
            dimpl::ProtocolVersion::DTLS1_2 => Some(Version::Dtls12),
            dimpl::ProtocolVersion::DTLS1_3 => Some(Version::Dtls13),
            _ => None,
        }
    }

    pub(crate) fn advance(&mut self, now: Instant) -> Result<(), Error> {
        self.dtls
            .handle_timeout(self.clock.to_library(now))
            .map_err(|error| Error::from_library(&error))
    }

    /// `false` when an automatic client cannot tell the version from this datagram, which then had no effect.
    pub(crate) fn handle_packet(&mut self, datagram: &[u8]) -> Result<bool, Error> {
        match self.dtls.handle_packet(datagram) {
            Ok(()) => Ok(true),
            Err(dimpl::Error::UnexpectedMessage(
                dimpl::UnexpectedMessageError::UnrecognizedAutoServerResponse,
            )) => Ok(false),
            Err(error) => Err(Error::from_library(&error)),
        }
    }

    pub(crate) fn close(&mut self) {
        // A refusal means that it was over before.
        let _ = self.dtls.close();
    }

    /// Takes everything that the library has to say.
    pub(crate) fn drain(&mut self, now: Instant, outlet: &mut Outlet) {
        let wanted = if outlet.complete {
            SCRATCH
        } else {
            HANDSHAKE_SCRATCH
        };
        if self.scratch.len() < wanted {
            self.scratch.resize(wanted, 0);
        }
        loop {
            match self.dtls.poll_output(&mut self.scratch) {
                Output::Packet(packet) => outlet.flight(packet),
                Output::BufferTooSmall { needed } => {
                    let len = needed.max(self.scratch.len() + 1);
                    self.scratch.resize(len, 0);
                }
                Output::Timeout(at) => {
                    outlet.deadline = self.clock.moment(at, now);
                    break;
                }
                Output::Connected => outlet.complete = true,
                Output::PeerCert(certificate) => {
                    outlet.peer_certificate = Some(certificate.to_vec());
                }
                Output::KeyingMaterial(material, profile) => {
                    outlet.keying = SrtpProfile::from_library(profile)
                        .map(|profile| (profile, Zeroizing::new(material.to_vec())));
                }
                Output::ApplicationData(data) => {
                    let kept = outlet.inbox.push(data, outlet.max_held);
                    outlet.dropped += u64::from(!kept);
                }
                Output::CloseNotify => outlet.peer_closed = true,
                _ => {}
            }
        }
        if outlet.complete && self.scratch.len() > SCRATCH {
            self.scratch.truncate(SCRATCH);
            self.scratch.shrink_to_fit();
            outlet.spare = Vec::new();
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
        let len = record.len();
        let payload = record
            .get(head..len.saturating_sub(tail))
            .ok_or(Error::Misuse("the segment is shorter than a record"))?;
        self.dtls
            .send_application_data(payload)
            .map_err(|error| Error::from_library(&error))?;
        match self.dtls.poll_output(record) {
            Output::Packet(packet) if packet.len() == len => Ok(()),
            _ => Err(Error::Library("a record of another size came out".into())),
        }
    }
}
