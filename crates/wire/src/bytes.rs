//! A reader and a writer of network bytes; integers are big-endian.

use std::fmt;

/// The bytes ended before the value did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShortRead;

impl fmt::Display for ShortRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the bytes end too early")
    }
}

impl std::error::Error for ShortRead {}

/// Takes values off the front of a slice.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader over `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    /// The bytes not taken yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// How many bytes are left.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// True when all bytes were taken.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Takes `count` bytes.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], ShortRead> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(ShortRead)?;
        self.rest = rest;
        Ok(taken)
    }

    /// Takes an array.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], ShortRead> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(ShortRead)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// Takes a byte.
    pub fn u8(&mut self) -> Result<u8, ShortRead> {
        self.array().map(u8::from_be_bytes)
    }

    /// Takes 16 bits.
    pub fn u16(&mut self) -> Result<u16, ShortRead> {
        self.array().map(u16::from_be_bytes)
    }

    /// Takes 24 bits.
    pub fn u24(&mut self) -> Result<u32, ShortRead> {
        self.array()
            .map(|[a, b, c]: [u8; 3]| u32::from_be_bytes([0, a, b, c]))
    }

    /// Takes 32 bits.
    pub fn u32(&mut self) -> Result<u32, ShortRead> {
        self.array().map(u32::from_be_bytes)
    }

    /// Takes 64 bits.
    pub fn u64(&mut self) -> Result<u64, ShortRead> {
        self.array().map(u64::from_be_bytes)
    }
}

/// Appends values to a caller-owned slice and counts them; what does not fit is refused.
#[derive(Debug)]
pub struct Writer<'a> {
    bytes: &'a mut [u8],
    len: usize,
}

impl<'a> Writer<'a> {
    /// A writer at the start of `bytes`.
    pub fn new(bytes: &'a mut [u8]) -> Self {
        Writer { bytes, len: 0 }
    }

    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True before the first byte.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that still fit.
    pub fn room(&self) -> usize {
        self.bytes.len() - self.len
    }

    /// What was written, to be patched in place.
    pub fn written(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.len]
    }

    /// Reserves `count` bytes and gives them to be filled.
    pub fn reserve(&mut self, count: usize) -> Result<&mut [u8], ShortRead> {
        let end = self.len.checked_add(count).ok_or(ShortRead)?;
        let slot = self.bytes.get_mut(self.len..end).ok_or(ShortRead)?;
        self.len = end;
        Ok(slot)
    }

    /// Appends bytes.
    pub fn put(&mut self, bytes: &[u8]) -> Result<(), ShortRead> {
        self.reserve(bytes.len())?.copy_from_slice(bytes);
        Ok(())
    }

    /// Appends a byte.
    pub fn u8(&mut self, value: u8) -> Result<(), ShortRead> {
        self.put(&[value])
    }

    /// Appends 16 bits.
    pub fn u16(&mut self, value: u16) -> Result<(), ShortRead> {
        self.put(&value.to_be_bytes())
    }

    /// Appends the low 24 bits of `value`.
    pub fn u24(&mut self, value: u32) -> Result<(), ShortRead> {
        self.put(&value.to_be_bytes()[1..])
    }

    /// Appends 32 bits.
    pub fn u32(&mut self, value: u32) -> Result<(), ShortRead> {
        self.put(&value.to_be_bytes())
    }

    /// Appends 64 bits.
    pub fn u64(&mut self, value: u64) -> Result<(), ShortRead> {
        self.put(&value.to_be_bytes())
    }

    /// Appends zeros until the length is a multiple of `of`.
    pub fn pad_to(&mut self, of: usize) -> Result<(), ShortRead> {
        let pad = self.len.next_multiple_of(of) - self.len;
        self.reserve(pad)?.fill(0);
        Ok(())
    }
}
