//! Writing a message into a buffer of the caller (RFC 8489 §5, §6.1).

use std::fmt;

use esp_crypto::{crc32, hmac_sha1, hmac_sha256};

use crate::attribute::AttributeType;
use crate::header::{Class, HEADER_LEN, MAGIC_COOKIE, Method, TransactionId, type_field};
use crate::integrity::{Integrity, Key};
use crate::message::{FINGERPRINT_XOR, Message};

/// Why a message could not be built; the caller's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildError {
    /// The buffer or the 16-bit length field is too small.
    NoRoom,
    /// The value cannot be carried by this attribute.
    Value(AttributeType),
    /// The attribute came behind integrity or FINGERPRINT, where receivers ignore it.
    Order(AttributeType),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BuildError::NoRoom => f.write_str("the buffer is too small for the STUN message"),
            BuildError::Value(kind) => write!(f, "attribute {:#06x} cannot say this", kind.0),
            BuildError::Order(kind) => write!(f, "attribute {:#06x} comes too late", kind.0),
        }
    }
}

impl std::error::Error for BuildError {}

/// How far a message has come: what is protected cannot be extended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Open,
    Sha1,
    Sha256,
    Fingerprint,
}

/// Writes one message; attributes appear in the order of the calls.
///
/// The first error sticks and [`MessageBuilder::finish`] reports it, so that calls can be chained.
/// The length field is right after every call.
#[derive(Debug)]
pub struct MessageBuilder<'b> {
    bytes: &'b mut [u8],
    len: usize,
    id: TransactionId,
    stage: Stage,
    error: Option<BuildError>,
}

impl<'b> MessageBuilder<'b> {
    /// Starts a message at the start of `buffer`.
    pub fn new(buffer: &'b mut [u8], class: Class, method: Method, id: TransactionId) -> Self {
        let mut error = None;
        if let Some(header) = buffer.first_chunk_mut::<HEADER_LEN>() {
            header[..2].copy_from_slice(&type_field(class, method).to_be_bytes());
            header[2..4].fill(0);
            header[4..8].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
            header[8..].copy_from_slice(&id.0);
        } else {
            error = Some(BuildError::NoRoom);
        }
        MessageBuilder {
            bytes: buffer,
            len: HEADER_LEN,
            id,
            stage: Stage::Open,
            error,
        }
    }

    /// Starts a request.
    pub fn request(buffer: &'b mut [u8], method: Method, id: TransactionId) -> Self {
        MessageBuilder::new(buffer, Class::Request, method, id)
    }

    /// Starts an indication.
    pub fn indication(buffer: &'b mut [u8], method: Method, id: TransactionId) -> Self {
        MessageBuilder::new(buffer, Class::Indication, method, id)
    }

    /// Starts the success response to `request`.
    pub fn success(buffer: &'b mut [u8], request: &Message<'_>) -> Self {
        let (method, id) = (request.method(), request.transaction_id());
        MessageBuilder::new(buffer, Class::Success, method, id)
    }

    /// Starts an error response to `request`; [`MessageBuilder::error_code`] must follow.
    pub fn error(buffer: &'b mut [u8], request: &Message<'_>) -> Self {
        let (method, id) = (request.method(), request.transaction_id());
        MessageBuilder::new(buffer, Class::Error, method, id)
    }

    /// The transaction ID.
    pub fn transaction_id(&self) -> TransactionId {
        self.id
    }

    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no attribute was written yet.
    pub fn is_empty(&self) -> bool {
        self.len == HEADER_LEN
    }

    /// Appends an attribute with this value.
    pub fn attribute(&mut self, kind: AttributeType, value: &[u8]) -> &mut Self {
        self.attribute_with(kind, value.len(), |slot| slot.copy_from_slice(value))
    }

    /// Appends an attribute of `len` bytes that `fill` writes.
    pub fn attribute_with(
        &mut self,
        kind: AttributeType,
        len: usize,
        fill: impl FnOnce(&mut [u8]),
    ) -> &mut Self {
        if self.stage != Stage::Open {
            return self.fail(BuildError::Order(kind));
        }
        if let Some(slot) = self.slot(kind, len) {
            fill(slot);
        }
        self
    }

