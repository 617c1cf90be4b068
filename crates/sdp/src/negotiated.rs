//! What two descriptions agree on, in terms of this side.

use esp_wire::{Codec, Direction, Kind};

use crate::{
    Description, DtlsRole, Extension, Feedback, Fingerprint, Ice, Msid, Params, SectionKind,
};

/// The outcome of an offer and its answer; handed back for the next round.
#[derive(Clone, Debug)]
pub struct Negotiated {
    /// The transport that everything is bundled on; `None` when every m-section was rejected.
    pub transport: Option<Transport>,
    /// Sound and pictures that were agreed upon, in the order of their m-sections.
    pub media: Vec<NegotiatedMedia>,
    /// Data channels, when agreed upon.
    pub data: Option<NegotiatedData>,
    /// The mids of the bundle, the tagged one first.
    pub bundle: Vec<String>,
    /// All m-sections in order, rejected ones included.
    pub sections: Vec<SectionState>,
    /// The version of our own description.
    pub session_version: u64,
    /// Numbers that have a meaning, in use or not; later offers give them no other one.
    pub described: Described,
}

/// Numbers that either side has given a meaning (RFC 3264 §8.3.2, RFC 8285 §5).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Described {
    /// Header extensions by number.
    pub extensions: Vec<(u8, String)>,
    /// Payload types.
    pub payload_types: Vec<u8>,
}

impl Described {
    /// Adds what a description gives a meaning.
    pub(crate) fn add(&mut self, description: &Description) {
        for section in description.sections() {
            for map in &section.extensions {
                let known = (map.id, map.uri.clone());
                if !self.extensions.contains(&known) {
                    self.extensions.push(known);
                }
            }
            for payload in &section.payloads {
                if !self.payload_types.contains(&payload.payload_type) {
                    self.payload_types.push(payload.payload_type);
                }
            }
        }
    }
}

/// The one transport of a bundle.
#[derive(Clone, Debug)]
pub struct Transport {
    /// The mid of the tagged m-section; its candidates are those of the transport.
    pub mid: String,
    /// The index of that m-section.
    pub line: u16,
    /// The remote ICE parameters.
    pub ice: Ice,
    /// The hashes of the remote certificate; one match suffices among those whose function is known.
    pub fingerprints: Vec<Fingerprint>,
    /// Our DTLS role.
    pub dtls_role: DtlsRole,
    /// The remote candidates in the description.
    pub candidates: Vec<RemoteCandidate>,
    /// No more remote candidates follow.
    pub end_of_candidates: bool,
}

/// A candidate of the peer with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteCandidate {
    /// `candidate:...`
    pub candidate: String,
    /// The mid of its m-section.
    pub mid: String,
    /// The index of its m-section.
    pub line: u16,
}

/// An m-section as both sides left it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SectionState {
    /// Its mid; empty when the offerer gave none.
    pub mid: String,
    /// What it carries.
    pub kind: SectionKind,
    /// Whether it is in use.
    pub accepted: bool,
    /// The protocol of its m-line.
    pub protocol: String,
    /// A format of its m-line.
    pub format: String,
}

/// One medium that was agreed upon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NegotiatedMedia {
    /// Sound or pictures.
    pub kind: Kind,
    /// The mid of its m-section; empty when the offerer gave none.
    pub mid: String,
    /// The index of its m-section.
    pub line: u16,
    /// Which way it flows, seen from here.
    pub direction: Direction,
    /// What we may send, best first, under the payload types and parameters that the peer wants.
    pub send: Vec<NegotiatedCodec>,
    /// What the peer may send, under our payload types and parameters.
    pub receive: Vec<NegotiatedCodec>,
    /// Header extensions by number; both sides use the same.
    pub extensions: Vec<(u8, Extension)>,
    /// Both sides take one- and two-byte header extensions in one stream.
    pub extmap_allow_mixed: bool,
    /// Both sides take reduced-size RTCP.
    pub rtcp_rsize: bool,
    /// The peer's sources as described, without those of retransmissions.
    pub remote_ssrcs: Vec<u32>,
    /// The peer's sources of retransmissions: (source, its retransmissions).
    pub remote_rtx: Vec<(u32, u32)>,
    /// The canonical name of the peer's sources.
    pub remote_cname: Option<String>,
    /// MediaStream and track of the peer.
    pub remote_msid: Option<Msid>,
    /// The most that the peer wants to receive, bits a second.
    pub bandwidth: Option<u64>,
    /// The duration of a packet that the peer wishes, ms.
    pub ptime: Option<u32>,
    /// The longest duration of a packet that the peer takes, ms.
    pub max_ptime: Option<u32>,
}

