//! Sender and receiver reports (RFC 3550 §6.4).

use esp_wire::{Reader, ShortRead, Writer};

use super::{begin, packet_type};
use crate::packet::BadPacket;

/// Report blocks that one packet can hold.
pub const MAX_BLOCKS: usize = 31;
const BLOCK: usize = 24;

/// What a sender says about its own stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SenderInfo {
    /// NTP time of this report.
    pub ntp: u64,
    /// The stream's RTP timestamp at that time.
    pub rtp: u32,
    /// Packets sent.
    pub packets: u32,
    /// Payload bytes sent.
    pub octets: u32,
}

impl SenderInfo {
    pub(crate) fn parse(reader: &mut Reader<'_>) -> Result<Self, ShortRead> {
        Ok(SenderInfo {
            ntp: reader.u64()?,
            rtp: reader.u32()?,
            packets: reader.u32()?,
            octets: reader.u32()?,
        })
    }
}

/// What a receiver says about one stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportBlock {
    /// The stream.
    pub ssrc: u32,
    /// Share of packets lost since the report before, in 1/256.
    pub fraction_lost: u8,
    /// Packets lost since the beginning, 24 bits with sign; below zero when duplicates came.
    pub lost: i32,
    /// The highest sequence number received, with its cycles in the upper half.
    pub highest: u32,
    /// Interarrival jitter, in ticks.
    pub jitter: u32,
    /// Middle of the NTP time of the last sender report, 0 for none.
    pub last_sr: u32,
    /// Time since then, 16.16 seconds.
    pub since_last_sr: u32,
}

impl ReportBlock {
    fn parse(reader: &mut Reader<'_>) -> Result<Self, ShortRead> {
        let ssrc = reader.u32()?;
        let fraction_lost = reader.u8()?;
        let lost = reader.u24()?;
        Ok(ReportBlock {
            ssrc,
            fraction_lost,
            // The sign is in bit 23.
            lost: (lost << 8) as i32 >> 8,
            highest: reader.u32()?,
            jitter: reader.u32()?,
            last_sr: reader.u32()?,
            since_last_sr: reader.u32()?,
        })
    }

    fn write(&self, out: &mut Writer<'_>) -> Result<(), ShortRead> {
        out.u32(self.ssrc)?;
        out.u8(self.fraction_lost)?;
        let lost = self.lost.clamp(-0x80_0000, 0x7f_ffff);
        out.u24(lost as u32 & 0xff_ffff)?;
        out.u32(self.highest)?;
        out.u32(self.jitter)?;
        out.u32(self.last_sr)?;
        out.u32(self.since_last_sr)
    }
}

/// The report blocks of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocks<'a> {
    bytes: &'a [u8],
}

impl<'a> Blocks<'a> {
    pub(crate) fn parse(reader: &mut Reader<'a>, count: u8) -> Result<Self, BadPacket> {
        // What follows the blocks is a profile's extension; none is in use here.
        let bytes = reader.take(usize::from(count) * BLOCK)?;
        Ok(Blocks { bytes })
    }

    /// All blocks.
    pub fn iter(self) -> impl Iterator<Item = ReportBlock> + 'a {
        self.bytes
            .chunks_exact(BLOCK)
            .filter_map(|block| ReportBlock::parse(&mut Reader::new(block)).ok())
    }
}

/// Writes a sender report; blocks beyond the 31st are left out.
pub fn write_sender_report(
    out: &mut Writer<'_>,
    ssrc: u32,
    info: &SenderInfo,
    blocks: &[ReportBlock],
) -> Result<(), ShortRead> {
    let blocks = &blocks[..blocks.len().min(MAX_BLOCKS)];
    let body = 24 + blocks.len() * BLOCK;
    begin(out, packet_type::SR, blocks.len() as u8, body)?;
    out.u32(ssrc)?;
    out.u64(info.ntp)?;
    out.u32(info.rtp)?;
    out.u32(info.packets)?;
    out.u32(info.octets)?;
    blocks.iter().try_for_each(|block| block.write(out))
}

