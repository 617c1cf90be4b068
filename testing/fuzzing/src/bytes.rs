//! Input of the fuzzer, read from the front.

/// A walk over bytes that never fails: what is missing is zero.
#[derive(Debug)]
pub struct Bytes<'a> {
    rest: &'a [u8],
}

impl<'a> Bytes<'a> {
    /// A walk from the first byte.
    pub fn new(bytes: &'a [u8]) -> Self {
        Bytes { rest: bytes }
    }

    /// Whether all was read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// One byte.
    pub fn u8(&mut self) -> u8 {
        let Some((first, rest)) = self.rest.split_first() else {
            return 0;
        };
        self.rest = rest;
        *first
    }

    /// Two bytes, big end first.
    pub fn u16(&mut self) -> u16 {
        u16::from_be_bytes([self.u8(), self.u8()])
    }

    /// Whether the next byte is odd.
    pub fn flag(&mut self) -> bool {
        self.u8() & 1 == 1
    }

    /// 0 or 1, by the next byte.
    pub fn side(&mut self) -> usize {
        usize::from(self.u8() & 1)
    }

    /// Up to `len` bytes.
    pub fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(len.min(self.rest.len()));
        self.rest = rest;
        taken
    }

    /// Bytes with their length, one byte, before them.
    pub fn short(&mut self) -> &'a [u8] {
        let len = usize::from(self.u8());
        self.take(len)
    }

    /// Bytes with their length, two bytes, before them.
    pub fn long(&mut self) -> &'a [u8] {
        let len = usize::from(self.u16());
        self.take(len)
    }

    /// All that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// Changes some bytes of `of` as the next bytes say: how many, then place and value of each.
    pub fn change(&mut self, of: &mut [u8]) {
        for _ in 0..1 + self.u8() % 4 {
            let (at, value) = (usize::from(self.u16()), self.u8());
            if !of.is_empty() {
                of[at % of.len()] ^= value;
            }
        }
    }
}
