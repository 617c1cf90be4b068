use esp_crypto::{AesCtr, AesGcm, HmacSha1Key, TAG_LEN};
use zeroize::{Zeroize as _, Zeroizing};

use crate::derivation::{Label, derive};
use crate::header::RTCP_HEADER;
use crate::{Error, Keying, Profile};

/// The E flag and the index behind an SRTCP packet.
pub(crate) const ESRTCP: usize = 4;
const E_FLAG: u32 = 1 << 31;
/// RFC 3711 §5.2: the authentication tag of SRTCP is never shorter.
const RTCP_TAG: usize = 10;

/// The session keys of SRTP or of SRTCP in one direction.
pub(crate) enum Cipher {
    Cm {
        ctr: Box<AesCtr>,
        mac: Box<HmacSha1Key>,
        salt: [u8; 14],
        tag: usize,
    },
    Gcm {
        aead: AesGcm,
        salt: [u8; 12],
    },
}

impl Drop for Cipher {
    fn drop(&mut self) {
        match self {
            Cipher::Cm { salt, .. } => salt.zeroize(),
            Cipher::Gcm { salt, .. } => salt.zeroize(),
        }
    }
}

impl Cipher {
    pub(crate) fn for_rtp(keying: &Keying) -> Result<Self, Error> {
        let tag = match keying.profile() {
            Profile::Aes128CmSha1_32 => 4,
            _ => 10,
        };
        let labels = [
            Label::RtpEncryption,
            Label::RtpAuthentication,
            Label::RtpSalt,
        ];
        Self::derived(keying, labels, tag)
    }

    pub(crate) fn for_rtcp(keying: &Keying) -> Result<Self, Error> {
        let labels = [
            Label::RtcpEncryption,
            Label::RtcpAuthentication,
            Label::RtcpSalt,
        ];
        Self::derived(keying, labels, RTCP_TAG)
    }

    fn derived(keying: &Keying, labels: [Label; 3], tag: usize) -> Result<Self, Error> {
        const LENGTH: Error = Error::Misuse("a master key of a wrong length");
        let master = AesCtr::new(keying.key()).map_err(|_| LENGTH)?;
        let mut key = Zeroizing::new([0; 32]);
        let key = &mut key[..keying.profile().key_len()];
        derive(&master, keying.salt(), labels[0], key);
        let mut salt = Zeroizing::new([0; 14]);
        derive(&master, keying.salt(), labels[2], &mut salt[..]);
        match keying.profile() {
            Profile::Aes128CmSha1_80 | Profile::Aes128CmSha1_32 => {
                let mut auth = Zeroizing::new([0; 20]);
                derive(&master, keying.salt(), labels[1], &mut auth[..]);
                Self::cm(key, &auth[..], *salt, tag)
            }
            Profile::AeadAes128Gcm | Profile::AeadAes256Gcm => {
                let mut short = [0; 12];
                short.copy_from_slice(&salt[..12]);
                Self::gcm(key, short)
            }
        }
    }

    fn cm(key: &[u8], auth: &[u8], salt: [u8; 14], tag: usize) -> Result<Self, Error> {
        Ok(Cipher::Cm {
            ctr: AesCtr::new(key)
                .map(Box::new)
                .map_err(|_| Error::Misuse("a session key of a wrong length"))?,
            mac: Box::new(HmacSha1Key::new(auth)),
            salt,
            tag,
        })
    }

    pub(crate) fn gcm(key: &[u8], salt: [u8; 12]) -> Result<Self, Error> {
        Ok(Cipher::Gcm {
            aead: AesGcm::new(key).map_err(|_| Error::Misuse("a session key of a wrong length"))?,
            salt,
        })
    }

    /// Bytes that protection adds to an RTP packet.
    pub(crate) fn tag_len(&self) -> usize {
        match self {
            Cipher::Cm { tag, .. } => *tag,
            Cipher::Gcm { .. } => TAG_LEN,
        }
    }

    /// True when two packets under one index give away the authentication key.
    pub(crate) fn is_fragile(&self) -> bool {
        matches!(self, Cipher::Gcm { .. })
    }

