//! Where a DTLS library's output goes until the engine hands it on.

use std::collections::VecDeque;

use dimpl::Output;
use esp_wire::Instant;
use zeroize::Zeroizing;

use crate::inbox::Inbox;
use crate::records::Records;
use crate::{Error, SrtpProfile};

/// Handshake datagrams that wait for [`crate::Dtls::poll_transmit`].
const MAX_FLIGHTS: usize = 64;
/// Buffers of sent handshake datagrams that are kept for the next.
const SPARE: usize = 4;

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
    pub(crate) fn flight(
        &mut self,
        packet: &[u8],
        records: Option<&mut Records>,
    ) -> Result<(), Error> {
        if self.flights.len() >= MAX_FLIGHTS {
            self.dropped += 1;
            return Ok(());
        }
        let mut buffer = self.spare.pop().unwrap_or_default();
        buffer.clear();
        buffer.extend_from_slice(packet);
        if let Some(records) = records {
            records.reseal(&mut buffer)?;
        }
        if !buffer.is_empty() {
            self.flights.push_back(buffer);
        }
        Ok(())
    }

    /// Takes what the library says that is no packet and no time.
    pub(crate) fn note(&mut self, output: Output<'_>) {
        match output {
            Output::Connected => self.complete = true,
            Output::PeerCert(certificate) => self.peer_certificate = Some(certificate.to_vec()),
            Output::KeyingMaterial(material, profile) => {
                self.keying = SrtpProfile::from_library(profile)
                    .map(|profile| (profile, Zeroizing::new(material.to_vec())));
            }
            Output::ApplicationData(data) => self.receive(data),
            Output::CloseNotify => self.peer_closed = true,
            _ => {}
        }
    }

    /// Holds application data of the peer, as far as there is room.
    pub(crate) fn receive(&mut self, data: &[u8]) {
        let kept = self.inbox.push(data, self.max_held);
        self.dropped += u64::from(!kept);
    }

    pub(crate) fn recycle(&mut self, buffer: Vec<u8>) {
        if self.spare.len() < SPARE && !self.complete {
            self.spare.push(buffer);
        }
    }
}
