//! What devices send: messages that both ends can compute, so that every byte is checked.

/// The longest message, in bytes.
pub const MOST: usize = 4_000;

/// Message number `index` of the stream `seed`, 8 to [`MOST`] bytes.
pub fn message(seed: u64, index: u64) -> Vec<u8> {
    let mut state = mix(seed ^ mix(index));
    let length = 8 + state as usize % (MOST - 7);
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state = mix(state);
        bytes.extend_from_slice(&state.to_be_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Packet number `index` of the sound `seed`: its number, and bytes that go with it.
pub fn packet(seed: u64, index: u64) -> Vec<u8> {
    let mut bytes = index.to_be_bytes().to_vec();
    let mut state = mix(seed ^ mix(index));
    for _ in 0..10 {
        state = mix(state);
        bytes.extend_from_slice(&state.to_be_bytes());
    }
    bytes
}

/// The number of a packet of the sound `seed`, when all of its bytes are right.
pub fn packet_number(seed: u64, bytes: &[u8]) -> Option<u64> {
    let index = u64::from_be_bytes(*bytes.first_chunk()?);
    (packet(seed, index) == bytes).then_some(index)
}

/// SplitMix64's finalizer.
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_noticed() {
        assert_ne!(message(1, 0), message(1, 1));
        assert_ne!(message(1, 0), message(2, 0));
        let mut sound = packet(1, 77);
        assert_eq!(packet_number(1, &sound), Some(77));
        sound[20] ^= 1;
        assert_eq!(packet_number(1, &sound), None);
    }
}
