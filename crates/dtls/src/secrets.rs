//! The keys of records that the DTLS library derives, seen through its HMAC provider.
//!
//! Every derivation of TLS is an HMAC over a label: the provider that the library is given computes each with
//! the library's own one and keeps what belongs to the keys of application records. The library works on one
//! association at a time and on the caller's thread, so that [`watch`] ties them to that association.

use std::cell::RefCell;

use dimpl::CryptoError;
use dimpl::crypto::{CryptoProvider, HashAlgorithm, HmacProvider};
use zeroize::Zeroizing;

use crate::Error;

/// RFC 5246 §6.3.
const KEY_EXPANSION: &[u8] = b"key expansion";
/// RFC 9147 §5.9.
const PREFIX: &[u8] = b"dtls13";
/// Bytes that the longest key block has, rounded up to whole hashes.
const MAX_BLOCK: usize = 96;

thread_local! {
    static WATCHED: RefCell<Option<Box<Secrets>>> = const { RefCell::new(None) };
}

/// The library's provider, with an HMAC that is watched.
pub(crate) fn provider() -> CryptoProvider {
    CryptoProvider {
        hmac_provider: &WatchedHmac,
        ..library_provider()
    }
}

fn library_provider() -> CryptoProvider {
    #[cfg(feature = "aws-lc")]
    return dimpl::crypto::aws_lc_rs::default_provider();
    #[cfg(not(feature = "aws-lc"))]
    return dimpl::crypto::rust_crypto::default_provider();
}

/// Runs a step of the library, noting into `secrets` what it derives.
pub(crate) fn watch<T>(secrets: &mut Option<Box<Secrets>>, step: impl FnOnce() -> T) -> T {
    if secrets.is_none() {
        return step();
    }
    WATCHED.replace(secrets.take());
    let result = step();
    *secrets = WATCHED.take();
    result
}

#[derive(Debug)]
struct WatchedHmac;

impl HmacProvider for WatchedHmac {
    fn hmac(
        &self,
        hash: HashAlgorithm,
        key: &[u8],
        data: &[u8],
        out: &mut [u8],
    ) -> Result<usize, CryptoError> {
        let provider = library_provider();
        let len = provider.hmac_provider.hmac(hash, key, data, out)?;
        WATCHED.with_borrow_mut(|secrets| {
            if let (Some(secrets), Some(tag)) = (secrets, out.get(..len)) {
                secrets.note(key, data, tag);
            }
        });
        Ok(len)
    }
}

/// The keys of one direction of DTLS 1.2 (RFC 5246 §6.3, RFC 5288 §3).
pub(crate) struct Keys12 {
    pub(crate) key: Zeroizing<Vec<u8>>,
    pub(crate) salt: Zeroizing<[u8; 4]>,
}

/// The keys of one epoch and direction of DTLS 1.3 (RFC 9147 §4.2.3, RFC 8446 §7.3).
pub(crate) struct Keys13 {
    /// What they were derived from, as long as the hash: that tells the suites whose keys have 32 bytes apart.
    pub(crate) secret: Zeroizing<Vec<u8>>,
    pub(crate) key: Zeroizing<Vec<u8>>,
    pub(crate) iv: Zeroizing<Vec<u8>>,
    pub(crate) number_key: Zeroizing<Vec<u8>>,
}

/// What was derived for one association; nothing in here is ever shown.
pub(crate) struct Secrets {
    /// The key block of DTLS 1.2 as far as it is known.
    block: Zeroizing<Vec<u8>>,
    block_hash_len: usize,
    client: Track,
    server: Track,
    /// The same of the handshake.
    client_handshake: Track,
    server_handshake: Track,
}

/// The traffic secret of one direction of DTLS 1.3 and what was derived from it.
#[derive(Default)]
struct Track {
    secret: Zeroizing<Vec<u8>>,
    key: Option<Zeroizing<Vec<u8>>>,
    iv: Option<Zeroizing<Vec<u8>>>,
    number_key: Option<Zeroizing<Vec<u8>>>,
}

impl Secrets {
    pub(crate) fn new() -> Self {
        Secrets {
            block: Zeroizing::new(Vec::with_capacity(MAX_BLOCK)),
            block_hash_len: 0,
            client: Track::default(),
            server: Track::default(),
            client_handshake: Track::default(),
            server_handshake: Track::default(),
        }
    }

    fn note(&mut self, key: &[u8], data: &[u8], tag: &[u8]) {
        match expanded_label(data) {
            Some((label, len)) => self.note_expansion(key, label, tag, len),
            None => self.note_block(data, tag),
        }
    }

