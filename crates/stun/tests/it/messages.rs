//! Rules of the format that the vectors do not touch.

use esp_stun::{
    AttributeType, BuildError, Class, ErrorCode, Family, Fingerprint, Icmp, Integrity,
    IntegrityError, Key, Message, MessageBuilder, Method, ParseError, PasswordAlgorithm,
    TransactionId, known,
};

const ID: TransactionId = TransactionId([9; 12]);

fn request(build: impl FnOnce(&mut MessageBuilder<'_>)) -> Vec<u8> {
    let mut buffer = [0; 1024];
    let mut builder = MessageBuilder::request(&mut buffer, Method::BINDING, ID);
    build(&mut builder);
    let len = builder.finish().unwrap();
    buffer[..len].to_vec()
}

/// Appends an attribute behind whatever `bytes` holds, as an attacker would.
fn with_suffix(mut bytes: Vec<u8>, kind: u16, value: &[u8]) -> Vec<u8> {
    bytes.extend(kind.to_be_bytes());
    bytes.extend((value.len() as u16).to_be_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    let len = (bytes.len() - 20) as u16;
    bytes[2..4].copy_from_slice(&len.to_be_bytes());
    bytes
}

#[test]
fn what_follows_integrity_is_invisible() {
    let key = Key::short_term("secret");
    let bytes = request(|b| {
        b.priority(5).integrity(&key);
    });
    let bytes = with_suffix(bytes, AttributeType::USE_CANDIDATE.0, &[]);
    let bytes = with_suffix(bytes, 0x7777, b"unknown");
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(message.verify(&key), Ok(Integrity::Sha1));
    assert_eq!(message.priority(), Some(5));
    assert!(!message.use_candidate());
    assert_eq!(message.attributes().count(), 1);
    assert_eq!(message.unknown_required(&[known::ICE]).count(), 0);
}

#[test]
fn both_integrities_are_checked_by_the_stronger() {
    let key = Key::short_term("secret");
    let bytes = request(|b| {
        b.username("u")
            .integrity(&key)
            .integrity_sha256(&key)
            .fingerprint();
    });
    let message = Message::parse(&bytes).unwrap();
    assert!(message.has_integrity(Integrity::Sha1) && message.has_integrity(Integrity::Sha256));
    assert_eq!(message.verify(&key), Ok(Integrity::Sha256));
    assert_eq!(message.fingerprint(), Fingerprint::Valid);
    let mut forged = bytes.clone();
    let at = forged.len() - 8 - 1;
    forged[at] ^= 1;
    let message = Message::parse(&forged).unwrap();
    assert_eq!(message.verify(&key), Err(IntegrityError::Mismatch));
    assert_eq!(message.fingerprint(), Fingerprint::Invalid);
}

#[test]
fn truncation_needs_consent() {
    let key = Key::short_term("secret");
    let bytes = request(|b| {
        b.integrity_sha256_truncated(&key, 16);
    });
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(message.verify(&key), Err(IntegrityError::Truncated));
    assert_eq!(message.verify_truncated(&key, 16), Ok(Integrity::Sha256));
    let short = with_suffix(request(|_| ()), 0x001C, &[0; 12]);
    assert!(matches!(Message::parse(&short), Err(ParseError::Value(_))));
}

#[test]
fn fingerprint_is_last() {
    let bytes = request(|b| {
        b.fingerprint();
    });
    let bytes = with_suffix(bytes, 0x8022, b"late");
    assert_eq!(
        Message::parse(&bytes).unwrap_err(),
        ParseError::FingerprintNotLast
    );
}

#[test]
fn unknown_required_attributes_are_listed_once() {
    let bytes = request(|b| {
        b.attribute(AttributeType(0x7001), b"a")
            .attribute(AttributeType(0xF001), b"optional")
            .attribute(AttributeType(0x7002), b"")
            .attribute(AttributeType(0x7001), b"again");
    });
    let message = Message::parse(&bytes).unwrap();
    let unknown: Vec<_> = message.unknown_required(&[known::BASE]).collect();
    assert_eq!(unknown, [AttributeType(0x7001), AttributeType(0x7002)]);

    let mut buffer = [0; 128];
    let mut builder = MessageBuilder::error(&mut buffer, &message);
    builder
        .error_code(ErrorCode::UNKNOWN_ATTRIBUTE)
        .unknown_attributes(&unknown);
    let len = builder.finish().unwrap();
    let response = Message::parse(&buffer[..len]).unwrap();
    assert_eq!(response.class(), Class::Error);
    assert_eq!(response.transaction_id(), ID);
    let (code, reason) = response.error_code().unwrap();
    assert_eq!((code.0, reason), (420, "Unknown Attribute"));
    assert!(response.unknown_attributes().unwrap().eq(unknown));
}

#[test]
fn framing_is_checked() {
    assert_eq!(Message::parse(&[]).unwrap_err(), ParseError::TooShort);
    assert_eq!(Message::parse(&[0; 20]).unwrap_err(), ParseError::NotStun);
    let good = request(|b| {
        b.username("abc");
    });
    for len in 1..good.len() {
        assert_eq!(
            Message::parse(&good[..len]).unwrap_err(),
            ParseError::Length
        );
    }
    let mut longer = good.clone();
    longer.push(0);
    assert_eq!(Message::parse(&longer).unwrap_err(), ParseError::Length);
    let mut cut = good.clone();
    cut[23] = 5;
    assert!(matches!(
        Message::parse(&cut),
        Err(ParseError::Attribute(_))
    ));
    let mut odd = good;
    odd[3] += 1;
    assert_eq!(Message::parse(&odd).unwrap_err(), ParseError::Length);
}

#[test]
fn a_stream_is_cut_into_messages() {
    let bytes = request(|b| {
        b.username("abc");
    });
    for len in 1..8 {
        assert_eq!(Message::frame_len(&bytes[..len]), Ok(None));
    }
    for len in 8..bytes.len() {
        assert_eq!(Message::frame_len(&bytes[..len]), Ok(Some(bytes.len())));
    }
    assert_eq!(Message::frame_len(b"GET / HTTP"), Err(ParseError::NotStun));
}

#[test]
fn the_builder_reports_its_first_error() {
    let mut small = [0; 24];
    let mut builder = MessageBuilder::request(&mut small, Method::BINDING, ID);
    builder.use_candidate().priority(1).use_candidate();
    assert_eq!(builder.finish(), Err(BuildError::NoRoom));
    assert_eq!(
        MessageBuilder::request(&mut [0; 19], Method::BINDING, ID).finish(),
        Err(BuildError::NoRoom)
    );

    let mut buffer = [0; 2048];
    let mut builder = MessageBuilder::request(&mut buffer, Method::BINDING, ID);
    builder.fingerprint().use_candidate();
    let late = BuildError::Order(AttributeType::USE_CANDIDATE);
    assert_eq!(builder.finish(), Err(late));

    let mut builder = MessageBuilder::request(&mut buffer, Method::BINDING, ID);
    builder.username(&"x".repeat(509));
    let long = BuildError::Value(AttributeType::USERNAME);
    assert_eq!(builder.finish(), Err(long));
}

#[test]
fn attributes_of_turn_round_trip() {
    let peer = "[2001:db8::5]:5000".parse().unwrap();
    let icmp = Icmp {
        kind: 3,
        code: 4,
        data: 1_280,
    };
    let bytes = request(|b| {
        b.requested_transport(17)
            .requested_address_family(Family::V6)
            .additional_address_family(Family::V6)
            .even_port(true)
            .dont_fragment()
            .reservation_token(b"12345678")
            .channel_number(0x4001)
            .lifetime(std::time::Duration::from_secs(600))
            .xor_peer_address(peer)
            .xor_peer_address("192.0.2.7:1".parse().unwrap())
            .data(b"payload")
            .connection_id(77)
            .icmp(icmp)
            .address_error_code(Family::V6, ErrorCode::ADDRESS_FAMILY_NOT_SUPPORTED)
            .password_algorithms(&[PasswordAlgorithm::Sha256, PasswordAlgorithm::Md5])
            .password_algorithm(PasswordAlgorithm::Sha256);
    });
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(message.requested_transport(), Some(17));
    assert_eq!(message.requested_address_family(), Some(Family::V6));
    assert_eq!(message.additional_address_family(), Some(Family::V6));
    assert_eq!(message.even_port(), Some(true));
    assert!(message.dont_fragment());
    assert_eq!(message.reservation_token(), Some(*b"12345678"));
    assert_eq!(message.channel_number(), Some(0x4001));
    assert_eq!(message.lifetime().unwrap().as_secs(), 600);
    assert_eq!(message.xor_peer_address(), Some(peer));
    assert_eq!(message.xor_peer_addresses().count(), 2);
    assert_eq!(message.data(), Some(&b"payload"[..]));
    assert_eq!(message.connection_id(), Some(77));
    assert_eq!(message.icmp(), Some(icmp));
    let error = message.address_error_code().unwrap();
    assert_eq!((error.family, error.code.0), (Family::V6, 440));
    assert!(message.password_algorithms().unwrap().eq([2, 1]));
    assert_eq!(
        message.password_algorithm(),
        Some(PasswordAlgorithm::Sha256)
    );
    let sets = [known::BASE, known::TURN];
    assert_eq!(message.unknown_required(&sets).count(), 0);
}
