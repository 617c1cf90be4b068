use crate::Error;

/// Bytes of an SRTCP packet that are never encrypted.
pub(crate) const RTCP_HEADER: usize = 8;

/// The pieces of an RTP header that protection needs (RFC 3550 §5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RtpHeader {
    /// Bytes up to the payload: fixed header, contributing sources, extension.
    pub(crate) len: usize,
    pub(crate) sequence: u16,
    pub(crate) ssrc: u32,
}

impl RtpHeader {
    /// Reads the header at the start of `packet`; whatever lies behind it must fit into the packet.
    pub(crate) fn parse(packet: &[u8]) -> Result<Self, Error> {
        let fixed: &[u8; 12] = packet.first_chunk().ok_or(Error::Malformed)?;
        if fixed[0] >> 6 != 2 {
            return Err(Error::Malformed);
        }
        let mut len = 12 + 4 * usize::from(fixed[0] & 0x0f);
        if fixed[0] & 0x10 != 0 {
            let words: &[u8; 2] = packet
                .get(len + 2..len + 4)
                .and_then(<[u8]>::first_chunk)
                .ok_or(Error::Malformed)?;
            len += 4 + 4 * usize::from(u16::from_be_bytes(*words));
        }
        if len > packet.len() {
            return Err(Error::Malformed);
        }
        Ok(RtpHeader {
            len,
            sequence: u16::from_be_bytes([fixed[2], fixed[3]]),
            ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
        })
    }
}

/// The SSRC of the sender of a compound RTCP packet (RFC 3550 §6.4).
pub(crate) fn rtcp_ssrc(packet: &[u8]) -> Result<u32, Error> {
    let header: &[u8; RTCP_HEADER] = packet.first_chunk().ok_or(Error::Malformed)?;
    if header[0] >> 6 != 2 {
        return Err(Error::Malformed);
    }
    Ok(u32::from_be_bytes([
        header[4], header[5], header[6], header[7],
    ]))
}

/// The 48-bit index of `sequence` that is nearest to `highest` (RFC 3711 §3.3.1, Appendix A).
///
/// `None` when it would lie before the first or behind the last packet that the keys are good for.
pub(crate) fn estimate_index(highest: u64, sequence: u16) -> Option<u64> {
    let ahead = sequence.wrapping_sub(highest as u16) as i16;
    let index = match ahead {
        // Exactly half the circle away: the RFC takes the same turn, which is behind or ahead by the number.
        i16::MIN if sequence > highest as u16 => highest.checked_add(0x8000)?,
        _ => highest.checked_add_signed(i64::from(ahead))?,
    };
    (index < 1 << 48).then_some(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Appendix A of RFC 3711, word for word.
    fn by_the_book(highest: u64, sequence: u16) -> Option<u64> {
        let (roc, s_l, seq) = (
            (highest >> 16) as i64,
            (highest & 0xffff) as i64,
            i64::from(sequence),
        );
        let v = if s_l < 32_768 {
            if seq - s_l > 32_768 { roc - 1 } else { roc }
        } else if s_l - 32_768 > seq {
            roc + 1
        } else {
            roc
        };
        let index = v * 65_536 + seq;
        (0..1 << 48).contains(&index).then_some(index as u64)
    }

    #[test]
    fn the_index_is_that_of_the_rfc() {
        for highest in [
            0,
            1,
            0x7fff,
            0x8000,
            0x8001,
            0xffff,
            0x1_0000,
            0x1_7fff,
            0x1_8000,
            0x5_ffff,
            (1 << 48) - 1,
            (1 << 48) - 0x8000,
        ] {
            for sequence in 0..=u16::MAX {
                assert_eq!(
                    estimate_index(highest, sequence),
                    by_the_book(highest, sequence),
                    "{highest:#x} {sequence:#x}"
                );
            }
        }
    }

    #[test]
    fn headers_end_where_the_payload_starts() {
        let mut packet = [0_u8; 64];
        packet[0] = 0x80;
        packet[2..4].copy_from_slice(&[1, 2]);
        packet[8..12].copy_from_slice(&[3, 4, 5, 6]);
        let header = RtpHeader::parse(&packet).unwrap();
        assert_eq!(
            (header.len, header.sequence, header.ssrc),
            (12, 0x0102, 0x0304_0506)
        );
        packet[0] = 0x83;
        assert_eq!(RtpHeader::parse(&packet).unwrap().len, 24);
        packet[0] = 0x93;
        packet[26..28].copy_from_slice(&[0, 5]);
        assert_eq!(RtpHeader::parse(&packet).unwrap().len, 48);
        packet[27] = 9;
        assert_eq!(RtpHeader::parse(&packet).unwrap().len, 64);
        packet[27] = 10;
        assert_eq!(RtpHeader::parse(&packet), Err(Error::Malformed));
        assert_eq!(RtpHeader::parse(&packet[..27]), Err(Error::Malformed));
        assert_eq!(RtpHeader::parse(&packet[..11]), Err(Error::Malformed));
        assert_eq!(RtpHeader::parse(&[0x40; 20]), Err(Error::Malformed));
    }
}
