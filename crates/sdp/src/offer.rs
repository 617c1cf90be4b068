//! The offerer's side (RFC 8829 §5.2).

use esp_wire::Kind;

use crate::lines::{self, RtpLines};
use crate::local::is_usable;
use crate::matching::{Fit, fit};
use crate::{
    CodecSpec, Description, Error, Extension, Limits, Local, MediaLocal, Negotiated,
    NegotiatedCodec, SectionKind, SectionState, Setup,
};

/// Offers everything that `local` has, in the order sound, pictures, data.
///
/// `previous` is the outcome of the last round, if there was one: mids, the order of m-sections,
/// payload types and extension numbers are kept, what `local` no longer has gets port 0, what is
/// new takes the place of a rejected m-section of its kind or goes to the end.
///
/// # Errors
/// [`Error::Misuse`] when `local` cannot be described.
pub fn offer(local: &Local, previous: Option<&Negotiated>) -> Result<Description, Error> {
    local.check()?;
    let slots = slots(local, previous);
    if slots.iter().all(|slot| !slot.used) {
        return Err(Error::Misuse("there is nothing to offer".into()));
    }
    let version = previous.map_or(0, |previous| previous.session_version + 1);
    let bundle = bundle(&slots, previous);
    let mut text = lines::session(local, version.max(local.session_version), &bundle);
    let mut types = PayloadTypes::new(local, previous);
    let extensions = extension_ids(local, previous);
    for slot in &slots {
        let media = if slot.used {
            let tagged = bundle.first() == Some(&slot.mid);
            // RFC 8843 §7.2: at first only the tagged m-section has an address of its own.
            let addressed = tagged || previous.is_some();
            open(local, slot, tagged, addressed, &mut types, &extensions)?
        } else {
            lines::rejected(&slot.kind, &slot.protocol, &slot.format, &slot.mid)
        };
        text.medias.push(media);
    }
    let unbounded = Limits {
        text: usize::MAX,
        sections: usize::MAX,
        candidates: usize::MAX,
        sources: usize::MAX,
    };
    Description::from_lines(text, &unbounded)
}

/// The place of an m-section.
struct Slot {
    mid: String,
    kind: SectionKind,
    used: bool,
    protocol: String,
    format: String,
}

fn has(local: &Local, kind: &SectionKind) -> bool {
    match kind {
        SectionKind::Audio => local.audio.is_some(),
        SectionKind::Video => local.video.is_some(),
        SectionKind::Data => local.data.is_some(),
        SectionKind::Other(_) => false,
    }
}

fn slots(local: &Local, previous: Option<&Negotiated>) -> Vec<Slot> {
    let before: &[SectionState] = previous.map_or(&[], |previous| &previous.sections);
    let mut slots: Vec<Slot> = before
        .iter()
        .map(|state| Slot {
            mid: state.mid.clone(),
            kind: state.kind.clone(),
            used: state.accepted && has(local, &state.kind),
            protocol: state.protocol.clone(),
            format: state.format.clone(),
        })
        .collect();
    for kind in [SectionKind::Audio, SectionKind::Video, SectionKind::Data] {
        if !has(local, &kind) || slots.iter().any(|slot| slot.used && slot.kind == kind) {
            continue;
        }
        let mid = free_mid(&slots);
        let protocol = match kind {
            SectionKind::Data => "UDP/DTLS/SCTP",
            _ => "UDP/TLS/RTP/SAVPF",
        };
        let slot = Slot {
            mid,
            kind,
            used: true,
            protocol: protocol.to_owned(),
            format: String::new(),
        };
        // RFC 8829 §5.2.2: a rejected m-section is recycled under a new mid.
        match before
            .iter()
            .position(|state| !state.accepted && state.kind == slot.kind)
        {
            Some(at) => slots[at] = slot,
            None => slots.push(slot),
        }
    }
    slots
}

fn free_mid(slots: &[Slot]) -> String {
    let mut number = slots.len();
    loop {
        let mid = number.to_string();
        if slots.iter().all(|slot| slot.mid != mid) {
            return mid;
        }
        number += 1;
    }
}

/// The mids in use, the tagged one of the last round first.
fn bundle(slots: &[Slot], previous: Option<&Negotiated>) -> Vec<String> {
    let used = |mid: &&String| slots.iter().any(|slot| slot.used && slot.mid == **mid);
    let before: &[String] = previous.map_or(&[], |previous| &previous.bundle);
    let mut bundle: Vec<String> = before.iter().filter(used).cloned().collect();
    for slot in slots {
        if slot.used && !bundle.contains(&slot.mid) {
            bundle.push(slot.mid.clone());
        }
    }
    bundle
}

