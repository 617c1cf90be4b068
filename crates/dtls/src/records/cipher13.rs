//! One record of DTLS 1.3 under one key (RFC 9147 §4): the unified header, its masked number, the inner content type.

use std::ops::Range;

use esp_crypto::{AesGcm, AesMask, NONCE_LEN, TAG_LEN};
use zeroize::Zeroizing;

use super::{MAX_PLAIN, Unsupported};
use crate::secrets::Keys13;

/// Unified header as it is sent: 16-bit record number and length.
pub(super) const HEAD: usize = 5;
const FLAGS: u8 = 0b0010_1100;

pub(super) struct Keys {
    gcm: AesGcm,
    iv: Zeroizing<[u8; NONCE_LEN]>,
    mask: AesMask,
}

/// A record that was opened in place.
pub(super) struct Inner {
    pub(super) number: u64,
    pub(super) content_type: u8,
    pub(super) content: Range<usize>,
}

pub(super) enum Refusal {
    /// Not authentic under the key.
    Forged,
    /// Malformed or seen before.
    Unfit,
}

impl Keys {
    pub(super) fn new(keys: &Keys13) -> Result<Self, Unsupported> {
        // 32 bytes under the shorter hash belong to ChaCha20-Poly1305.
        if !matches!((keys.secret.len(), keys.key.len()), (32, 16) | (48, 32)) {
            return Err(Unsupported);
        }
        let iv = keys.iv.first_chunk::<NONCE_LEN>().ok_or(Unsupported)?;
        Ok(Keys {
            gcm: AesGcm::new(&keys.key).map_err(|_| Unsupported)?,
            iv: Zeroizing::new(*iv),
            mask: AesMask::new(&keys.number_key).map_err(|_| Unsupported)?,
        })
    }

    /// RFC 8446 §5.3.
    fn nonce(&self, number: u64) -> [u8; NONCE_LEN] {
        let mut nonce = *self.iv;
        for (byte, of_number) in nonce[4..].iter_mut().zip(number.to_be_bytes()) {
            *byte ^= of_number;
        }
        nonce
    }

    /// Seals content and content type, which lie between room for the header and the tag.
    pub(super) fn seal(&self, epoch: u16, number: u64, record: &mut [u8]) -> Option<()> {
        let (head, body) = record.split_first_chunk_mut::<HEAD>()?;
        let len = u16::try_from(body.len()).ok()?;
        head[0] = FLAGS | (epoch & 3) as u8;
        head[1..3].copy_from_slice(&(number as u16).to_be_bytes());
        head[3..].copy_from_slice(&len.to_be_bytes());
        self.gcm.seal_suffix(&self.nonce(number), head, body).ok()?;
        let mask = self.mask.mask(body.first_chunk()?);
        head[1] ^= mask[0];
        head[2] ^= mask[1];
        Some(())
    }

    /// Opens a record in place whose number is near `expected` and passes `is_fresh`.
    pub(super) fn open(
        &self,
        record: &mut [u8],
        expected: u64,
        is_fresh: impl Fn(u64) -> bool,
    ) -> Result<Inner, Refusal> {
        let flags = *record.first().ok_or(Refusal::Unfit)?;
        let wide = flags & 0x08 != 0;
        let number_end = if wide { 3 } else { 2 };
        let start = number_end + if flags & 0x04 != 0 { 2 } else { 0 };
        let (head, body) = record.split_at_mut_checked(start).ok_or(Refusal::Unfit)?;
        if body.len() > MAX_PLAIN + 256 + TAG_LEN || body.len() <= TAG_LEN {
            return Err(Refusal::Unfit);
        }
        // RFC 9147 §4.2.3: the mask is made of the first block of the cipher text.
        let mask = self.mask.mask(body.first_chunk().ok_or(Refusal::Unfit)?);
        let mut partial = 0;
        for (byte, mask) in head[1..number_end].iter_mut().zip(mask) {
            *byte ^= mask;
            partial = partial << 8 | u64::from(*byte);
        }
        let number = reconstruct(partial, expected, if wide { 16 } else { 8 });
        if !is_fresh(number) {
            return Err(Refusal::Unfit);
        }
        let opened = self.gcm.open_suffix(&self.nonce(number), head, body);
        let len = opened.map_err(|_| Refusal::Forged)?;
        // RFC 9147 §4: zeros pad the content; its type is the last byte that is none.
        let padded = &body[..len];
        let at = padded.iter().rposition(|byte| *byte != 0);
        let at = at.ok_or(Refusal::Unfit)?;
        Ok(Inner {
            number,
            content_type: padded[at],
            content: start..start + at,
        })
    }
}

/// RFC 9147 §4.2.2: the number next to `expected` whose low bits are `partial`.
fn reconstruct(partial: u64, expected: u64, bits: u32) -> u64 {
    let span = 1 << bits;
    let near = expected & !(span - 1) | partial;
    if near + span / 2 < expected {
        near + span
    } else if near > expected + span / 2 && near >= span {
        near - span
    } else {
        near
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_reconstructed_around_the_expected_one() {
        for expected in [0_u64, 1, 40_000, 65_535, 65_536, 70_000, 1 << 40] {
            for delta in -30_000_i64..30_000 {
                if let Some(number) = expected.checked_add_signed(delta) {
                    assert_eq!(reconstruct(number & 0xffff, expected, 16), number);
                }
            }
            for delta in -120_i64..120 {
                if let Some(number) = expected.checked_add_signed(delta) {
                    assert_eq!(reconstruct(number & 0xff, expected, 8), number);
                }
            }
        }
    }
}
