//! RTP header extensions: their names, their ids, and their bytes (RFC 8285).

use esp_wire::{ShortRead, Writer};

/// Profile of the one-byte form (RFC 8285 §4.2).
const ONE_BYTE: u16 = 0xbede;
/// Profile of the two-byte form without its four application bits (RFC 8285 §4.3).
const TWO_BYTE: u16 = 0x1000;

/// A header extension that this crate knows by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Extension {
    /// The m-section's identification tag (RFC 8843 §15).
    Mid,
    /// The RTP stream's identifier (RFC 8852).
    Rid,
    /// The identifier of the stream that a retransmission repairs (RFC 8852).
    RepairedRid,
    /// Seconds of the sender's clock, 6.18 fixed point.
    AbsSendTime,
    /// A sequence number over all packets of the transport.
    TransportCc,
    /// Level of the sound, -dBov, and a voice flag (RFC 6464).
    AudioLevel,
    /// Rotation of the picture (3GPP TS 26.114).
    VideoOrientation,
    /// Distance between timestamp and transmission (RFC 5450).
    TransmissionOffset,
    /// Bounds on the delay at the renderer.
    PlayoutDelay,
    /// When the frame was captured, NTP.
    AbsCaptureTime,
    /// What kind of picture this is (camera or screen).
    VideoContentType,
    /// Times of the sender's pipeline.
    VideoTiming,
}

impl Extension {
    /// All that are known.
    pub const ALL: [Extension; 12] = [
        Extension::Mid,
        Extension::Rid,
        Extension::RepairedRid,
        Extension::AbsSendTime,
        Extension::TransportCc,
        Extension::AudioLevel,
        Extension::VideoOrientation,
        Extension::TransmissionOffset,
        Extension::PlayoutDelay,
        Extension::AbsCaptureTime,
        Extension::VideoContentType,
        Extension::VideoTiming,
    ];

    /// The URI that names it in `a=extmap`.
    pub const fn uri(self) -> &'static str {
        match self {
            Extension::Mid => "urn:ietf:params:rtp-hdrext:sdes:mid",
            Extension::Rid => "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
            Extension::RepairedRid => "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
            Extension::AbsSendTime => "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
            Extension::TransportCc => {
                "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
            }
            Extension::AudioLevel => "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
            Extension::VideoOrientation => "urn:3gpp:video-orientation",
            Extension::TransmissionOffset => "urn:ietf:params:rtp-hdrext:toffset",
            Extension::PlayoutDelay => "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
            Extension::AbsCaptureTime => {
                "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time"
            }
            Extension::VideoContentType => {
                "http://www.webrtc.org/experiments/rtp-hdrext/video-content-type"
            }
            Extension::VideoTiming => "http://www.webrtc.org/experiments/rtp-hdrext/video-timing",
        }
    }

    /// The extension that `uri` names.
    pub fn from_uri(uri: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.uri() == uri)
    }

    const fn index(self) -> usize {
        self as usize
    }
}

/// Which id stands for which extension in one session (1 to 255; 15 only in the two-byte form).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtensionMap {
    ids: [u8; Extension::ALL.len()],
}

impl ExtensionMap {
    /// An empty map.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes that `id` stands for `extension`; id 0 is ignored, a second id replaces the first.
    pub fn set(&mut self, id: u8, extension: Extension) {
        if id == 0 {
            return;
        }
        for known in &mut self.ids {
            if *known == id {
                *known = 0;
            }
        }
        self.ids[extension.index()] = id;
    }

    /// The id of `extension`.
    pub fn id(&self, extension: Extension) -> Option<u8> {
        Some(self.ids[extension.index()]).filter(|id| *id != 0)
    }

    /// What `id` stands for.
    pub fn extension(&self, id: u8) -> Option<Extension> {
        let index = self.ids.iter().position(|known| id != 0 && *known == id)?;
        Some(Extension::ALL[index])
    }

    /// The values in the extension block of a packet.
    pub fn values<'a>(&self, block: Option<ExtensionBlock<'a>>) -> Values<'a> {
        let mut values = Values::default();
        for (id, data) in block.into_iter().flat_map(|block| block.elements()) {
            if let Some(extension) = self.extension(id) {
                values.take(extension, data);
            }
        }
        values
    }
}