fn open(
    local: &Local,
    slot: &Slot,
    tagged: bool,
    addressed: bool,
    types: &mut PayloadTypes<'_>,
    extensions: &[(u8, Extension)],
) -> Result<sdp_types::Media, Error> {
    let start = |formats: &str| {
        let mut media = lines::section(&slot.kind, &slot.protocol, formats, 9);
        if addressed {
            lines::address(&mut media, local);
        }
        lines::transport(&mut media, local, Setup::ActPass, &slot.mid, tagged);
        media
    };
    let Some(kind) = slot.kind.media() else {
        let ours = local.data.clone().unwrap_or_default();
        let legacy = slot.protocol == "DTLS/SCTP";
        let mut media = if legacy {
            start(&ours.sctp_port.to_string())
        } else {
            start("webrtc-datachannel")
        };
        lines::data(&mut media, &ours, legacy, true);
        return Ok(media);
    };
    let Some(ours) = local.media(kind) else {
        return Err(Error::Misuse("an m-section has no medium".into()));
    };
    let codecs = types.assign(kind, ours)?;
    let mut media = start(&lines::formats(&codecs));
    let extensions: Vec<(u8, Extension)> = extensions
        .iter()
        .copied()
        .filter(|(_, extension)| ours.extensions.contains(extension))
        .collect();
    let rtp = RtpLines {
        kind,
        local: ours,
        direction: ours.direction,
        codecs: &codecs,
        extensions: &extensions,
        rtcp_rsize: local.rtcp_rsize,
        mux_only: true,
    };
    lines::rtp(&mut media, &rtp);
    Ok(media)
}

/// Hands out payload types: one number means one thing in the whole bundle (RFC 8843 §9.1) and goes
/// on meaning it (RFC 3264 §8.3.2).
struct PayloadTypes<'a> {
    previous: Option<&'a Negotiated>,
    taken: Vec<u8>,
}

impl<'a> PayloadTypes<'a> {
    fn new(local: &Local, previous: Option<&'a Negotiated>) -> Self {
        let kinds = [Kind::Audio, Kind::Video];
        let agreed = previous
            .into_iter()
            .flat_map(|previous| &previous.media)
            .filter(|media| local.media(media.kind).is_some() && kinds.contains(&media.kind))
            .flat_map(|media| &media.receive);
        // Static types mean the same to everybody.
        let described = previous
            .into_iter()
            .flat_map(|previous| previous.described.payload_types.iter().copied())
            .filter(|number| *number >= 35);
        PayloadTypes {
            previous,
            taken: agreed
                .flat_map(|codec| [Some(codec.payload_type), codec.rtx_payload_type])
                .flatten()
                .chain(described)
                .collect(),
        }
    }

    fn assign(&mut self, kind: Kind, ours: &MediaLocal) -> Result<Vec<NegotiatedCodec>, Error> {
        let mut codecs: Vec<NegotiatedCodec> = Vec::new();
        for spec in &ours.codecs {
            let before = self
                .agreed(kind, spec)
                .filter(|before| {
                    codecs
                        .iter()
                        .all(|it| it.payload_type != before.payload_type)
                })
                .map(|before| (before.payload_type, before.rtx_payload_type));
            let payload_type = match before {
                Some((payload_type, _)) => payload_type,
                None => self.take(spec.payload_type)?,
            };
            let rtx_payload_type = match (spec.rtx_payload_type, before) {
                (None, _) => None,
                (Some(_), Some((_, Some(rtx)))) => Some(rtx),
                (Some(rtx), _) => Some(self.take(rtx)?),
            };
            codecs.push(NegotiatedCodec {
                codec: spec.codec,
                payload_type,
                rtx_payload_type,
                channels: spec.channels,
                params: spec.params,
                feedback: ours.feedback_for(kind).collect(),
            });
        }
        Ok(codecs)
    }

    fn agreed(&self, kind: Kind, spec: &CodecSpec) -> Option<&'a NegotiatedCodec> {
        let media = self.previous?.media(kind)?;
        media.receive.iter().find(|codec| {
            codec.codec == spec.codec && fit(&codec.params, &spec.params) >= Fit::Loose
        })
    }

    fn take(&mut self, wish: u8) -> Result<u8, Error> {
        let free = |number: &u8| is_usable(*number) && !self.taken.contains(number);
        // Dynamic types first, then those that RFC 3551 left unassigned.
        let number = std::iter::once(wish)
            .chain(96..=127)
            .chain(35..=63)
            .find(free)
            .ok_or_else(|| Error::Misuse("there are more codecs than payload types".into()))?;
        self.taken.push(number);
        Ok(number)
    }
}

/// A number for each extension of all m-sections (RFC 8843 §9.2: one number, one meaning).
fn extension_ids(local: &Local, previous: Option<&Negotiated>) -> Vec<(u8, Extension)> {
    let mut ids: Vec<(u8, Extension)> = Vec::new();
    for (id, extension) in previous
        .into_iter()
        .flat_map(|previous| &previous.media)
        .flat_map(|media| &media.extensions)
    {
        if ids.iter().all(|(known, it)| known != id && it != extension) {
            ids.push((*id, *extension));
        }
    }
    let described: &[(u8, String)] =
        previous.map_or(&[], |previous| &previous.described.extensions);
    let wanted = [&local.audio, &local.video].into_iter().flatten();
    for extension in wanted.flat_map(|media| &media.extensions) {
        if ids.iter().any(|(_, known)| known == extension) {
            continue;
        }
        // The number that it was described under, else one that means nothing yet.
        let before = described
            .iter()
            .find(|(id, uri)| *id <= 14 && uri == extension.uri())
            .map(|(id, _)| *id);
        let free = |id: &u8| ids.iter().all(|(known, _)| known != id);
        let unused =
            || (1..=14).find(|id| free(id) && described.iter().all(|(known, _)| known != id));
        if let Some(id) = before.filter(free).or_else(unused) {
            ids.push((id, *extension));
        }
    }
    ids
}
