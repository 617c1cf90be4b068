//! RFC 5769 §2 and RFC 8489 Appendix B.1.

use esp_stun::{
    AttributeType, Class, ErrorCode, Fingerprint, Integrity, IntegrityError, Key, Message,
    MessageBuilder, Method, ParseError, PasswordAlgorithm, TransactionId, known, userhash,
};

const PASSWORD: &str = "VOkJxbRl1RmTxUk/WvJxBt";
const ID: TransactionId = TransactionId([
    0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae,
]);
const MATRIX: &str = "\u{30DE}\u{30C8}\u{30EA}\u{30C3}\u{30AF}\u{30B9}";

const REQUEST: &[u8] = b"\x00\x01\x00\x58\x21\x12\xa4\x42\
    \xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae\
    \x80\x22\x00\x10STUN test client\
    \x00\x24\x00\x04\x6e\x00\x01\xff\
    \x80\x29\x00\x08\x93\x2f\xf9\xb1\x51\x26\x3b\x36\
    \x00\x06\x00\x09evtj:h6vY\x20\x20\x20\
    \x00\x08\x00\x14\x9a\xea\xa7\x0c\xbf\xd8\xcb\x56\x78\x1e\xf2\xb5\xb2\xd3\xf2\x49\xc1\xb5\x71\xa2\
    \x80\x28\x00\x04\xe5\x7a\x3b\xcf";

const RESPONSE_V4: &[u8] = b"\x01\x01\x00\x3c\x21\x12\xa4\x42\
    \xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae\
    \x80\x22\x00\x0btest vector\x20\
    \x00\x20\x00\x08\x00\x01\xa1\x47\xe1\x12\xa6\x43\
    \x00\x08\x00\x14\x2b\x91\xf5\x99\xfd\x9e\x90\xc3\x8c\x74\x89\xf9\x2a\xf9\xba\x53\xf0\x6b\xe7\xd7\
    \x80\x28\x00\x04\xc0\x7d\x4c\x96";

const RESPONSE_V6: &[u8] = b"\x01\x01\x00\x48\x21\x12\xa4\x42\
    \xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae\
    \x80\x22\x00\x0btest vector\x20\
    \x00\x20\x00\x14\x00\x02\xa1\x47\x01\x13\xa9\xfa\xa5\xd3\xf1\x79\xbc\x25\xf4\xb5\xbe\xd2\xb9\xd9\
    \x00\x08\x00\x14\xa3\x82\x95\x4e\x4b\xe6\x7b\xf1\x17\x84\xc9\x7c\x82\x92\xc2\x75\xbf\xe3\xed\x41\
    \x80\x28\x00\x04\xc8\xfb\x0b\x4c";

const LONG_TERM: &[u8] = b"\x00\x01\x00\x60\x21\x12\xa4\x42\
    \x78\xad\x34\x33\xc6\xad\x72\xc0\x29\xda\x41\x2e\
    \x00\x06\x00\x12\xe3\x83\x9e\xe3\x83\x88\xe3\x83\xaa\xe3\x83\x83\xe3\x82\xaf\xe3\x82\xb9\x00\x00\
    \x00\x15\x00\x1cf//499k954d6OL34oL9FSTvy64sA\
    \x00\x14\x00\x0bexample.org\x00\
    \x00\x08\x00\x14\xf6\x70\x24\x65\x6d\xd6\x4a\x3e\x02\xb8\xe0\x71\x2e\x85\xc9\xa2\x8c\xa8\x96\x66";