/// What the known extensions of a packet say; elements of a wrong length say nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Values<'a> {
    /// [`Extension::Mid`].
    pub mid: Option<&'a [u8]>,
    /// [`Extension::Rid`].
    pub rid: Option<&'a [u8]>,
    /// [`Extension::RepairedRid`].
    pub repaired_rid: Option<&'a [u8]>,
    /// [`Extension::AbsSendTime`], 24 bits.
    pub abs_send_time: Option<u32>,
    /// [`Extension::TransportCc`].
    pub transport_seq: Option<u16>,
    /// [`Extension::AudioLevel`]: voice flag and -dBov.
    pub audio_level: Option<(bool, u8)>,
    /// [`Extension::VideoOrientation`]: clockwise degrees.
    pub rotation: Option<u16>,
}

impl<'a> Values<'a> {
    fn take(&mut self, extension: Extension, data: &'a [u8]) {
        match (extension, data) {
            (_, []) => {}
            (Extension::Mid, _) => self.mid = Some(data),
            (Extension::Rid, _) => self.rid = Some(data),
            (Extension::RepairedRid, _) => self.repaired_rid = Some(data),
            (Extension::AbsSendTime, &[a, b, c]) => {
                self.abs_send_time = Some(u32::from_be_bytes([0, a, b, c]));
            }
            // The second version of the extension has two more bytes.
            (Extension::TransportCc, &[a, b] | &[a, b, _, _]) => {
                self.transport_seq = Some(u16::from_be_bytes([a, b]));
            }
            (Extension::AudioLevel, &[level, ..]) => {
                self.audio_level = Some((level & 0x80 != 0, level & 0x7f));
            }
            (Extension::VideoOrientation, &[bits, ..]) => {
                self.rotation = Some(u16::from(bits & 3) * 90);
            }
            _ => {}
        }
    }
}

/// The extension block of a packet, without its four-byte head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtensionBlock<'a> {
    /// The profile field.
    pub profile: u16,
    /// The elements.
    pub data: &'a [u8],
}

impl<'a> ExtensionBlock<'a> {
    /// Its elements as pairs of id and bytes; ends at the first broken one.
    pub fn elements(self) -> Elements<'a> {
        let form = match self.profile {
            ONE_BYTE => Form::OneByte,
            profile if profile & 0xfff0 == TWO_BYTE => Form::TwoByte,
            _ => Form::Unknown,
        };
        Elements {
            form,
            rest: self.data,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    OneByte,
    TwoByte,
    Unknown,
}

/// Iterator over the elements of an [`ExtensionBlock`].
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    form: Form,
    rest: &'a [u8],
}

impl<'a> Iterator for Elements<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        if self.form == Form::Unknown {
            return None;
        }
        loop {
            let (&head, rest) = self.rest.split_first()?;
            if head == 0 {
                self.rest = rest; // padding
                continue;
            }
            let (id, len, rest) = match self.form {
                Form::OneByte => (head >> 4, usize::from(head & 15) + 1, rest),
                _ => {
                    let (&len, rest) = rest.split_first()?;
                    (head, usize::from(len), rest)
                }
            };
            // RFC 8285 §4.2: id 15 ends the one-byte form; id 0 with a length is skipped.
            if self.form == Form::OneByte && id == 15 {
                self.rest = &[];
                return None;
            }
            let Some((data, rest)) = rest.split_at_checked(len) else {
                self.rest = &[];
                return None;
            };
            self.rest = rest;
            if id != 0 {
                return Some((id, data));
            }
        }
    }
}