    /// Protects an RTP packet whose last [`Cipher::tag_len`] bytes are free; `header` bytes stay in the clear.
    pub(crate) fn seal_rtp(
        &self,
        packet: &mut [u8],
        header: usize,
        ssrc: u32,
        index: u64,
    ) -> Result<(), Error> {
        match self {
            Cipher::Cm {
                ctr,
                mac,
                salt,
                tag,
            } => {
                let (data, slot) = split_tail(packet, *tag)?;
                ctr.apply(&cm_counter(salt, ssrc, index), &mut data[header..]);
                let roc = ((index >> 16) as u32).to_be_bytes();
                slot.copy_from_slice(&mac.sign(&[data, &roc])[..*tag]);
                Ok(())
            }
            Cipher::Gcm { aead, salt } => {
                let (header, rest) = packet.split_at_mut(header);
                aead.seal_suffix(&gcm_rtp_nonce(salt, ssrc, index), header, rest)
                    .map_err(|_| Error::Misuse("no room for the tag"))
            }
        }
    }

    /// Checks and decrypts an SRTP packet; its last [`Cipher::tag_len`] bytes are void then.
    pub(crate) fn open_rtp(
        &self,
        packet: &mut [u8],
        header: usize,
        ssrc: u32,
        index: u64,
    ) -> Result<(), Error> {
        match self {
            Cipher::Cm {
                ctr,
                mac,
                salt,
                tag,
            } => {
                let (data, given) = split_tail(packet, *tag)?;
                let roc = ((index >> 16) as u32).to_be_bytes();
                if !mac.verify(&[data, &roc], given) {
                    return Err(Error::Unauthentic);
                }
                ctr.apply(&cm_counter(salt, ssrc, index), &mut data[header..]);
                Ok(())
            }
            Cipher::Gcm { aead, salt } => {
                let (header, rest) = packet.split_at_mut(header);
                aead.open_suffix(&gcm_rtp_nonce(salt, ssrc, index), header, rest)
                    .map(|_| ())
                    .map_err(|_| Error::Unauthentic)
            }
        }
    }

    /// Bytes that protection adds to an RTCP packet.
    pub(crate) fn rtcp_overhead(&self) -> usize {
        ESRTCP + self.tag_len()
    }

    /// Protects and encrypts an RTCP packet whose last [`Cipher::rtcp_overhead`] bytes are free.
    pub(crate) fn seal_rtcp(&self, packet: &mut [u8], ssrc: u32, index: u32) -> Result<(), Error> {
        let word = (index | E_FLAG).to_be_bytes();
        match self {
            Cipher::Cm {
                ctr,
                mac,
                salt,
                tag,
            } => {
                let (data, slot) = split_tail(packet, *tag)?;
                let (rtcp, esrtcp) = split_tail(data, ESRTCP)?;
                esrtcp.copy_from_slice(&word);
                let counter = cm_counter(salt, ssrc, u64::from(index));
                ctr.apply(&counter, &mut rtcp[RTCP_HEADER..]);
                slot.copy_from_slice(&mac.sign(&[data])[..*tag]);
            }
            Cipher::Gcm { aead, salt } => {
                let (data, esrtcp) = split_tail(packet, ESRTCP)?;
                esrtcp.copy_from_slice(&word);
                let (header, rest) = data.split_at_mut(RTCP_HEADER);
                aead.seal_suffix(
                    &gcm_rtcp_nonce(salt, ssrc, index),
                    &encrypted_aad(header, word),
                    rest,
                )
                .map_err(|_| Error::Misuse("no room for the tag"))?;
            }
        }
        Ok(())
    }

    /// The index of an SRTCP packet; it has at least the bytes of [`Cipher::rtcp_overhead`] and a header.
    pub(crate) fn rtcp_index(&self, packet: &[u8]) -> Result<u32, Error> {
        let behind = match self {
            Cipher::Cm { tag, .. } => *tag,
            Cipher::Gcm { .. } => 0,
        };
        let end = packet.len().checked_sub(behind).ok_or(Error::Malformed)?;
        let word = packet[..end].last_chunk().ok_or(Error::Malformed)?;
        Ok(u32::from_be_bytes(*word))
    }

