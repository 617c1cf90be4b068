//! Typed attributes of a message under construction, the mirror of the getters.

use std::net::SocketAddr;
use std::time::Duration;

use crate::address::{self, Family, Mask};
use crate::attribute::AttributeType;
use crate::builder::{BuildError, MessageBuilder};
use crate::error_code::ErrorCode;
use crate::integrity::PasswordAlgorithm;
use crate::typed::{ChangeRequest, Icmp};

/// The longest USERNAME in bytes (RFC 8489 §14.3).
const MAX_USERNAME: usize = 508;
/// The longest REALM, NONCE, SOFTWARE and reason phrase that may be sent (RFC 8489 §14.9).
const MAX_TEXT: usize = 509;

impl MessageBuilder<'_> {
    /// MAPPED-ADDRESS (RFC 8489 §14.1).
    pub fn mapped_address(&mut self, address: SocketAddr) -> &mut Self {
        self.plain(AttributeType::MAPPED_ADDRESS, address)
    }

    /// XOR-MAPPED-ADDRESS (RFC 8489 §14.2).
    pub fn xor_mapped_address(&mut self, address: SocketAddr) -> &mut Self {
        self.xored(AttributeType::XOR_MAPPED_ADDRESS, address)
    }

    /// XOR-RELAYED-ADDRESS (RFC 8656 §18.5).
    pub fn xor_relayed_address(&mut self, address: SocketAddr) -> &mut Self {
        self.xored(AttributeType::XOR_RELAYED_ADDRESS, address)
    }

    /// XOR-PEER-ADDRESS (RFC 8656 §18.3).
    pub fn xor_peer_address(&mut self, address: SocketAddr) -> &mut Self {
        self.xored(AttributeType::XOR_PEER_ADDRESS, address)
    }

    /// ALTERNATE-SERVER (RFC 8489 §14.15).
    pub fn alternate_server(&mut self, address: SocketAddr) -> &mut Self {
        self.plain(AttributeType::ALTERNATE_SERVER, address)
    }

    /// RESPONSE-ORIGIN (RFC 5780 §7.3).
    pub fn response_origin(&mut self, address: SocketAddr) -> &mut Self {
        self.plain(AttributeType::RESPONSE_ORIGIN, address)
    }

    /// OTHER-ADDRESS (RFC 5780 §7.4).
    pub fn other_address(&mut self, address: SocketAddr) -> &mut Self {
        self.plain(AttributeType::OTHER_ADDRESS, address)
    }

    /// USERNAME of at most 508 bytes (RFC 8489 §14.3).
    pub fn username(&mut self, name: &str) -> &mut Self {
        self.text(AttributeType::USERNAME, name, MAX_USERNAME)
    }

    /// USERHASH (RFC 8489 §14.4); see [`userhash`](crate::userhash).
    pub fn userhash(&mut self, hash: &[u8; 32]) -> &mut Self {
        self.attribute(AttributeType::USERHASH, hash)
    }

    /// REALM of at most 509 bytes (RFC 8489 §14.9).
    pub fn realm(&mut self, realm: &str) -> &mut Self {
        self.text(AttributeType::REALM, realm, MAX_TEXT)
    }

    /// NONCE of at most 509 bytes (RFC 8489 §14.10).
    pub fn nonce(&mut self, nonce: &str) -> &mut Self {
        self.text(AttributeType::NONCE, nonce, MAX_TEXT)
    }

    /// SOFTWARE of at most 509 bytes (RFC 8489 §14.14).
    pub fn software(&mut self, words: &str) -> &mut Self {
        self.text(AttributeType::SOFTWARE, words, MAX_TEXT)
    }

    /// ALTERNATE-DOMAIN of at most 255 bytes (RFC 8489 §14.16).
    pub fn alternate_domain(&mut self, name: &str) -> &mut Self {
        self.text(AttributeType::ALTERNATE_DOMAIN, name, 255)
    }

    /// ERROR-CODE with its recommended reason phrase (RFC 8489 §14.8).
    pub fn error_code(&mut self, code: ErrorCode) -> &mut Self {
        self.error_code_with(code, code.reason())
    }

    /// ERROR-CODE with a reason phrase of at most 509 bytes (RFC 8489 §14.8).
    pub fn error_code_with(&mut self, code: ErrorCode, reason: &str) -> &mut Self {
        self.coded(AttributeType::ERROR_CODE, 0, code, reason)
    }

    /// ADDRESS-ERROR-CODE (RFC 8656 §18.12).
    pub fn address_error_code(&mut self, family: Family, code: ErrorCode) -> &mut Self {
        let reason = code.reason();
        self.coded(
            AttributeType::ADDRESS_ERROR_CODE,
            family.code(),
            code,
            reason,
        )
    }

    /// UNKNOWN-ATTRIBUTES (RFC 8489 §14.13).
    pub fn unknown_attributes(&mut self, kinds: &[AttributeType]) -> &mut Self {
        let len = kinds.len() * 2;
        self.attribute_with(AttributeType::UNKNOWN_ATTRIBUTES, len, |slot| {
            for (pair, kind) in slot.chunks_exact_mut(2).zip(kinds) {
                pair.copy_from_slice(&kind.0.to_be_bytes());
            }
        })
    }

    /// PASSWORD-ALGORITHM (RFC 8489 §14.12).
    pub fn password_algorithm(&mut self, algorithm: PasswordAlgorithm) -> &mut Self {
        let [high, low] = algorithm.code().to_be_bytes();
        self.attribute(AttributeType::PASSWORD_ALGORITHM, &[high, low, 0, 0])
    }

    /// PASSWORD-ALGORITHMS, the favourite first (RFC 8489 §14.11).
    pub fn password_algorithms(&mut self, algorithms: &[PasswordAlgorithm]) -> &mut Self {
        let len = algorithms.len() * 4;
        self.attribute_with(AttributeType::PASSWORD_ALGORITHMS, len, |slot| {
            for (entry, algorithm) in slot.chunks_exact_mut(4).zip(algorithms) {
                entry[..2].copy_from_slice(&algorithm.code().to_be_bytes());
                entry[2..].fill(0);
            }
        })
    }

    /// PRIORITY (RFC 8445 §16.1).
    pub fn priority(&mut self, priority: u32) -> &mut Self {
        self.attribute(AttributeType::PRIORITY, &priority.to_be_bytes())
    }

    /// USE-CANDIDATE (RFC 8445 §16.1).
    pub fn use_candidate(&mut self) -> &mut Self {
        self.attribute(AttributeType::USE_CANDIDATE, &[])
    }

    /// ICE-CONTROLLED with the tie-breaker (RFC 8445 §16.1).
    pub fn ice_controlled(&mut self, tie_breaker: u64) -> &mut Self {
        self.attribute(AttributeType::ICE_CONTROLLED, &tie_breaker.to_be_bytes())
    }

    /// ICE-CONTROLLING with the tie-breaker (RFC 8445 §16.1).
    pub fn ice_controlling(&mut self, tie_breaker: u64) -> &mut Self {
        self.attribute(AttributeType::ICE_CONTROLLING, &tie_breaker.to_be_bytes())
    }

    /// CHANNEL-NUMBER (RFC 8656 §18.1).
    pub fn channel_number(&mut self, number: u16) -> &mut Self {
        let [high, low] = number.to_be_bytes();
        self.attribute(AttributeType::CHANNEL_NUMBER, &[high, low, 0, 0])
    }

    /// LIFETIME, in whole seconds (RFC 8656 §18.2).
    pub fn lifetime(&mut self, lifetime: Duration) -> &mut Self {
        let seconds = u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX);
        self.attribute(AttributeType::LIFETIME, &seconds.to_be_bytes())
    }

    /// DATA (RFC 8656 §18.4).
    pub fn data(&mut self, data: &[u8]) -> &mut Self {
        self.attribute(AttributeType::DATA, data)
    }

    /// REQUESTED-TRANSPORT with an IP protocol number: 17 is UDP, 6 TCP (RFC 8656 §18.8).
    pub fn requested_transport(&mut self, protocol: u8) -> &mut Self {
        self.attribute(AttributeType::REQUESTED_TRANSPORT, &[protocol, 0, 0, 0])
    }

    /// REQUESTED-ADDRESS-FAMILY (RFC 8656 §18.6).
    pub fn requested_address_family(&mut self, family: Family) -> &mut Self {
        let value = [family.code(), 0, 0, 0];
        self.attribute(AttributeType::REQUESTED_ADDRESS_FAMILY, &value)
    }

    /// ADDITIONAL-ADDRESS-FAMILY, which asks for IPv6 as well (RFC 8656 §18.11).
    pub fn additional_address_family(&mut self, family: Family) -> &mut Self {
        let value = [family.code(), 0, 0, 0];
        self.attribute(AttributeType::ADDITIONAL_ADDRESS_FAMILY, &value)
    }

    /// EVEN-PORT; `reserve` asks for the next port as well (RFC 8656 §18.7).
    pub fn even_port(&mut self, reserve: bool) -> &mut Self {
        self.attribute(AttributeType::EVEN_PORT, &[u8::from(reserve) << 7])
    }

    /// DONT-FRAGMENT (RFC 8656 §18.9).
    pub fn dont_fragment(&mut self) -> &mut Self {
        self.attribute(AttributeType::DONT_FRAGMENT, &[])
    }

    /// RESERVATION-TOKEN (RFC 8656 §18.10).
    pub fn reservation_token(&mut self, token: &[u8; 8]) -> &mut Self {
        self.attribute(AttributeType::RESERVATION_TOKEN, token)
    }

    /// CONNECTION-ID (RFC 6062 §6.2.1).
    pub fn connection_id(&mut self, id: u32) -> &mut Self {
        self.attribute(AttributeType::CONNECTION_ID, &id.to_be_bytes())
    }

    /// ICMP (RFC 8656 §18.13).
    pub fn icmp(&mut self, icmp: Icmp) -> &mut Self {
        let mut value = [0, 0, icmp.kind, icmp.code, 0, 0, 0, 0];
        value[4..].copy_from_slice(&icmp.data.to_be_bytes());
        self.attribute(AttributeType::ICMP, &value)
    }

    /// CHANGE-REQUEST (RFC 5780 §7.2).
    pub fn change_request(&mut self, change: ChangeRequest) -> &mut Self {
        let bits = u8::from(change.ip) << 2 | u8::from(change.port) << 1;
        self.attribute(AttributeType::CHANGE_REQUEST, &[0, 0, 0, bits])
    }

    /// RESPONSE-PORT (RFC 5780 §7.5).
    pub fn response_port(&mut self, port: u16) -> &mut Self {
        let [high, low] = port.to_be_bytes();
        self.attribute(AttributeType::RESPONSE_PORT, &[high, low, 0, 0])
    }

    /// PADDING of `len` zero bytes (RFC 5780 §7.6).
    pub fn padding(&mut self, len: usize) -> &mut Self {
        self.attribute_with(AttributeType::PADDING, len, |slot| slot.fill(0))
    }

    /// An address attribute of any type that is not XORed.
    pub fn plain(&mut self, kind: AttributeType, address: SocketAddr) -> &mut Self {
        let (value, len) = address::write(address, Mask::Plain);
        self.attribute(kind, &value[..len])
    }

    /// An address attribute of any type that is XORed.
    pub fn xored(&mut self, kind: AttributeType, address: SocketAddr) -> &mut Self {
        let (value, len) = address::write(address, Mask::Xor(self.transaction_id()));
        self.attribute(kind, &value[..len])
    }

    fn text(&mut self, kind: AttributeType, text: &str, longest: usize) -> &mut Self {
        if text.len() > longest {
            return self.fail(BuildError::Value(kind));
        }
        self.attribute(kind, text.as_bytes())
    }

    fn coded(
        &mut self,
        kind: AttributeType,
        first: u8,
        code: ErrorCode,
        reason: &str,
    ) -> &mut Self {
        if !(300..700).contains(&code.0) || reason.len() > MAX_TEXT {
            return self.fail(BuildError::Value(kind));
        }
        self.attribute_with(kind, 4 + reason.len(), |slot| {
            slot[..4].copy_from_slice(&[first, 0, (code.0 / 100) as u8, (code.0 % 100) as u8]);
            slot[4..].copy_from_slice(reason.as_bytes());
        })
    }
}
