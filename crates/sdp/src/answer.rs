//! The answerer's side (RFC 8829 §5.3).
//!
//! 1. Of each kind one m-section at most is chosen, all of one BUNDLE group.
//! 2. Of that group the first chosen m-section is the tagged one; the transport is taken from it.
//! 3. Every offered m-section is answered in its place, the others with port 0.

use esp_wire::{Direction, Kind};

use crate::lines::{self, RtpLines};
use crate::matching::{
    Common, answering_role, common_codecs, common_extensions, message_size, sources,
};
use crate::{
    Described, Description, Error, Limits, Local, MediaSection, Negotiated, NegotiatedData,
    NegotiatedMedia, RemoteCandidate, SectionKind, SectionState, Transport,
};

/// Answers an offer.
///
/// `previous` is the outcome of the last round, if there was one: its m-sections stay in use and
/// its DTLS roles are kept. When the offer restarts ICE ([`Description::restarts_ice`]), `local`
/// must bring new ICE parameters.
///
/// An m-section with nothing in common, outside of the bundle or beyond the first of its kind is
/// rejected; when all are, [`Negotiated::transport`] is `None`.
///
/// # Errors
/// [`Error::Misuse`] when `local` cannot be described, [`Error::Incompatible`] when the offer has
/// no ICE parameters or no certificate fingerprint, [`Error::PeerMisbehaved`] for a forbidden
/// `a=setup`.
pub fn answer(
    local: &Local,
    previous: Option<&Negotiated>,
    offer: &Description,
) -> Result<(Description, Negotiated), Error> {
    local.check()?;
    let (chosen, bundle) = choose(local, previous, offer);
    let transport = match chosen.iter().position(Option::is_some) {
        None => None,
        Some(first) => {
            let tagged = bundle
                .first()
                .and_then(|mid| offer.sections().iter().position(|it| it.mid == *mid))
                .unwrap_or(first);
            Some(transport(local, previous, offer, &chosen, tagged)?)
        }
    };
    let version = previous.map_or(0, |previous| previous.session_version + 1);
    let version = version.max(local.session_version);
    let mut negotiated = Negotiated {
        transport,
        media: Vec::new(),
        data: None,
        bundle,
        sections: Vec::new(),
        session_version: version,
        described: previous.map_or_else(Described::default, |previous| previous.described.clone()),
    };
    negotiated.described.add(offer);
    let mut text = lines::session(local, version, &negotiated.bundle);
    for (index, (section, content)) in offer.sections().iter().zip(chosen).enumerate() {
        let line = u16::try_from(index).unwrap_or(u16::MAX);
        negotiated.sections.push(state(section, content.is_some()));
        text.medias.push(section_lines(
            local,
            section,
            line,
            content,
            &mut negotiated,
        ));
    }
    let unbounded = Limits {
        text: usize::MAX,
        sections: usize::MAX,
        candidates: usize::MAX,
        sources: usize::MAX,
    };
    Ok((Description::from_lines(text, &unbounded)?, negotiated))
}

/// What an accepted m-section will carry.
enum Content {
    Media(Kind, Vec<Common>),
    Data,
}

fn content(local: &Local, section: &MediaSection) -> Option<Content> {
    if section.is_rejected() {
        return None;
    }
    if let Some(kind) = section.kind.media().filter(|_| section.is_rtp()) {
        // RFC 8858: without multiplexed RTCP there is nothing to send it on.
        let media = local.media(kind).filter(|_| section.rtcp_mux)?;
        let common = common_codecs(media, kind, section, local.prefer_local_codecs);
        return (!common.is_empty()).then_some(Content::Media(kind, common));
    }
    (section.is_data_channel() && local.data.is_some()).then_some(Content::Data)
}

