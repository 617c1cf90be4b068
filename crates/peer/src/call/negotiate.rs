//! The peer's description and candidates, and what both sides agreed on.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use esp_dtls::{DtlsRole, Fingerprint};
use esp_ice::Credentials;
use esp_rtp::MediaConfig;
use esp_sdp::{Description, DtlsRole as Setup, Negotiated, NegotiatedData, Transport};
use esp_wire::{Instant, Kind};

use super::describe::bad;
use super::{Call, MAX_EARLY_CANDIDATES, Tracks, local};
use crate::{Error, Event, Notice, PeerConfig};

impl Call {
    /// Takes the peer's description: the answer to our offer, or an offer.
    pub(crate) fn on_remote_description(
        &mut self,
        now: Instant,
        config: &PeerConfig,
        text: &str,
    ) -> Result<(), Error> {
        let remote = Description::parse(text).map_err(bad)?;
        if self.is_of_another_session(&remote) {
            return self.on_another_session(&remote);
        }
        if let Some(ours) = &self.negotiation.offered
            && remote.leaves_setup()
        {
            return match self.gives_way(ours, &remote) {
                true => self.roll_back(now, config, remote),
                // The peer gives way, and answers our offer.
                false => {
                    self.on_offer_beside_ours(now);
                    Ok(())
                }
            };
        }
        match self.negotiation.offered.take() {
            Some(offer) => match esp_sdp::accept(&offer, &remote) {
                Ok(agreed) => {
                    self.negotiation.answered = Some(gist(text));
                    self.negotiation.remote_session = Some(session_of(&remote));
                    self.negotiation.answered_offer = None;
                    self.agree(now, config, agreed)
                }
                Err(error) => {
                    // A good answer may still come.
                    self.negotiation.offered = Some(offer);
                    Err(bad(error))
                }
            },
            None if self.is_answer_again(&remote, text) => {
                self.take_candidates_again(now, &remote);
                Ok(())
            }
            None => {
                // One that waits for its answer has restarted ICE already.
                let waiting = self.negotiation.to_answer.as_ref();
                let again = waiting.is_some_and(|known| known.version() == remote.version());
                if let Some(agreed) = &self.negotiation.agreed
                    && remote.restarts_ice(agreed)
                    && !again
                {
                    self.ice.restart(now);
                    self.on_local_restart();
                }
                self.negotiation.answered = None;
                self.negotiation.to_answer = Some(Box::new(remote));
                self.describe(now, config)
            }
        }
    }

    /// Whether the peer has begun anew, and knows nothing of this call: DTLS cannot go on with it. Some servers give
    /// each description a session of its own; the credentials are the same then.
    fn is_of_another_session(&self, remote: &Description) -> bool {
        let negotiation = &self.negotiation;
        let agreed = negotiation.agreed.as_ref();
        agreed.is_some_and(|agreed| remote.restarts_ice(agreed))
            && negotiation
                .remote_session
                .is_some_and(|known| known != session_of(remote))
    }

    fn on_another_session(&mut self, remote: &Description) -> Result<(), Error> {
        if remote.leaves_setup() {
            return Err(Error::PeerBeganAnew);
        }
        // It has answered an offer of this call, which it took for the first one.
        self.end(Error::PeerBeganAnew.to_string());
        Ok(())
    }

    /// Whether the peer says the answer once more that it has given: an offer of ours arrived twice, or the answer did.
    /// To answer an answer would have no end.
    fn is_answer_again(&self, remote: &Description, text: &str) -> bool {
        // RFC 8842 §5.3: who is older may offer with a role, too; then there is something new in it.
        !remote.leaves_setup() && self.negotiation.answered == Some(gist(text))
    }

    /// Candidates that had been told before may have been lost on their way.
    fn take_candidates_again(&mut self, now: Instant, remote: &Description) {
        for section in remote.sections() {
            for candidate in &section.candidates {
                // One that makes no sense does not spoil the others.
                let _ = self.on_remote_candidate(now, candidate, Some(&section.mid), None);
            }
        }
    }

    /// Takes a candidate of the peer; an empty one ends them.
    pub(crate) fn on_remote_candidate(
        &mut self,
        now: Instant,
        candidate: &str,
        mid: Option<&str>,
        line: Option<u16>,
    ) -> Result<(), Error> {
        match &self.negotiation.agreed {
            Some(agreed) if agreed.takes_candidate(mid, line) => {
                self.add_remote_candidate(now, candidate)
            }
            // Of an m-section that shares the transport of another one.
            Some(_) => Ok(()),
            None if self.negotiation.early_candidates.len() < MAX_EARLY_CANDIDATES => {
                self.negotiation.early_candidates.push(candidate.to_owned());
                Ok(())
            }
            None => Err(Error::OverLimit("candidates before the description")),
        }
    }

    fn add_remote_candidate(&mut self, now: Instant, candidate: &str) -> Result<(), Error> {
        if candidate.is_empty() {
            self.ice.end_of_remote_candidates(now);
            return Ok(());
        }
        self.queue
            .push_back(Event::Notice(Notice::RemoteCandidate(Cow::Owned(
                candidate.to_owned(),
            ))));
        self.ice
            .add_remote_candidate(now, candidate)
            .map_err(|error| Error::BadData(error.to_string()))
    }

