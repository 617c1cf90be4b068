//! RTCP packets (RFC 3550 §6, RFC 4585, RFC 5104), compound or of reduced size (RFC 5506).
//!
//! [`packets`] walks over a datagram without copying; the plain structs in here emit themselves
//! behind each other into one writer. A packet that does not fit is not begun.

pub mod feedback;
pub mod report;
pub mod sdes;
pub mod transport_cc;

pub use feedback::{Fir, Nack, Remb};
pub use report::{Blocks, ReportBlock, SenderInfo};
pub use sdes::{Bye, Sdes};
pub use transport_cc::TransportFeedback;

use esp_wire::{Reader, ShortRead, Writer};

use crate::packet::BadPacket;

/// Packet types (RFC 3550 §12.1, RFC 4585 §6.1, RFC 3611 §2).
pub(crate) mod packet_type {
    pub(crate) const SR: u8 = 200;
    pub(crate) const RR: u8 = 201;
    pub(crate) const SDES: u8 = 202;
    pub(crate) const BYE: u8 = 203;
    pub(crate) const APP: u8 = 204;
    pub(crate) const RTPFB: u8 = 205;
    pub(crate) const PSFB: u8 = 206;
    pub(crate) const XR: u8 = 207;
}

/// One RTCP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rtcp<'a> {
    /// Sender report (RFC 3550 §6.4.1).
    SenderReport {
        /// Who reports.
        ssrc: u32,
        /// What it has sent.
        info: SenderInfo,
        /// What it has received.
        blocks: Blocks<'a>,
    },
    /// Receiver report (RFC 3550 §6.4.2).
    ReceiverReport {
        /// Who reports.
        ssrc: u32,
        /// What it has received.
        blocks: Blocks<'a>,
    },
    /// Source description (RFC 3550 §6.5).
    Sdes(Sdes<'a>),
    /// Goodbye (RFC 3550 §6.6).
    Bye(Bye<'a>),
    /// Packets asked for again (RFC 4585 §6.2.1).
    Nack(Nack<'a>),
    /// Transport-wide feedback.
    TransportCc(TransportFeedback<'a>),
    /// A picture was lost (RFC 4585 §6.3.1).
    Pli {
        /// Who lost it.
        sender: u32,
        /// The stream that it belongs to.
        media: u32,
    },
    /// A keyframe is demanded (RFC 5104 §4.3.1).
    Fir(Fir<'a>),
    /// The most that the receiver takes.
    Remb(Remb<'a>),
    /// A packet that is skipped: APP, XR and what is not known.
    Other {
        /// Its type.
        packet_type: u8,
        /// Its count or format field.
        count: u8,
    },
}

/// Walks over the packets of a datagram; ends at the first broken one.
pub fn packets(datagram: &[u8]) -> Packets<'_> {
    Packets {
        reader: Reader::new(datagram),
    }
}

/// Iterator over the packets of a datagram.
#[derive(Clone, Debug)]
pub struct Packets<'a> {
    reader: Reader<'a>,
}

impl<'a> Iterator for Packets<'a> {
    type Item = Result<Rtcp<'a>, BadPacket>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.reader.is_empty() {
            return None;
        }
        let packet = take_packet(&mut self.reader);
        if packet.is_err() {
            self.reader = Reader::new(&[]);
        }
        Some(packet)
    }
}

fn take_packet<'a>(reader: &mut Reader<'a>) -> Result<Rtcp<'a>, BadPacket> {
    let [first, packet_type] = reader.array()?;
    let words = usize::from(reader.u16()?);
    let mut body = reader.take(words * 4)?;
    if first >> 6 != 2 {
        return Err(BadPacket);
    }
    if first & 0x20 != 0 {
        let &count = body.last().ok_or(BadPacket)?;
        let padding = usize::from(count);
        // RFC 3550 §6.4.1: the count includes itself. It should be a multiple of four, but
        // transport-wide feedback in the field is padded by one to three bytes.
        if padding == 0 || padding > body.len() {
            return Err(BadPacket);
        }
        body = &body[..body.len() - padding];
    }
    parse_body(packet_type, first & 31, body)
}

