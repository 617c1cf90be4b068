//! Which codecs, feedback and extensions two sides share.

use esp_wire::{Direction, Kind};

use crate::{
    CodecSpec, Extension, Feedback, MediaLocal, MediaSection, Msid, NegotiatedCodec, Params,
    Payload, Setup, SsrcInfo,
};
use crate::{DtlsRole, Error};

/// How well an offered payload suits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fit {
    None,
    Loose,
    Exact,
}

pub(crate) fn fit(ours: &Params, theirs: &Params) -> Fit {
    match (ours, theirs) {
        (Params::H264(a), Params::H264(b)) if a.same_configuration(b) => Fit::Exact,
        (Params::H264(a), Params::H264(b)) if a.same_but_constraints(b) => Fit::Loose,
        (Params::H264(_), _) | (_, Params::H264(_)) => Fit::None,
        _ => Fit::Exact,
    }
}

fn fit_of(spec: &CodecSpec, payload: &Payload) -> Fit {
    if payload.codec() == Some(spec.codec) {
        fit(&spec.params, &payload.params())
    } else {
        Fit::None
    }
}

/// A codec of an offer as both sides will use it.
pub(crate) struct Common {
    pub(crate) send: NegotiatedCodec,
    pub(crate) receive: NegotiatedCodec,
}

/// The codecs of an offered m-section that we share, in the offerer's order, or ours.
pub(crate) fn common_codecs(
    local: &MediaLocal,
    kind: Kind,
    offered: &MediaSection,
    prefer_local: bool,
) -> Vec<Common> {
    let mut pairs: Vec<(usize, usize)> = Vec::new();
    for (at, payload) in offered.payloads.iter().enumerate() {
        let exact = |spec: &CodecSpec| fit_of(spec, payload) == Fit::Exact;
        pairs.extend(local.codecs.iter().position(exact).map(|spec| (spec, at)));
    }
    for (spec_at, spec) in local.codecs.iter().enumerate() {
        if pairs.iter().any(|(known, _)| *known == spec_at) {
            continue;
        }
        let loose = |payload: &Payload| fit_of(spec, payload) == Fit::Loose;
        let free = offered.payloads.iter().position(loose);
        pairs.extend(
            free.filter(|at| pairs.iter().all(|(_, known)| known != at))
                .map(|at| (spec_at, at)),
        );
    }
    pairs.sort_by_key(|(spec, at)| if prefer_local { (*spec, *at) } else { (*at, 0) });
    pairs
        .into_iter()
        .map(|(spec, at)| {
            let (spec, payload) = (&local.codecs[spec], &offered.payloads[at]);
            common(local, kind, offered, spec, payload)
        })
        .collect()
}

fn common(
    local: &MediaLocal,
    kind: Kind,
    offered: &MediaSection,
    spec: &CodecSpec,
    payload: &Payload,
) -> Common {
    let theirs = payload.params();
    let feedback: Vec<Feedback> = local
        .feedback_for(kind)
        .filter(|feedback| payload.feedback.contains(feedback))
        .collect();
    let codec = |params| NegotiatedCodec {
        codec: spec.codec,
        payload_type: payload.payload_type,
        rtx_payload_type: spec
            .rtx_payload_type
            .and_then(|_| offered.rtx_of(payload.payload_type)),
        channels: payload.channels,
        params,
        feedback: feedback.clone(),
    };
    Common {
        send: codec(spec.params.sending_to(&theirs)),
        receive: codec(spec.params.answering(&theirs)),
    }
}

/// The extensions of an offered m-section that we share; those offered for one direction alone are
/// left out.
pub(crate) fn common_extensions(
    known: &[Extension],
    offered: &MediaSection,
    mixed: bool,
) -> Vec<(u8, Extension)> {
    let mut common: Vec<(u8, Extension)> = Vec::new();
    for map in &offered.extensions {
        let Some(extension) = Extension::from_uri(&map.uri) else {
            continue;
        };
        // RFC 8285 §4.2: IDs above 14 need the two-byte form.
        let usable = map.direction == Direction::SendRecv
            && known.contains(&extension)
            && (map.id <= 14 || mixed)
            && common.iter().all(|(_, taken)| *taken != extension);
        if usable {
            common.push((map.id, extension));
        }
    }
    common
}

/// What the peer says of its sources.
pub(crate) struct Sources {
    pub(crate) ssrcs: Vec<u32>,
    pub(crate) rtx: Vec<(u32, u32)>,
    pub(crate) cname: Option<String>,
    pub(crate) msid: Option<Msid>,
}

pub(crate) fn sources(section: &MediaSection) -> Sources {
    let rtx: Vec<(u32, u32)> = section
        .ssrc_groups
        .iter()
        .filter(|group| group.semantics == "FID")
        .filter_map(|group| match group.ssrcs[..] {
            [source, rtx] => Some((source, rtx)),
            _ => None,
        })
        .collect();
    let is_source = |info: &&SsrcInfo| rtx.iter().all(|(_, rtx)| *rtx != info.ssrc);
    Sources {
        ssrcs: section
            .ssrcs
            .iter()
            .filter(is_source)
            .map(|info| info.ssrc)
            .collect(),
        cname: section
            .ssrcs
            .iter()
            .map(|info| info.cname.clone())
            .find(|cname| !cname.is_empty()),
        msid: section
            .msid
            .clone()
            .or_else(|| section.ssrcs.iter().find_map(|info| info.msid.clone())),
        rtx,
    }
}

/// Our role in answer to an offered `a=setup` (RFC 8842 §5.3).
pub(crate) fn answering_role(
    offered: Option<Setup>,
    wish: DtlsRole,
    previous: Option<DtlsRole>,
) -> Result<DtlsRole, Error> {
    match offered {
        Some(Setup::Active) => Ok(DtlsRole::Passive),
        Some(Setup::Passive) => Ok(DtlsRole::Active),
        // RFC 8842 §5.3: an association that lives on keeps its roles.
        Some(Setup::ActPass) => Ok(previous.unwrap_or(wish)),
        None => Ok(previous.unwrap_or(DtlsRole::Active)),
        Some(Setup::HoldConn) => Err(Error::PeerMisbehaved(
            "it offers a=setup:holdconn, which WebRTC does not allow".into(),
        )),
    }
}

/// Our role once the answer's `a=setup` is known.
pub(crate) fn answered_role(answered: Option<Setup>) -> Result<DtlsRole, Error> {
    match answered {
        // RFC 4145 §4: without the attribute the side that speaks is active.
        Some(Setup::Active) | None => Ok(DtlsRole::Passive),
        Some(Setup::Passive) => Ok(DtlsRole::Active),
        Some(other) => Err(Error::PeerMisbehaved(format!(
            "it answers a=setup:{}, an answer must be active or passive",
            other.name()
        ))),
    }
}

/// Longest message as a number: absent is 64 KiB, 0 is any (RFC 8841 §6.1).
pub(crate) fn message_size(section: &MediaSection) -> u64 {
    match section.max_message_size {
        None => 65_536,
        Some(0) => u64::MAX,
        Some(size) => size,
    }
}