/// As corrected by the verified erratum: length 0x90, and PASSWORD-ALGORITHM (SHA-256) is there.
const LONG_TERM_SHA256: &[u8] = b"\x00\x01\x00\x90\x21\x12\xa4\x42\
    \x78\xad\x34\x33\xc6\xad\x72\xc0\x29\xda\x41\x2e\
    \x00\x1e\x00\x20\x4a\x3c\xf3\x8f\xef\x69\x92\xbd\xa9\x52\xc6\x78\x04\x17\xda\x0f\
    \x24\x81\x94\x15\x56\x9e\x60\xb2\x05\xc4\x6e\x41\x40\x7f\x17\x04\
    \x00\x15\x00\x29obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA\x00\x00\x00\
    \x00\x14\x00\x0bexample.org\x00\
    \x00\x1d\x00\x04\x00\x02\x00\x00\
    \x00\x1c\x00\x20\xb5\xc7\xbf\x00\x5b\x6c\x52\xa2\x1c\x51\xc5\xe8\x92\xf8\x19\x24\
    \x13\x62\x96\xcb\x92\x7c\x43\x14\x93\x09\x27\x8c\xc6\x51\x8e\x65";

/// As printed: the length says 20 bytes more than there are, and the tag was made with it.
const LONG_TERM_SHA256_AS_PRINTED: &[u8] = b"\x00\x01\x00\x9c\x21\x12\xa4\x42\
    \x78\xad\x34\x33\xc6\xad\x72\xc0\x29\xda\x41\x2e\
    \x00\x1e\x00\x20\x4a\x3c\xf3\x8f\xef\x69\x92\xbd\xa9\x52\xc6\x78\x04\x17\xda\x0f\
    \x24\x81\x94\x15\x56\x9e\x60\xb2\x05\xc4\x6e\x41\x40\x7f\x17\x04\
    \x00\x15\x00\x29obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA\x00\x00\x00\
    \x00\x14\x00\x0bexample.org\x00\
    \x00\x1c\x00\x20\xe4\x68\x6c\x8f\x0e\xde\xb5\x90\x13\xe0\x70\x90\x01\x0a\x93\xef\
    \xcc\xbc\xcc\x54\x4c\x0a\x45\xd9\xf8\x30\xaa\x6d\x6f\x73\x5a\x01";

