//! STUN messages, and streams of them.

use esp_stun::turn::Framer;
use esp_stun::{
    AttributeType, Family, Key, LongTermAuth, Message, MessageBuilder, SecurityFeatures,
    opaque_string,
};

/// Reads a message by every getter, and writes its attributes again.
pub(crate) fn message(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = SecurityFeatures::of_nonce(text);
        let _ = LongTermAuth::new(text, text);
        let prepared = opaque_string(text).into_owned();
        assert_eq!(opaque_string(&prepared), prepared, "prepared twice");
    }
    let _ = Message::frame_len(data);
    let Ok(message) = Message::parse(data) else {
        return;
    };
    assert_eq!(message.bytes(), data);
    read_addresses(&message);
    read_texts(&message);
    read_numbers(&message);
    again(&message);
}

fn read_addresses(message: &Message<'_>) {
    let _ = (message.mapped_address(), message.xor_mapped_address());
    let _ = (message.xor_relayed_address(), message.xor_peer_address());
    let _ = message.xor_relayed_addresses().count();
    let _ = message.xor_peer_addresses().count();
    let _ = (message.alternate_server(), message.response_origin());
    let _ = message.other_address();
}

fn read_texts(message: &Message<'_>) {
    let _ = (message.username(), message.userhash(), message.realm());
    let _ = (message.nonce(), message.software());
    let _ = (message.alternate_domain(), message.data());
    let _ = (message.error_code(), message.address_error_code());
    let _ = message.unknown_attributes().map(Iterator::count);
    let _ = message.password_algorithms().map(Iterator::count);
    let _ = message.password_algorithm();
    let _ = format!("{message:?}");
}

fn read_numbers(message: &Message<'_>) {
    let _ = (message.priority(), message.use_candidate());
    let _ = (message.ice_controlled(), message.ice_controlling());
    let _ = (message.channel_number(), message.lifetime());
    let _ = (message.requested_transport(), message.even_port());
    let _: (Option<Family>, Option<Family>) = (
        message.requested_address_family(),
        message.additional_address_family(),
    );
    let _ = (message.dont_fragment(), message.reservation_token());
    let _ = (message.connection_id(), message.icmp());
    let _ = (message.change_request(), message.response_port());
    let _ = message.unknown_required(&[]).count();
    let _ = message.verify(&Key::short_term("VOkJxbRl1RmTxUk/WvJxBt"));
    let _ = message.verify_truncated(&Key::short_term("x"), 16);
    let _ = message.fingerprint();
}

/// The same attributes, written again, say the same.
fn again(message: &Message<'_>) {
    let mut buffer = vec![0; message.bytes().len() + 64];
    let (class, method) = (message.class(), message.method());
    let id = message.transaction_id();
    let mut builder = MessageBuilder::new(&mut buffer, class, method, id);
    let special = [
        AttributeType::MESSAGE_INTEGRITY,
        AttributeType::MESSAGE_INTEGRITY_SHA256,
        AttributeType::FINGERPRINT,
    ];
    let plain = || {
        message
            .attributes()
            .filter(|one| !special.contains(&one.kind))
    };
    for attribute in plain() {
        builder.attribute(attribute.kind, attribute.value);
    }
    let Ok(len) = builder.finish() else { return };
    let copy = Message::parse(&buffer[..len]).expect("what was written can be read");
    assert_eq!(
        (copy.class(), copy.method(), copy.transaction_id()),
        (class, method, id)
    );
    let mut copied = copy.attributes();
    for attribute in plain() {
        let same = copied.next().expect("as many attributes");
        assert_eq!((same.kind, same.value), (attribute.kind, attribute.value));
    }
    assert!(copied.next().is_none());
}

/// Cuts a stream into frames, whole and in pieces as long as the first byte says: the same comes out.
pub(crate) fn stream(data: &[u8]) {
    let Some((&piece, data)) = data.split_first() else {
        return;
    };
    let (whole, pieces) = (
        frames(&[data]),
        frames(&data.chunks(usize::from(piece).max(1)).collect::<Vec<_>>()),
    );
    assert_eq!(whole, pieces);
}

/// The frames of a stream, and whether it went on to its end.
fn frames(parts: &[&[u8]]) -> (Vec<Vec<u8>>, bool) {
    let mut framer = Framer::new();
    let mut frames = Vec::new();
    for part in parts {
        framer.push(part);
        loop {
            match framer.next_frame() {
                Ok(Some(frame)) => {
                    assert!(frame.len() >= 4);
                    frames.push(frame.to_vec());
                }
                Ok(None) => break,
                Err(_) => return (frames, false),
            }
        }
    }
    (frames, true)
}