    /// Checks and decrypts an SRTCP packet with the word that [`Cipher::rtcp_index`] gave.
    pub(crate) fn open_rtcp(&self, packet: &mut [u8], ssrc: u32, word: u32) -> Result<(), Error> {
        let (encrypted, index) = (word & E_FLAG != 0, word & !E_FLAG);
        match self {
            Cipher::Cm {
                ctr,
                mac,
                salt,
                tag,
            } => {
                let (data, given) = split_tail(packet, *tag)?;
                if !mac.verify(&[data], given) {
                    return Err(Error::Unauthentic);
                }
                if encrypted {
                    let (rtcp, _) = split_tail(data, ESRTCP)?;
                    let counter = cm_counter(salt, ssrc, u64::from(index));
                    ctr.apply(&counter, &mut rtcp[RTCP_HEADER..]);
                }
                Ok(())
            }
            Cipher::Gcm { aead, salt } => {
                let nonce = gcm_rtcp_nonce(salt, ssrc, index);
                let (data, esrtcp) = split_tail(packet, ESRTCP)?;
                let opened = if encrypted {
                    let (header, rest) = data.split_at_mut(RTCP_HEADER);
                    let aad = encrypted_aad(header, word.to_be_bytes());
                    aead.open_suffix(&nonce, &aad, rest).map(|_| ())
                } else {
                    // RFC 7714 §9.3: all of the packet and the word behind it are associated data.
                    let (rtcp, given) = split_tail(data, TAG_LEN)?;
                    let mut tag = [0; TAG_LEN];
                    tag.copy_from_slice(given);
                    given[..ESRTCP].copy_from_slice(esrtcp);
                    let len = rtcp.len() + ESRTCP;
                    aead.open(&nonce, &packet[..len], &mut [], &tag)
                };
                opened.map_err(|_| Error::Unauthentic)
            }
        }
    }
}

fn split_tail(bytes: &mut [u8], tail: usize) -> Result<(&mut [u8], &mut [u8]), Error> {
    let at = bytes.len().checked_sub(tail).ok_or(Error::Malformed)?;
    Ok(bytes.split_at_mut(at))
}

/// RFC 3711 §4.1.1: salt, SSRC and index, each at its place, over a block counter of 16 bits.
fn cm_counter(salt: &[u8; 14], ssrc: u32, index: u64) -> [u8; 16] {
    let place = u128::from(ssrc) << 64 | u128::from(index) << 16;
    let mut counter = place.to_be_bytes();
    for (byte, salt) in counter.iter_mut().zip(salt) {
        *byte ^= salt;
    }
    counter
}

/// RFC 7714 §8.1.
fn gcm_rtp_nonce(salt: &[u8; 12], ssrc: u32, index: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[2..6].copy_from_slice(&ssrc.to_be_bytes());
    nonce[6..].copy_from_slice(&index.to_be_bytes()[2..]);
    xor(nonce, salt)
}

/// RFC 7714 §9.1.
fn gcm_rtcp_nonce(salt: &[u8; 12], ssrc: u32, index: u32) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[2..6].copy_from_slice(&ssrc.to_be_bytes());
    nonce[8..].copy_from_slice(&index.to_be_bytes());
    xor(nonce, salt)
}

fn xor(mut nonce: [u8; 12], salt: &[u8; 12]) -> [u8; 12] {
    for (byte, salt) in nonce.iter_mut().zip(salt) {
        *byte ^= salt;
    }
    nonce
}

/// RFC 7714 §9.2: the header and the word with the E flag.
fn encrypted_aad(header: &[u8], word: [u8; ESRTCP]) -> [u8; RTCP_HEADER + ESRTCP] {
    let mut aad = [0; RTCP_HEADER + ESRTCP];
    aad[..RTCP_HEADER].copy_from_slice(header);
    aad[RTCP_HEADER..].copy_from_slice(&word);
    aad
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    #[test]
    fn the_counter_holds_salt_ssrc_and_index() {
        // RFC 3711 §B.2: SSRC and index zero leave the salt.
        let salt = std::array::from_fn(|i| 0xf0 + i as u8);
        let counter = cm_counter(&salt, 0, 0);
        assert_eq!(counter[..14], salt);
        assert_eq!(counter[14..], [0, 0]);
        let counter = cm_counter(&[0; 14], 0x0102_0304, 0x0506_0708_090a);
        assert_eq!(counter, [0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0, 0]);
    }
}
