//! The shortcut past the SCTP handshake (draft-hancke-tsvwg-snap).
//!
//! 1. The offer carries our INIT chunk, `a=sctp-init`. Whoever does not know it ignores it.
//! 2. The answer carries the answerer's, if the offer had one that makes sense.
//! 3. When DTLS is up, both sides begin with each other's chunk, as if INIT, INIT ACK, COOKIE ECHO and COOKIE ACK
//!    had been exchanged. If either chunk is missing, they shake hands.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use esp_sctp::Association;
use esp_sdp::{Description, NegotiatedData};
use esp_wire::Instant;

use super::Call;
use crate::{Error, PeerConfig};

impl Call {
    /// The association of this call. The same settings give the same tag and TSN each time.
    pub(super) fn association(
        &self,
        config: &PeerConfig,
        remote_port: u16,
    ) -> Result<Association, Error> {
        let settings = config
            .sctp
            .clone()
            .with_ports(config.sctp.local_port, remote_port)
            .with_ecn(config.ecn);
        Association::new(settings, self.origin.fork("sctp"))
            .map_err(|error| Error::InvalidArgument(error.to_string()))
    }

    /// Our INIT chunk as a description carries it; `None` when it is not to be told.
    pub(super) fn local_init(&self, config: &PeerConfig) -> Option<String> {
        if !config.snap || !config.data_channels || self.negotiation.snap == Some(false) {
            return None;
        }
        let association = self.association(config, config.sctp.remote_port).ok()?;
        Some(STANDARD.encode(association.local_init()))
    }

    /// Whether the INIT chunk in an offer is one that an association can begin with.
    pub(super) fn takes_init(
        &self,
        now: Instant,
        config: &PeerConfig,
        offer: &Description,
    ) -> bool {
        let told = offer
            .sections()
            .iter()
            .find_map(|section| section.sctp_init.as_ref());
        told.is_some_and(|told| self.read_init(now, config, told).is_some())
    }

    /// The peer's INIT chunk, if both sides told theirs.
    pub(super) fn agree_on_init(
        &mut self,
        now: Instant,
        config: &PeerConfig,
        data: &NegotiatedData,
    ) -> Result<Option<Vec<u8>>, Error> {
        let told = data.remote_sctp_init.as_ref().filter(|_| config.snap);
        let init = told.map(|told| self.read_init(now, config, told));
        self.negotiation.snap = Some(told.is_some());
        match init {
            Some(None) => Err(Error::BadData("a=sctp-init holds no INIT chunk".into())),
            init => Ok(init.flatten()),
        }
    }

    fn read_init(&self, now: Instant, config: &PeerConfig, told: &str) -> Option<Vec<u8>> {
        let init = STANDARD.decode(told).ok()?;
        let mut trial = self.association(config, config.sctp.remote_port).ok()?;
        trial.connect_with_init(now, &init).ok()?;
        Some(init)
    }
}