/// What each m-section will carry, and the mids of the bundle.
fn choose(
    local: &Local,
    previous: Option<&Negotiated>,
    offer: &Description,
) -> (Vec<Option<Content>>, Vec<String>) {
    let mut contents: Vec<Option<Content>> = offer
        .sections()
        .iter()
        .map(|section| content(local, section))
        .collect();
    let usable = |contents: &[Option<Content>], mid: &String| {
        let at = offer.sections().iter().position(|it| it.mid == *mid);
        at.filter(|at| contents[*at].is_some() && !mid.is_empty())
    };
    let group = offer
        .bundle()
        .iter()
        .find(|group| group.iter().any(|mid| usable(&contents, mid).is_some()));
    for (at, section) in offer.sections().iter().enumerate() {
        let bundled =
            group.is_some_and(|group| !section.mid.is_empty() && group.contains(&section.mid));
        if group.is_some() && !bundled {
            contents[at] = None;
        }
    }
    for kind in [SectionKind::Audio, SectionKind::Video, SectionKind::Data] {
        keep_one(&mut contents, previous, offer, |section| {
            section.kind == kind
        });
    }
    if group.is_none() {
        // One transport carries one m-section when nothing is bundled.
        keep_one(&mut contents, previous, offer, |_| true);
    }
    let mut bundle: Vec<String> = Vec::new();
    for mid in group.into_iter().flatten() {
        if usable(&contents, mid).is_some() && !bundle.contains(mid) {
            bundle.push(mid.clone());
        }
    }
    (contents, bundle)
}

/// Drops all but one of the m-sections that `is` holds for: the one in use, else the first.
fn keep_one(
    contents: &mut [Option<Content>],
    previous: Option<&Negotiated>,
    offer: &Description,
    is: impl Fn(&MediaSection) -> bool,
) {
    let in_use = |at: usize| {
        previous
            .and_then(|previous| previous.sections.get(at))
            .is_some_and(|state| state.accepted && state.mid == offer.sections()[at].mid)
    };
    let matching: Vec<usize> = (0..contents.len())
        .filter(|at| contents[*at].is_some() && is(&offer.sections()[*at]))
        .collect();
    let keep = matching
        .iter()
        .copied()
        .find(|at| in_use(*at))
        .or_else(|| matching.first().copied());
    for at in matching {
        if Some(at) != keep {
            contents[at] = None;
        }
    }
}

fn transport(
    local: &Local,
    previous: Option<&Negotiated>,
    offer: &Description,
    chosen: &[Option<Content>],
    tagged: usize,
) -> Result<Transport, Error> {
    // RFC 8843 §7.3.1: the tagged m-section speaks for all; a bundle-only one may leave it to
    // another.
    let mut speakers = std::iter::once(tagged)
        .chain((0..chosen.len()).filter(|at| chosen[*at].is_some()))
        .map(|at| &offer.sections()[at]);
    let speaker = speakers
        .find(|section| section.ice.is_some() && !section.fingerprints.is_empty())
        .ok_or_else(|| {
            Error::Incompatible(
                "the offer lacks a=ice-ufrag, a=ice-pwd or a=fingerprint; we take nothing but \
                 ICE and DTLS"
                    .into(),
            )
        })?;
    let before = previous.and_then(|previous| previous.transport.as_ref());
    let same_certificate = before.filter(|before| before.fingerprints == speaker.fingerprints);
    let role = answering_role(
        speaker.setup,
        local.dtls_role,
        same_certificate.map(|before| before.dtls_role),
    )?;
    Ok(remote_transport(
        &offer.sections()[tagged],
        speaker,
        tagged,
        role,
    ))
}

/// The transport that `tagged` stands for and `speaker` describes.
pub(crate) fn remote_transport(
    tagged: &MediaSection,
    speaker: &MediaSection,
    index: usize,
    dtls_role: crate::DtlsRole,
) -> Transport {
    let line = u16::try_from(index).unwrap_or(u16::MAX);
    Transport {
        mid: tagged.mid.clone(),
        line,
        ice: speaker.ice.clone().unwrap_or_default(),
        fingerprints: speaker.fingerprints.clone(),
        dtls_role,
        candidates: speaker
            .candidates
            .iter()
            .map(|candidate| RemoteCandidate {
                candidate: candidate.clone(),
                mid: tagged.mid.clone(),
                line,
            })
            .collect(),
        end_of_candidates: speaker.end_of_candidates,
    }
}

