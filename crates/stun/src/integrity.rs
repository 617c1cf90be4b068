//! Keys and algorithms of message integrity (RFC 8489 §9, §14.5, §14.6, §18.5).

use std::fmt;

use esp_crypto::{md5, sha256};

use crate::opaque::opaque_string;

/// Which attribute protects a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Integrity {
    /// MESSAGE-INTEGRITY: HMAC-SHA1, 20 bytes.
    Sha1,
    /// MESSAGE-INTEGRITY-SHA256: HMAC-SHA256, 32 bytes unless truncated.
    Sha256,
}

/// Why integrity could not be confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntegrityError {
    /// No integrity attribute.
    Absent,
    /// Shorter than the usage allows.
    Truncated,
    /// The HMAC does not fit.
    Mismatch,
}

impl fmt::Display for IntegrityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            IntegrityError::Absent => "the message is not integrity protected",
            IntegrityError::Truncated => "the integrity attribute is truncated",
            IntegrityError::Mismatch => "the integrity attribute does not fit the credentials",
        })
    }
}

impl std::error::Error for IntegrityError {}

/// How the key of a long-term credential is derived (RFC 8489 §18.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PasswordAlgorithm {
    /// MD5, 16 bytes; what servers before RFC 8489 know.
    #[default]
    Md5,
    /// SHA-256, 32 bytes.
    Sha256,
}

impl PasswordAlgorithm {
    /// Its number in the registry.
    pub const fn code(self) -> u16 {
        match self {
            PasswordAlgorithm::Md5 => 1,
            PasswordAlgorithm::Sha256 => 2,
        }
    }

    /// The algorithm with this number.
    pub const fn from_code(code: u16) -> Option<Self> {
        match code {
            1 => Some(PasswordAlgorithm::Md5),
            2 => Some(PasswordAlgorithm::Sha256),
            _ => None,
        }
    }
}

/// The key of an HMAC. `Debug` never shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Box<[u8]>);

impl Key {
    /// The key of a short-term credential: the password itself (RFC 8489 §9.1.1).
    pub fn short_term(password: &str) -> Self {
        Key(opaque_string(password).as_bytes().into())
    }

    /// The key of a long-term credential (RFC 8489 §9.2.2, §18.5.1).
    pub fn long_term(
        username: &str,
        realm: &str,
        password: &str,
        algorithm: PasswordAlgorithm,
    ) -> Self {
        let (username, realm) = (opaque_string(username), opaque_string(realm));
        let password = opaque_string(password);
        let parts = [
            username.as_bytes(),
            b":",
            realm.as_bytes(),
            b":",
            password.as_bytes(),
        ];
        Key(match algorithm {
            PasswordAlgorithm::Md5 => md5(&parts).into(),
            PasswordAlgorithm::Sha256 => sha256(&parts).into(),
        })
    }

    /// The key itself.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// The value of USERHASH (RFC 8489 §14.4).
pub fn userhash(username: &str, realm: &str) -> [u8; 32] {
    let (username, realm) = (opaque_string(username), opaque_string(realm));
    sha256(&[username.as_bytes(), b":", realm.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_the_rfc() {
        // RFC 8489 §9.2.2
        let key = Key::long_term("user", "realm", "pass", PasswordAlgorithm::Md5);
        let expected = 0x8493_fbc5_3ba5_82fb_4c04_4c45_6bdc_40eb_u128;
        assert_eq!(key.as_bytes(), expected.to_be_bytes());
        assert_eq!(format!("{key:?}"), "Key(..)");
    }
}