    /// RFC 5246 §5: A(1) is over label and seed, each part of the output over A(i), label and seed.
    fn note_block(&mut self, data: &[u8], tag: &[u8]) {
        if data.starts_with(KEY_EXPANSION) {
            self.block.clear();
            self.block_hash_len = tag.len();
        } else if data
            .get(tag.len()..)
            .is_some_and(|rest| rest.starts_with(KEY_EXPANSION))
            && tag.len() == self.block_hash_len
            && self.block.len() + tag.len() <= MAX_BLOCK
        {
            self.block.extend_from_slice(tag);
        }
    }

    fn note_expansion(&mut self, key: &[u8], label: &[u8], tag: &[u8], len: usize) {
        let Some(out) = tag.get(..len) else {
            return;
        };
        match label {
            b"c hs traffic" => self.client_handshake = Track::of(out),
            b"s hs traffic" => self.server_handshake = Track::of(out),
            b"c ap traffic" => self.client = Track::of(out),
            b"s ap traffic" => self.server = Track::of(out),
            b"traffic upd" => {
                for track in [&mut self.client, &mut self.server] {
                    if track.secret[..] == *key {
                        *track = Track::of(out);
                    }
                }
            }
            _ => {
                for track in [
                    &mut self.client,
                    &mut self.server,
                    &mut self.client_handshake,
                    &mut self.server_handshake,
                ] {
                    if !track.secret.is_empty() && track.secret[..] == *key {
                        track.note(label, out);
                    }
                }
            }
        }
    }

    /// The keys of DTLS 1.2, client first, once they are derived; they are given once.
    pub(crate) fn take_12(&mut self) -> Option<[Keys12; 2]> {
        // The hash tells the two suites that are offered apart.
        let key_len = match self.block_hash_len {
            32 => 16,
            48 => 32,
            _ => return None,
        };
        let (client_key, rest) = self.block.split_at_checked(key_len)?;
        let (server_key, rest) = rest.split_at_checked(key_len)?;
        let (client_salt, rest) = rest.split_first_chunk::<4>()?;
        let server_salt = rest.first_chunk::<4>()?;
        let keys = [
            Keys12 {
                key: Zeroizing::new(client_key.to_vec()),
                salt: Zeroizing::new(*client_salt),
            },
            Keys12 {
                key: Zeroizing::new(server_key.to_vec()),
                salt: Zeroizing::new(*server_salt),
            },
        ];
        self.block = Zeroizing::default();
        self.block_hash_len = 0;
        Some(keys)
    }

    /// The keys of the first application epoch of DTLS 1.3, client first, once they are derived.
    pub(crate) fn take_both_13(&mut self) -> Option<[Keys13; 2]> {
        if !(self.client.is_complete() && self.server.is_complete()) {
            return None;
        }
        Some([self.client.take()?, self.server.take()?])
    }

    /// The keys of the handshake of DTLS 1.3, client first, once they are derived.
    pub(crate) fn take_handshake(&mut self) -> Option<[Keys13; 2]> {
        let (client, server) = (&mut self.client_handshake, &mut self.server_handshake);
        if !(client.is_complete() && server.is_complete()) {
            return None;
        }
        Some([client.take()?, server.take()?])
    }

    /// The keys of the next epoch of one direction of DTLS 1.3, when they were derived.
    pub(crate) fn take_13(&mut self, of_client: bool) -> Option<Keys13> {
        let track = if of_client {
            &mut self.client
        } else {
            &mut self.server
        };
        track.take()
    }
}

impl Track {
    fn of(secret: &[u8]) -> Self {
        Track {
            secret: Zeroizing::new(secret.to_vec()),
            ..Track::default()
        }
    }

    fn note(&mut self, label: &[u8], out: &[u8]) {
        let slot = match label {
            b"key" => &mut self.key,
            b"iv" => &mut self.iv,
            b"sn" => &mut self.number_key,
            _ => return,
        };
        *slot = Some(Zeroizing::new(out.to_vec()));
    }

    fn is_complete(&self) -> bool {
        self.key.is_some() && self.iv.is_some() && self.number_key.is_some()
    }

    fn take(&mut self) -> Option<Keys13> {
        if !self.is_complete() {
            return None;
        }
        Some(Keys13 {
            secret: self.secret.clone(),
            key: self.key.take()?,
            iv: self.iv.take()?,
            number_key: self.number_key.take()?,
        })
    }
}

