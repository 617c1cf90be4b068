//! Source descriptions and goodbyes (RFC 3550 §6.5, §6.6).

use esp_wire::{Reader, ShortRead, Writer};

use super::{begin, packet_type};
use crate::packet::BadPacket;

/// SDES item CNAME (RFC 3550 §6.5.1).
pub const CNAME: u8 = 1;
/// SDES item MID (RFC 8843 §15).
pub const MID: u8 = 15;

/// A source description: chunks of an SSRC and its items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sdes<'a> {
    count: u8,
    body: &'a [u8],
}

impl<'a> Sdes<'a> {
    pub(crate) fn parse(body: &'a [u8], count: u8) -> Result<Self, BadPacket> {
        let sdes = Sdes { count, body };
        let mut reader = Reader::new(body);
        for _ in 0..count {
            reader.u32()?;
            while let Some(item) = take_item(&mut reader, body.len())? {
                let _ = item;
            }
        }
        Ok(sdes)
    }

    /// All items as SSRC, item type and text.
    pub fn items(self) -> impl Iterator<Item = (u32, u8, &'a [u8])> {
        let mut reader = Reader::new(self.body);
        let mut chunks = self.count;
        let mut ssrc = None;
        std::iter::from_fn(move || {
            loop {
                let current = match ssrc {
                    Some(current) => current,
                    None => {
                        chunks = chunks.checked_sub(1)?;
                        reader.u32().ok()?
                    }
                };
                ssrc = Some(current);
                match take_item(&mut reader, self.body.len()).ok()? {
                    Some((kind, text)) => return Some((current, kind, text)),
                    None => ssrc = None,
                }
            }
        })
    }
}

/// Takes an item; `None` at the end of a chunk, whose padding is taken too.
fn take_item<'a>(
    reader: &mut Reader<'a>,
    total: usize,
) -> Result<Option<(u8, &'a [u8])>, ShortRead> {
    let kind = reader.u8()?;
    if kind == 0 {
        // RFC 3550 §6.5: a chunk ends at the next 32-bit boundary.
        let taken = total - reader.remaining();
        reader.take(taken.next_multiple_of(4) - taken)?;
        return Ok(None);
    }
    let len = reader.u8()?;
    Ok(Some((kind, reader.take(usize::from(len))?)))
}

/// Writes a source description that gives `cname` to each SSRC, at most 31; a name longer than
/// 255 bytes is cut.
pub fn write_cnames(out: &mut Writer<'_>, ssrcs: &[u32], cname: &str) -> Result<(), ShortRead> {
    let ssrcs = &ssrcs[..ssrcs.len().min(31)];
    let name = &cname.as_bytes()[..cname.len().min(255)];
    // At least one zero byte ends a chunk.
    let chunk = (4 + 2 + name.len() + 1).next_multiple_of(4);
    begin(
        out,
        packet_type::SDES,
        ssrcs.len() as u8,
        chunk * ssrcs.len(),
    )?;
    for ssrc in ssrcs {
        out.u32(*ssrc)?;
        out.u8(CNAME)?;
        out.u8(name.len() as u8)?;
        out.put(name)?;
        out.reserve(chunk - 6 - name.len())?.fill(0);
    }
    Ok(())
}

/// A goodbye.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bye<'a> {
    ssrcs: &'a [u8],
}

impl<'a> Bye<'a> {
    pub(crate) fn parse(body: &'a [u8], count: u8) -> Result<Self, BadPacket> {
        let ssrcs = Reader::new(body).take(usize::from(count) * 4)?;
        Ok(Bye { ssrcs })
    }

    /// Who leaves.
    pub fn ssrcs(self) -> impl Iterator<Item = u32> + 'a {
        let (words, _) = self.ssrcs.as_chunks();
        words.iter().map(|word| u32::from_be_bytes(*word))
    }
}

/// Writes a goodbye of at most 31 sources.
pub fn write_bye(out: &mut Writer<'_>, ssrcs: &[u32]) -> Result<(), ShortRead> {
    let ssrcs = &ssrcs[..ssrcs.len().min(31)];
    begin(out, packet_type::BYE, ssrcs.len() as u8, ssrcs.len() * 4)?;
    ssrcs.iter().try_for_each(|ssrc| out.u32(*ssrc))
}

#[cfg(test)]
mod tests {
    use super::super::{Rtcp, packets};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_chunk_is_padded_and_ended() {
        let mut bytes = [0; 64];
        let mut out = Writer::new(&mut bytes);
        write_cnames(&mut out, &[1], "ab").unwrap();
        assert_eq!(
            out.written(),
            [0x81, 202, 0, 3, 0, 0, 0, 1, 1, 2, b'a', b'b', 0, 0, 0, 0]
        );
    }

    #[test]
    fn items_of_several_chunks_are_found() {
        let bytes = [
            0x82, 202, 0, 6, 0, 0, 0, 1, 1, 1, b'a', 15, 1, b'v', 0, 0, // CNAME, MID
            0, 0, 0, 2, 1, 2, b'b', b'c', 0, 0, 0, 0,
        ];
        let Some(Ok(Rtcp::Sdes(sdes))) = packets(&bytes).next() else {
            panic!("no SDES")
        };
        let items: Vec<_> = sdes.items().collect();
        assert_eq!(
            items,
            [
                (1, CNAME, &b"a"[..]),
                (1, MID, &b"v"[..]),
                (2, CNAME, &b"bc"[..])
            ]
        );
    }

    proptest! {
        #[test]
        fn names_and_goodbyes_round_trip(ssrcs in prop::collection::vec(any::<u32>(), 0..8), cname in "[a-z]{0,40}") {
            let mut bytes = [0; 1000];
            let mut out = Writer::new(&mut bytes);
            write_cnames(&mut out, &ssrcs, &cname).unwrap();
            write_bye(&mut out, &ssrcs).unwrap();
            let all: Vec<_> = packets(out.written()).map(Result::unwrap).collect();
            let [Rtcp::Sdes(sdes), Rtcp::Bye(bye)] = all[..] else { panic!("{all:?}") };
            let expected: Vec<_> = ssrcs.iter().map(|ssrc| (*ssrc, CNAME, cname.as_bytes())).collect();
            prop_assert_eq!(sdes.items().collect::<Vec<_>>(), expected);
            prop_assert_eq!(bye.ssrcs().collect::<Vec<_>>(), ssrcs);
        }
    }
}
