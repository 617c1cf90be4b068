//! Typed getters of a message; absent and malformed values are both `None`.

use std::net::SocketAddr;
use std::time::Duration;

use esp_wire::Reader;

use crate::address::{self, Family, Mask};
use crate::attribute::AttributeType;
use crate::error_code::ErrorCode;
use crate::integrity::PasswordAlgorithm;
use crate::message::Message;

/// The longest USERNAME in bytes (RFC 8489 §14.3).
const MAX_USERNAME: usize = 508;
/// The longest REALM, NONCE, SOFTWARE and reason phrase in bytes (RFC 8489 §14.9).
const MAX_TEXT: usize = 763;

/// CHANGE-REQUEST (RFC 5780 §7.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChangeRequest {
    /// Answer from the other address.
    pub ip: bool,
    /// Answer from the other port.
    pub port: bool,
}

/// ICMP (RFC 8656 §18.13).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Icmp {
    /// The ICMP type, read by the family of the peer.
    pub kind: u8,
    /// The ICMP code.
    pub code: u8,
    /// The MTU of the next hop in bytes when the packet was too big, else zero.
    pub data: u32,
}

/// ADDRESS-ERROR-CODE (RFC 8656 §18.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressError<'a> {
    /// The family that was not allocated.
    pub family: Family,
    /// Why.
    pub code: ErrorCode,
    /// The server's words for it.
    pub reason: &'a str,
}

impl<'a> Message<'a> {
    /// MAPPED-ADDRESS (RFC 8489 §14.1).
    pub fn mapped_address(&self) -> Option<SocketAddr> {
        self.plain(AttributeType::MAPPED_ADDRESS)
    }

    /// XOR-MAPPED-ADDRESS (RFC 8489 §14.2).
    pub fn xor_mapped_address(&self) -> Option<SocketAddr> {
        self.xored(AttributeType::XOR_MAPPED_ADDRESS)
    }

    /// XOR-RELAYED-ADDRESS (RFC 8656 §18.5).
    pub fn xor_relayed_address(&self) -> Option<SocketAddr> {
        self.xored(AttributeType::XOR_RELAYED_ADDRESS)
    }