    /// Puts into effect what offer and answer agreed on; what cannot be put into effect ends the call.
    pub(super) fn agree(
        &mut self,
        now: Instant,
        config: &PeerConfig,
        agreed: Negotiated,
    ) -> Result<(), Error> {
        let applied = self.apply(now, config, agreed);
        if let Err(error) = &applied {
            self.end(error.to_string());
        }
        applied
    }

    fn apply(
        &mut self,
        now: Instant,
        config: &PeerConfig,
        agreed: Negotiated,
    ) -> Result<(), Error> {
        let Some(transport) = &agreed.transport else {
            return Err(Error::Failed(
                "the peer accepted neither media nor data".into(),
            ));
        };
        let first = self.negotiation.agreed.is_none();
        self.apply_transport(now, transport)?;
        self.apply_media(now, &agreed)?;
        if let Some(data) = &agreed.data {
            self.apply_data(now, config, data, transport.dtls_role == Setup::Active)?;
        }
        if first {
            self.connect_by = Some(now + config.connect_timeout);
            let media = local::agreed(config, &agreed.media);
            self.queue.push_back(Event::Negotiated(media));
        }
        let candidates: Vec<String> = transport
            .candidates
            .iter()
            .map(|remote| remote.candidate.clone())
            .chain(std::mem::take(&mut self.negotiation.early_candidates))
            .collect();
        let complete = transport.end_of_candidates;
        self.negotiation.agreed = Some(agreed);
        for candidate in candidates {
            // One that makes no sense does not spoil the others.
            let _ = self.add_remote_candidate(now, &candidate);
        }
        if complete {
            self.ice.end_of_remote_candidates(now);
        }
        Ok(())
    }

    fn apply_transport(&mut self, now: Instant, transport: &Transport) -> Result<(), Error> {
        self.ice.set_remote_lite(now, transport.ice.lite);
        let pacing = transport.ice.pacing.map(u64::from);
        self.ice
            .set_remote_pacing(pacing.map(Duration::from_millis));
        self.ice
            .set_remote_credentials(
                now,
                Credentials::new(&transport.ice.ufrag, &transport.ice.pwd),
            )
            .map_err(|error| Error::BadData(error.to_string()))?;
        let fingerprints: Vec<Fingerprint> = transport
            .fingerprints
            .iter()
            .filter_map(|fingerprint| fingerprint.to_string().parse().ok())
            .collect();
        if let Err(error) = self.dtls.set_remote_fingerprints(fingerprints) {
            self.end(error.to_string());
        }
        Ok(())
    }

    fn apply_media(&mut self, now: Instant, agreed: &Negotiated) -> Result<(), Error> {
        let Some(rtp) = &mut self.rtp else {
            return Ok(());
        };
        let media: Vec<MediaConfig> = agreed.media.iter().map(local::media_config).collect();
        rtp.set_media(now, &media)
            .map_err(|error| Error::BadData(error.to_string()))?;
        let track = |kind| {
            let media = agreed.media.iter().find(|media| media.kind == kind)?;
            rtp.track(&media.mid)
        };
        self.tracks = Tracks {
            audio: track(Kind::Audio),
            video: track(Kind::Video),
            video_size: self.tracks.video_size,
        };
        Ok(())
    }

    fn apply_data(
        &mut self,
        now: Instant,
        config: &PeerConfig,
        data: &NegotiatedData,
        client: bool,
    ) -> Result<(), Error> {
        if self.sctp.is_none() {
            self.remote_init = self.agree_on_init(now, config, data)?;
            let mut sctp = self.association(config, data.remote_sctp_port)?;
            sctp.set_dtls_role(client);
            if client && !config.manual_channels {
                sctp.open_channel(now, config.automatic_channel.clone())
                    .map_err(|error| Error::Failed(error.to_string()))?;
            }
            self.sctp = Some(sctp);
        }
        self.max_send_message = data.remote_max_message_size;
        if let Some(sctp) = &mut self.sctp {
            // Zero stands for any size.
            let limit = data.remote_max_message_size;
            sctp.set_remote_max_message_size(if limit == u64::MAX { 0 } else { limit });
        }
        Ok(())
    }

    /// The role in DTLS, once it is agreed on.
    pub(super) fn dtls_role(&self) -> Option<DtlsRole> {
        let transport = self.negotiation.agreed.as_ref()?.transport.as_ref()?;
        Some(match transport.dtls_role {
            Setup::Active => DtlsRole::Client,
            Setup::Passive => DtlsRole::Server,
        })
    }
}

/// The session of a description (RFC 8866 §5.2), hashed.
pub(super) fn session_of(description: &Description) -> u64 {
    let mut session = DefaultHasher::new();
    description.version().0.hash(&mut session);
    session.finish()
}

/// What a description says, but for its version and for the candidates, which come and go.
fn gist(text: &str) -> u64 {
    let mut gist = DefaultHasher::new();
    for line in text.lines() {
        let varies = ["o=", "c=", "a=candidate:", "a=end-of-candidates", "a=rtcp:"];
        if varies.iter().any(|name| line.starts_with(name)) {
            continue;
        }
        let mut words = line.split(' ');
        words.next().hash(&mut gist);
        // The port of an m-line is that of a candidate.
        let rest = words.skip(usize::from(line.starts_with("m=")));
        rest.for_each(|word| word.hash(&mut gist));
    }
    gist.finish()
}
