//! Our codec beside an independent one: what either writes, the other reads alike.

use std::net::SocketAddr;

use esp_stun::{
    AttributeType, Class, ErrorCode, Fingerprint, Integrity, Key, Message, MessageBuilder, Method,
    PasswordAlgorithm, TransactionId, userhash,
};
use proptest::collection::vec;
use proptest::prelude::*;
use stun_types::attribute as theirs;
use stun_types::attribute::{Attribute as _, AttributeStaticType as _, AttributeWrite};
use stun_types::message::{
    self, IntegrityAlgorithm, LongTermKeyCredentials, MessageIntegrityCredentials, MessageWrite,
    MessageWriteExt, MessageWriteVec, ShortTermCredentials,
};

/// What both sides can say.
#[derive(Clone, Debug)]
struct Said {
    class: Class,
    method: u16,
    id: [u8; 12],
    address: SocketAddr,
    name: String,
    realm: String,
    nonce: String,
    code: u16,
    unknown: Vec<u16>,
    extra: Vec<(u16, Vec<u8>)>,
    sha256: bool,
    long_term: bool,
    password: String,
}

fn said() -> impl Strategy<Value = Said> {
    let class = prop_oneof![
        Just(Class::Request),
        Just(Class::Indication),
        Just(Class::Success),
        Just(Class::Error),
    ];
    let address = (any::<bool>(), any::<[u8; 16]>(), any::<u16>()).prop_map(|(v6, bytes, port)| {
        let four = [bytes[0], bytes[1], bytes[2], bytes[3]];
        match v6 {
            true => SocketAddr::from((bytes, port)),
            false => SocketAddr::from((four, port)),
        }
    });
    let words = (
        "[a-z]{1,40}",
        "[a-z.]{1,40}",
        "[a-zA-Z0-9]{1,80}",
        "[!-~]{1,40}",
    );
    let bodies = (
        300u16..700,
        vec(0u16..0x7FFF, 1..9),
        // Numbers that neither knows.
        vec((0x9000u16..0x9100, vec(any::<u8>(), 0..60)), 0..5),
    );
    let shape = (class, 1u16..0x1000, any::<[u8; 12]>(), address);
    (shape, words, bodies, any::<(bool, bool)>()).prop_map(|(shape, words, bodies, flags)| {
        let (name, realm, nonce, password) = words;
        let mut extra = bodies.2;
        extra.sort();
        extra.dedup_by_key(|(kind, _)| *kind);
        Said {
            class: shape.0,
            method: shape.1,
            id: shape.2,
            address: shape.3,
            name,
            realm,
            nonce,
            code: bodies.0,
            unknown: bodies.1,
            extra,
            sha256: flags.0,
            long_term: flags.1,
            password,
        }
    })
}

impl Said {
    fn id(&self) -> u128 {
        let mut id = [0; 16];
        id[4..].copy_from_slice(&self.id);
        u128::from_be_bytes(id)
    }

    fn their_class(&self) -> message::MessageClass {
        match self.class {
            Class::Request => message::MessageClass::Request,
            Class::Indication => message::MessageClass::Indication,
            Class::Success => message::MessageClass::Success,
            Class::Error => message::MessageClass::Error,
        }
    }

    fn key(&self) -> Key {
        let algorithm = match self.sha256 {
            true => PasswordAlgorithm::Sha256,
            false => PasswordAlgorithm::Md5,
        };
        match self.long_term {
            true => Key::long_term(&self.name, &self.realm, &self.password, algorithm),
            false => Key::short_term(&self.password),
        }
    }

    fn credentials(&self) -> MessageIntegrityCredentials {
        let password = self.password.clone();
        match self.long_term {
            true => {
                let (name, realm) = (self.name.clone(), self.realm.clone());
                LongTermKeyCredentials::new(name, password, realm).into()
            }
            false => ShortTermCredentials::new(password).into(),
        }
    }

    fn integrity(&self) -> (Integrity, IntegrityAlgorithm) {
        match self.sha256 {
            true => (Integrity::Sha256, IntegrityAlgorithm::Sha256),
            false => (Integrity::Sha1, IntegrityAlgorithm::Sha1),
        }
    }