    /// All XOR-RELAYED-ADDRESS, one for each family (RFC 8656 §7.3).
    pub fn xor_relayed_addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.all_xored(AttributeType::XOR_RELAYED_ADDRESS)
    }

    /// XOR-PEER-ADDRESS (RFC 8656 §18.3).
    pub fn xor_peer_address(&self) -> Option<SocketAddr> {
        self.xored(AttributeType::XOR_PEER_ADDRESS)
    }

    /// All XOR-PEER-ADDRESS of a CreatePermission request.
    pub fn xor_peer_addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.all_xored(AttributeType::XOR_PEER_ADDRESS)
    }

    /// ALTERNATE-SERVER (RFC 8489 §14.15).
    pub fn alternate_server(&self) -> Option<SocketAddr> {
        self.plain(AttributeType::ALTERNATE_SERVER)
    }

    /// RESPONSE-ORIGIN (RFC 5780 §7.3).
    pub fn response_origin(&self) -> Option<SocketAddr> {
        self.plain(AttributeType::RESPONSE_ORIGIN)
    }

    /// OTHER-ADDRESS (RFC 5780 §7.4).
    pub fn other_address(&self) -> Option<SocketAddr> {
        self.plain(AttributeType::OTHER_ADDRESS)
    }

    /// USERNAME (RFC 8489 §14.3).
    pub fn username(&self) -> Option<&'a str> {
        self.text(AttributeType::USERNAME, MAX_USERNAME)
    }

    /// USERHASH (RFC 8489 §14.4).
    pub fn userhash(&self) -> Option<&'a [u8; 32]> {
        self.attribute(AttributeType::USERHASH)?.try_into().ok()
    }

    /// REALM (RFC 8489 §14.9).
    pub fn realm(&self) -> Option<&'a str> {
        self.text(AttributeType::REALM, MAX_TEXT)
    }

    /// NONCE (RFC 8489 §14.10).
    pub fn nonce(&self) -> Option<&'a str> {
        self.text(AttributeType::NONCE, MAX_TEXT)
    }

    /// SOFTWARE (RFC 8489 §14.14).
    pub fn software(&self) -> Option<&'a str> {
        self.text(AttributeType::SOFTWARE, MAX_TEXT)
    }

    /// ALTERNATE-DOMAIN (RFC 8489 §14.16).
    pub fn alternate_domain(&self) -> Option<&'a str> {
        self.text(AttributeType::ALTERNATE_DOMAIN, 255)
            .filter(|name| name.is_ascii())
    }

    /// ERROR-CODE and its reason phrase (RFC 8489 §14.8).
    pub fn error_code(&self) -> Option<(ErrorCode, &'a str)> {
        let mut reader = Reader::new(self.attribute(AttributeType::ERROR_CODE)?);
        reader.u16().ok()?;
        read_error(reader)
    }

    /// ADDRESS-ERROR-CODE (RFC 8656 §18.12).
    pub fn address_error_code(&self) -> Option<AddressError<'a>> {
        let mut reader = Reader::new(self.attribute(AttributeType::ADDRESS_ERROR_CODE)?);
        let family = Family::from_code(reader.u8().ok()?)?;
        reader.u8().ok()?;
        let (code, reason) = read_error(reader)?;
        Some(AddressError {
            family,
            code,
            reason,
        })
    }

    /// The types in UNKNOWN-ATTRIBUTES (RFC 8489 §14.13).
    pub fn unknown_attributes(&self) -> Option<UnknownAttributes<'a>> {
        let value = self.attribute(AttributeType::UNKNOWN_ATTRIBUTES)?;
        Some(UnknownAttributes(Reader::new(value)))
    }

    /// PASSWORD-ALGORITHM (RFC 8489 §14.12); `None` also for an unknown one.
    pub fn password_algorithm(&self) -> Option<PasswordAlgorithm> {
        let value = self.attribute(AttributeType::PASSWORD_ALGORITHM)?;
        PasswordAlgorithm::from_code(AlgorithmList::new(value).next()?)
    }

    /// The numbers in PASSWORD-ALGORITHMS, the server's favourite first (RFC 8489 §14.11).
    pub fn password_algorithms(&self) -> Option<AlgorithmList<'a>> {
        self.attribute(AttributeType::PASSWORD_ALGORITHMS)
            .map(AlgorithmList::new)
    }

    /// PRIORITY (RFC 8445 §16.1).
    pub fn priority(&self) -> Option<u32> {
        self.u32(AttributeType::PRIORITY)
    }

    /// USE-CANDIDATE (RFC 8445 §16.1).
    pub fn use_candidate(&self) -> bool {
        self.has(AttributeType::USE_CANDIDATE)
    }

    /// The tie-breaker in ICE-CONTROLLED (RFC 8445 §16.1).
    pub fn ice_controlled(&self) -> Option<u64> {
        self.fixed(AttributeType::ICE_CONTROLLED)
            .map(u64::from_be_bytes)
    }

    /// The tie-breaker in ICE-CONTROLLING (RFC 8445 §16.1).
    pub fn ice_controlling(&self) -> Option<u64> {
        self.fixed(AttributeType::ICE_CONTROLLING)
            .map(u64::from_be_bytes)
    }

    /// CHANNEL-NUMBER, 0x4000 to 0x4FFF when valid (RFC 8656 §18.1).
    pub fn channel_number(&self) -> Option<u16> {
        self.fixed(AttributeType::CHANNEL_NUMBER)
            .map(|[high, low, _, _]| u16::from_be_bytes([high, low]))
    }

    /// LIFETIME (RFC 8656 §18.2).
    pub fn lifetime(&self) -> Option<Duration> {
        self.u32(AttributeType::LIFETIME)
            .map(|seconds| Duration::from_secs(u64::from(seconds)))
    }

    /// DATA (RFC 8656 §18.4).
    pub fn data(&self) -> Option<&'a [u8]> {
        self.attribute(AttributeType::DATA)
    }

    /// The IP protocol number in REQUESTED-TRANSPORT: 17 is UDP, 6 TCP (RFC 8656 §18.8).
    pub fn requested_transport(&self) -> Option<u8> {
        self.fixed(AttributeType::REQUESTED_TRANSPORT)
            .map(|[protocol, _, _, _]| protocol)
    }

    /// REQUESTED-ADDRESS-FAMILY (RFC 8656 §18.6); `None` also for an unknown one.
    pub fn requested_address_family(&self) -> Option<Family> {
        self.family(AttributeType::REQUESTED_ADDRESS_FAMILY)
    }

    /// ADDITIONAL-ADDRESS-FAMILY (RFC 8656 §18.11); `None` also for an unknown one.
    pub fn additional_address_family(&self) -> Option<Family> {
        self.family(AttributeType::ADDITIONAL_ADDRESS_FAMILY)
    }

    /// EVEN-PORT; true when the next port is to be reserved as well (RFC 8656 §18.7).
    pub fn even_port(&self) -> Option<bool> {
        self.fixed(AttributeType::EVEN_PORT)
            .map(|[flags]| flags & 0x80 != 0)
    }

    /// DONT-FRAGMENT (RFC 8656 §18.9).
    pub fn dont_fragment(&self) -> bool {
        self.has(AttributeType::DONT_FRAGMENT)
    }

    /// RESERVATION-TOKEN (RFC 8656 §18.10).
    pub fn reservation_token(&self) -> Option<[u8; 8]> {
        self.fixed(AttributeType::RESERVATION_TOKEN)
    }

    /// CONNECTION-ID (RFC 6062 §6.2.1).
    pub fn connection_id(&self) -> Option<u32> {
        self.u32(AttributeType::CONNECTION_ID)
    }

    /// ICMP (RFC 8656 §18.13).
    pub fn icmp(&self) -> Option<Icmp> {
        let [_, _, kind, code, data @ ..] = self.fixed::<8>(AttributeType::ICMP)?;
        Some(Icmp {
            kind,
            code,
            data: u32::from_be_bytes(data),
        })
    }

    /// CHANGE-REQUEST (RFC 5780 §7.2).
    pub fn change_request(&self) -> Option<ChangeRequest> {
        self.u32(AttributeType::CHANGE_REQUEST)
            .map(|bits| ChangeRequest {
                ip: bits & 4 != 0,
                port: bits & 2 != 0,
            })
    }

    /// RESPONSE-PORT (RFC 5780 §7.5).
    pub fn response_port(&self) -> Option<u16> {
        self.fixed(AttributeType::RESPONSE_PORT)
            .map(|[high, low, _, _]| u16::from_be_bytes([high, low]))
    }

    /// An address attribute of any type that is not XORed.
    pub fn plain(&self, kind: AttributeType) -> Option<SocketAddr> {
        address::read(self.attribute(kind)?, Mask::Plain)
    }

    /// An address attribute of any type that is XORed.
    pub fn xored(&self, kind: AttributeType) -> Option<SocketAddr> {
        address::read(self.attribute(kind)?, Mask::Xor(self.transaction_id()))
    }

    fn all_xored(&self, kind: AttributeType) -> impl Iterator<Item = SocketAddr> {
        let mask = Mask::Xor(self.transaction_id());
        self.attributes()
            .filter(move |attribute| attribute.kind == kind)
            .filter_map(move |attribute| address::read(attribute.value, mask))
    }

    fn text(&self, kind: AttributeType, longest: usize) -> Option<&'a str> {
        let value = self.attribute(kind)?;
        (value.len() <= longest)
            .then(|| std::str::from_utf8(value).ok())
            .flatten()
    }

    fn fixed<const N: usize>(&self, kind: AttributeType) -> Option<[u8; N]> {
        self.attribute(kind)?.try_into().ok()
    }

    fn u32(&self, kind: AttributeType) -> Option<u32> {
        self.fixed(kind).map(u32::from_be_bytes)
    }

    fn family(&self, kind: AttributeType) -> Option<Family> {
        let [code, _, _, _] = self.fixed(kind)?;
        Family::from_code(code)
    }
}