/// Writes an extension block with its head, in the one-byte form when all elements fit it.
///
/// Returns the bytes written, a multiple of 4; nothing for no element. Elements need ids above 0
/// and at most 255 bytes.
pub fn write_block(out: &mut Writer<'_>, elements: &[(u8, &[u8])]) -> Result<usize, ShortRead> {
    if elements.is_empty() {
        return Ok(0);
    }
    let one_byte = elements
        .iter()
        .all(|(id, data)| (1..=14).contains(id) && (1..=16).contains(&data.len()));
    let head = if one_byte { 1 } else { 2 };
    let bytes: usize = elements.iter().map(|(_, data)| head + data.len()).sum();
    let words = u16::try_from(bytes.div_ceil(4)).map_err(|_| ShortRead)?;
    out.u16(if one_byte { ONE_BYTE } else { TWO_BYTE })?;
    out.u16(words)?;
    for (id, data) in elements {
        if one_byte {
            out.u8((id << 4) | (data.len() as u8 - 1))?;
        } else {
            out.u8(*id)?;
            out.u8(u8::try_from(data.len()).map_err(|_| ShortRead)?)?;
        }
        out.put(data)?;
    }
    let padded = usize::from(words) * 4;
    out.reserve(padded - bytes)?.fill(0);
    Ok(4 + padded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn block(bytes: &[u8]) -> ExtensionBlock<'_> {
        ExtensionBlock {
            profile: u16::from_be_bytes([bytes[0], bytes[1]]),
            data: &bytes[4..],
        }
    }

    #[test]
    fn one_byte_form_of_rfc_8285() {
        // §4.2: one element of 1 byte, one of 2, padding, one of 4.
        let bytes = [
            0xbe, 0xde, 0, 3, 0x10, 0xaa, 0x21, 0xbb, 0xbc, 0, 0, 0x33, 1, 2, 3, 4,
        ];
        let elements: Vec<_> = block(&bytes).elements().collect();
        assert_eq!(
            elements,
            [
                (1, &[0xaa][..]),
                (2, &[0xbb, 0xbc][..]),
                (3, &[1, 2, 3, 4][..])
            ]
        );
    }

    #[test]
    fn two_byte_form_of_rfc_8285() {
        // §4.3: an empty element, one of 1 byte with padding, one of 4.
        let bytes = [0x10, 0, 0, 3, 1, 0, 2, 1, 0xbb, 0, 3, 4, 1, 2, 3, 4];
        let elements: Vec<_> = block(&bytes).elements().collect();
        assert_eq!(
            elements,
            [(1, &[][..]), (2, &[0xbb][..]), (3, &[1, 2, 3, 4][..])]
        );
    }

    #[test]
    fn id_15_ends_the_one_byte_form_and_a_broken_element_too() {
        let ends = [0xbe, 0xde, 0, 1, 0x10, 1, 0xf0, 0x20];
        assert_eq!(block(&ends).elements().count(), 1);
        let broken = [0xbe, 0xde, 0, 1, 0x10, 1, 0x2f, 0x20];
        assert_eq!(block(&broken).elements().count(), 1);
    }

    #[test]
    fn values_are_typed() {
        let mut map = ExtensionMap::new();
        map.set(4, Extension::Mid);
        map.set(2, Extension::AbsSendTime);
        map.set(3, Extension::TransportCc);
        map.set(1, Extension::AudioLevel);
        map.set(13, Extension::VideoOrientation);
        let mut bytes = [0; 64];
        let mut out = Writer::new(&mut bytes);
        let elements: [(u8, &[u8]); 5] = [
            (4, b"audio"),
            (2, &[1, 2, 3]),
            (3, &[0x12, 0x34]),
            (1, &[0x85]),
            (13, &[3]),
        ];
        let len = write_block(&mut out, &elements).unwrap();
        let values = map.values(Some(block(&bytes[..len])));
        assert_eq!(values.mid, Some(&b"audio"[..]));
        assert_eq!(values.abs_send_time, Some(0x0001_0203));
        assert_eq!(values.transport_seq, Some(0x1234));
        assert_eq!(values.audio_level, Some((true, 5)));
        assert_eq!(values.rotation, Some(270));
    }

    #[test]
    fn names_are_found_by_uri() {
        for extension in Extension::ALL {
            assert_eq!(Extension::from_uri(extension.uri()), Some(extension));
        }
    }

    proptest! {
        #[test]
        fn blocks_round_trip(elements in prop::collection::vec(
            (1u8..=255, prop::collection::vec(any::<u8>(), 0..40)), 1..6)) {
            let borrowed: Vec<(u8, &[u8])> =
                elements.iter().map(|(id, data)| (*id, data.as_slice())).collect();
            let mut bytes = [0; 512];
            let len = write_block(&mut Writer::new(&mut bytes), &borrowed).unwrap();
            prop_assert_eq!(len % 4, 0);
            let back: Vec<_> = block(&bytes[..len]).elements().collect();
            prop_assert_eq!(back, borrowed);
        }

        #[test]
        fn noise_never_panics(profile in any::<u16>(), data in prop::collection::vec(any::<u8>(), 0..64)) {
            for profile in [profile, ONE_BYTE, TWO_BYTE] {
                for (_, element) in (ExtensionBlock { profile, data: &data }).elements() {
                    prop_assert!(element.len() <= data.len());
                }
            }
        }
    }
}
