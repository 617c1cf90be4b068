//! What this side offers and accepts.

use crate::attributes::is_ice_text;
use crate::{CodecSpec, DtlsRole, Error, Extension, Feedback, Fingerprint, Ice, Msid};
use esp_wire::{Direction, Kind};

/// Sound or pictures that this side offers or accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaLocal {
    /// Which way it may flow, seen from here.
    pub direction: Direction,
    /// Codecs in order of preference.
    pub codecs: Vec<CodecSpec>,
    /// The source that we send under.
    pub ssrc: u32,
    /// The source of our retransmissions.
    pub rtx_ssrc: Option<u32>,
    /// The canonical name of our sources, one for the whole peer (RFC 8834 §4.9).
    pub cname: String,
    /// MediaStream and track that the peer shows it as.
    pub msid: Option<Msid>,
    /// Header extensions that we understand.
    pub extensions: Vec<Extension>,
    /// Feedback that we give and take; it applies to every codec, except that PLI and FIR are left
    /// out for sound.
    pub feedback: Vec<Feedback>,
    /// The most that we want to receive, bits a second (`b=TIAS`).
    pub bandwidth: Option<u64>,
}

impl MediaLocal {
    /// A medium with these codecs and the defaults: MID, feedback by NACK (and PLI and FIR for
    /// pictures).
    pub fn new(direction: Direction, codecs: Vec<CodecSpec>, ssrc: u32, cname: &str) -> Self {
        MediaLocal {
            direction,
            codecs,
            ssrc,
            rtx_ssrc: None,
            cname: cname.to_owned(),
            msid: None,
            extensions: vec![Extension::Mid],
            feedback: vec![Feedback::Fir, Feedback::Nack, Feedback::Pli],
            bandwidth: None,
        }
    }

    /// The feedback that makes sense for its kind.
    pub(crate) fn feedback_for(&self, kind: Kind) -> impl Iterator<Item = Feedback> + '_ {
        self.feedback.iter().copied().filter(move |feedback| {
            kind == Kind::Video || !matches!(feedback, Feedback::Pli | Feedback::Fir)
        })
    }
}

/// Data channels that this side offers or accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataLocal {
    /// Our SCTP port.
    pub sctp_port: u16,
    /// The longest message that we take, in bytes: what our receive memory can assemble, or `u64::MAX`
    /// for any where messages are taken in parts. Never 0.
    pub max_message_size: u64,
    /// Our INIT chunk in base64, to skip the SCTP handshake with peers that do the same; offered
    /// only when set, answered only when offered.
    pub sctp_init: Option<String>,
}

impl Default for DataLocal {
    fn default() -> Self {
        DataLocal {
            sctp_port: 5_000,
            max_message_size: 256 * 1024,
            sctp_init: None,
        }
    }
}

/// Everything that a peer offers or accepts.
#[derive(Clone, Debug)]
pub struct Local {
    /// The number of the session, below 2^63 (RFC 8829 §5.2.1).
    pub session_id: u64,
    /// The least version of the next description; versions always grow.
    pub session_version: u64,
    /// Our ICE parameters.
    pub ice: Ice,
    /// The hashes of our certificate.
    pub fingerprints: Vec<Fingerprint>,
    /// Our role where the peer lets us choose.
    pub dtls_role: DtlsRole,
    /// Sound, if any.
    pub audio: Option<MediaLocal>,
    /// Pictures, if any.
    pub video: Option<MediaLocal>,
    /// Data channels, if any.
    pub data: Option<DataLocal>,
    /// Candidates known so far, `candidate:...`.
    pub candidates: Vec<String>,
    /// No more candidates follow.
    pub end_of_candidates: bool,
    /// In answers our order of codecs wins over that of the offer.
    pub prefer_local_codecs: bool,
    /// We send and take reduced-size RTCP (RFC 5506).
    pub rtcp_rsize: bool,
    /// We take one- and two-byte header extensions in one stream (RFC 8285 §6).
    pub extmap_allow_mixed: bool,
}

impl Local {
    /// A peer with this identity that offers nothing yet.
    pub fn new(session_id: u64, ice: Ice, fingerprints: Vec<Fingerprint>) -> Self {
        Local {
            session_id,
            session_version: 1,
            ice,
            fingerprints,
            dtls_role: DtlsRole::Active,
            audio: None,
            video: None,
            data: None,
            candidates: Vec::new(),
            end_of_candidates: false,
            prefer_local_codecs: false,
            rtcp_rsize: true,
            extmap_allow_mixed: false,
        }
    }

    /// The medium of this kind.
    pub(crate) fn media(&self, kind: Kind) -> Option<&MediaLocal> {
        match kind {
            Kind::Audio => self.audio.as_ref(),
            Kind::Video => self.video.as_ref(),
        }
    }

    /// Refuses settings that no description can carry.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let misuse = |reason: &str| Err(Error::Misuse(reason.to_owned()));
        if !is_ice_text(&self.ice.ufrag, 4) || !is_ice_text(&self.ice.pwd, 22) {
            return misuse("the ICE user fragment needs 4, the password 22 plain characters");
        }
        if self.fingerprints.is_empty() {
            return misuse("there is no certificate fingerprint");
        }
        if self.session_id >= 1 << 63 {
            return misuse("the session id does not fit 63 bits");
        }
        for (kind, media) in [(Kind::Audio, &self.audio), (Kind::Video, &self.video)] {
            let Some(media) = media else { continue };
            if media.codecs.is_empty() {
                return misuse("a medium has no codec");
            }
            for spec in &media.codecs {
                if spec.codec.kind() != kind {
                    return misuse("a codec stands in the m-section of the other kind");
                }
                let rtx = spec.rtx_payload_type.unwrap_or(spec.payload_type);
                // RFC 5761 §4: 64 to 95 cannot be told from RTCP.
                if [spec.payload_type, rtx].iter().any(|it| !is_usable(*it)) {
                    return misuse("a payload type is not one of 0 to 63 and 96 to 127");
                }
            }
            if let Some(msid) = &media.msid
                && [&msid.stream, &msid.track]
                    .iter()
                    .any(|id| id.len() > 64 || !id.bytes().all(|byte| byte.is_ascii_graphic()))
            {
                return misuse("an msid has characters other than plain ones, or more than 64");
            }
        }
        match &self.data {
            Some(data) if data.max_message_size == 0 => {
                misuse("a max-message-size of 0 would allow messages of any size")
            }
            _ => Ok(()),
        }
    }
}

pub(crate) const fn is_usable(payload_type: u8) -> bool {
    payload_type < 64 || (96 <= payload_type && payload_type < 128)
}
