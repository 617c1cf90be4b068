//! The offerer's side of an answer (RFC 8829 §5.11).

use esp_wire::Direction;

use crate::answer::{remote_transport, state};
use crate::matching::{Fit, answered_role, common_extensions, fit, message_size, sources};
use crate::{
    Described, Description, Error, Extension, MediaSection, Negotiated, NegotiatedCodec,
    NegotiatedData, NegotiatedMedia, Params, Payload, SectionKind, Transport,
};

/// Takes the answer to our offer.
///
/// An m-section that the answer rejects, leaves out of the bundle or answers without a common codec
/// or multiplexed RTCP is not in use; when none is, [`Negotiated::transport`] is `None`.
///
/// # Errors
/// [`Error::PeerMisbehaved`] when the answer does not fit the offer, [`Error::Incompatible`] when it
/// has no ICE parameters or no certificate fingerprint.
pub fn accept(offer: &Description, answer: &Description) -> Result<Negotiated, Error> {
    let (ours, theirs) = (offer.sections(), answer.sections());
    check_sections(ours, theirs)?;
    check_bundle(offer, answer)?;
    let group = answer.bundle().first();
    let mut negotiated = Negotiated {
        transport: None,
        media: Vec::new(),
        data: None,
        bundle: Vec::new(),
        sections: Vec::new(),
        session_version: offer.version().1,
        described: Described::default(),
    };
    negotiated.described.add(offer);
    negotiated.described.add(answer);
    let mut accepted = Vec::with_capacity(ours.len());
    for (index, (our, their)) in ours.iter().zip(theirs).enumerate() {
        let bundled = match group {
            Some(group) => group.contains(mid_of(our, their)),
            // Without a group only one m-section can have the transport.
            None => !accepted.contains(&true),
        };
        let line = u16::try_from(index).unwrap_or(u16::MAX);
        let open = bundled && !our.is_rejected() && their.port != 0;
        let used = open && take(our, their, line, &mut negotiated);
        accepted.push(used);
        let mut state = state(our, used);
        state.mid.clone_from(mid_of(our, their));
        negotiated.sections.push(state);
    }
    for mid in group.into_iter().flatten() {
        let used = negotiated
            .sections
            .iter()
            .any(|state| state.accepted && state.mid == *mid);
        if used && !negotiated.bundle.contains(mid) {
            negotiated.bundle.push(mid.clone());
        }
    }
    negotiated.transport = transport(theirs, &negotiated)?;
    Ok(negotiated)
}

/// The mid of an m-section; an answer may leave it out.
fn mid_of<'a>(our: &'a MediaSection, their: &'a MediaSection) -> &'a String {
    if their.mid.is_empty() {
        &our.mid
    } else {
        &their.mid
    }
}

fn check_sections(ours: &[MediaSection], theirs: &[MediaSection]) -> Result<(), Error> {
    if ours.len() != theirs.len() {
        return Err(Error::PeerMisbehaved(format!(
            "its answer has {} m-sections, the offer {}",
            theirs.len(),
            ours.len()
        )));
    }
    for (index, (our, their)) in ours.iter().zip(theirs).enumerate() {
        if our.kind != their.kind {
            return Err(Error::PeerMisbehaved(format!(
                "m-section {index} of its answer is {}, that of the offer {}",
                their.kind.name(),
                our.kind.name()
            )));
        }
        if !their.mid.is_empty() && their.mid != our.mid {
            return Err(Error::PeerMisbehaved(format!(
                "m-section {index} of its answer has the mid {:?}, that of the offer {:?}",
                their.mid, our.mid
            )));
        }
    }
    Ok(())
}

fn check_bundle(offer: &Description, answer: &Description) -> Result<(), Error> {
    let offered = |mid: &String| offer.bundle().iter().flatten().any(|known| known == mid);
    match answer.bundle().iter().flatten().find(|mid| !offered(mid)) {
        // RFC 8843 §7.3: the answer's group is a subset of the offer's.
        Some(mid) => Err(Error::PeerMisbehaved(format!(
            "its answer bundles {mid:?}, which the offer did not"
        ))),
        None => Ok(()),
    }
}

/// Adds what an accepted m-section carries; `false` when there is nothing in common.
fn take(our: &MediaSection, their: &MediaSection, line: u16, into: &mut Negotiated) -> bool {
    if our.kind == SectionKind::Data {
        if !their.is_data_channel() {
            return false;
        }
        into.data = Some(NegotiatedData {
            mid: our.mid.clone(),
            line,
            remote_sctp_port: their.sctp_port.unwrap_or(5_000),
            remote_max_message_size: message_size(their),
            remote_sctp_init: their.sctp_init.clone().filter(|_| our.sctp_init.is_some()),
        });
        return true;
    }
    let Some(media) = media(our, their, line) else {
        return false;
    };
    into.media.push(media);
    true
}

