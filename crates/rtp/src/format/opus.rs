//! Opus (RFC 7587): one Opus packet is one payload, its clock runs at 48 kHz whatever the bandwidth.

/// Ticks a second.
pub const RATE: u32 = 48_000;

/// Samples at 48 kHz in an Opus packet, from its first bytes (RFC 6716 §3.1); `None` when they
/// are not valid.
pub fn samples(packet: &[u8]) -> Option<u32> {
    let (&toc, rest) = packet.split_first()?;
    let frame = match toc >> 3 {
        config @ 0..=11 => [480, 960, 1_920, 2_880][usize::from(config & 3)],
        config @ 12..=15 => [480, 960][usize::from(config & 1)],
        config => [120, 240, 480, 960][usize::from(config & 3)],
    };
    let count = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(*rest.first()? & 0x3f),
    };
    // RFC 6716 §3.2.5: at least one frame, 120 ms at most.
    Some(frame * count).filter(|samples| (1..=5_760).contains(samples))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_follow_the_table_of_rfc_6716() {
        assert_eq!(samples(&[0 << 3]), Some(480)); // SILK NB 10 ms
        assert_eq!(samples(&[(11 << 3) | 1, 0]), Some(5_760)); // SILK WB 60 ms, twice
        assert_eq!(samples(&[15 << 3]), Some(960)); // hybrid FB 20 ms
        assert_eq!(samples(&[16 << 3]), Some(120)); // CELT 2.5 ms
        assert_eq!(samples(&[31 << 3]), Some(960)); // CELT FB 20 ms
        assert_eq!(samples(&[(31 << 3) | 3, 6]), Some(5_760));
        assert_eq!(samples(&[(31 << 3) | 3, 7]), None);
        assert_eq!(samples(&[(31 << 3) | 3, 0]), None);
        assert_eq!(samples(&[3]), None);
        assert_eq!(samples(&[]), None);
    }
}
