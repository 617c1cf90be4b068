//! The seeded random source of every engine.

use rand_chacha::ChaCha12Rng;
use rand_core::{Rng as _, SeedableRng};

/// A cryptographic random source with an injected seed; the same seed gives the same stream.
pub struct Rng {
    seed: [u8; 32],
    stream: ChaCha12Rng,
}

impl Rng {
    /// A source over 256 bits of seed.
    pub fn new(seed: [u8; 32]) -> Self {
        Rng {
            seed,
            stream: ChaCha12Rng::from_seed(seed),
        }
    }

    /// The seed of this source.
    pub(crate) fn seed(&self) -> [u8; 32] {
        self.seed
    }

    /// An independent source that depends on the seed and `label` alone, not on what was drawn.
    pub fn fork(&self, label: &str) -> Rng {
        // The label selects one of ChaCha's 2^64 streams; its first block becomes the new seed.
        let stream = label.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        let mut source = ChaCha12Rng::from_seed(self.seed);
        source.set_stream(stream);
        let mut seed = [0; 32];
        source.fill_bytes(&mut seed);
        Rng::new(seed)
    }

    /// Fills `bytes`.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.stream.fill_bytes(bytes);
    }

    /// An array of random bytes.
    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    /// 32 random bits.
    pub fn u32(&mut self) -> u32 {
        self.stream.next_u32()
    }

    /// 64 random bits.
    pub fn u64(&mut self) -> u64 {
        self.stream.next_u64()
    }

    /// A number in `0..bound`, evenly spread; zero when `bound` is zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.u64()) * u128::from(bound)) >> 64) as u64
    }

    /// True with probability `p` (0.0 to 1.0).
    pub fn chance(&mut self, p: f64) -> bool {
        ((self.u64() >> 11) as f64) < p * (1u64 << 53) as f64
    }

    /// `N` characters of the ICE alphabet (RFC 8839 §5.1: ALPHA / DIGIT / "+" / "/"), 6 bits each.
    pub fn ice_chars(&mut self, count: usize) -> String {
        const ALPHABET: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        (0..count)
            .map(|_| char::from(ALPHABET[(self.u32() & 63) as usize]))
            .collect()
    }
}

impl std::fmt::Debug for Rng {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Rng")
    }
}

impl Drop for Rng {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.seed);
    }
}
