//! The numbers of attributes (RFC 8489 §18.3, RFC 8656 §18, RFC 8445 §16.1, RFC 5780 §9.1).

/// The type of an attribute; below 0x8000 its comprehension is required (RFC 8489 §14).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttributeType(pub u16);

macro_rules! attributes {
    ($($name:ident = $number:literal, $word:literal, $doc:literal;)*) => {
        impl AttributeType {
            $(#[doc = $doc] pub const $name: AttributeType = AttributeType($number);)*

            /// Its name in the registry, if this crate knows it.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some($word),)*
                    _ => None,
                }
            }
        }
    };
}

attributes! {
    MAPPED_ADDRESS = 0x0001, "MAPPED-ADDRESS", "The reflexive address, plain (RFC 8489 §14.1).";
    CHANGE_REQUEST = 0x0003, "CHANGE-REQUEST", "Answer from another address or port (RFC 5780 §7.2).";
    USERNAME = 0x0006, "USERNAME", "The user's name (RFC 8489 §14.3).";
    MESSAGE_INTEGRITY = 0x0008, "MESSAGE-INTEGRITY", "HMAC-SHA1 (RFC 8489 §14.5).";
    ERROR_CODE = 0x0009, "ERROR-CODE", "Why a request was refused (RFC 8489 §14.8).";
    UNKNOWN_ATTRIBUTES = 0x000A, "UNKNOWN-ATTRIBUTES", "What was not understood (RFC 8489 §14.13).";
    CHANNEL_NUMBER = 0x000C, "CHANNEL-NUMBER", "A channel (RFC 8656 §18.1).";
    LIFETIME = 0x000D, "LIFETIME", "Seconds that an allocation lives (RFC 8656 §18.2).";
    XOR_PEER_ADDRESS = 0x0012, "XOR-PEER-ADDRESS", "A peer of an allocation (RFC 8656 §18.3).";
    DATA = 0x0013, "DATA", "Relayed data (RFC 8656 §18.4).";
    REALM = 0x0014, "REALM", "Where the credential is valid (RFC 8489 §14.9).";
    NONCE = 0x0015, "NONCE", "The server's cookie (RFC 8489 §14.10).";
    XOR_RELAYED_ADDRESS = 0x0016, "XOR-RELAYED-ADDRESS", "The relayed address (RFC 8656 §18.5).";
    REQUESTED_ADDRESS_FAMILY = 0x0017, "REQUESTED-ADDRESS-FAMILY", "IPv4 or IPv6 (RFC 8656 §18.6).";
    EVEN_PORT = 0x0018, "EVEN-PORT", "An even port, please (RFC 8656 §18.7).";
    REQUESTED_TRANSPORT = 0x0019, "REQUESTED-TRANSPORT", "UDP or TCP to the peers (RFC 8656 §18.8).";
    DONT_FRAGMENT = 0x001A, "DONT-FRAGMENT", "Relay with DF set (RFC 8656 §18.9).";
    MESSAGE_INTEGRITY_SHA256 = 0x001C, "MESSAGE-INTEGRITY-SHA256", "HMAC-SHA256 (RFC 8489 §14.6).";
    PASSWORD_ALGORITHM = 0x001D, "PASSWORD-ALGORITHM", "How the key is derived (RFC 8489 §14.12).";
    USERHASH = 0x001E, "USERHASH", "The user's name, hashed (RFC 8489 §14.4).";
    XOR_MAPPED_ADDRESS = 0x0020, "XOR-MAPPED-ADDRESS", "The reflexive address (RFC 8489 §14.2).";
    RESERVATION_TOKEN = 0x0022, "RESERVATION-TOKEN", "A reserved port (RFC 8656 §18.10).";
    PRIORITY = 0x0024, "PRIORITY", "Priority of a peer-reflexive candidate (RFC 8445 §16.1).";
    USE_CANDIDATE = 0x0025, "USE-CANDIDATE", "Nominates the pair (RFC 8445 §16.1).";
    PADDING = 0x0026, "PADDING", "Makes a message long (RFC 5780 §7.6).";
    RESPONSE_PORT = 0x0027, "RESPONSE-PORT", "Answer to this port (RFC 5780 §7.5).";
    CONNECTION_ID = 0x002A, "CONNECTION-ID", "A connection to a peer (RFC 6062 §6.2).";
    ADDITIONAL_ADDRESS_FAMILY = 0x8000, "ADDITIONAL-ADDRESS-FAMILY", "IPv6 as well (RFC 8656 §18.11).";
    ADDRESS_ERROR_CODE = 0x8001, "ADDRESS-ERROR-CODE", "Why one family is missing (RFC 8656 §18.12).";
    PASSWORD_ALGORITHMS = 0x8002, "PASSWORD-ALGORITHMS", "What the server accepts (RFC 8489 §14.11).";
    ALTERNATE_DOMAIN = 0x8003, "ALTERNATE-DOMAIN", "Name of the alternate server (RFC 8489 §14.16).";
    ICMP = 0x8004, "ICMP", "An ICMP error of a peer (RFC 8656 §18.13).";
    SOFTWARE = 0x8022, "SOFTWARE", "Who sends (RFC 8489 §14.14).";
    ALTERNATE_SERVER = 0x8023, "ALTERNATE-SERVER", "Another server (RFC 8489 §14.15).";
    FINGERPRINT = 0x8028, "FINGERPRINT", "CRC-32 (RFC 8489 §14.7).";
    ICE_CONTROLLED = 0x8029, "ICE-CONTROLLED", "The sender is controlled (RFC 8445 §16.1).";
    ICE_CONTROLLING = 0x802A, "ICE-CONTROLLING", "The sender controls (RFC 8445 §16.1).";
    RESPONSE_ORIGIN = 0x802B, "RESPONSE-ORIGIN", "Where the response came from (RFC 5780 §7.3).";
    OTHER_ADDRESS = 0x802C, "OTHER-ADDRESS", "The server's other address (RFC 5780 §7.4).";
    GOOG_NETWORK_INFO = 0xC057, "GOOG-NETWORK-INFO", "Network cost, as Chromium sends it; ignored.";
}

