//! The checked view of a received message (RFC 8489 §5, §6.3).

use std::fmt;

use esp_crypto::{constant_time_eq, crc32, hmac_sha1, hmac_sha256};

use crate::attribute::AttributeType;
use crate::header::{Class, HEADER_LEN, MAGIC_COOKIE, Method, TransactionId, split_type_field};
use crate::integrity::{Integrity, IntegrityError, Key};

/// XORed onto the CRC in FINGERPRINT (RFC 8489 §14.7).
pub(crate) const FINGERPRINT_XOR: u32 = 0x5354_554E;

/// Bytes of the header of an attribute.
const ATTRIBUTE_HEADER: usize = 4;

/// A message whose framing was checked; it borrows the received bytes.
///
/// 1. [`Message::parse`] checks the header and that every attribute lies inside.
/// 2. [`Message::fingerprint`] and [`Message::verify`] check FINGERPRINT and integrity.
/// 3. [`Message::unknown_required`] lists what must be answered by 420 (RFC 8489 §6.3.1).
/// 4. Typed getters (`username`, `xor_mapped_address`, ...) read values; they are `None` when the
///    attribute is absent or its value malformed.
///
/// Attributes that follow MESSAGE-INTEGRITY are invisible, except for MESSAGE-INTEGRITY-SHA256 and
/// FINGERPRINT (RFC 8489 §14.5, §14.6).
#[derive(Clone, Copy)]
pub struct Message<'a> {
    bytes: &'a [u8],
    /// Where the visible attributes end.
    visible: usize,
    sha1_at: Option<usize>,
    sha256_at: Option<usize>,
    fingerprint_at: Option<usize>,
}

/// Why bytes are no STUN message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParseError {
    /// Shorter than a header.
    TooShort,
    /// The two highest bits are not zero, or the magic cookie is missing.
    NotStun,
    /// The length field is no multiple of four or differs from the length of the datagram.
    Length,
    /// An attribute reaches over the end.
    Attribute(AttributeType),
    /// An integrity attribute or FINGERPRINT has a length that it cannot have, or comes twice.
    Value(AttributeType),
    /// Something follows FINGERPRINT.
    FingerprintNotLast,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ParseError::TooShort => f.write_str("shorter than a STUN header"),
            ParseError::NotStun => f.write_str("not a STUN message"),
            ParseError::Length => f.write_str("the length field does not fit"),
            ParseError::Attribute(kind) => write!(f, "attribute {:#06x} is cut off", kind.0),
            ParseError::Value(kind) => write!(f, "attribute {:#06x} is malformed", kind.0),
            ParseError::FingerprintNotLast => f.write_str("FINGERPRINT is not the last attribute"),
        }
    }
}

impl std::error::Error for ParseError {}

/// What [`Message::fingerprint`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fingerprint {
    /// No FINGERPRINT.
    Absent,
    /// The CRC fits.
    Valid,
    /// The CRC does not fit; the bytes are likely no STUN message.
    Invalid,
}

/// One attribute of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// Its type.
    pub kind: AttributeType,
    /// Its value without padding.
    pub value: &'a [u8],
}

