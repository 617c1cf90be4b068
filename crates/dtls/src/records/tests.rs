//! Records as an independent implementation of AES-GCM seals them, and the two numberings.

use std::time::Duration;

use zeroize::Zeroizing;

use super::v12::Records12;
use super::v13::Records13;
use super::*;
use crate::secrets::{Keys12, Keys13};

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|it| it.to_digit(16)).collect();
    digits
        .chunks(2)
        .map(|it| (it[0] << 4 | it[1]) as u8)
        .collect()
}

fn counting(from: u8, len: usize) -> Vec<u8> {
    (0..len).map(|index| from + index as u8).collect()
}

fn keys_13(len: usize) -> Keys13 {
    Keys13 {
        secret: Zeroizing::new(vec![7; if len == 16 { 32 } else { 48 }]),
        key: Zeroizing::new(counting(0, len)),
        iv: Zeroizing::new(counting(0x40, 12)),
        number_key: Zeroizing::new(counting(0x80, len)),
    }
}

fn keys_12(len: usize) -> Keys12 {
    Keys12 {
        key: Zeroizing::new(counting(0, len)),
        salt: Zeroizing::new([0x40, 0x41, 0x42, 0x43]),
    }
}

/// Both directions under the same keys, so that one end reads what it wrote.
fn records_13(len: usize) -> Records {
    let records = Records13::new([keys_13(len), keys_13(len)], true, 1 << 23);
    Records::V13(Box::new(records.unwrap()))
}

fn records_12(len: usize) -> Records {
    let records = Records12::new([keys_12(len), keys_12(len)], true);
    Records::V12(Box::new(records.unwrap()))
}

fn seal(records: &mut Records, payload: &[u8], head: usize, tail: usize) -> Vec<u8> {
    let mut record = [&vec![0xee; head][..], payload, &vec![0xee; tail]].concat();
    records.seal(&mut record).unwrap();
    record
}

fn data(records: &mut Records, record: &str) -> Vec<u8> {
    let mut record = hex(record);
    match records.open(&mut record) {
        Opened::Data(range) => record[range].to_vec(),
        other => panic!("{other:?}"),
    }
}

fn refused(records: &mut Records, record: &str) -> bool {
    matches!(records.open(&mut hex(record)), Opened::Refused)
}

#[test]
fn vectors_of_1_3() {
    // Key length; two records as we seal them; then those with a short number and no length, a short number and
    // 40 bytes of padding, no length and 3 bytes of padding, an alert.
    let vectors = [
        (
            16,
            [
                "2f64d30016514c05a6025c67755e46703ead964471fb9efdc3d48e",
                "2f720d0011fb73b2645296701977c840c756152579ab",
                "23e16ec0fc041e79fa0553872bc3815555c01bb7963aeeceaa",
                concat!(
                    "278f003f37af48055bdcab83ff15659dc254d3639abeb4e8402e0b32532ff76d0fd75c4b",
                    "7458b145a16edd6edda3f5c8229e094807620db6a0d495e4f8be4d3cf8c1c9",
                ),
                "2bbe475fd7f6787244b37597adf18777e964033ea9186f84eac67b",
                "2f061d001363a5613211a728c598c71e0a2402f2f19d8ac1",
            ],
        ),
        (
            32,
            [
                "2ff61c00168adcc24f492b109d0afe8412420a08d9821fe5830f1d",
                "2f166b0011725616901f7ab9e766577a4e5d65ac1f33",
                "2311c5f574c295d3081c07e34f95d6253cccddb2afba9dec03",
                concat!(
                    "270f003f660b41d2d378e660d88cd3804da72d5d2e5663a23a3d398ec93b371851c5ef96",
                    "0750c6501e5bac95553d597f8a2955197ae9b35b3474fab966875a200fbec3",
                ),
                "2b46093d8ca72e8c020e49b5ec5bc43bec34bd13ef353bf0b46c43",
                "2f46040013336071318e20b4e2e760404d47494bcd04d159",
            ],
        ),
    ];
    for (len, [first, second, narrow, padded, open_ended, alert]) in vectors {
        let mut records = records_13(len);
        assert_eq!(seal(&mut records, b"hello", 5, 17), hex(first));
        assert_eq!(seal(&mut records, b"", 5, 17), hex(second));
        assert_eq!(data(&mut records, first), b"hello");
        assert_eq!(data(&mut records, second), b"");
        assert_eq!(data(&mut records, padded), b"padded");
        assert_eq!(data(&mut records, narrow), b"narrow");
        assert_eq!(data(&mut records, open_ended), b"wide");
        let mut record = hex(alert);
        let Opened::Control(control) = records.open(&mut record) else {
            panic!("an alert");
        };
        assert!(!control.wants_answer());
        assert_eq!(record[control.content.clone()], [1, 0]);
        assert_eq!((control.epoch, control.number), (3, 5));
        for record in [first, second, narrow, padded, open_ended, alert] {
            assert!(refused(&mut records, record), "a replay");
        }
        assert!(!records.is_late());
        assert!(!records.wants_update());
    }
}