/// Reads class, number and reason phrase of an error code.
fn read_error<'a>(mut reader: Reader<'a>) -> Option<(ErrorCode, &'a str)> {
    let class = u16::from(reader.u8().ok()? & 7);
    let number = u16::from(reader.u8().ok()?);
    // RFC 8489 §14.8: the class is 3 to 6, the number 0 to 99.
    if !(3..=6).contains(&class) || number > 99 || reader.remaining() > MAX_TEXT {
        return None;
    }
    // A phrase that is no UTF-8 does not make the code worthless.
    let reason = std::str::from_utf8(reader.rest()).unwrap_or("");
    Some((ErrorCode(class * 100 + number), reason))
}

/// The types in UNKNOWN-ATTRIBUTES.
#[derive(Clone, Debug)]
pub struct UnknownAttributes<'a>(Reader<'a>);

impl Iterator for UnknownAttributes<'_> {
    type Item = AttributeType;

    fn next(&mut self) -> Option<AttributeType> {
        self.0.u16().ok().map(AttributeType)
    }
}

/// The numbers of password algorithms; their parameters, of which none is defined, are skipped.
#[derive(Clone, Debug)]
pub struct AlgorithmList<'a>(Reader<'a>);

impl<'a> AlgorithmList<'a> {
    fn new(value: &'a [u8]) -> Self {
        AlgorithmList(Reader::new(value))
    }
}

impl Iterator for AlgorithmList<'_> {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        let code = self.0.u16().ok()?;
        let len = usize::from(self.0.u16().ok()?);
        self.0.take(len).ok()?;
        let padding = len.next_multiple_of(4) - len;
        // The last entry's padding may be the attribute's own.
        let _ = self.0.take(padding.min(self.0.remaining()));
        Some(code)
    }
}