    fn written_by_us(&self) -> Vec<u8> {
        let mut buffer = [0; 2_048];
        let (id, method) = (TransactionId(self.id), Method(self.method));
        let mut builder = MessageBuilder::new(&mut buffer, self.class, method, id);
        let unknown: Vec<_> = self
            .unknown
            .iter()
            .map(|kind| AttributeType(*kind))
            .collect();
        builder
            .xor_mapped_address(self.address)
            .username(&self.name)
            .userhash(&userhash(&self.name, &self.realm))
            .realm(&self.realm)
            .nonce(&self.nonce)
            .software(&self.realm)
            .error_code_with(ErrorCode(self.code), &self.name)
            .unknown_attributes(&unknown)
            .password_algorithms(&[PasswordAlgorithm::Sha256, PasswordAlgorithm::Md5])
            .password_algorithm(PasswordAlgorithm::Sha256);
        for (kind, value) in &self.extra {
            builder.attribute(AttributeType(*kind), value);
        }
        builder.integrity_by(self.integrity().0, &self.key());
        let len = builder.fingerprint().finish().unwrap();
        buffer[..len].to_vec()
    }

    fn written_by_them(&self) -> Vec<u8> {
        let method = message::Method::new(self.method);
        let kind = message::MessageType::from_class_method(self.their_class(), method);
        let id = message::TransactionId::from(self.id());
        let mut written = message::Message::builder(kind, id, MessageWriteVec::new());
        let mut unknown = theirs::UnknownAttributes::new(&[]);
        for kind in &self.unknown {
            unknown.add_attribute(theirs::AttributeType::new(*kind));
        }
        let hash = theirs::Userhash::compute(&self.name, &self.realm);
        let algorithms = [
            theirs::PasswordAlgorithmValue::SHA256,
            theirs::PasswordAlgorithmValue::MD5,
        ];
        let known: [&dyn AttributeWrite; 10] = [
            &theirs::XorMappedAddress::new(self.address, id),
            &theirs::Username::new(&self.name).unwrap(),
            &theirs::Userhash::new(hash),
            &theirs::Realm::new(&self.realm).unwrap(),
            &theirs::Nonce::new(&self.nonce).unwrap(),
            &theirs::Software::new(&self.realm).unwrap(),
            &theirs::ErrorCode::new(self.code, &self.name).unwrap(),
            &unknown,
            &theirs::PasswordAlgorithms::new(&algorithms),
            &theirs::PasswordAlgorithm::new(theirs::PasswordAlgorithmValue::SHA256),
        ];
        for attribute in known {
            written.add_attribute(attribute).unwrap();
        }
        for (kind, value) in &self.extra {
            let kind = theirs::AttributeType::new(*kind);
            let raw = theirs::RawAttribute::new(kind, value);
            written.add_attribute(&raw).unwrap();
        }
        let algorithm = self.integrity().1;
        written
            .add_message_integrity(&self.credentials(), algorithm)
            .unwrap();
        written.add_fingerprint().unwrap();
        written.finish()
    }
}

