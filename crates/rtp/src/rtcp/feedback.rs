//! Feedback: NACK, PLI, FIR (RFC 4585, RFC 5104) and REMB.

use esp_wire::{Reader, ShortRead, Writer};

use super::{begin, packet_type};
use crate::packet::BadPacket;

/// Format of a generic NACK (RFC 4585 §6.2.1).
pub(crate) const NACK: u8 = 1;
/// Format of transport-wide feedback.
pub(crate) const TRANSPORT_CC: u8 = 15;
/// Format of a picture loss indication (RFC 4585 §6.3.1).
pub(crate) const PLI: u8 = 1;
/// Format of a full intra request (RFC 5104 §4.3.1).
pub(crate) const FIR: u8 = 4;
/// Format of application layer feedback, which REMB is.
pub(crate) const AFB: u8 = 15;

/// A generic NACK: packets that are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nack<'a> {
    /// Who misses them.
    pub sender: u32,
    /// The stream that they belong to.
    pub media: u32,
    pairs: &'a [u8],
}

impl<'a> Nack<'a> {
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, BadPacket> {
        let mut reader = Reader::new(body);
        Ok(Nack {
            sender: reader.u32()?,
            media: reader.u32()?,
            pairs: reader.rest(),
        })
    }

    /// The sequence numbers, in the order of the packet.
    pub fn sequences(self) -> impl Iterator<Item = u16> + 'a {
        let (pairs, _) = self.pairs.as_chunks::<4>();
        pairs.iter().flat_map(|&[a, b, c, d]| {
            let first = u16::from_be_bytes([a, b]);
            let mask = u16::from_be_bytes([c, d]);
            let others = (0..16u16)
                .filter(move |bit| mask & (1 << bit) != 0)
                .map(move |bit| first.wrapping_add(bit + 1));
            std::iter::once(first).chain(others)
        })
    }
}

/// Writes a NACK for ascending sequence numbers, and returns how many of them it holds.
///
/// What does not fit into `out` is left for another packet.
pub fn write_nack(
    out: &mut Writer<'_>,
    sender: u32,
    media: u32,
    sequences: &[u16],
) -> Result<usize, ShortRead> {
    let most = out.room().saturating_sub(12) / 4;
    let mut taken = 0;
    let mut pairs = 0;
    while pairs < most && taken < sequences.len() {
        taken += pair(&sequences[taken..]).2;
        pairs += 1;
    }
    if pairs == 0 {
        return if sequences.is_empty() {
            Ok(0)
        } else {
            Err(ShortRead)
        };
    }
    begin(out, packet_type::RTPFB, NACK, 8 + pairs * 4)?;
    out.u32(sender)?;
    out.u32(media)?;
    let mut rest = &sequences[..taken];
    while !rest.is_empty() {
        let (first, mask, used) = pair(rest);
        out.u16(first)?;
        out.u16(mask)?;
        rest = &rest[used..];
    }
    Ok(taken)
}

/// The first number, the mask of those that follow within 16, and how many were taken.
fn pair(sequences: &[u16]) -> (u16, u16, usize) {
    let first = sequences[0];
    let mut mask = 0;
    let mut used = 1;
    for sequence in &sequences[1..] {
        let distance = sequence.wrapping_sub(first);
        if !(1..=16).contains(&distance) {
            break;
        }
        mask |= 1 << (distance - 1);
        used += 1;
    }
    (first, mask, used)
}

/// Writes a PLI.
pub fn write_pli(out: &mut Writer<'_>, sender: u32, media: u32) -> Result<(), ShortRead> {
    begin(out, packet_type::PSFB, PLI, 8)?;
    out.u32(sender)?;
    out.u32(media)
}

/// A full intra request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fir<'a> {
    /// Who asks.
    pub sender: u32,
    entries: &'a [u8],
}

impl<'a> Fir<'a> {
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, BadPacket> {
        let mut reader = Reader::new(body);
        let sender = reader.u32()?;
        reader.u32()?; // RFC 5104 §4.3.1.2: the media source is not used
        Ok(Fir {
            sender,
            entries: reader.rest(),
        })
    }

    /// The streams asked for, each with a number that grows with every new request.
    pub fn entries(self) -> impl Iterator<Item = (u32, u8)> + 'a {
        let (entries, _) = self.entries.as_chunks::<8>();
        entries
            .iter()
            .map(|&[a, b, c, d, number, ..]| (u32::from_be_bytes([a, b, c, d]), number))
    }
}

/// Writes a FIR for one stream.
pub fn write_fir(
    out: &mut Writer<'_>,
    sender: u32,
    media: u32,
    number: u8,
) -> Result<(), ShortRead> {
    begin(out, packet_type::PSFB, FIR, 16)?;
    out.u32(sender)?;
    out.u32(0)?;
    out.u32(media)?;
    out.put(&[number, 0, 0, 0])
}

/// Receiver estimated maximum bitrate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remb<'a> {
    /// Who says so.
    pub sender: u32,
    /// Bits a second.
    pub bitrate: u64,
    ssrcs: &'a [u8],
}