#[test]
fn vectors_of_1_2() {
    // Key length; a record as we seal it, one with a nonce that is not its number, one of the library with number
    // 3 and a random nonce, and that one as it leaves under our number 1.
    let vectors = [
        (
            16,
            [
                concat!(
                    "17fefd0001000000000000001d0001000000000000062041ff23f6164a203f10284a1cf9",
                    "a78f05841c2b",
                ),
                concat!(
                    "17fefd00010000000000090024a0a1a2a3a4a5a6a71fd34a1ba106b260b680b6ebd0f543",
                    "cedd3bd556da39ebead7cb9576",
                ),
                concat!(
                    "16fefd00010000000000030020b0b1b2b3b4b5b6b75c2f8b7f9065f4562ab0b8c84150ef",
                    "5d1a8b080ba4ff6d4a",
                ),
                concat!(
                    "16fefd0001000000000001002000010000000000014dc62fe0bc3af60556af82bc92d571",
                    "c19a7f4966bdea7f3e",
                ),
            ],
        ),
        (
            32,
            [
                concat!(
                    "17fefd0001000000000000001d000100000000000090ab6ba91f07a3d81783c5ff06a8df",
                    "910c33a9b5d6",
                ),
                concat!(
                    "17fefd00010000000000090024a0a1a2a3a4a5a6a772e387e73e08c4d67b509f1ba0e390",
                    "9e8bdf63b92d485c52c52c53a5",
                ),
                concat!(
                    "16fefd00010000000000030020b0b1b2b3b4b5b6b7c17728f5bd99026b24e4d8c93e1350",
                    "aa28e9e52d7242cfed",
                ),
                concat!(
                    "16fefd0001000000000001002000010000000000015faa4be209f13f1297df4d126a6846",
                    "08376f717cdf226273",
                ),
            ],
        ),
    ];
    for (len, [first, other, finished, resealed]) in vectors {
        let mut records = records_12(len);
        assert_eq!(seal(&mut records, b"hello", 21, 16), hex(first));
        assert_eq!(data(&mut records, first), b"hello");
        assert_eq!(data(&mut records, other), b"random nonce");
        for record in [first, other, finished] {
            assert!(refused(&mut records, record));
        }
        let change = "14fefd0000000000000007000101";
        let mut datagram = hex(&[change, finished].concat());
        records.reseal(&mut datagram).unwrap();
        assert_eq!(datagram, hex(&[change, resealed].concat()));
        // What cannot be opened must not leave.
        let last = datagram.len() - 1;
        datagram[last] ^= 1;
        assert!(records.reseal(&mut datagram).is_err());
    }
}