fn media(our: &MediaSection, their: &MediaSection, line: u16) -> Option<NegotiatedMedia> {
    let kind = our.kind.media().filter(|_| their.rtcp_mux)?;
    let (mut send, mut receive) = (Vec::new(), Vec::new());
    for answered in &their.payloads {
        let Some(offered) = offered_for(our, answered) else {
            continue;
        };
        let (out, back) = codec(our, their, offered, answered)?;
        send.push(out);
        receive.push(back);
    }
    if send.is_empty() {
        return None;
    }
    let reversed = their.direction.reversed();
    let mixed = our.extmap_allow_mixed && their.extmap_allow_mixed;
    let remote = sources(their);
    Some(NegotiatedMedia {
        kind,
        mid: our.mid.clone(),
        line,
        direction: Direction::of(
            our.direction.sends() && reversed.sends(),
            our.direction.receives() && reversed.receives(),
        ),
        send,
        receive,
        extensions: common_extensions(&Extension::ALL, their, mixed)
            .into_iter()
            .filter(|(id, extension)| {
                our.extensions
                    .iter()
                    .any(|map| map.id == *id && map.uri == extension.uri())
            })
            .collect(),
        extmap_allow_mixed: mixed,
        rtcp_rsize: our.rtcp_rsize && their.rtcp_rsize,
        remote_ssrcs: remote.ssrcs,
        remote_rtx: remote.rtx,
        remote_cname: remote.cname,
        remote_msid: remote.msid,
        bandwidth: their.bandwidth,
        ptime: their.ptime,
        max_ptime: their.max_ptime,
    })
}

/// The payload of our offer that an answered one means; RFC 3264 §6.1 lets the answer use another
/// number for the same thing.
fn offered_for<'a>(our: &'a MediaSection, answered: &Payload) -> Option<&'a Payload> {
    let codec = answered.codec()?;
    let suits = |payload: &&Payload, least: Fit| {
        payload.codec() == Some(codec) && fit(&payload.params(), &answered.params()) >= least
    };
    our.payload(answered.payload_type)
        .filter(|payload| suits(payload, Fit::Loose))
        .or_else(|| our.payloads.iter().find(|it| suits(it, Fit::Exact)))
        .or_else(|| our.payloads.iter().find(|it| suits(it, Fit::Loose)))
}

fn codec(
    our: &MediaSection,
    their: &MediaSection,
    offered: &Payload,
    answered: &Payload,
) -> Option<(NegotiatedCodec, NegotiatedCodec)> {
    let theirs_rtx = their.rtx_of(answered.payload_type);
    let ours_rtx = our.rtx_of(offered.payload_type);
    let both = theirs_rtx.is_some() && ours_rtx.is_some();
    let (wanted, ours): (Params, Params) = (answered.params(), offered.params());
    let send = NegotiatedCodec {
        codec: answered.codec()?,
        payload_type: answered.payload_type,
        rtx_payload_type: theirs_rtx.filter(|_| both),
        channels: answered.channels,
        params: ours.sending_to(&wanted),
        feedback: offered
            .feedback
            .iter()
            .copied()
            .filter(|feedback| answered.feedback.contains(feedback))
            .collect(),
    };
    let receive = NegotiatedCodec {
        payload_type: offered.payload_type,
        rtx_payload_type: ours_rtx.filter(|_| both),
        channels: offered.channels,
        params: wanted.sending_to(&ours),
        ..send.clone()
    };
    Some((send, receive))
}

fn transport(theirs: &[MediaSection], agreed: &Negotiated) -> Result<Option<Transport>, Error> {
    let Some(first) = agreed.sections.iter().position(|state| state.accepted) else {
        return Ok(None);
    };
    let tagged = agreed
        .bundle
        .first()
        .and_then(|mid| agreed.sections.iter().position(|state| state.mid == *mid))
        .unwrap_or(first);
    let speaker = std::iter::once(tagged)
        .chain((0..theirs.len()).filter(|at| agreed.sections[*at].accepted))
        .map(|at| &theirs[at])
        .find(|section| section.ice.is_some() && !section.fingerprints.is_empty())
        .ok_or_else(|| {
            Error::Incompatible(
                "the answer lacks a=ice-ufrag, a=ice-pwd or a=fingerprint; we take nothing but \
                 ICE and DTLS"
                    .into(),
            )
        })?;
    let role = answered_role(speaker.setup)?;
    let mut transport = remote_transport(&theirs[tagged], speaker, tagged, role);
    transport.mid.clone_from(&agreed.sections[tagged].mid);
    for candidate in &mut transport.candidates {
        candidate.mid.clone_from(&transport.mid);
    }
    Ok(Some(transport))
}