impl AttributeType {
    /// Whether a message with this attribute must be refused by who does not know it.
    pub const fn comprehension_required(self) -> bool {
        self.0 < 0x8000
    }
}

/// Sets of comprehension-required attributes that a usage knows, for
/// [`Message::unknown_required`](crate::Message::unknown_required).
pub mod known {
    use super::AttributeType as A;

    /// What the base protocol knows (RFC 8489).
    pub const BASE: &[A] = &[
        A::MAPPED_ADDRESS,
        A::USERNAME,
        A::MESSAGE_INTEGRITY,
        A::ERROR_CODE,
        A::UNKNOWN_ATTRIBUTES,
        A::REALM,
        A::NONCE,
        A::MESSAGE_INTEGRITY_SHA256,
        A::PASSWORD_ALGORITHM,
        A::USERHASH,
        A::XOR_MAPPED_ADDRESS,
    ];

    /// What ICE adds (RFC 8445 §16.1).
    pub const ICE: &[A] = &[A::PRIORITY, A::USE_CANDIDATE];

    /// What TURN adds (RFC 8656 §18, RFC 6062 §6.2).
    pub const TURN: &[A] = &[
        A::CHANNEL_NUMBER,
        A::LIFETIME,
        A::XOR_PEER_ADDRESS,
        A::DATA,
        A::XOR_RELAYED_ADDRESS,
        A::REQUESTED_ADDRESS_FAMILY,
        A::EVEN_PORT,
        A::REQUESTED_TRANSPORT,
        A::DONT_FRAGMENT,
        A::RESERVATION_TOKEN,
        A::CONNECTION_ID,
    ];

    /// What NAT behaviour discovery adds (RFC 5780 §7).
    pub const DISCOVERY: &[A] = &[A::CHANGE_REQUEST, A::PADDING, A::RESPONSE_PORT];
}