pub(crate) fn state(section: &MediaSection, accepted: bool) -> SectionState {
    SectionState {
        mid: section.mid.clone(),
        kind: section.kind.clone(),
        accepted,
        protocol: section.protocol.clone(),
        format: section.formats.first().cloned().unwrap_or_default(),
    }
}

fn section_lines(
    local: &Local,
    section: &MediaSection,
    line: u16,
    content: Option<Content>,
    negotiated: &mut Negotiated,
) -> sdp_types::Media {
    let (Some(content), Some(transport)) = (content, &negotiated.transport) else {
        let format = section.formats.first().map_or("0", String::as_str);
        return lines::rejected(&section.kind, &section.protocol, format, &section.mid);
    };
    let setup = transport.dtls_role.setup();
    let tagged = transport.line == line;
    let open = |formats: &str| {
        let mut media = lines::section(&section.kind, &section.protocol, formats, 9);
        lines::address(&mut media, local);
        lines::transport(&mut media, local, setup, &section.mid, tagged);
        media
    };
    match content {
        Content::Data => {
            let mut media = open(&section.formats.join(" "));
            let ours = local.data.clone().unwrap_or_default();
            let init = section.sctp_init.is_some();
            lines::data(&mut media, &ours, section.legacy_sctpmap, init);
            negotiated.data = Some(NegotiatedData {
                mid: section.mid.clone(),
                line,
                remote_sctp_port: section.sctp_port.unwrap_or(5_000),
                remote_max_message_size: message_size(section),
                remote_sctp_init: section
                    .sctp_init
                    .clone()
                    .filter(|_| ours.sctp_init.is_some()),
            });
            media
        }
        Content::Media(kind, common) => {
            let agreed = media(local, section, line, kind, common);
            let mut media = open(&lines::formats(&agreed.receive));
            if let Some(ours) = local.media(kind) {
                let rtp = RtpLines {
                    kind,
                    local: ours,
                    direction: agreed.direction,
                    codecs: &agreed.receive,
                    extensions: &agreed.extensions,
                    rtcp_rsize: agreed.rtcp_rsize,
                    mux_only: false,
                };
                lines::rtp(&mut media, &rtp);
            }
            negotiated.media.push(agreed);
            media
        }
    }
}

fn media(
    local: &Local,
    section: &MediaSection,
    line: u16,
    kind: Kind,
    common: Vec<Common>,
) -> NegotiatedMedia {
    let ours = local.media(kind);
    let mixed = local.extmap_allow_mixed && section.extmap_allow_mixed;
    let (send, receive) = common
        .into_iter()
        .map(|common| (common.send, common.receive))
        .unzip();
    let wish = ours.map_or(Direction::None, |ours| ours.direction);
    let theirs = section.direction.reversed();
    let remote = sources(section);
    NegotiatedMedia {
        kind,
        mid: section.mid.clone(),
        line,
        direction: Direction::of(
            wish.sends() && theirs.sends(),
            wish.receives() && theirs.receives(),
        ),
        send,
        receive,
        extensions: ours.map_or_else(Vec::new, |ours| {
            common_extensions(&ours.extensions, section, mixed)
        }),
        extmap_allow_mixed: mixed,
        rtcp_rsize: local.rtcp_rsize && section.rtcp_rsize,
        remote_ssrcs: remote.ssrcs,
        remote_rtx: remote.rtx,
        remote_cname: remote.cname,
        remote_msid: remote.msid,
        bandwidth: section.bandwidth,
        ptime: section.ptime,
        max_ptime: section.max_ptime,
    }
}
