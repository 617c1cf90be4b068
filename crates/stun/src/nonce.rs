//! The nonce cookie, which protects against bidding down (RFC 8489 §9.2, §18.1).

const COOKIE: &str = "obMatJos2";
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The 24 security feature bits that a nonce carries, bit 0 being the most significant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SecurityFeatures(pub u32);

impl SecurityFeatures {
    /// Bit 0: the server sent PASSWORD-ALGORITHMS.
    pub const PASSWORD_ALGORITHMS: SecurityFeatures = SecurityFeatures(1 << 23);
    /// Bit 1: the server takes USERHASH.
    pub const USERNAME_ANONYMITY: SecurityFeatures = SecurityFeatures(1 << 22);

    /// Whether all bits of `other` are set.
    pub const fn contains(self, other: SecurityFeatures) -> bool {
        self.0 & other.0 == other.0
    }

    /// The bits of both.
    #[must_use]
    pub const fn with(self, other: SecurityFeatures) -> Self {
        SecurityFeatures(self.0 | other.0)
    }

    /// Reads the bits from a nonce; `None` when it does not start with the cookie, because the
    /// server is older than RFC 8489.
    pub fn of_nonce(nonce: &str) -> Option<Self> {
        let digits = nonce.strip_prefix(COOKIE)?.as_bytes().first_chunk::<4>()?;
        let bits = digits.iter().try_fold(0, |bits, digit| {
            let value = ALPHABET.iter().position(|letter| letter == digit)?;
            Some(bits << 6 | value as u32)
        });
        bits.map(SecurityFeatures)
    }

    /// The 13 characters that a server puts before its own part of the nonce.
    pub fn nonce_cookie(self) -> String {
        let digits = [18, 12, 6, 0].map(|shift| ALPHABET[(self.0 >> shift & 63) as usize]);
        COOKIE.chars().chain(digits.map(char::from)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bits_of_the_vector() {
        let nonce = "obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA";
        assert_eq!(SecurityFeatures::of_nonce(nonce), Some(SecurityFeatures(2)));
        assert_eq!(SecurityFeatures::of_nonce("obMatJos2AA"), None);
        assert_eq!(SecurityFeatures::of_nonce("obMatJos2AA-A"), None);
        assert_eq!(SecurityFeatures::of_nonce("f//499k954d6"), None);
    }

    #[test]
    fn cookies_round_trip() {
        let both = SecurityFeatures::PASSWORD_ALGORITHMS.with(SecurityFeatures::USERNAME_ANONYMITY);
        assert_eq!(both.nonce_cookie(), "obMatJos2wAAA");
        assert_eq!(SecurityFeatures::of_nonce("obMatJos2wAAAxyz"), Some(both));
    }
}