impl<'a> Remb<'a> {
    /// `None` when the application layer feedback is something else.
    pub(crate) fn parse(body: &'a [u8]) -> Result<Option<Self>, BadPacket> {
        let mut reader = Reader::new(body);
        let sender = reader.u32()?;
        reader.u32()?;
        if reader.take(4) != Ok(b"REMB") {
            return Ok(None);
        }
        let count = reader.u8()?;
        let bits = reader.u24()?;
        let (exponent, mantissa) = (bits >> 18, u64::from(bits & 0x3_ffff));
        let bitrate = if exponent > u64::BITS - 18 {
            u64::MAX // beyond all meaning, and no bit may be lost
        } else {
            mantissa << exponent
        };
        Ok(Some(Remb {
            sender,
            bitrate,
            ssrcs: reader.take(usize::from(count) * 4)?,
        }))
    }

    /// The streams that share the bitrate.
    pub fn ssrcs(self) -> impl Iterator<Item = u32> + 'a {
        let (words, _) = self.ssrcs.as_chunks();
        words.iter().map(|word| u32::from_be_bytes(*word))
    }
}

/// Writes a REMB for at most 255 streams; the bitrate is rounded down to 18 significant bits.
pub fn write_remb(
    out: &mut Writer<'_>,
    sender: u32,
    bitrate: u64,
    ssrcs: &[u32],
) -> Result<(), ShortRead> {
    let ssrcs = &ssrcs[..ssrcs.len().min(255)];
    begin(out, packet_type::PSFB, AFB, 16 + ssrcs.len() * 4)?;
    out.u32(sender)?;
    out.u32(0)?;
    out.put(b"REMB")?;
    out.u8(ssrcs.len() as u8)?;
    let exponent = (u64::BITS - bitrate.leading_zeros()).saturating_sub(18);
    out.u24((exponent << 18) | (bitrate >> exponent) as u32)?;
    ssrcs.iter().try_for_each(|ssrc| out.u32(*ssrc))
}

#[cfg(test)]
mod tests {
    use super::super::{Rtcp, packets};
    use super::*;
    use proptest::prelude::*;

    fn written(write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
        let mut bytes = [0; 600];
        let mut out = Writer::new(&mut bytes);
        write(&mut out);
        out.written().to_vec()
    }

    #[test]
    fn nack_pairs_look_as_in_the_rfc() {
        let bytes = written(|out| {
            assert_eq!(write_nack(out, 1, 2, &[65_535, 0, 15, 16, 100]).unwrap(), 5);
        });
        assert_eq!(bytes[..4], [0x81, 205, 0, 5]);
        // 0 is one behind 65535 (bit 0), 15 is sixteen behind it (bit 15), 16 begins a new pair.
        assert_eq!(
            bytes[12..],
            [0xff, 0xff, 0x80, 0x01, 0, 16, 0, 0, 0, 100, 0, 0]
        );
    }

    #[test]
    fn a_nack_takes_what_fits() {
        let mut bytes = [0; 16];
        let mut out = Writer::new(&mut bytes);
        assert_eq!(write_nack(&mut out, 1, 2, &[1, 2, 100]), Ok(2));
        assert_eq!(write_nack(&mut out, 1, 2, &[100]), Err(ShortRead));
    }

    #[test]
    fn pli_fir_and_remb_look_as_they_should() {
        assert_eq!(
            written(|out| write_pli(out, 1, 2).unwrap()),
            [0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2]
        );
        let fir = written(|out| write_fir(out, 1, 2, 7).unwrap());
        assert_eq!(fir[..4], [0x84, 206, 0, 4]);
        assert_eq!(fir[12..], [0, 0, 0, 2, 7, 0, 0, 0]);
        let remb = written(|out| write_remb(out, 1, 1_000_000, &[2]).unwrap());
        assert_eq!(remb[..4], [0x8f, 206, 0, 5]);
        // 1,000,000 = 250,000 << 2
        assert_eq!(remb[16..20], [1, (2 << 2) | 3, 0xd0, 0x90]);
    }

    proptest! {
        #[test]
        fn nacks_round_trip(start: u16, steps in prop::collection::vec(1u16..40, 1..60)) {
            let mut sequence = start;
            let sequences: Vec<u16> = steps.iter().map(|step| {
                sequence = sequence.wrapping_add(*step);
                sequence
            }).collect();
            let bytes = written(|out| assert_eq!(write_nack(out, 1, 2, &sequences), Ok(sequences.len())));
            let Some(Ok(Rtcp::Nack(nack))) = packets(&bytes).next() else { panic!("no NACK") };
            prop_assert_eq!((nack.sender, nack.media), (1, 2));
            prop_assert_eq!(nack.sequences().collect::<Vec<_>>(), sequences);
        }

        #[test]
        fn rembs_round_trip(bitrate: u64, shift in 0u32..64, ssrcs in prop::collection::vec(any::<u32>(), 0..5)) {
            let bitrate = bitrate >> shift;
            let bytes = written(|out| write_remb(out, 1, bitrate, &ssrcs).unwrap());
            let Some(Ok(Rtcp::Remb(remb))) = packets(&bytes).next() else { panic!("no REMB") };
            prop_assert!(remb.bitrate <= bitrate && bitrate - remb.bitrate <= bitrate >> 17);
            prop_assert_eq!(remb.ssrcs().collect::<Vec<_>>(), ssrcs);
        }

        #[test]
        fn firs_round_trip(sender: u32, media: u32, number: u8) {
            let bytes = written(|out| write_fir(out, sender, media, number).unwrap());
            let Some(Ok(Rtcp::Fir(fir))) = packets(&bytes).next() else { panic!("no FIR") };
            prop_assert_eq!(fir.sender, sender);
            prop_assert_eq!(fir.entries().collect::<Vec<_>>(), [(media, number)]);
        }
    }
}
