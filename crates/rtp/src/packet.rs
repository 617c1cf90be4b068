//! RTP packets (RFC 3550 §5): a checked view of bytes, and a header that emits itself.

use std::fmt;

use esp_wire::{Reader, ShortRead, Writer};

use crate::extension::{ExtensionBlock, write_block};

/// Bytes of a header without CSRCs and extensions.
pub const HEADER: usize = 12;

/// The bytes are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadPacket;

impl fmt::Display for BadPacket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the packet is malformed")
    }
}

impl std::error::Error for BadPacket {}

impl From<ShortRead> for BadPacket {
    fn from(_: ShortRead) -> Self {
        BadPacket
    }
}

/// Whether a packet of an RTP transport is RTCP (RFC 5761 §4: packet types 192 to 223).
pub fn is_rtcp(packet: &[u8]) -> bool {
    matches!(packet, [_, 192..=223, ..])
}

/// The fields of an RTP header that every packet has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The marker bit; what it means is the payload format's business.
    pub marker: bool,
    /// The payload type, 0 to 127.
    pub payload_type: u8,
    /// The sequence number.
    pub sequence: u16,
    /// The timestamp, in ticks of the codec's clock.
    pub timestamp: u32,
    /// The source.
    pub ssrc: u32,
}

impl Header {
    /// Writes the header with these extension elements (id, bytes); the payload follows.
    pub fn write(
        &self,
        out: &mut Writer<'_>,
        extensions: &[(u8, &[u8])],
    ) -> Result<usize, ShortRead> {
        let start = out.len();
        let extended = if extensions.is_empty() { 0 } else { 0x10 };
        out.u8(0x80 | extended)?;
        out.u8((u8::from(self.marker) << 7) | (self.payload_type & 0x7f))?;
        out.u16(self.sequence)?;
        out.u32(self.timestamp)?;
        out.u32(self.ssrc)?;
        write_block(out, extensions)?;
        Ok(out.len() - start)
    }
}

/// A view of an RTP packet whose lengths have been checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The fixed fields.
    pub header: Header,
    /// Contributing sources, four bytes each.
    pub csrc: &'a [u8],
    /// The extension block, if there is one.
    pub extensions: Option<ExtensionBlock<'a>>,
    /// The payload without padding.
    pub payload: &'a [u8],
    /// Bytes of padding behind the payload.
    pub padding: u8,
}

impl<'a> Packet<'a> {
    /// Checks `bytes` by RFC 3550 §A.1 and takes them apart.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BadPacket> {
        let mut reader = Reader::new(bytes);
        let [first, second] = reader.array()?;
        if first >> 6 != 2 {
            return Err(BadPacket);
        }
        let header = Header {
            marker: second & 0x80 != 0,
            payload_type: second & 0x7f,
            sequence: reader.u16()?,
            timestamp: reader.u32()?,
            ssrc: reader.u32()?,
        };
        let csrc = reader.take(usize::from(first & 15) * 4)?;
        let extensions = if first & 0x10 != 0 {
            let profile = reader.u16()?;
            let words = usize::from(reader.u16()?);
            Some(ExtensionBlock {
                profile,
                data: reader.take(words * 4)?,
            })
        } else {
            None
        };
        let rest = reader.rest();
        let padding = match rest {
            _ if first & 0x20 == 0 => 0,
            // RFC 3550 §5.1: the count includes itself, so it is at least 1.
            [.., count] if *count > 0 && usize::from(*count) <= rest.len() => *count,
            _ => return Err(BadPacket),
        };
        Ok(Packet {
            header,
            csrc,
            extensions,
            payload: &rest[..rest.len() - usize::from(padding)],
            padding,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_part_is_found() {
        let bytes = [
            0xb1, 0xe0, 0x12, 0x34, 0, 0, 0, 9, 1, 2, 3, 4, // V=2 P X CC=1, M, PT 96
            9, 9, 9, 9, // CSRC
            0xbe, 0xde, 0, 1, 0x10, 0xff, 0, 0, // extension
            7, 7, 7, 0, 2, // payload and padding
        ];
        let packet = Packet::parse(&bytes).unwrap();
        assert!(packet.header.marker);
        assert_eq!(packet.header.payload_type, 96);
        assert_eq!(packet.header.sequence, 0x1234);
        assert_eq!(packet.header.timestamp, 9);
        assert_eq!(packet.header.ssrc, 0x0102_0304);
        assert_eq!(packet.csrc, [9; 4]);
        assert_eq!(
            packet.extensions.unwrap().elements().next(),
            Some((1, &[0xff][..]))
        );
        assert_eq!((packet.payload, packet.padding), (&[7, 7, 7][..], 2));
    }

    #[test]
    fn broken_packets_are_refused() {
        let good = [0x80, 96, 0, 1, 0, 0, 0, 9, 1, 2, 3, 4];
        assert!(Packet::parse(&good).is_ok());
        for (index, byte) in [
            (0, 0x40), // version 1
            (0, 0x81), // a CSRC that is not there
            (0, 0x90), // an extension that is not there
            (0, 0xa0), // padding that is not there
        ] {
            let mut bad = good;
            bad[index] = byte;
            assert_eq!(Packet::parse(&bad), Err(BadPacket), "{byte:#x}");
        }
        let mut padded = [0xa0, 96, 0, 1, 0, 0, 0, 9, 1, 2, 3, 4, 5, 0];
        assert_eq!(Packet::parse(&padded), Err(BadPacket));
        padded[13] = 3;
        assert_eq!(Packet::parse(&padded), Err(BadPacket));
        assert!((0..12).all(|len| Packet::parse(&good[..len]).is_err()));
    }

    #[test]
    fn rtcp_is_told_apart() {
        assert!(is_rtcp(&[0x80, 200]) && is_rtcp(&[0x81, 206]));
        assert!(!is_rtcp(&[0x80, 0x80 | 96]) && !is_rtcp(&[0x80]));
    }

    proptest! {
        #[test]
        fn headers_round_trip(
            marker: bool, payload_type in 0u8..128, sequence: u16, timestamp: u32, ssrc: u32,
            extension in prop::option::of(prop::collection::vec(any::<u8>(), 1..16)),
            payload in prop::collection::vec(any::<u8>(), 0..32)) {
            let header = Header { marker, payload_type, sequence, timestamp, ssrc };
            let mut bytes = [0; 128];
            let mut out = Writer::new(&mut bytes);
            let elements: Vec<(u8, &[u8])> = extension.iter().map(|data| (3, data.as_slice())).collect();
            header.write(&mut out, &elements).unwrap();
            out.put(&payload).unwrap();
            let len = out.len();
            let packet = Packet::parse(&bytes[..len]).unwrap();
            prop_assert_eq!(packet.header, header);
            prop_assert_eq!(packet.payload, &payload[..]);
            let back: Vec<_> = packet.extensions.into_iter().flat_map(|block| block.elements()).collect();
            prop_assert_eq!(back, elements);
        }

        #[test]
        fn noise_never_panics(mut bytes in prop::collection::vec(any::<u8>(), 0..128), forced: bool) {
            if let (true, Some(first)) = (forced, bytes.first_mut()) {
                *first = 0x80 | (*first & 0x3f);
            }
            if let Ok(packet) = Packet::parse(&bytes) {
                prop_assert!(packet.payload.len() <= bytes.len());
            }
        }
    }
}
