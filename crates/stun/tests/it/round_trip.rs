//! What can be built can be read, and no input makes the reader panic.

use std::net::{IpAddr, SocketAddr};

use esp_stun::{
    AttributeType, Class, Fingerprint, Key, Message, MessageBuilder, Method, TransactionId, is_stun,
};
use proptest::collection::vec;
use proptest::prelude::*;

fn classes() -> impl Strategy<Value = Class> {
    prop_oneof![
        Just(Class::Request),
        Just(Class::Indication),
        Just(Class::Success),
        Just(Class::Error),
    ]
}

fn addresses() -> impl Strategy<Value = SocketAddr> {
    let ip = prop_oneof![
        any::<[u8; 4]>().prop_map(IpAddr::from),
        any::<[u8; 16]>().prop_map(IpAddr::from),
    ];
    (ip, any::<u16>()).prop_map(SocketAddr::from)
}

/// Touches every getter.
fn read_all(message: &Message<'_>) {
    let _ = (message.mapped_address(), message.xor_mapped_address());
    let _ = (message.username(), message.realm(), message.nonce());
    let _ = (message.error_code(), message.address_error_code());
    let _ = message.unknown_attributes().map(Iterator::count);
    let _ = message.password_algorithms().map(Iterator::count);
    let _ = (message.password_algorithm(), message.icmp());
    let _ = (
        message.priority(),
        message.ice_controlled(),
        message.lifetime(),
    );
    let _ = (message.even_port(), message.alternate_domain());
    let _ = message.unknown_required(&[]).count();
    let _ = message.verify_truncated(&Key::short_term("x"), 0);
    let _ = (message.fingerprint(), format!("{message:?}"));
}

proptest! {
    #[test]
    fn any_attributes_round_trip(
        class in classes(),
        method in 0u16..0x1000,
        id in any::<[u8; 12]>(),
        attributes in vec((0x1000u16..0x7000, vec(any::<u8>(), 0..40)), 0..10),
        address in addresses(),
        protect in any::<(bool, bool, bool)>(),
    ) {
        let key = Key::short_term("password");
        let mut buffer = [0xAA; 1024];
        let id = TransactionId(id);
        let mut builder = MessageBuilder::new(&mut buffer, class, Method(method), id);
        for (kind, value) in &attributes {
            builder.attribute(AttributeType(*kind), value);
        }
        builder.xor_mapped_address(address).mapped_address(address);
        if protect.0 {
            builder.integrity(&key);
        }
        if protect.1 {
            builder.integrity_sha256(&key);
        }
        if protect.2 {
            builder.fingerprint();
        }
        let len = builder.finish().unwrap();
        let bytes = &buffer[..len];
        // RFC 7983 §7: methods from 0x100 on share their first byte with other protocols.
        prop_assert_eq!(is_stun(bytes), method < 0x100);
        let message = Message::parse(bytes).unwrap();
        prop_assert_eq!(message.class(), class);
        prop_assert_eq!(message.method(), Method(method));
        prop_assert_eq!(message.transaction_id(), id);
        prop_assert_eq!(message.xor_mapped_address(), Some(address));
        prop_assert_eq!(message.mapped_address(), Some(address));
        let read: Vec<_> = message.attributes().take(attributes.len())
            .map(|one| (one.kind.0, one.value.to_vec()))
            .collect();
        prop_assert_eq!(read, attributes);
        prop_assert_eq!(message.verify(&key).is_ok(), protect.0 || protect.1);
        prop_assert_eq!(message.fingerprint() == Fingerprint::Valid, protect.2);
    }

    #[test]
    fn no_bytes_make_it_panic(mut bytes in vec(any::<u8>(), 0..200), shape in any::<bool>()) {
        if shape && bytes.len() >= 20 {
            let whole = bytes.len() & !3;
            bytes.truncate(whole);
            bytes[0] &= 0x3F;
            bytes[2..4].copy_from_slice(&((whole - 20) as u16).to_be_bytes());
            bytes[4..8].copy_from_slice(&esp_stun::MAGIC_COOKIE.to_be_bytes());
        }
        if let Ok(message) = Message::parse(&bytes) {
            read_all(&message);
        }
    }

    #[test]
    fn no_attributes_make_it_panic(
        attributes in vec((0u16..0x30, 0u16..12, any::<bool>()), 0..12),
        fill in any::<u8>(),
    ) {
        let mut bytes = vec![0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42];
        bytes.resize(20, 7);
        for (kind, len, optional) in attributes {
            bytes.extend((kind | u16::from(optional) << 15).to_be_bytes());
            bytes.extend(len.to_be_bytes());
            bytes.resize(bytes.len() + usize::from(len).next_multiple_of(4), fill);
        }
        let len = (bytes.len() - 20) as u16;
        bytes[2..4].copy_from_slice(&len.to_be_bytes());
        if let Ok(message) = Message::parse(&bytes) {
            read_all(&message);
        }
    }
}
