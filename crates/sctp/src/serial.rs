//! Serial numbers of 16 and 32 bits, unwrapped to 64 so that plain comparison works (RFC 1982).

/// The number nearest to `reference` whose low 32 bits are `value`.
pub(crate) fn unwrap32(reference: u64, value: u32) -> u64 {
    let distance = value.wrapping_sub(reference as u32) as i32;
    reference.wrapping_add_signed(i64::from(distance))
}

/// The number nearest to `reference` whose low 16 bits are `value`.
pub(crate) fn unwrap16(reference: u64, value: u16) -> u64 {
    let distance = value.wrapping_sub(reference as u16) as i16;
    reference.wrapping_add_signed(i64::from(distance))
}

/// Where a counter that starts at `value` on the wire starts unwrapped: far from zero.
pub(crate) fn start(value: u32) -> u64 {
    (1 << 40) | u64::from(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_unwrap_around_their_reference() {
        let base = start(u32::MAX - 1);
        assert_eq!(unwrap32(base, u32::MAX), base + 1);
        assert_eq!(unwrap32(base, 1), base + 3);
        assert_eq!(unwrap32(base + 3, u32::MAX), base + 1);
        let base = start(0xfffe);
        assert_eq!(unwrap16(base, 2), base + 4);
        assert_eq!(unwrap16(base, 0xfff0), base - 14);
    }
}
