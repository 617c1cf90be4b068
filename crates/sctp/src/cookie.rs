//! The state cookie (RFC 9260 §5.1.3) and the keyed hash that authenticates it.
//!
//! Why not HMAC-SHA: inside DTLS only the authenticated peer can send a packet at all, so the cookie
//! guards against a peer that plays old or invented handshakes, not against strangers. SipHash-2-4
//! with 128 bits of output under a key that never leaves the association is a MAC for short input,
//! and it spares this crate a cryptographic dependency.

use std::time::Duration;

use esp_wire::{Instant, Reader, Rng};

use crate::chunk::init::{Extensions, Init};

/// What an association needs to come into being, as carried through the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cookie {
    pub(crate) created: Instant,
    pub(crate) local_tag: u32,
    pub(crate) local_tsn: u32,
    pub(crate) peer: PeerInit,
    /// Tags of the association that this one would replace, zero without one.
    pub(crate) tie: (u32, u32),
}

/// What the peer's INIT or INIT ACK said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PeerInit {
    pub(crate) tag: u32,
    pub(crate) tsn: u32,
    pub(crate) window: u32,
    pub(crate) outbound: u16,
    pub(crate) inbound: u16,
    pub(crate) extensions: Extensions,
}

impl From<&Init> for PeerInit {
    fn from(init: &Init) -> Self {
        PeerInit {
            tag: init.tag,
            tsn: init.tsn,
            window: init.window,
            outbound: init.outbound,
            inbound: init.inbound,
            extensions: init.extensions,
        }
    }
}

/// The cookie was not made by us, or was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Forged;

const MAC: usize = 16;
const BODY: usize = 8 + 4 * 7 + 2 * 2 + 6;

/// Makes and opens cookies; the key is secret.
pub(crate) struct Jar {
    key: [u64; 2],
    lifetime: Duration,
}

impl std::fmt::Debug for Jar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Jar")
    }
}

impl Jar {
    pub(crate) fn new(rng: &mut Rng, lifetime: Duration) -> Self {
        Jar {
            key: [rng.u64(), rng.u64()],
            lifetime,
        }
    }

    /// The bytes of the cookie.
    pub(crate) fn seal(&self, cookie: &Cookie) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(BODY + MAC);
        bytes.extend_from_slice(&cookie.created.as_nanos().to_be_bytes());
        let peer = &cookie.peer;
        for word in [
            cookie.local_tag,
            cookie.local_tsn,
            peer.tag,
            peer.tsn,
            peer.window,
            cookie.tie.0,
            cookie.tie.1,
        ] {
            bytes.extend_from_slice(&word.to_be_bytes());
        }
        bytes.extend_from_slice(&peer.outbound.to_be_bytes());
        bytes.extend_from_slice(&peer.inbound.to_be_bytes());
        let has = peer.extensions;
        bytes.extend([
            u8::from(has.forward_tsn),
            u8::from(has.i_forward_tsn),
            u8::from(has.reconfig),
            u8::from(has.interleaving),
            u8::from(has.zero_checksum),
            u8::from(has.ecn),
        ]);
        let mac = siphash128(self.key, &bytes);
        bytes.extend_from_slice(&mac);
        bytes
    }

    /// Checks a cookie that came back; the age is the caller's to judge when both tags match.
    pub(crate) fn open(&self, now: Instant, bytes: &[u8]) -> Result<(Cookie, bool), Forged> {
        let (body, mac) = bytes
            .split_last_chunk::<MAC>()
            .filter(|(body, _)| body.len() == BODY)
            .ok_or(Forged)?;
        let right = siphash128(self.key, body);
        let difference = mac.iter().zip(right).fold(0, |sum, (a, b)| sum | (a ^ b));
        if difference != 0 {
            return Err(Forged);
        }
        let cookie = Self::read(body).ok_or(Forged)?;
        let stale = now.since(cookie.created) > self.lifetime;
        Ok((cookie, stale))
    }

    /// How much too old a cookie is.
    pub(crate) fn staleness(&self, now: Instant, cookie: &Cookie) -> Duration {
        now.since(cookie.created).saturating_sub(self.lifetime)
    }

    fn read(body: &[u8]) -> Option<Cookie> {
        let mut reader = Reader::new(body);
        let created = Instant::from_nanos(reader.u64().ok()?);
        let mut words = [0; 7];
        for word in &mut words {
            *word = reader.u32().ok()?;
        }
        let [local_tag, local_tsn, tag, tsn, window, tie_local, tie_peer] = words;
        let (outbound, inbound) = (reader.u16().ok()?, reader.u16().ok()?);
        let flags: [u8; 6] = reader.array().ok()?;
        Some(Cookie {
            created,
            local_tag,
            local_tsn,
            peer: PeerInit {
                tag,
                tsn,
                window,
                outbound,
                inbound,
                extensions: Extensions {
                    forward_tsn: flags[0] != 0,
                    i_forward_tsn: flags[1] != 0,
                    reconfig: flags[2] != 0,
                    interleaving: flags[3] != 0,
                    zero_checksum: flags[4] != 0,
                    ecn: flags[5] != 0,
                },
            },
            tie: (tie_local, tie_peer),
        })
    }
}

