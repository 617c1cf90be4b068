//! Base64 with padding (RFC 4648 §4), for the INIT chunk that a description carries.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// `bytes` as text.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let symbol = ALPHABET[(bits >> (18 - 6 * at) & 63) as usize];
            text.push(if at <= group.len() {
                char::from(symbol)
            } else {
                '='
            });
        }
    }
    text
}

/// The bytes that `text` stands for; `None` for what [`encode`] would never write.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let symbols = text.as_bytes();
    if symbols.is_empty() || !symbols.len().is_multiple_of(4) {
        return None;
    }
    let padding = symbols.iter().rev().take_while(|it| **it == b'=').count();
    let symbols = symbols
        .get(..symbols.len() - padding)
        .filter(|_| padding <= 2)?;
    let mut bytes = Vec::with_capacity(symbols.len() / 4 * 3 + 2);
    for group in symbols.chunks(4) {
        let mut bits = 0;
        for symbol in group {
            let value = ALPHABET.iter().position(|it| it == symbol)?;
            bits = bits << 6 | value as u32;
        }
        bits <<= 6 * (4 - group.len());
        let (bits, used) = (bits.to_be_bytes(), group.len() * 6 / 8);
        if bits[1 + used..].iter().any(|it| *it != 0) {
            return None;
        }
        bytes.extend_from_slice(&bits[1..=used]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_rfc_4648() {
        for (bytes, text) in [
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(encode(bytes.as_bytes()), text);
            assert_eq!(decode(text).as_deref(), Some(bytes.as_bytes()));
        }
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(decode(&encode(&all)), Some(all));
    }

    #[test]
    fn what_is_no_base64_is_refused() {
        for text in [
            "", "Zg", "Zg=", "Z===", "====", "Zh==", "Zm9v!A==", "Zm9=Zm9v",
        ] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
