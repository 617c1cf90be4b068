use std::fmt;

use zeroize::Zeroizing;

use crate::DtlsRole;

/// A protection profile of SRTP as DTLS negotiates it (RFC 5764 §4.1.2, RFC 7714 §14.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SrtpProfile {
    /// SRTP_AES128_CM_HMAC_SHA1_80.
    Aes128CmSha1_80,
    /// SRTP_AEAD_AES_128_GCM.
    AeadAes128Gcm,
    /// SRTP_AEAD_AES_256_GCM.
    AeadAes256Gcm,
}

impl SrtpProfile {
    /// The number of the profile in the IANA registry.
    pub fn id(self) -> u16 {
        match self {
            SrtpProfile::Aes128CmSha1_80 => 0x0001,
            SrtpProfile::AeadAes128Gcm => 0x0007,
            SrtpProfile::AeadAes256Gcm => 0x0008,
        }
    }

    /// Bytes of a master key.
    pub fn key_len(self) -> usize {
        match self {
            SrtpProfile::Aes128CmSha1_80 | SrtpProfile::AeadAes128Gcm => 16,
            SrtpProfile::AeadAes256Gcm => 32,
        }
    }

    /// Bytes of a master salt.
    pub fn salt_len(self) -> usize {
        match self {
            SrtpProfile::Aes128CmSha1_80 => 14,
            SrtpProfile::AeadAes128Gcm | SrtpProfile::AeadAes256Gcm => 12,
        }
    }

    pub(crate) fn from_library(profile: dimpl::SrtpProfile) -> Option<Self> {
        match profile {
            dimpl::SrtpProfile::AES128_CM_SHA1_80 => Some(SrtpProfile::Aes128CmSha1_80),
            dimpl::SrtpProfile::AEAD_AES_128_GCM => Some(SrtpProfile::AeadAes128Gcm),
            dimpl::SrtpProfile::AEAD_AES_256_GCM => Some(SrtpProfile::AeadAes256Gcm),
            _ => None,
        }
    }
}

/// Master keys and salts for SRTP, cleared from memory when dropped; `Debug` shows the profile alone.
#[derive(Clone, PartialEq, Eq)]
pub struct SrtpKeys {
    /// The profile.
    pub profile: SrtpProfile,
    /// Protects what this side sends.
    pub local_key: Zeroizing<Vec<u8>>,
    /// Belongs to `local_key`.
    pub local_salt: Zeroizing<Vec<u8>>,
    /// Protects what the peer sends.
    pub remote_key: Zeroizing<Vec<u8>>,
    /// Belongs to `remote_key`.
    pub remote_salt: Zeroizing<Vec<u8>>,
}

impl SrtpKeys {
    /// RFC 5764 §4.2: client key, server key, client salt, server salt.
    pub(crate) fn split(profile: SrtpProfile, material: &[u8], role: DtlsRole) -> Option<Self> {
        let (client_key, rest) = material.split_at_checked(profile.key_len())?;
        let (server_key, rest) = rest.split_at_checked(profile.key_len())?;
        let (client_salt, rest) = rest.split_at_checked(profile.salt_len())?;
        let server_salt = rest.get(..profile.salt_len())?;
        let own = |bytes: &[u8]| Zeroizing::new(bytes.to_vec());
        let client = (own(client_key), own(client_salt));
        let server = (own(server_key), own(server_salt));
        let (local, remote) = match role {
            DtlsRole::Client => (client, server),
            DtlsRole::Server => (server, client),
        };
        Some(SrtpKeys {
            profile,
            local_key: local.0,
            local_salt: local.1,
            remote_key: remote.0,
            remote_salt: remote.1,
        })
    }
}

impl fmt::Debug for SrtpKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SrtpKeys")
            .field("profile", &self.profile)
            .finish_non_exhaustive()
    }
}