fn parse_body(kind: u8, count: u8, body: &[u8]) -> Result<Rtcp<'_>, BadPacket> {
    use self::packet_type as pt;
    let mut reader = Reader::new(body);
    Ok(match (kind, count) {
        (pt::SR, _) => Rtcp::SenderReport {
            ssrc: reader.u32()?,
            info: SenderInfo::parse(&mut reader)?,
            blocks: Blocks::parse(&mut reader, count)?,
        },
        (pt::RR, _) => Rtcp::ReceiverReport {
            ssrc: reader.u32()?,
            blocks: Blocks::parse(&mut reader, count)?,
        },
        (pt::SDES, _) => Rtcp::Sdes(Sdes::parse(body, count)?),
        (pt::BYE, _) => Rtcp::Bye(Bye::parse(body, count)?),
        (pt::RTPFB, feedback::NACK) => Rtcp::Nack(Nack::parse(body)?),
        (pt::RTPFB, feedback::TRANSPORT_CC) => Rtcp::TransportCc(TransportFeedback::parse(body)?),
        (pt::PSFB, feedback::PLI) => Rtcp::Pli {
            sender: reader.u32()?,
            media: reader.u32()?,
        },
        (pt::PSFB, feedback::FIR) => Rtcp::Fir(Fir::parse(body)?),
        (pt::PSFB, feedback::AFB) => match Remb::parse(body)? {
            Some(remb) => Rtcp::Remb(remb),
            None => Rtcp::Other {
                packet_type: kind,
                count,
            },
        },
        (pt::APP | pt::XR, _) | (_, _) => Rtcp::Other {
            packet_type: kind,
            count,
        },
    })
}

/// Writes the head of a packet whose body has `body` bytes, after checking that all of it fits.
pub(crate) fn begin(
    out: &mut Writer<'_>,
    packet_type: u8,
    count: u8,
    body: usize,
) -> Result<(), ShortRead> {
    debug_assert!(body.is_multiple_of(4) && count < 32);
    if out.room() < 4 + body {
        return Err(ShortRead);
    }
    out.u8(0x80 | (count & 31))?;
    out.u8(packet_type)?;
    out.u16(u16::try_from(body / 4).map_err(|_| ShortRead)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_compound_is_walked_and_what_is_unknown_is_skipped() {
        let bytes = [
            0x80, 201, 0, 1, 0, 0, 0, 1, // RR
            0x81, 204, 0, 2, 0, 0, 0, 1, b'n', b'a', b'm', b'e', // APP
            0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, // PLI
        ];
        let all: Vec<_> = packets(&bytes).map(Result::unwrap).collect();
        assert!(matches!(all[0], Rtcp::ReceiverReport { ssrc: 1, .. }));
        assert!(matches!(
            all[1],
            Rtcp::Other {
                packet_type: 204,
                ..
            }
        ));
        assert_eq!(
            all[2],
            Rtcp::Pli {
                sender: 1,
                media: 2
            }
        );
    }

    #[test]
    fn a_broken_packet_ends_the_walk() {
        for bytes in [
            &[0x80, 201, 0, 2, 0, 0, 0, 1][..], // longer than the datagram
            &[0x40, 201, 0, 1, 0, 0, 0, 1],     // version 1
            &[0xa0, 201, 0, 1, 0, 0, 0, 5],     // padding longer than the body
            &[0x81, 201, 0, 1, 0, 0, 0, 1],     // a block that is not there
            &[0x80, 201, 0],                    // half a head
        ] {
            assert_eq!(packets(bytes).collect::<Vec<_>>(), [Err(BadPacket)]);
        }
    }

    proptest! {
        #[test]
        fn noise_never_panics(kind in 198u8..210, count in 0u8..32,
                              body in prop::collection::vec(any::<u8>(), 0..120)) {
            let mut bytes = vec![0x80 | count, kind, 0, (body.len() / 4) as u8];
            bytes.extend(&body[..body.len() / 4 * 4]);
            for packet in packets(&bytes).flatten() {
                match packet {
                    Rtcp::SenderReport { blocks, .. } | Rtcp::ReceiverReport { blocks, .. } =>
                        prop_assert_eq!(blocks.iter().count(), usize::from(count)),
                    Rtcp::Sdes(sdes) => prop_assert!(sdes.items().count() < 200),
                    Rtcp::Bye(bye) => prop_assert_eq!(bye.ssrcs().count(), usize::from(count)),
                    Rtcp::Nack(nack) => prop_assert!(nack.sequences().count() <= 30 * 17),
                    Rtcp::TransportCc(feedback) => prop_assert!(feedback.packets().count() <= 65_535),
                    Rtcp::Fir(fir) => prop_assert!(fir.entries().count() <= 15),
                    Rtcp::Remb(remb) => prop_assert!(remb.ssrcs().count() < 256),
                    Rtcp::Pli { .. } | Rtcp::Other { .. } => {}
                }
            }
        }
    }
}
