//! How the lines of an m-section are read.

use sdp_types::{Attribute, Media};

use super::{MediaSection, SectionKind};
use crate::attributes::{direction_of, is_ice_text};
use crate::description::{Limits, SessionLevel, shown};
use crate::{Error, ExtMap, Feedback, Fingerprint, Ice, Msid, Payload, Setup, SsrcGroup, SsrcInfo};

impl MediaSection {
    pub(crate) fn parse(
        media: &Media,
        session: &SessionLevel,
        limits: &Limits,
    ) -> Result<Self, Error> {
        let mut section = Self::empty(media, session)?;
        let mut draft = Draft::default();
        for attribute in &media.attributes {
            let value = attribute.value.as_deref().unwrap_or_default();
            // RFC 8866 §5.13: what is unknown is ignored.
            let taken = section.transport(attribute, value, &mut draft, limits)?
                || section.media(attribute, value, &mut draft, limits)?;
            if !taken {
                section.data(attribute, value)?;
            }
        }
        section.finish(draft, session)
    }

    fn empty(media: &Media, session: &SessionLevel) -> Result<Self, Error> {
        let kind = match media.media.as_str() {
            "audio" => SectionKind::Audio,
            "video" => SectionKind::Video,
            "application" => SectionKind::Data,
            other => SectionKind::Other(other.to_owned()),
        };
        let mut section = MediaSection {
            kind,
            port: media.port,
            protocol: media.proto.clone(),
            formats: media
                .fmt
                .split_ascii_whitespace()
                .map(str::to_owned)
                .collect(),
            mid: String::new(),
            direction: session.direction,
            bundle_only: false,
            ice: None,
            fingerprints: Vec::new(),
            setup: session.setup,
            candidates: Vec::new(),
            end_of_candidates: session.end_of_candidates,
            rtcp_mux: false,
            rtcp_rsize: false,
            payloads: Vec::new(),
            extensions: Vec::new(),
            extmap_allow_mixed: session.extmap_allow_mixed,
            msid: None,
            ssrcs: Vec::new(),
            ssrc_groups: Vec::new(),
            bandwidth: bandwidth(media),
            ptime: None,
            max_ptime: None,
            sctp_port: None,
            legacy_sctpmap: false,
            max_message_size: None,
            sctp_init: None,
        };
        if section.is_rtp() {
            section.payloads = section.bare_payloads(media)?;
        }
        Ok(section)
    }

    fn bare_payloads(&self, media: &Media) -> Result<Vec<Payload>, Error> {
        let mut payloads: Vec<Payload> = Vec::new();
        for format in &self.formats {
            let payload_type = format.parse::<u8>().ok().filter(|number| *number < 128);
            let payload_type = payload_type.ok_or_else(|| {
                Error::malformed(
                    format!(
                        "m={} {} {} {}",
                        media.media, media.port, media.proto, media.fmt
                    ),
                    format!("{format:?} is not a payload type from 0 to 127"),
                )
            })?;
            if payloads
                .iter()
                .all(|known| known.payload_type != payload_type)
            {
                payloads.push(Payload::bare(payload_type));
            }
        }
        Ok(payloads)
    }