/// SipHash-2-4 with 128 bits of output.
fn siphash128(key: [u64; 2], bytes: &[u8]) -> [u8; 16] {
    let mut v = [
        key[0] ^ 0x736f_6d65_7073_6575,
        key[1] ^ 0x646f_7261_6e64_6f6d ^ 0xee,
        key[0] ^ 0x6c79_6765_6e65_7261,
        key[1] ^ 0x7465_6462_7974_6573,
    ];
    let absorb = |v: &mut [u64; 4], word: u64| {
        v[3] ^= word;
        rounds(v, 2);
        v[0] ^= word;
    };
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        absorb(&mut v, u64::from_le_bytes(*word));
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    last[7] = bytes.len() as u8;
    absorb(&mut v, u64::from_le_bytes(last));
    v[2] ^= 0xee;
    rounds(&mut v, 4);
    let low = v[0] ^ v[1] ^ v[2] ^ v[3];
    v[1] ^= 0xdd;
    rounds(&mut v, 4);
    let high = v[0] ^ v[1] ^ v[2] ^ v[3];
    let mut out = [0; 16];
    out[..8].copy_from_slice(&low.to_le_bytes());
    out[8..].copy_from_slice(&high.to_le_bytes());
    out
}

fn rounds(v: &mut [u64; 4], count: usize) {
    for _ in 0..count {
        v[0] = v[0].wrapping_add(v[1]);
        v[1] = v[1].rotate_left(13) ^ v[0];
        v[0] = v[0].rotate_left(32);
        v[2] = v[2].wrapping_add(v[3]);
        v[3] = v[3].rotate_left(16) ^ v[2];
        v[0] = v[0].wrapping_add(v[3]);
        v[3] = v[3].rotate_left(21) ^ v[0];
        v[2] = v[2].wrapping_add(v[1]);
        v[1] = v[1].rotate_left(17) ^ v[2];
        v[2] = v[2].rotate_left(32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookie() -> Cookie {
        Cookie {
            created: Instant::from_millis(5),
            local_tag: 1,
            local_tsn: 2,
            peer: PeerInit {
                tag: 3,
                tsn: 4,
                window: 5,
                outbound: 6,
                inbound: 7,
                extensions: Extensions {
                    reconfig: true,
                    ..Extensions::default()
                },
            },
            tie: (8, 9),
        }
    }

    #[test]
    fn a_cookie_comes_back_unchanged_or_not_at_all() {
        let jar = Jar::new(&mut Rng::new([1; 32]), Duration::from_secs(60));
        let sealed = jar.seal(&cookie());
        let now = Instant::from_millis(10);
        assert_eq!(jar.open(now, &sealed), Ok((cookie(), false)));
        let named: [fn(&mut Extensions) -> &mut bool; 6] = [
            |has| &mut has.forward_tsn,
            |has| &mut has.i_forward_tsn,
            |has| &mut has.reconfig,
            |has| &mut has.interleaving,
            |has| &mut has.zero_checksum,
            |has| &mut has.ecn,
        ];
        for name in named {
            let mut other = cookie();
            let has = name(&mut other.peer.extensions);
            *has = !*has;
            assert_eq!(jar.open(now, &jar.seal(&other)), Ok((other, false)));
        }
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 0x10;
            assert_eq!(jar.open(now, &changed), Err(Forged));
        }
        assert_eq!(jar.open(now, &sealed[1..]), Err(Forged));
        let late = Instant::from_millis(70_005);
        assert_eq!(jar.open(late, &sealed), Ok((cookie(), true)));
        assert_eq!(jar.staleness(late, &cookie()), Duration::from_secs(10));
    }

    #[test]
    fn the_hash_matches_the_reference_vectors() {
        let key = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];
        let input: Vec<u8> = (0..15).collect();
        let hex = |bytes: [u8; 16]| u128::from_be_bytes(bytes);
        assert_eq!(
            hex(siphash128(key, &input[..0])),
            0xa3817f04ba25a8e66df67214c7550293
        );
        assert_eq!(
            hex(siphash128(key, &input[..1])),
            0xda87c1d86b99af44347659119b22fc45
        );
    }
}