#[test]
fn numbers_of_the_library_are_put_under_ours_and_back() {
    // `library` stands for the records that the library makes, under numbers of its own.
    let (mut ours, mut library) = (records_13(16), records_13(16));
    for _ in 0..10 {
        seal(&mut ours, b"data", 5, 17);
    }
    let empty = seal(&mut library, b"", 5, 17);
    let mut message = control(&mut library, HANDSHAKE, b"key update", 0x1000);
    message.extend(empty);
    // The handshake's own records pass.
    let mut datagram = [&[0x2e, 0, 0, 0, 1, 9][..], &message].concat();
    ours.reseal(&mut datagram).unwrap();
    assert_eq!(datagram[..6], [0x2e, 0, 0, 0, 1, 9]);
    assert_eq!(
        datagram.len(),
        6 + 5 + 10 + 17,
        "empty data of the library stays here"
    );

    let mut sealed = datagram.split_off(6);
    let Opened::Control(found) = ours.open(&mut sealed) else {
        panic!("a handshake message");
    };
    assert_eq!((found.content_type, found.number), (HANDSHAKE, 10));
    let mut copy = Vec::new();
    ours.for_library(&found, &mut sealed, &mut copy);
    let Opened::Control(seen) = library.open(&mut copy) else {
        panic!("a handshake message");
    };
    assert_eq!(copy[seen.content.clone()], *b"key update");
    assert_eq!(seen.number, 0, "the first that the library sees");

    // The library acknowledges number 0 of the peer: on the wire it is 10.
    let mut ack = control(&mut library, ACK, &ack_of(3, 0), 0x1001);
    ours.reseal(&mut ack).unwrap();
    let Opened::Control(found) = ours.open(&mut ack) else {
        panic!("an acknowledgment");
    };
    assert_eq!(ack[found.content.clone()], ack_of(3, 10));

    // The peer acknowledges our number 10: the library knows it under its own.
    ours.for_library(&found, &mut ack, &mut copy);
    let Opened::Control(seen) = library.open(&mut copy) else {
        panic!("an acknowledgment");
    };
    assert_eq!(copy[seen.content.clone()], ack_of(3, 0x1000));
}

fn ack_of(epoch: u64, number: u64) -> Vec<u8> {
    [&[0, 16][..], &epoch.to_be_bytes(), &number.to_be_bytes()].concat()
}

/// A record of `content_type` under a number of the library, made by the way in of another end.
fn control(records: &mut Records, content_type: u8, content: &[u8], number: u64) -> Vec<u8> {
    let Records::V13(records) = records else {
        panic!("1.3");
    };
    records.seal_for_test(content_type, content, number)
}

#[test]
fn other_suites_are_left_to_the_library() {
    let mut chacha = keys_13(32);
    chacha.secret.truncate(32);
    let made = Records13::new([chacha, keys_13(32)], true, 1 << 23);
    assert_eq!(made.err(), Some(Unsupported));
}

#[test]
fn a_key_asks_to_be_replaced_once_and_ends() {
    let made = Records13::new([keys_13(16), keys_13(16)], false, 4);
    let mut records = Records::V13(Box::new(made.unwrap()));
    let mut record = [0; 30];
    for _ in 0..4 {
        assert!(!records.wants_update());
        records.seal(&mut record).unwrap();
    }
    assert!(records.wants_update());
    assert!(!records.wants_update());
    assert!(records.seal(&mut [0; 21]).is_err());
}

fn alone(records: &mut Records, is_client: bool) -> bool {
    let timing = Timing {
        first: Duration::from_millis(150),
        retries: 3,
    };
    records.stand_alone(is_client, &mut None, timing)
}

#[test]
fn alerts_are_opened_once_the_library_is_gone() {
    for (level, description, expected) in [
        (1, 0, Some(Alert::CloseNotify)),
        (2, 0, Some(Alert::CloseNotify)),
        (2, 80, Some(Alert::Fatal(80))),
        (1, 90, None),
    ] {
        let mut near = records_12(16);
        let mut record = Vec::new();
        near.goodbye(&mut record);
        assert!(matches!(near.open(&mut record.clone()), Opened::Refused));
        assert!(alone(&mut near, true));
        if let Records::V12(records) = &mut near {
            record = records.seal_alert_for_test([level, description]);
        }
        let copy = record.clone();
        match near.open(&mut record) {
            Opened::Control(control) => assert_eq!(control.alert(&record), expected),
            other => panic!("{other:?}"),
        }
        assert!(matches!(near.open(&mut copy.clone()), Opened::Refused));
    }
    let mut server = records_12(16);
    assert!(!alone(&mut server, false));
    let mut record = seal(&mut server, b"confirmed", 21, 16);
    assert!(matches!(server.open(&mut record), Opened::Data(_)));
    assert!(alone(&mut server, false));
}