    /// Attributes of ICE, DTLS and BUNDLE.
    fn transport(
        &mut self,
        attribute: &Attribute,
        value: &str,
        draft: &mut Draft,
        limits: &Limits,
    ) -> Result<bool, Error> {
        match attribute.attribute.as_str() {
            "mid" => self.mid = token(attribute, value)?,
            "bundle-only" => self.bundle_only = true,
            "ice-ufrag" => draft.ufrag = Some(ice_text(attribute, value, 4)?),
            "ice-pwd" => draft.pwd = Some(ice_text(attribute, value, 22)?),
            "ice-options" => draft
                .options
                .extend(value.split_ascii_whitespace().map(str::to_owned)),
            "fingerprint" => push_fingerprint(&mut self.fingerprints, attribute, value)?,
            "setup" => self.setup = Some(setup(attribute, value)?),
            "candidate" => {
                if self.candidates.len() < limits.candidates {
                    self.candidates.push(format!("candidate:{value}"));
                }
            }
            "end-of-candidates" => self.end_of_candidates = true,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Attributes of RTP.
    fn media(
        &mut self,
        attribute: &Attribute,
        value: &str,
        draft: &mut Draft,
        limits: &Limits,
    ) -> Result<bool, Error> {
        match attribute.attribute.as_str() {
            name @ ("sendrecv" | "sendonly" | "recvonly" | "inactive") => {
                self.direction = direction_of(name).unwrap_or_default();
            }
            "rtcp-mux" => self.rtcp_mux = true,
            "rtcp-rsize" => self.rtcp_rsize = true,
            "extmap-allow-mixed" => self.extmap_allow_mixed = true,
            "rtpmap" => self.rtpmap(attribute, value)?,
            "fmtp" => self.fmtp(value),
            "rtcp-fb" => {
                if let Some((to, text)) = value.split_once(' ')
                    && let Some(feedback) = Feedback::parse(text)
                {
                    draft.feedback.push((to.parse().ok(), to == "*", feedback));
                }
            }
            "extmap" => {
                if let Some(map) = ExtMap::parse(value)
                    && self.extensions.iter().all(|known| known.id != map.id)
                {
                    self.extensions.push(map);
                }
            }
            "msid" => self.msid = self.msid.take().or_else(|| Msid::parse(value)),
            "ssrc" => self.ssrc(value, limits),
            "ssrc-group" => self.ssrc_group(value, limits),
            "ptime" => self.ptime = value.trim().parse().ok(),
            "maxptime" => self.max_ptime = value.trim().parse().ok(),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Attributes of SCTP.
    fn data(&mut self, attribute: &Attribute, value: &str) -> Result<(), Error> {
        match attribute.attribute.as_str() {
            "sctp-port" => {
                let port = value.trim().parse().map_err(|_| {
                    Error::malformed(shown(attribute), "the SCTP port is not a number to 65535")
                })?;
                self.sctp_port = Some(port);
            }
            "sctpmap" => {
                let mut words = value.split_ascii_whitespace();
                let port = words.next().and_then(|port| port.parse().ok());
                if words.next() == Some("webrtc-datachannel") {
                    self.legacy_sctpmap = true;
                    self.sctp_port = self.sctp_port.or(port);
                }
            }
            "max-message-size" => {
                let value = value.trim();
                if value.is_empty() || !value.bytes().all(|digit| digit.is_ascii_digit()) {
                    return Err(Error::malformed(
                        shown(attribute),
                        "the size is not a number",
                    ));
                }
                self.max_message_size = Some(value.parse().unwrap_or(u64::MAX));
            }
            "sctp-init" if !value.is_empty() => self.sctp_init = Some(value.to_owned()),
            _ => {}
        }
        Ok(())
    }

    fn rtpmap(&mut self, attribute: &Attribute, value: &str) -> Result<(), Error> {
        let wrong = || Error::malformed(shown(attribute), "it is not TYPE NAME/RATE");
        let (number, map) = value.trim().split_once(' ').ok_or_else(wrong)?;
        let number: u8 = number.parse().map_err(|_| wrong())?;
        // RFC 8866 §6.6: a map of a type that the m-line does not list means nothing.
        match self
            .payloads
            .iter_mut()
            .find(|payload| payload.payload_type == number)
        {
            Some(payload) => payload.set_map(map).ok_or_else(wrong),
            None => Ok(()),
        }
    }

    fn fmtp(&mut self, value: &str) {
        let Some((number, parameters)) = value.split_once(' ') else {
            return;
        };
        let number = number.parse::<u8>().ok();
        if let Some(payload) = self
            .payloads
            .iter_mut()
            .find(|payload| Some(payload.payload_type) == number)
        {
            if !payload.fmtp.is_empty() {
                payload.fmtp.push(';');
            }
            payload.fmtp.push_str(parameters.trim());
        }
    }

    fn ssrc(&mut self, value: &str, limits: &Limits) {
        let (number, rest) = value.split_once(' ').unwrap_or((value, ""));
        let Ok(ssrc) = number.parse::<u32>() else {
            return;
        };
        let at = match self.ssrcs.iter().position(|known| known.ssrc == ssrc) {
            Some(at) => at,
            None if self.ssrcs.len() >= limits.sources => return,
            None => {
                self.ssrcs.push(SsrcInfo {
                    ssrc,
                    cname: String::new(),
                    msid: None,
                });
                self.ssrcs.len() - 1
            }
        };
        match rest.split_once(':') {
            Some(("cname", cname)) => self.ssrcs[at].cname = cname.trim().to_owned(),
            Some(("msid", msid)) => self.ssrcs[at].msid = Msid::parse(msid),
            _ => {}
        }
    }

    fn ssrc_group(&mut self, value: &str, limits: &Limits) {
        let mut words = value.split_ascii_whitespace();
        let Some(semantics) = words.next() else {
            return;
        };
        if self.ssrc_groups.len() < limits.sources {
            self.ssrc_groups.push(SsrcGroup {
                semantics: semantics.to_owned(),
                ssrcs: words
                    .filter_map(|word| word.parse().ok())
                    .take(limits.sources)
                    .collect(),
            });
        }
    }

    fn finish(mut self, draft: Draft, session: &SessionLevel) -> Result<Self, Error> {
        for (number, all, feedback) in draft.feedback {
            for payload in &mut self.payloads {
                let meant = all || number == Some(payload.payload_type);
                if meant && !payload.feedback.contains(&feedback) {
                    payload.feedback.push(feedback);
                }
            }
        }
        // RFC 8285 §5, RFC 8839 §5.4, RFC 8122 §5: the session level holds where the m-section
        // says nothing.
        for map in &session.extensions {
            if self.extensions.iter().all(|known| known.id != map.id) {
                self.extensions.push(map.clone());
            }
        }
        if self.fingerprints.is_empty() {
            self.fingerprints.clone_from(&session.fingerprints);
        }
        let mut options = draft.options;
        for option in &session.ice_options {
            if !options.contains(option) {
                options.push(option.clone());
            }
        }
        let pair = match (draft.ufrag, draft.pwd) {
            (None, None) => session.ufrag.clone().zip(session.pwd.clone()),
            (ufrag, pwd) => ufrag
                .or_else(|| session.ufrag.clone())
                .zip(pwd.or_else(|| session.pwd.clone())),
        };
        self.ice = pair.map(|(ufrag, pwd)| Ice {
            ufrag,
            pwd,
            lite: session.ice_lite,
            options,
            pacing: session.ice_pacing,
        });
        Ok(self)
    }
}

#[derive(Default)]
struct Draft {
    ufrag: Option<String>,
    pwd: Option<String>,
    options: Vec<String>,
    /// Payload type, whether for all of them, and what.
    feedback: Vec<(Option<u8>, bool, Feedback)>,
}

fn bandwidth(media: &Media) -> Option<u64> {
    let find = |name: &str| {
        media
            .bandwidths
            .iter()
            .find(|line| line.bwtype == name)
            .map(|line| line.bandwidth)
    };
    find("TIAS").or_else(|| find("AS").map(|kilo| kilo.saturating_mul(1_000)))
}

fn token(attribute: &Attribute, value: &str) -> Result<String, Error> {
    let value = value.trim();
    if value.is_empty() || value.len() > 64 || !value.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Error::malformed(
            shown(attribute),
            "it is not a short token",
        ));
    }
    Ok(value.to_owned())
}

pub(crate) fn ice_text(attribute: &Attribute, value: &str, least: usize) -> Result<String, Error> {
    if !is_ice_text(value, least) {
        return Err(Error::malformed(
            shown(attribute),
            format!("it has not {least} to 256 plain characters (RFC 8839 §5.4)"),
        ));
    }
    Ok(value.to_owned())
}

pub(crate) fn push_fingerprint(
    prints: &mut Vec<Fingerprint>,
    attribute: &Attribute,
    value: &str,
) -> Result<(), Error> {
    const MOST: usize = 16;
    let print: Fingerprint = value
        .parse()
        .map_err(|reason: &str| Error::malformed(shown(attribute), reason))?;
    if prints.len() < MOST && !prints.contains(&print) {
        prints.push(print);
    }
    Ok(())
}

pub(crate) fn setup(attribute: &Attribute, value: &str) -> Result<Setup, Error> {
    Setup::parse(value.trim()).ok_or_else(|| {
        Error::malformed(
            shown(attribute),
            "it is none of active, passive, actpass, holdconn",
        )
    })
}
