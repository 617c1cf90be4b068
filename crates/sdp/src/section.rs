//! The typed view of one m-section; `section/parse.rs` makes it out of lines.

mod parse;

pub(crate) use self::parse::{ice_text, push_fingerprint, setup};

use esp_wire::Direction;

use crate::{ExtMap, Fingerprint, Ice, Msid, Payload, Setup, SsrcGroup, SsrcInfo};

/// What an m-section carries.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SectionKind {
    /// Sound.
    Audio,
    /// Pictures.
    Video,
    /// Data channels over SCTP (RFC 8841).
    Data,
    /// Anything else, by its media name.
    Other(String),
}

impl SectionKind {
    /// The media name of the m-line.
    pub fn name(&self) -> &str {
        match self {
            SectionKind::Audio => "audio",
            SectionKind::Video => "video",
            SectionKind::Data => "application",
            SectionKind::Other(name) => name,
        }
    }

    /// The kind of media, when it carries any.
    pub fn media(&self) -> Option<esp_wire::Kind> {
        match self {
            SectionKind::Audio => Some(esp_wire::Kind::Audio),
            SectionKind::Video => Some(esp_wire::Kind::Video),
            _ => None,
        }
    }
}

/// One m-section (RFC 8866 §5.14) with what WebRTC needs of it; values of the session level that
/// it inherits are filled in.
#[derive(Clone, Debug)]
pub struct MediaSection {
    /// What it carries.
    pub kind: SectionKind,
    /// The port of the m-line; 0 for rejected or bundle-only.
    pub port: u16,
    /// The protocol of the m-line.
    pub protocol: String,
    /// The formats of the m-line.
    pub formats: Vec<String>,
    /// `a=mid` (RFC 5888); empty when it has none.
    pub mid: String,
    /// Which way it flows, seen from the describing side.
    pub direction: Direction,
    /// `a=bundle-only` (RFC 8843 §6).
    pub bundle_only: bool,
    /// ICE parameters, if it has both user fragment and password.
    pub ice: Option<Ice>,
    /// Hashes of the certificate.
    pub fingerprints: Vec<Fingerprint>,
    /// Its DTLS role.
    pub setup: Option<Setup>,
    /// Candidates as `candidate:...`.
    pub candidates: Vec<String>,
    /// No more candidates follow (RFC 8840 §8.2).
    pub end_of_candidates: bool,
    /// RTP and RTCP share one port (RFC 5761).
    pub rtcp_mux: bool,
    /// Reduced-size RTCP (RFC 5506).
    pub rtcp_rsize: bool,
    /// The RTP payload types in order of preference.
    pub payloads: Vec<Payload>,
    /// RTP header extensions.
    pub extensions: Vec<ExtMap>,
    /// One- and two-byte header extensions may be mixed (RFC 8285 §6).
    pub extmap_allow_mixed: bool,
    /// Its MediaStream and track.
    pub msid: Option<Msid>,
    /// Its sources.
    pub ssrcs: Vec<SsrcInfo>,
    /// How the sources belong together.
    pub ssrc_groups: Vec<SsrcGroup>,
    /// `b=TIAS` or `b=AS` in bits a second: the most it wants to receive.
    pub bandwidth: Option<u64>,
    /// Preferred duration of a packet, ms.
    pub ptime: Option<u32>,
    /// Longest duration of a packet, ms.
    pub max_ptime: Option<u32>,
    /// SCTP port (RFC 8841 §5), also that of the older `sctpmap` form.
    pub sctp_port: Option<u16>,
    /// Whether SCTP is described in the older form (`a=sctpmap`).
    pub legacy_sctpmap: bool,
    /// Longest message that it receives, bytes; 0 is any length (RFC 8841 §6).
    pub max_message_size: Option<u64>,
    /// The INIT chunk in base64, for peers that skip the SCTP handshake.
    pub sctp_init: Option<String>,
}

impl MediaSection {
    /// Whether it is refused or stopped (RFC 3264 §6), not merely bundled.
    pub fn is_rejected(&self) -> bool {
        self.port == 0 && !self.bundle_only
    }

    /// The payload with this type.
    pub fn payload(&self, payload_type: u8) -> Option<&Payload> {
        self.payloads
            .iter()
            .find(|payload| payload.payload_type == payload_type)
    }

    /// The payload type that retransmits `payload_type`.
    pub fn rtx_of(&self, payload_type: u8) -> Option<u8> {
        self.payloads
            .iter()
            .find(|payload| payload.retransmits() == Some(payload_type))
            .map(|payload| payload.payload_type)
    }

    /// Whether its protocol is RTP that DTLS can key (RFC 8829 §5.1.2).
    pub fn is_rtp(&self) -> bool {
        matches!(self.kind, SectionKind::Audio | SectionKind::Video)
            && matches!(
                self.protocol.as_str(),
                "UDP/TLS/RTP/SAVPF"
                    | "UDP/TLS/RTP/SAVP"
                    | "TCP/DTLS/RTP/SAVPF"
                    | "TCP/DTLS/RTP/SAVP"
                    | "RTP/SAVPF"
                    | "RTP/SAVP"
                    | "RTP/AVPF"
                    | "RTP/AVP"
            )
    }

    /// Whether it is SCTP over DTLS for data channels.
    pub fn is_data_channel(&self) -> bool {
        let format = self.formats.first().map(String::as_str);
        self.kind == SectionKind::Data
            && match self.protocol.as_str() {
                "UDP/DTLS/SCTP" | "TCP/DTLS/SCTP" => format == Some("webrtc-datachannel"),
                "DTLS/SCTP" => self.legacy_sctpmap || format == Some("webrtc-datachannel"),
                _ => false,
            }
    }
}
