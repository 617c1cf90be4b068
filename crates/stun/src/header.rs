//! The 20 bytes that every message starts with (RFC 8489 §5).

use std::fmt;

use esp_wire::Rng;

/// The constant in bytes 4 to 7 of every message (RFC 8489 §5).
pub const MAGIC_COOKIE: u32 = 0x2112_A442;

/// Bytes before the first attribute.
pub const HEADER_LEN: usize = 20;

/// Whether a datagram is a STUN message as opposed to DTLS, SRTP or ChannelData: its first byte is
/// 0 to 3 (RFC 7983 §7), it is long enough and carries the magic cookie.
pub fn is_stun(bytes: &[u8]) -> bool {
    bytes.len() >= HEADER_LEN && bytes[0] < 4 && bytes[4..8] == MAGIC_COOKIE.to_be_bytes()
}

/// The class of a message (RFC 8489 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Wants a response.
    Request,
    /// Wants none.
    Indication,
    /// The request was done.
    Success,
    /// The request was refused.
    Error,
}

impl Class {
    const fn bits(self) -> u16 {
        match self {
            Class::Request => 0x000,
            Class::Indication => 0x010,
            Class::Success => 0x100,
            Class::Error => 0x110,
        }
    }

    /// Whether it answers a request.
    pub const fn is_response(self) -> bool {
        matches!(self, Class::Success | Class::Error)
    }
}

/// The method of a message, 12 bits (RFC 8489 §18.2, RFC 8656 §17, RFC 6062 §6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Method(pub u16);

impl Method {
    /// Asks for the reflexive address, checks connectivity, or keeps a binding alive.
    pub const BINDING: Method = Method(0x001);
    /// Asks for a relayed address (TURN).
    pub const ALLOCATE: Method = Method(0x003);
    /// Prolongs or deletes an allocation (TURN).
    pub const REFRESH: Method = Method(0x004);
    /// Data from the client to a peer (TURN, indication only).
    pub const SEND: Method = Method(0x006);
    /// Data from a peer to the client (TURN, indication only).
    pub const DATA: Method = Method(0x007);
    /// Lets a peer's address through (TURN).
    pub const CREATE_PERMISSION: Method = Method(0x008);
    /// Binds a channel to a peer (TURN).
    pub const CHANNEL_BIND: Method = Method(0x009);
    /// Opens a TCP connection to a peer (RFC 6062).
    pub const CONNECT: Method = Method(0x00A);
    /// Binds a data connection (RFC 6062).
    pub const CONNECTION_BIND: Method = Method(0x00B);
    /// A peer has connected (RFC 6062, indication only).
    pub const CONNECTION_ATTEMPT: Method = Method(0x00C);

    const fn bits(self) -> u16 {
        (self.0 & 0x00F) | ((self.0 & 0x070) << 1) | ((self.0 & 0xF80) << 2)
    }
}

/// Joins class and method into the message type field.
pub(crate) const fn type_field(class: Class, method: Method) -> u16 {
    class.bits() | method.bits()
}

/// Splits the message type field, whose two highest bits are zero.
pub(crate) const fn split_type_field(field: u16) -> (Class, Method) {
    let class = match (field & 0x100 != 0, field & 0x010 != 0) {
        (false, false) => Class::Request,
        (false, true) => Class::Indication,
        (true, false) => Class::Success,
        (true, true) => Class::Error,
    };
    let method = (field & 0x00F) | ((field & 0x0E0) >> 1) | ((field & 0x3E00) >> 2);
    (class, Method(method))
}

/// The 96 bits that tie a response to its request (RFC 8489 §5).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionId(pub [u8; 12]);

impl TransactionId {
    /// A fresh one.
    pub fn random(rng: &mut Rng) -> Self {
        TransactionId(rng.array())
    }
}

impl fmt::Debug for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_fields_round_trip() {
        for method in 0..0x1000 {
            for class in [
                Class::Request,
                Class::Indication,
                Class::Success,
                Class::Error,
            ] {
                let field = type_field(class, Method(method));
                assert_eq!(field & 0xC000, 0);
                assert_eq!(split_type_field(field), (class, Method(method)));
            }
        }
        assert_eq!(type_field(Class::Success, Method::BINDING), 0x0101);
        assert_eq!(type_field(Class::Indication, Method::DATA), 0x0017);
        assert_eq!(type_field(Class::Error, Method::ALLOCATE), 0x0113);
    }

    #[test]
    fn other_protocols_are_no_stun() {
        let mut bytes = [0; 20];
        assert!(!is_stun(&bytes));
        bytes[4..8].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
        assert!(is_stun(&bytes));
        assert!(!is_stun(&bytes[..19]));
        for first in [20, 63, 64, 79, 128, 191] {
            bytes[0] = first;
            assert!(!is_stun(&bytes));
        }
    }
}
