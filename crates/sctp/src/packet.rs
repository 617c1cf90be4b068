//! The common header (RFC 9260 §3.1), its checksum, and the builder of packets.

use crate::Malformed;

/// Bytes of the common header.
pub(crate) const HEADER: usize = 12;

/// The common header of a received packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) source: u16,
    pub(crate) destination: u16,
    pub(crate) tag: u32,
    pub(crate) checksum: Checksum,
}

/// What the checksum field says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Checksum {
    Correct,
    /// Zero, which is not the CRC32c of the packet (RFC 9653).
    Zero,
}

impl Header {
    /// Splits a packet into its header and its chunks.
    pub(crate) fn parse(
        packet: &mut [u8],
        zero_allowed: bool,
    ) -> Result<(Header, &[u8]), Malformed> {
        // RFC 9260 §3: a packet is the header and chunks, in units of four bytes.
        if packet.len() < HEADER + 4 || !packet.len().is_multiple_of(4) {
            return Err(Malformed::Short);
        }
        let checksum = check(packet, zero_allowed)?;
        let (header, chunks) = packet.split_at(HEADER);
        let header = Header {
            source: u16::from_be_bytes([header[0], header[1]]),
            destination: u16::from_be_bytes([header[2], header[3]]),
            tag: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
            checksum,
        };
        Ok((header, chunks))
    }
}

fn check(packet: &mut [u8], zero_allowed: bool) -> Result<Checksum, Malformed> {
    let given = u32::from_le_bytes([packet[8], packet[9], packet[10], packet[11]]);
    // RFC 9653 §5.3: a receiver that announced it accepts zero without looking further.
    if given == 0 && zero_allowed {
        return Ok(Checksum::Zero);
    }
    packet[8..12].fill(0);
    let right = crc32c::crc32c(packet);
    packet[8..12].copy_from_slice(&given.to_le_bytes());
    match given == right {
        true => Ok(Checksum::Correct),
        false => Err(Malformed::Checksum),
    }
}

/// What the builder puts into the checksum field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seal {
    Crc32c,
    Zero,
}

/// Where packets of an association go: ports and verification tag.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Address {
    pub(crate) source: u16,
    pub(crate) destination: u16,
    pub(crate) tag: u32,
}

/// Lays chunks one after the other into a caller-owned slot.
#[derive(Debug)]
pub(crate) struct Builder<'a> {
    slot: &'a mut [u8],
    len: usize,
}

impl<'a> Builder<'a> {
    /// Starts a packet; `slot` holds at least the header.
    pub(crate) fn new(slot: &'a mut [u8], address: Address) -> Self {
        slot[0..2].copy_from_slice(&address.source.to_be_bytes());
        slot[2..4].copy_from_slice(&address.destination.to_be_bytes());
        slot[4..8].copy_from_slice(&address.tag.to_be_bytes());
        slot[8..12].fill(0);
        Builder { slot, len: HEADER }
    }

    /// Bytes of the packet so far.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// True before the first chunk.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == HEADER
    }

    /// Bytes that still fit.
    pub(crate) fn room(&self) -> usize {
        self.slot.len() - self.len
    }

    /// Reserves a chunk of `len` bytes (its length field's value); padding is added and zeroed.
    pub(crate) fn chunk(&mut self, kind: u8, flags: u8, len: usize) -> Option<&mut [u8]> {
        let padded = len.next_multiple_of(4);
        let length = u16::try_from(len).ok()?;
        let place = self.slot.get_mut(self.len..self.len + padded)?;
        self.len += padded;
        place[0] = kind;
        place[1] = flags;
        place[2..4].copy_from_slice(&length.to_be_bytes());
        let (chunk, padding) = place.split_at_mut(len);
        padding.fill(0);
        Some(&mut chunk[4..])
    }

    /// Adds a chunk that was encoded before, padding included; `false` when it does not fit.
    pub(crate) fn encoded(&mut self, chunk: &[u8]) -> bool {
        debug_assert!(chunk.len().is_multiple_of(4));
        match self.slot.get_mut(self.len..self.len + chunk.len()) {
            Some(place) => {
                place.copy_from_slice(chunk);
                self.len += chunk.len();
                true
            }
            None => false,
        }
    }

    /// Fills in the checksum and returns the length.
    pub(crate) fn finish(self, seal: Seal) -> usize {
        if seal == Seal::Crc32c {
            let sum = crc32c::crc32c(&self.slot[..self.len]);
            self.slot[8..12].copy_from_slice(&sum.to_le_bytes());
        }
        self.len
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet() -> Vec<u8> {
        let mut slot = [0xaa; 64];
        let address = Address {
            source: 5000,
            destination: 5001,
            tag: 0x0102_0304,
        };
        let mut builder = Builder::new(&mut slot, address);
        builder.chunk(4, 0, 7).unwrap().copy_from_slice(b"abc");
        let len = builder.finish(Seal::Crc32c);
        slot[..len].to_vec()
    }

    #[test]
    fn a_packet_is_laid_out_as_the_rfc_draws_it() {
        let packet = packet();
        assert_eq!(packet[..8], [0x13, 0x88, 0x13, 0x89, 1, 2, 3, 4]);
        assert_eq!(packet[12..], [4, 0, 0, 7, b'a', b'b', b'c', 0]);
    }

    #[test]
    fn a_flipped_bit_is_noticed() {
        let mut packet = packet();
        assert!(Header::parse(&mut packet, true).is_ok());
        packet[17] ^= 1;
        assert_eq!(
            Header::parse(&mut packet, true).unwrap_err(),
            Malformed::Checksum
        );
    }

    #[test]
    fn zero_is_accepted_only_when_announced() {
        let mut packet = packet();
        packet[8..12].fill(0);
        let (header, _) = Header::parse(&mut packet, true).unwrap();
        assert_eq!(header.checksum, Checksum::Zero);
        assert!(Header::parse(&mut packet, false).is_err());
    }

    #[test]
    fn crc32c_matches_the_vectors_of_rfc_3720() {
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c::crc32c(&[0xff; 32]), 0x62a8_ab43);
        let ascending: Vec<u8> = (0..32).collect();
        assert_eq!(crc32c::crc32c(&ascending), 0x46dd_794e);
    }
}
