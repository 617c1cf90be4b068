//! RTP and RTCP packets and what they carry.

use esp_rtp::Extension;
use esp_rtp::extension::{ExtensionMap, write_block};
use esp_rtp::format::{h264, opus};
use esp_rtp::packet::{Packet, is_rtcp};
use esp_rtp::rtcp::{self, Rtcp};
use esp_wire::Writer;

/// Header, extensions and payload of a packet.
pub(crate) fn packet(data: &[u8]) {
    let _ = is_rtcp(data);
    let Ok(packet) = Packet::parse(data) else {
        return;
    };
    let padding = usize::from(packet.padding);
    assert!(packet.payload.len() + padding + packet.csrc.len() + 12 <= data.len());
    let mut map = ExtensionMap::new();
    for (id, extension) in (1..).zip(Extension::ALL) {
        map.set(id, extension);
    }
    let values = map.values(packet.extensions);
    let _ = format!("{values:?}");
    let Some(block) = packet.extensions else {
        return;
    };
    let elements: Vec<(u8, &[u8])> = block.elements().collect();
    let mut buffer = vec![0; data.len() * 2 + 32];
    let mut out = Writer::new(&mut buffer);
    if !elements.is_empty() {
        let _ = write_block(&mut out, &elements);
    }
}

/// All packets of a datagram, and all that they say.
pub(crate) fn rtcp(data: &[u8]) {
    let mut count = 0;
    for packet in rtcp::packets(data) {
        let Ok(packet) = packet else {
            count += 1;
            continue;
        };
        count += 4;
        let _ = format!("{packet:?}");
        match packet {
            Rtcp::SenderReport { blocks, .. } | Rtcp::ReceiverReport { blocks, .. } => {
                assert!(blocks.iter().count() <= 31);
            }
            Rtcp::Sdes(sdes) => drop(sdes.items().count()),
            Rtcp::Bye(bye) => assert!(bye.ssrcs().count() <= 31),
            Rtcp::Nack(nack) => assert!(nack.sequences().count() <= data.len() * 5),
            Rtcp::TransportCc(feedback) => {
                assert!(feedback.packets().count() <= usize::from(u16::MAX));
            }
            Rtcp::Fir(fir) => drop(fir.entries().count()),
            Rtcp::Remb(remb) => drop(remb.ssrcs().count()),
            _ => {}
        }
    }
    assert!(count <= data.len() + 4, "more packets than bytes");
}

/// Access units and packets of sound, as their formats see them.
pub(crate) fn formats(data: &[u8]) {
    let _ = opus::samples(data);
    let mut total = 0;
    for unit in h264::nal_units(data) {
        assert!(!unit.is_empty());
        total += unit.len();
    }
    assert!(total <= data.len());
    let _ = h264::Contents::of(data);
    let _ = h264::picture_size(data);
    for unit in esp_media::h264::NalUnits::new(data) {
        let _ = esp_media::h264::nal_type(unit);
        let _ = esp_media::h264::Sps::parse(unit);
    }
}