    /// Appends MESSAGE-INTEGRITY (HMAC-SHA1), what ICE and servers before RFC 8489 use.
    pub fn integrity(&mut self, key: &Key) -> &mut Self {
        if self.stage >= Stage::Sha1 {
            return self.fail(BuildError::Order(AttributeType::MESSAGE_INTEGRITY));
        }
        let end = self.len;
        if self.slot(AttributeType::MESSAGE_INTEGRITY, 20).is_some() {
            let tag = hmac_sha1(key.as_bytes(), &[&self.bytes[..end]]);
            self.bytes[end + 4..self.len].copy_from_slice(&tag);
        }
        self.stage = Stage::Sha1;
        self
    }

    /// Appends MESSAGE-INTEGRITY-SHA256; it may follow MESSAGE-INTEGRITY (RFC 8489 §9.1.2).
    pub fn integrity_sha256(&mut self, key: &Key) -> &mut Self {
        self.integrity_sha256_truncated(key, 32)
    }

    /// Appends MESSAGE-INTEGRITY-SHA256 cut to `len` bytes, for usages that allow it: 16 to 32, a
    /// multiple of four (RFC 8489 §14.6).
    pub fn integrity_sha256_truncated(&mut self, key: &Key, len: usize) -> &mut Self {
        let kind = AttributeType::MESSAGE_INTEGRITY_SHA256;
        if self.stage >= Stage::Sha256 {
            return self.fail(BuildError::Order(kind));
        }
        if !(16..=32).contains(&len) || !len.is_multiple_of(4) {
            return self.fail(BuildError::Value(kind));
        }
        let end = self.len;
        if self.slot(kind, len).is_some() {
            let tag = hmac_sha256(key.as_bytes(), &[&self.bytes[..end]]);
            self.bytes[end + 4..self.len].copy_from_slice(&tag[..len]);
        }
        self.stage = Stage::Sha256;
        self
    }

    /// Appends the one of the two.
    pub fn integrity_by(&mut self, integrity: Integrity, key: &Key) -> &mut Self {
        match integrity {
            Integrity::Sha1 => self.integrity(key),
            Integrity::Sha256 => self.integrity_sha256(key),
        }
    }

    /// Appends FINGERPRINT, always the last.
    pub fn fingerprint(&mut self) -> &mut Self {
        if self.stage == Stage::Fingerprint {
            return self.fail(BuildError::Order(AttributeType::FINGERPRINT));
        }
        let end = self.len;
        if self.slot(AttributeType::FINGERPRINT, 4).is_some() {
            let crc = crc32(&self.bytes[..end]) ^ FINGERPRINT_XOR;
            self.bytes[end + 4..self.len].copy_from_slice(&crc.to_be_bytes());
        }
        self.stage = Stage::Fingerprint;
        self
    }

    /// Ends the message and gives its length in bytes.
    pub fn finish(&self) -> Result<usize, BuildError> {
        match self.error {
            Some(error) => Err(error),
            None => Ok(self.len),
        }
    }

    /// Remembers the first error.
    pub(crate) fn fail(&mut self, error: BuildError) -> &mut Self {
        self.error.get_or_insert(error);
        self
    }

    /// Writes the header and the padding of an attribute, moves the length field on, and gives the
    /// place of the value.
    fn slot(&mut self, kind: AttributeType, len: usize) -> Option<&mut [u8]> {
        if self.error.is_some() {
            return None;
        }
        let start = self.len + 4;
        let end = start.saturating_add(len.saturating_add(3) & !3);
        let body = u16::try_from(end.saturating_sub(HEADER_LEN));
        let (Ok(body), true) = (body, end <= self.bytes.len()) else {
            self.fail(BuildError::NoRoom);
            return None;
        };
        self.bytes[self.len..self.len + 2].copy_from_slice(&kind.0.to_be_bytes());
        self.bytes[self.len + 2..start].copy_from_slice(&(len as u16).to_be_bytes());
        // RFC 8489 §14: padding bits are zero.
        self.bytes[start + len..end].fill(0);
        self.bytes[2..4].copy_from_slice(&body.to_be_bytes());
        self.len = end;
        Some(&mut self.bytes[start..start + len])
    }
}