fn built(build: impl FnOnce(&mut MessageBuilder<'_>), class: Class, id: TransactionId) -> Vec<u8> {
    let mut buffer = [0; 256];
    let mut builder = MessageBuilder::new(&mut buffer, class, Method::BINDING, id);
    build(&mut builder);
    let len = builder.finish().unwrap();
    buffer[..len].to_vec()
}

#[test]
fn sample_request() {
    let message = Message::parse(REQUEST).unwrap();
    assert_eq!(message.class(), Class::Request);
    assert_eq!(message.method(), Method::BINDING);
    assert_eq!(message.transaction_id(), ID);
    assert_eq!(message.software(), Some("STUN test client"));
    assert_eq!(message.priority(), Some(0x6e00_01ff));
    assert_eq!(message.ice_controlled(), Some(0x932f_f9b1_5126_3b36));
    assert_eq!(message.username(), Some("evtj:h6vY"));
    assert_eq!(message.fingerprint(), Fingerprint::Valid);
    let key = Key::short_term(PASSWORD);
    assert_eq!(message.verify(&key), Ok(Integrity::Sha1));
    let wrong = Key::short_term("VOkJxbRl1RmTxUk/WvJxBu");
    assert_eq!(message.verify(&wrong), Err(IntegrityError::Mismatch));
    assert_eq!(
        message.unknown_required(&[known::BASE, known::ICE]).count(),
        0
    );
    let unknown: Vec<_> = message.unknown_required(&[known::BASE]).collect();
    assert_eq!(unknown, [AttributeType::PRIORITY]);
}

/// The vector pads by spaces, we pad by zeros; so the tags differ, and everything else does not.
#[test]
fn sample_request_rebuilt() {
    let key = Key::short_term(PASSWORD);
    let bytes = built(
        |builder| {
            builder
                .software("STUN test client")
                .priority(0x6e00_01ff)
                .ice_controlled(0x932f_f9b1_5126_3b36)
                .username("evtj:h6vY")
                .integrity(&key)
                .fingerprint();
        },
        Class::Request,
        ID,
    );
    assert_eq!(bytes.len(), REQUEST.len());
    assert_eq!(bytes[..73], REQUEST[..73]);
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(message.verify(&key), Ok(Integrity::Sha1));
    assert_eq!(message.fingerprint(), Fingerprint::Valid);
}

#[test]
fn sample_responses() {
    for (bytes, address) in [
        (RESPONSE_V4, "192.0.2.1:32853"),
        (RESPONSE_V6, "[2001:db8:1234:5678:11:2233:4455:6677]:32853"),
    ] {
        let message = Message::parse(bytes).unwrap();
        assert_eq!(message.class(), Class::Success);
        assert_eq!(message.software(), Some("test vector"));
        assert_eq!(message.xor_mapped_address(), Some(address.parse().unwrap()));
        let key = Key::short_term(PASSWORD);
        assert_eq!(message.verify(&key), Ok(Integrity::Sha1));
        assert_eq!(message.fingerprint(), Fingerprint::Valid);
    }
}

#[test]
fn sample_long_term_request() {
    let message = Message::parse(LONG_TERM).unwrap();
    assert_eq!(message.username(), Some(MATRIX));
    assert_eq!(message.realm(), Some("example.org"));
    assert_eq!(message.nonce(), Some("f//499k954d6OL34oL9FSTvy64sA"));
    assert_eq!(message.fingerprint(), Fingerprint::Absent);
    let md5 = PasswordAlgorithm::Md5;
    let key = Key::long_term(MATRIX, "example.org", "TheMatrIX", md5);
    assert_eq!(message.verify(&key), Ok(Integrity::Sha1));
    // This vector pads by zeros: it comes out byte for byte.
    let bytes = built(
        |builder| {
            builder
                .username(MATRIX)
                .nonce("f//499k954d6OL34oL9FSTvy64sA")
                .realm("example.org")
                .integrity(&key);
        },
        Class::Request,
        message.transaction_id(),
    );
    assert_eq!(bytes, LONG_TERM);
}

#[test]
fn sample_long_term_request_with_sha256() {
    let message = Message::parse(LONG_TERM_SHA256).unwrap();
    let hash = userhash(MATRIX, "example.org");
    assert_eq!(message.userhash(), Some(&hash));
    let nonce = "obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA";
    assert_eq!(message.nonce(), Some(nonce));
    assert_eq!(message.integrity(), Some(Integrity::Sha256));
    let algorithm = PasswordAlgorithm::Sha256;
    assert_eq!(message.password_algorithm(), Some(algorithm));
    let key = Key::long_term(MATRIX, "example.org", "TheMatrIX", algorithm);
    assert_eq!(message.verify(&key), Ok(Integrity::Sha256));
    let bytes = built(
        |builder| {
            builder
                .userhash(&hash)
                .nonce(nonce)
                .realm("example.org")
                .password_algorithm(algorithm)
                .integrity_sha256(&key);
        },
        Class::Request,
        message.transaction_id(),
    );
    assert_eq!(bytes, LONG_TERM_SHA256);
}

#[test]
fn sample_long_term_request_with_sha256_as_printed() {
    let printed = LONG_TERM_SHA256_AS_PRINTED;
    assert_eq!(Message::parse(printed).unwrap_err(), ParseError::Length);
    let key = format!("{MATRIX}:example.org:TheMatrIX");
    let key = esp_crypto::sha256(&[key.as_bytes()]);
    let (text, tag) = printed.split_at(printed.len() - 32);
    let text = &text[..text.len() - 4];
    assert_eq!(esp_crypto::hmac_sha256(&key, &[text]), tag);
}

#[test]
fn every_changed_bit_is_noticed() {
    let key = Key::short_term(PASSWORD);
    for bit in 0..REQUEST.len() * 8 {
        let mut bytes = REQUEST.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let Ok(message) = Message::parse(&bytes) else {
            continue;
        };
        let sound = message.fingerprint() == Fingerprint::Valid && message.verify(&key).is_ok();
        assert!(!sound, "bit {bit}");
    }
}

#[test]
fn error_codes_read_well() {
    assert_eq!(ErrorCode::ROLE_CONFLICT.to_string(), "487 (Role Conflict)");
}