/// Writes a receiver report; blocks beyond the 31st are left out.
pub fn write_receiver_report(
    out: &mut Writer<'_>,
    ssrc: u32,
    blocks: &[ReportBlock],
) -> Result<(), ShortRead> {
    let blocks = &blocks[..blocks.len().min(MAX_BLOCKS)];
    let body = 4 + blocks.len() * BLOCK;
    begin(out, packet_type::RR, blocks.len() as u8, body)?;
    out.u32(ssrc)?;
    blocks.iter().try_for_each(|block| block.write(out))
}

#[cfg(test)]
mod tests {
    use super::super::{Rtcp, packets};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_sender_report_looks_as_in_the_rfc() {
        let info = SenderInfo {
            ntp: 0x0102_0304_0506_0708,
            rtp: 0x1111_1111,
            packets: 2,
            octets: 3,
        };
        let block = ReportBlock {
            ssrc: 9,
            fraction_lost: 64,
            lost: -1,
            highest: 0x0001_0002,
            jitter: 7,
            last_sr: 8,
            since_last_sr: 9,
        };
        let mut bytes = [0; 64];
        let mut out = Writer::new(&mut bytes);
        write_sender_report(&mut out, 0xaabb_ccdd, &info, &[block]).unwrap();
        let expected = [
            0x81, 200, 0, 12, 0xaa, 0xbb, 0xcc, 0xdd, 1, 2, 3, 4, 5, 6, 7, 8, 0x11, 0x11, 0x11,
            0x11, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 9, 64, 0xff, 0xff, 0xff, 0, 1, 0, 2, 0, 0, 0, 7,
            0, 0, 0, 8, 0, 0, 0, 9,
        ];
        assert_eq!(out.written(), expected);
    }

    #[test]
    fn a_report_that_does_not_fit_is_not_begun() {
        let mut bytes = [0; 20];
        let mut out = Writer::new(&mut bytes);
        assert!(write_sender_report(&mut out, 1, &SenderInfo::default(), &[]).is_err());
        assert!(out.is_empty());
    }

    fn block() -> impl Strategy<Value = ReportBlock> {
        (
            any::<u32>(),
            any::<u8>(),
            -0x80_0000i32..=0x7f_ffff,
            any::<(u32, u32, u32, u32)>(),
        )
            .prop_map(|(ssrc, fraction_lost, lost, rest)| ReportBlock {
                ssrc,
                fraction_lost,
                lost,
                highest: rest.0,
                jitter: rest.1,
                last_sr: rest.2,
                since_last_sr: rest.3,
            })
    }

    proptest! {
        #[test]
        fn reports_round_trip(ssrc: u32, ntp: u64, counts: (u32, u32, u32),
                              blocks in prop::collection::vec(block(), 0..32)) {
            let info = SenderInfo { ntp, rtp: counts.0, packets: counts.1, octets: counts.2 };
            let mut bytes = [0; 2000];
            let mut out = Writer::new(&mut bytes);
            write_sender_report(&mut out, ssrc, &info, &blocks).unwrap();
            write_receiver_report(&mut out, ssrc, &blocks).unwrap();
            let mut walk = packets(out.written());
            match walk.next() {
                Some(Ok(Rtcp::SenderReport { ssrc: by, info: said, blocks: about })) => {
                    prop_assert_eq!((by, said), (ssrc, info));
                    prop_assert_eq!(about.iter().collect::<Vec<_>>(), blocks.clone());
                }
                other => prop_assert!(false, "{:?}", other),
            }
            match walk.next() {
                Some(Ok(Rtcp::ReceiverReport { ssrc: by, blocks: about })) => {
                    prop_assert_eq!(by, ssrc);
                    prop_assert_eq!(about.iter().collect::<Vec<_>>(), blocks);
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }
}