/// The keys of the epoch after the one whose traffic secret this is (RFC 8446 §7.2, §7.3).
pub(crate) fn next_keys(secret: &[u8], key_len: usize) -> Result<Keys13, Error> {
    let secret = expand_label(secret, b"traffic upd", secret.len())?;
    Ok(Keys13 {
        key: expand_label(&secret, b"key", key_len)?,
        iv: expand_label(&secret, b"iv", esp_crypto::NONCE_LEN)?,
        number_key: expand_label(&secret, b"sn", key_len)?,
        secret,
    })
}

/// HKDF-Expand-Label without a context (RFC 8446 §7.1, RFC 9147 §5.9), of one block of the hash at most.
fn expand_label(secret: &[u8], label: &[u8], len: usize) -> Result<Zeroizing<Vec<u8>>, Error> {
    let hash = match secret.len() {
        48 => HashAlgorithm::SHA384,
        _ => HashAlgorithm::SHA256,
    };
    let mut data = vec![0, len as u8, (PREFIX.len() + label.len()) as u8];
    data.extend_from_slice(PREFIX);
    data.extend_from_slice(label);
    data.extend_from_slice(&[0, 1]);
    let mut out = Zeroizing::new(vec![0; 48]);
    let hmac = library_provider().hmac_provider;
    hmac.hmac(hash, secret, &data, &mut out)
        .map_err(|_| Error::Library("no keys could be derived".into()))?;
    out.truncate(len);
    Ok(out)
}

/// The label and the length of the output, when `data` is the first block of an HKDF-Expand-Label
/// (RFC 8446 §7.1 with the prefix of RFC 9147 §5.9).
fn expanded_label(data: &[u8]) -> Option<(&[u8], usize)> {
    let (len, rest) = data.split_first_chunk::<2>()?;
    let (label_len, rest) = rest.split_first()?;
    let label = rest.get(..usize::from(*label_len))?;
    let label = label.strip_prefix(PREFIX)?;
    (data.last() == Some(&1)).then_some((label, usize::from(u16::from_be_bytes(*len))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(label: &[u8], len: u8) -> Vec<u8> {
        let mut data = vec![0, len, label.len() as u8 + 6];
        data.extend(b"dtls13");
        data.extend(label);
        data.extend([0, 1]);
        data
    }

    #[test]
    fn keys_of_an_epoch_belong_to_its_secret() {
        let mut secrets = Secrets::new();
        secrets.note(b"master", &expand(b"c ap traffic", 32), &[1; 32]);
        secrets.note(b"master", &expand(b"s ap traffic", 32), &[2; 32]);
        for secret in [[1; 32], [2; 32], [9; 32]] {
            secrets.note(&secret, &expand(b"key", 16), &[secret[0] + 10; 32]);
            secrets.note(&secret, &expand(b"iv", 12), &[secret[0] + 20; 32]);
            assert!(secrets.take_both_13().is_none());
            secrets.note(&secret, &expand(b"sn", 16), &[secret[0] + 30; 32]);
            if secret[0] == 2 {
                let [client, server] = secrets.take_both_13().unwrap();
                assert_eq!(client.key[..], [11; 16]);
                assert_eq!(client.iv[..], [21; 12]);
                assert_eq!(server.key[..], [12; 16]);
                assert_eq!(server.number_key[..], [32; 16]);
            }
        }
        assert!(secrets.take_13(true).is_none());
        secrets.note(&[1; 32], &expand(b"traffic upd", 32), &[3; 32]);
        for label in [&b"key"[..], b"iv", b"sn"] {
            secrets.note(&[3; 32], &expand(label, 16), &[7; 32]);
        }
        assert!(secrets.take_13(false).is_none());
        assert_eq!(secrets.take_13(true).unwrap().key[..], [7; 16]);
        assert!(secrets.take_13(true).is_none());
    }

    #[test]
    fn a_key_block_comes_in_parts() {
        let mut secrets = Secrets::new();
        secrets.note(b"master", b"key expansion and seed", &[0; 32]);
        for part in 1..3_u8 {
            assert!(secrets.take_12().is_none());
            let data = [&[part; 32][..], b"key expansion and seed"].concat();
            secrets.note(b"master", &data, &[part; 32]);
        }
        let [client, server] = secrets.take_12().unwrap();
        assert_eq!(client.key[..], [1; 16]);
        assert_eq!(server.key[..], [1; 16]);
        assert_eq!(client.salt[..], [2; 4]);
        assert_eq!(server.salt[..], [2; 4]);
        assert!(secrets.take_12().is_none());
    }
}
