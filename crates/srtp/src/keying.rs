use std::fmt;

use zeroize::Zeroizing;

use crate::Error;

/// A protection profile (RFC 5764 §4.1.2, RFC 7714 §14.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Profile {
    /// AES-128 counter mode, HMAC-SHA1 cut to 80 bits.
    Aes128CmSha1_80,
    /// AES-128 counter mode, HMAC-SHA1 cut to 32 bits for SRTP and to 80 for SRTCP.
    Aes128CmSha1_32,
    /// AES-128 in Galois/Counter Mode with 16-byte tags.
    AeadAes128Gcm,
    /// AES-256 in Galois/Counter Mode with 16-byte tags.
    AeadAes256Gcm,
}

impl Profile {
    /// The number of the profile in the IANA registry for DTLS-SRTP.
    pub fn id(self) -> u16 {
        match self {
            Profile::Aes128CmSha1_80 => 0x0001,
            Profile::Aes128CmSha1_32 => 0x0002,
            Profile::AeadAes128Gcm => 0x0007,
            Profile::AeadAes256Gcm => 0x0008,
        }
    }

    /// The profile of that number; `None` when it is not known here.
    pub fn from_id(id: u16) -> Option<Self> {
        match id {
            0x0001 => Some(Profile::Aes128CmSha1_80),
            0x0002 => Some(Profile::Aes128CmSha1_32),
            0x0007 => Some(Profile::AeadAes128Gcm),
            0x0008 => Some(Profile::AeadAes256Gcm),
            _ => None,
        }
    }

    /// Bytes of a master key.
    pub fn key_len(self) -> usize {
        match self {
            Profile::AeadAes256Gcm => 32,
            _ => 16,
        }
    }

    /// Bytes of a master salt.
    pub fn salt_len(self) -> usize {
        match self {
            Profile::Aes128CmSha1_80 | Profile::Aes128CmSha1_32 => 14,
            Profile::AeadAes128Gcm | Profile::AeadAes256Gcm => 12,
        }
    }
}

/// Master key and salt of one direction, cleared from memory when dropped; `Debug` shows the profile alone.
#[derive(Clone)]
pub struct Keying {
    profile: Profile,
    key: Zeroizing<Vec<u8>>,
    salt: Zeroizing<Vec<u8>>,
}

impl Keying {
    /// Copies key and salt; [`Error::Misuse`] when their lengths are not those of the profile.
    pub fn new(profile: Profile, key: &[u8], salt: &[u8]) -> Result<Self, Error> {
        if key.len() != profile.key_len() || salt.len() != profile.salt_len() {
            return Err(Error::Misuse("key or salt of a wrong length"));
        }
        Ok(Keying {
            profile,
            key: Zeroizing::new(key.to_vec()),
            salt: Zeroizing::new(salt.to_vec()),
        })
    }

    /// The profile.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    pub(crate) fn key(&self) -> &[u8] {
        &self.key
    }

    pub(crate) fn salt(&self) -> &[u8] {
        &self.salt
    }
}

impl fmt::Debug for Keying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keying")
            .field("profile", &self.profile)
            .finish_non_exhaustive()
    }
}