impl NegotiatedMedia {
    /// The codec to send with: the first one, if anything is sent.
    pub fn send_codec(&self) -> Option<&NegotiatedCodec> {
        self.send.first().filter(|_| self.direction.sends())
    }

    /// The number of a header extension.
    pub fn extension_id(&self, extension: Extension) -> Option<u8> {
        self.extensions
            .iter()
            .find(|(_, known)| *known == extension)
            .map(|(id, _)| *id)
    }
}

/// A codec that was agreed upon, for one direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NegotiatedCodec {
    /// The codec.
    pub codec: Codec,
    /// Its payload type.
    pub payload_type: u8,
    /// The payload type of its retransmissions.
    pub rtx_payload_type: Option<u8>,
    /// Channels in the `rtpmap`.
    pub channels: u8,
    /// Its parameters, those of the receiving side; for H.264 the level that may be sent.
    pub params: Params,
    /// The feedback that both sides know.
    pub feedback: Vec<Feedback>,
}

impl NegotiatedCodec {
    /// Whether this feedback was agreed upon.
    pub fn has(&self, feedback: Feedback) -> bool {
        self.feedback.contains(&feedback)
    }
}

/// Data channels that were agreed upon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NegotiatedData {
    /// The mid of the m-section; empty when the offerer gave none.
    pub mid: String,
    /// The index of the m-section.
    pub line: u16,
    /// The peer's SCTP port.
    pub remote_sctp_port: u16,
    /// The longest message that the peer takes, bytes; `u64::MAX` for any.
    pub remote_max_message_size: u64,
    /// The peer's INIT chunk in base64, when both sides described theirs.
    pub remote_sctp_init: Option<String>,
}

/// What a new round changes on the transport.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The peer's ICE parameters are new: ICE restarts.
    pub ice_restart: bool,
    /// The peer's certificate or the roles are new: DTLS starts over (RFC 8842 §4).
    pub dtls_restart: bool,
}

impl Negotiated {
    /// What differs from the previous round.
    pub fn changes_since(&self, previous: &Negotiated) -> Changes {
        match (&self.transport, &previous.transport) {
            (Some(now), Some(before)) => Changes {
                ice_restart: now.ice.ufrag != before.ice.ufrag || now.ice.pwd != before.ice.pwd,
                dtls_restart: now.fingerprints != before.fingerprints
                    || now.dtls_role != before.dtls_role,
            },
            (now, before) => {
                let new = now.is_some() != before.is_some();
                Changes {
                    ice_restart: new,
                    dtls_restart: new,
                }
            }
        }
    }

    /// The medium of this kind.
    pub fn media(&self, kind: Kind) -> Option<&NegotiatedMedia> {
        self.media.iter().find(|media| media.kind == kind)
    }

    /// Whether a trickled candidate with this place belongs to the transport (RFC 8843 §10); those of
    /// other m-sections are for transports that bundling made superfluous.
    pub fn takes_candidate(&self, mid: Option<&str>, line: Option<u16>) -> bool {
        let Some(transport) = &self.transport else {
            return false;
        };
        // Peers are met that make up mids; the index is right then.
        let known = |mid: &&str| self.sections.iter().any(|section| section.mid == **mid);
        match (mid.filter(|mid| !mid.is_empty()).filter(known), line) {
            (Some(mid), _) => mid == transport.mid,
            (None, Some(line)) => line == transport.line,
            (None, None) => true,
        }
    }
}
