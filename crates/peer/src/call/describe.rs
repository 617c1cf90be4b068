//! Our description: when it is made, what it says, and the candidates that follow it.

use std::borrow::Cow;

use esp_sdp::{DataLocal, Description, DtlsRole, Fingerprint, Ice, Local, SectionKind};
use esp_wire::{Instant, Kind, Role, Signal, Trickle};

use super::negotiate::session_of;
use super::{Call, local};
use crate::{Error, Event, Notice, PeerConfig};

impl Call {
    /// Makes the offer or the answer if it is time for it.
    pub(super) fn describe(&mut self, now: Instant, config: &PeerConfig) -> Result<(), Error> {
        let negotiation = &self.negotiation;
        let complete = negotiation.gathered || negotiation.overdue;
        // A lite agent has host candidates only: they are there at once, and go into the description.
        let whole = config.trickle != Trickle::Full || config.ice.lite;
        if whole && !complete && !negotiation.described {
            return Ok(());
        }
        if negotiation.to_answer.is_some() {
            return self.answer(now, config);
        }
        if self.negotiation.offer_again {
            self.negotiation.offer_again = false;
            return self.offer(config);
        }
        let first_offer = !negotiation.described && negotiation.agreed.is_none();
        if first_offer && self.ice.role() == Role::Controlling {
            return self.offer(config);
        }
        Ok(())
    }

    fn offer(&mut self, config: &PeerConfig) -> Result<(), Error> {
        let previous = self.negotiation.agreed.take();
        // The sources depend on the mids, which the offer chooses: the first round learns them.
        let draft = self.local_description(config, None)?;
        let offer = esp_sdp::offer(&draft, previous.as_ref()).map_err(bad)?;
        let local = self.local_description(config, Some(&offer))?;
        let offer = esp_sdp::offer(&local, previous.as_ref()).map_err(bad)?;
        self.negotiation.agreed = previous;
        let mid = offer.sections().first().map(|section| section.mid.clone());
        self.negotiation.place = (mid.unwrap_or_default(), 0);
        self.send_description(&offer, &local);
        self.negotiation.offered = Some(Box::new(offer));
        Ok(())
    }

    fn answer(&mut self, now: Instant, config: &PeerConfig) -> Result<(), Error> {
        let Some(offer) = self.negotiation.to_answer.take() else {
            return Ok(());
        };
        let mut local = self.local_description(config, Some(&offer))?;
        if let Some(data) = &mut local.data
            && !self.takes_init(now, config, &offer)
        {
            data.sctp_init = None;
        }
        let previous = self.negotiation.agreed.as_ref();
        let (answer, agreed) = esp_sdp::answer(&local, previous, &offer).map_err(bad)?;
        if let Some(transport) = &agreed.transport {
            self.negotiation.place = (transport.mid.clone(), transport.line);
        }
        self.send_description(&answer, &local);
        self.negotiation.remote_session = Some(session_of(&offer));
        self.keep_offer(offer);
        self.agree(now, config, agreed)
    }

    /// What we offer or accept; the sources are those of the mids in `sections`.
    fn local_description(
        &self,
        config: &PeerConfig,
        sections: Option<&Description>,
    ) -> Result<Local, Error> {
        let mid_of = |kind| {
            sections
                .into_iter()
                .flat_map(|description| description.sections())
                .find(|section| {
                    !section.is_rejected() && SectionKind::media(&section.kind) == Some(kind)
                })
                .map(|section| section.mid.as_str())
                .unwrap_or_default()
        };
        let credentials = self.ice.local_credentials();
        let ice = Ice {
            ufrag: credentials.ufrag.clone(),
            pwd: credentials.pwd.clone(),
            lite: config.ice.lite,
            options: match config.trickle {
                Trickle::Full | Trickle::Half => vec!["trickle".into()],
                Trickle::None => Vec::new(),
            },
            pacing: u32::try_from(config.ice.pacing.as_millis()).ok(),
        };
        let certificate = config.certificate.as_ref();
        let fingerprint: Fingerprint = certificate
            .ok_or(Error::WrongState("the peer has no certificate"))?
            .fingerprint()
            .to_string()
            .parse()
            .map_err(|what: &str| Error::Failed(what.into()))?;
        let mut local = Local::new(self.negotiation.session_id, ice, vec![fingerprint]);
        if let Some(rtp) = &self.rtp {
            let cname = rtp.cname();
            local.audio = local::audio(config, rtp.local_ssrcs(mid_of(Kind::Audio)), cname);
            local.video = local::video(config, rtp.local_ssrcs(mid_of(Kind::Video)), cname);
        }
        local.data = config.data_channels.then_some(DataLocal {
            sctp_port: config.sctp.local_port,
            max_message_size: local::max_message_size(&config.sctp),
            sctp_init: self.local_init(config),
        });
        // RFC 8829 §5.2.2: what is described again names what was told before.
        local.candidates = match self.negotiation.told {
            true => self.ice.candidate_lines().collect(),
            false => self.negotiation.candidates.clone(),
        };
        local.end_of_candidates = self.negotiation.gathered;
        // RFC 8842 §5.3: whoever may choose should be active.
        local.dtls_role = DtlsRole::Active;
        Ok(local)
    }

    fn send_description(&mut self, description: &Description, local: &Local) {
        self.negotiation.described = true;
        self.negotiation.told = true;
        self.negotiation.candidates.clear();
        self.queue
            .push_back(Event::Msg(Signal::Sdp(Cow::Owned(description.to_string()))));
        if local.end_of_candidates {
            self.send_candidate(String::new());
        }
    }

    /// A local candidate was found: it goes into the description, or follows it.
    pub(super) fn on_local_candidate(&mut self, line: String) {
        self.queue
            .push_back(Event::Notice(Notice::LocalCandidate(Cow::Owned(
                line.clone(),
            ))));
        if self.negotiation.described {
            self.send_candidate(line);
        } else {
            self.negotiation.candidates.push(line);
        }
    }

    /// All local candidates are known.
    pub(super) fn on_gathered(&mut self) {
        let first = !std::mem::replace(&mut self.negotiation.gathered, true);
        if first && self.negotiation.described {
            self.send_candidate(String::new());
        }
    }

    /// Gathering takes too long for those who wait for it.
    pub(super) fn on_gathering_overdue(&mut self) {
        self.negotiation.overdue = true;
    }

    /// Our credentials changed: candidates are gathered and told anew.
    pub(super) fn on_local_restart(&mut self) {
        self.negotiation.gathered = false;
        self.negotiation.told = false;
        self.negotiation.candidates.clear();
    }

    fn send_candidate(&mut self, candidate: String) {
        let (mid, line) = self.negotiation.place.clone();
        self.queue.push_back(Event::Msg(Signal::Candidate {
            candidate: Cow::Owned(candidate),
            mid: Some(Cow::Owned(mid)),
            line: Some(line),
        }));
    }
}

pub(super) fn bad(error: esp_sdp::Error) -> Error {
    match error {
        esp_sdp::Error::Misuse(what) => Error::InvalidArgument(what),
        other => Error::BadData(other.to_string()),
    }
}