impl<'a> Message<'a> {
    /// Checks the framing of `bytes`, which hold one message and nothing else.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        match Message::frame_len(bytes)? {
            Some(len) if len == bytes.len() => {}
            _ => return Err(ParseError::Length),
        }
        let mut message = Message {
            bytes,
            visible: bytes.len(),
            sha1_at: None,
            sha256_at: None,
            fingerprint_at: None,
        };
        let mut at = HEADER_LEN;
        while at < bytes.len() {
            let (attribute, next) = attribute_at(bytes, at)?;
            message.note(attribute, at)?;
            at = next;
        }
        Ok(message)
    }

    /// Length of the message at the start of a byte stream; `None` while its length field has not
    /// arrived. An error means that the stream is out of step and must be closed.
    pub fn frame_len(bytes: &[u8]) -> Result<Option<usize>, ParseError> {
        if bytes.first().is_some_and(|byte| byte & 0xC0 != 0) {
            return Err(ParseError::NotStun);
        }
        let Some(header) = bytes.first_chunk::<8>() else {
            return match bytes.len() {
                0 => Err(ParseError::TooShort),
                _ => Ok(None),
            };
        };
        if header[4..] != MAGIC_COOKIE.to_be_bytes() {
            return Err(ParseError::NotStun);
        }
        let len = u16::from_be_bytes([header[2], header[3]]);
        if !len.is_multiple_of(4) {
            return Err(ParseError::Length);
        }
        Ok(Some(HEADER_LEN + usize::from(len)))
    }

    /// Keeps track of the attributes that end a message.
    fn note(&mut self, attribute: Attribute<'_>, at: usize) -> Result<(), ParseError> {
        if self.fingerprint_at.is_some() {
            return Err(ParseError::FingerprintNotLast);
        }
        let len = attribute.value.len();
        let bad = Err(ParseError::Value(attribute.kind));
        match attribute.kind {
            AttributeType::FINGERPRINT => {
                if len != 4 {
                    return bad;
                }
                self.fingerprint_at = Some(at);
            }
            // RFC 8489 §14.6: whatever follows MESSAGE-INTEGRITY-SHA256 but FINGERPRINT is ignored.
            _ if self.sha256_at.is_some() => return Ok(()),
            AttributeType::MESSAGE_INTEGRITY_SHA256 => {
                // RFC 8489 §14.6: 16 to 32 bytes, a multiple of four.
                if !(16..=32).contains(&len) || !len.is_multiple_of(4) {
                    return bad;
                }
                self.sha256_at = Some(at);
            }
            // RFC 8489 §14.5: so is whatever follows MESSAGE-INTEGRITY but those two.
            _ if self.sha1_at.is_some() => return Ok(()),
            AttributeType::MESSAGE_INTEGRITY => {
                if len != 20 {
                    return bad;
                }
                self.sha1_at = Some(at);
            }
            _ => return Ok(()),
        }
        self.visible = self.visible.min(at);
        Ok(())
    }

    /// The bytes of the whole message.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The class.
    pub fn class(&self) -> Class {
        self.class_and_method().0
    }

    /// The method.
    pub fn method(&self) -> Method {
        self.class_and_method().1
    }

    fn class_and_method(&self) -> (Class, Method) {
        split_type_field(u16::from_be_bytes([self.bytes[0], self.bytes[1]]))
    }

    /// The transaction ID.
    pub fn transaction_id(&self) -> TransactionId {
        let mut id = [0; 12];
        id.copy_from_slice(&self.bytes[8..HEADER_LEN]);
        TransactionId(id)
    }

    /// The attributes in order, up to the first that protects the message.
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes {
            bytes: &self.bytes[..self.visible],
            at: HEADER_LEN,
        }
    }

    /// The value of the first attribute of this type; integrity and FINGERPRINT have getters of
    /// their own.
    pub fn attribute(&self, kind: AttributeType) -> Option<&'a [u8]> {
        self.attributes()
            .find(|attribute| attribute.kind == kind)
            .map(|attribute| attribute.value)
    }

    /// Whether an attribute of this type is there.
    pub fn has(&self, kind: AttributeType) -> bool {
        self.attribute(kind).is_some()
    }

    /// The comprehension-required attributes that are in none of `known` (see
    /// [`known`](crate::known)), each once, in order.
    pub fn unknown_required(
        &self,
        known: &[&[AttributeType]],
    ) -> impl Iterator<Item = AttributeType> {
        let seen = *self;
        self.attributes()
            .enumerate()
            .filter(|(_, attribute)| attribute.kind.comprehension_required())
            .filter(|(_, attribute)| !known.iter().any(|set| set.contains(&attribute.kind)))
            .filter(move |(index, attribute)| {
                let mut before = seen.attributes().take(*index);
                !before.any(|earlier| earlier.kind == attribute.kind)
            })
            .map(|(_, attribute)| attribute.kind)
    }

    /// Which integrity attribute protects the message; SHA-256 when both are there.
    pub fn integrity(&self) -> Option<Integrity> {
        match (self.sha256_at, self.sha1_at) {
            (Some(_), _) => Some(Integrity::Sha256),
            (None, Some(_)) => Some(Integrity::Sha1),
            (None, None) => None,
        }
    }

    /// Whether it carries this integrity attribute.
    pub fn has_integrity(&self, integrity: Integrity) -> bool {
        match integrity {
            Integrity::Sha1 => self.sha1_at.is_some(),
            Integrity::Sha256 => self.sha256_at.is_some(),
        }
    }

    /// Checks the integrity attribute, MESSAGE-INTEGRITY-SHA256 when both are there
    /// (RFC 8489 §9.1.3), in full length; says which one it was.
    pub fn verify(&self, key: &Key) -> Result<Integrity, IntegrityError> {
        self.verify_truncated(key, 32)
    }

    /// Like [`Message::verify`], with a MESSAGE-INTEGRITY-SHA256 of at least `shortest` bytes, for
    /// usages that allow truncation (RFC 8489 §14.6).
    pub fn verify_truncated(
        &self,
        key: &Key,
        shortest: usize,
    ) -> Result<Integrity, IntegrityError> {
        let (integrity, at) = match (self.sha256_at, self.sha1_at) {
            (Some(at), _) => (Integrity::Sha256, at),
            (None, Some(at)) => (Integrity::Sha1, at),
            (None, None) => return Err(IntegrityError::Absent),
        };
        let (attribute, end) = attribute_at(self.bytes, at).map_err(|_| IntegrityError::Absent)?;
        let header = self.header_up_to(end);
        let parts = [&header[..], &self.bytes[4..at]];
        let matches = match integrity {
            Integrity::Sha256 if attribute.value.len() < shortest => {
                return Err(IntegrityError::Truncated);
            }
            Integrity::Sha256 => {
                let tag = hmac_sha256(key.as_bytes(), &parts);
                constant_time_eq(&tag[..attribute.value.len()], attribute.value)
            }
            Integrity::Sha1 => {
                constant_time_eq(&hmac_sha1(key.as_bytes(), &parts), attribute.value)
            }
        };
        matches.then_some(integrity).ok_or(IntegrityError::Mismatch)
    }

    /// The first four bytes with the length field pointing at `end` (RFC 8489 §14.5).
    fn header_up_to(&self, end: usize) -> [u8; 4] {
        let len = ((end - HEADER_LEN) as u16).to_be_bytes();
        [self.bytes[0], self.bytes[1], len[0], len[1]]
    }

    /// Checks FINGERPRINT (RFC 8489 §14.7).
    pub fn fingerprint(&self) -> Fingerprint {
        let Some(at) = self.fingerprint_at else {
            return Fingerprint::Absent;
        };
        let expected = crc32(&self.bytes[..at]) ^ FINGERPRINT_XOR;
        match self.bytes[at + ATTRIBUTE_HEADER..] == expected.to_be_bytes() {
            true => Fingerprint::Valid,
            false => Fingerprint::Invalid,
        }
    }
}

impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = self.attributes().map(|attribute| attribute.kind.name());
        f.debug_struct("Message")
            .field("class", &self.class())
            .field("method", &self.method())
            .field("transaction_id", &self.transaction_id())
            .field("attributes", &kinds.collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// Reads the attribute at `at` and says where the next one starts.
fn attribute_at(bytes: &[u8], at: usize) -> Result<(Attribute<'_>, usize), ParseError> {
    let cut = |kind| ParseError::Attribute(AttributeType(kind));
    let header = bytes[at..]
        .first_chunk::<ATTRIBUTE_HEADER>()
        .ok_or(cut(0))?;
    let kind = u16::from_be_bytes([header[0], header[1]]);
    let len = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let start = at + ATTRIBUTE_HEADER;
    let next = start + len.next_multiple_of(4);
    if next > bytes.len() {
        return Err(cut(kind));
    }
    let attribute = Attribute {
        kind: AttributeType(kind),
        value: &bytes[start..start + len],
    };
    Ok((attribute, next))
}

/// The attributes of a message in wire order.
#[derive(Clone, Debug)]
pub struct Attributes<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        if self.at >= self.bytes.len() {
            return None;
        }
        let (attribute, next) = attribute_at(self.bytes, self.at).ok()?;
        self.at = next;
        Some(attribute)
    }
}
