//! Messages of data channels and of the protocol that opens them, as a peer with odd ideas sends them.

use esp_sctp::Config;

use crate::Bytes;
use crate::sctp::Pair;

/// Each message is a DATA chunk of its own, with the next TSN.
pub(crate) fn messages(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let config = Config::default()
        .with_interleaving(false)
        .with_max_channels(16)
        .with_buffers(70_000, 70_000);
    let mut pair = Pair::connected(config);
    pair.forged = true;
    if bytes.flag() {
        pair.open(1, 0);
        pair.open(1, 3);
        pair.calm(40);
    }
    let mut tsn = pair.first[1];
    let mut next = [0_u16; 8];
    for _ in 0..120 {
        if bytes.is_empty() {
            break;
        }
        let (shape, stream) = (bytes.u8(), bytes.u8());
        let body = bytes.short();
        let ppid = [50, 51, 53, 56, 57, 52, 54, 0][usize::from(shape & 7)];
        let sequence = &mut next[usize::from(stream & 7)];
        let mut chunk = vec![0, 3 | (shape & 8) >> 1];
        chunk.extend((16 + body.len() as u16).to_be_bytes());
        chunk.extend(tsn.to_be_bytes());
        chunk.extend(u16::from(stream & 7).to_be_bytes());
        chunk.extend(sequence.to_be_bytes());
        chunk.extend(u32::to_be_bytes(ppid));
        chunk.extend(body);
        *sequence = sequence.wrapping_add(1);
        tsn = tsn.wrapping_add(1);
        pair.inject(1, &chunk, true, false);
        pair.drain();
        if shape & 16 != 0 {
            pair.calm(8);
        }
        if shape & 32 != 0 {
            pair.send(1, stream, usize::from(shape));
        }
    }
    pair.check();
}
