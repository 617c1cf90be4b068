//! Messages whose every byte is known: words that follow from their place.

fn word(index: u32) -> u32 {
    index.wrapping_mul(0x9e37_79b1) ^ index
}

/// Fills `message` with the stream's bytes from its `at`th on; both are multiples of four.
pub fn bytes(message: &mut [u8], at: u64) {
    let first = first(at);
    for (word_bytes, index) in message.chunks_exact_mut(4).zip(0_u32..) {
        word_bytes.copy_from_slice(&word(first.wrapping_add(index)).to_le_bytes());
    }
}

/// How many words of `message` are not those of the stream from its `at`th byte on.
pub fn wrong(message: &[u8], at: u64) -> usize {
    let first = first(at);
    let words = message.chunks_exact(4);
    let rest = words.remainder().len();
    let differ = words.zip(0_u32..).filter(|(word_bytes, index)| {
        **word_bytes != word(first.wrapping_add(*index)).to_le_bytes()
    });
    differ.count() + rest
}

/// A message that begins with its number.
pub fn numbered(number: u32, size: usize) -> Vec<u8> {
    let mut message = vec![0; size];
    bytes(&mut message, u64::from(number) * 4);
    message[..4].copy_from_slice(&number.to_le_bytes());
    message
}

/// The number of such a message; `None` when a byte of it is wrong.
pub(super) fn number(message: &[u8]) -> Option<u32> {
    let number = u32::from_le_bytes(message.get(..4)?.try_into().ok()?);
    (wrong(&message[4..], (u64::from(number) + 1) * 4) == 0).then_some(number)
}

/// The word that a byte of the stream begins; it starts over after 16 GiB.
fn first(at: u64) -> u32 {
    (at / 4) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_byte_is_found() {
        let mut message = [0; 64];
        bytes(&mut message, 128);
        assert_eq!(wrong(&message, 128), 0);
        assert_ne!(wrong(&message, 132), 0);
        message[17] ^= 1;
        assert_eq!(wrong(&message, 128), 1);
    }

    #[test]
    fn numbers_come_back() {
        let mut message = numbered(70_000, 32);
        assert_eq!(number(&message), Some(70_000));
        message[31] ^= 0x80;
        assert_eq!(number(&message), None);
    }
}