proptest! {
    #[test]
    fn what_we_write_they_read(said in said()) {
        let bytes = said.written_by_us();
        let read = message::Message::from_bytes(&bytes).unwrap();
        prop_assert_eq!(read.class(), said.their_class());
        prop_assert_eq!(read.method().value(), said.method);
        let id = read.transaction_id();
        prop_assert_eq!(u128::from(id), said.id());
        let address = read.attribute::<theirs::XorMappedAddress>().unwrap();
        prop_assert_eq!(address.addr(id), said.address);
        let name = read.attribute::<theirs::Username>().unwrap();
        prop_assert_eq!(name.username(), &said.name);
        let hash = theirs::Userhash::compute(&said.name, &said.realm);
        let their_userhash = read.attribute::<theirs::Userhash>().unwrap();
        prop_assert_eq!(their_userhash.hash(), &hash);
        let their_realm = read.attribute::<theirs::Realm>().unwrap();
        prop_assert_eq!(their_realm.realm(), &said.realm);
        let their_nonce = read.attribute::<theirs::Nonce>().unwrap();
        prop_assert_eq!(their_nonce.nonce(), &said.nonce);
        let their_software = read.attribute::<theirs::Software>().unwrap();
        prop_assert_eq!(their_software.software(), &said.realm);
        let error = read.attribute::<theirs::ErrorCode>().unwrap();
        prop_assert_eq!((error.code(), error.reason()), (said.code, said.name.as_str()));
        let unknown = read.attribute::<theirs::UnknownAttributes>().unwrap();
        for kind in &said.unknown {
            prop_assert!(unknown.has_attribute(theirs::AttributeType::new(*kind)));
        }
        let algorithms = read.attribute::<theirs::PasswordAlgorithms>().unwrap();
        prop_assert_eq!(algorithms.algorithms().len(), 2);
        let algorithm = read.attribute::<theirs::PasswordAlgorithm>().unwrap();
        prop_assert_eq!(algorithm.algorithm(), theirs::PasswordAlgorithmValue::SHA256);
        for (kind, value) in &said.extra {
            let raw = read.raw_attribute(theirs::AttributeType::new(*kind)).unwrap();
            prop_assert_eq!(&raw.value[..], &value[..]);
        }
        prop_assert_eq!(read.validate_integrity(&said.credentials()).unwrap(), said.integrity().1);
        prop_assert!(read.has_attribute(theirs::Fingerprint::TYPE));
    }

    #[test]
    fn what_they_write_we_read(said in said()) {
        let bytes = said.written_by_them();
        let read = Message::parse(&bytes).unwrap();
        prop_assert_eq!(read.class(), said.class);
        prop_assert_eq!(read.method(), Method(said.method));
        prop_assert_eq!(read.transaction_id(), TransactionId(said.id));
        prop_assert_eq!(read.xor_mapped_address(), Some(said.address));
        prop_assert_eq!(read.username(), Some(said.name.as_str()));
        prop_assert_eq!(read.userhash(), Some(&userhash(&said.name, &said.realm)));
        prop_assert_eq!(read.realm(), Some(said.realm.as_str()));
        prop_assert_eq!(read.nonce(), Some(said.nonce.as_str()));
        prop_assert_eq!(read.software(), Some(said.realm.as_str()));
        prop_assert_eq!(read.error_code(), Some((ErrorCode(said.code), said.name.as_str())));
        let unknown: Vec<_> = read.unknown_attributes().unwrap().map(|kind| kind.0).collect();
        for kind in &said.unknown {
            prop_assert!(unknown.contains(kind));
        }
        prop_assert_eq!(read.password_algorithms().unwrap().count(), 2);
        prop_assert_eq!(read.password_algorithm(), Some(PasswordAlgorithm::Sha256));
        for (kind, value) in &said.extra {
            prop_assert_eq!(read.attribute(AttributeType(*kind)), Some(&value[..]));
        }
        prop_assert_eq!(read.verify(&said.key()).unwrap(), said.integrity().0);
        prop_assert_eq!(read.fingerprint(), Fingerprint::Valid);
    }

    #[test]
    fn both_refuse_or_read_the_same_noise(mut bytes in vec(any::<u8>(), 20..120)) {
        let whole = bytes.len() & !3;
        bytes.truncate(whole);
        bytes[0] &= 0x3F;
        bytes[2..4].copy_from_slice(&((whole - 20) as u16).to_be_bytes());
        bytes[4..8].copy_from_slice(&esp_stun::MAGIC_COOKIE.to_be_bytes());
        let (ours, other) = (Message::parse(&bytes), message::Message::from_bytes(&bytes));
        if let (Ok(ours), Ok(other)) = (ours, other) {
            let ours: Vec<_> = ours.attributes().map(|one| one.kind.0).collect();
            let others: Vec<_> = other
                .iter_attributes()
                .map(|(_, one)| one.get_type().value())
                .collect();
            prop_assert_eq!(ours, others);
        }
    }
}
