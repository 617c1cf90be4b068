//! The published vectors: RFC 3711 Appendix B, RFC 7714 §16 and §17, and packets made by another program.

use esp_crypto::AesCtr;

use crate::cipher::Cipher;
use crate::derivation::{Label, derive};
use crate::{Error, Keying, Profile, Receiver, Sender};

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16).unwrap() as u8)
        .collect();
    digits.chunks(2).map(|d| d[0] << 4 | d[1]).collect()
}

#[test]
fn rfc_3711_key_stream() {
    // §B.2
    let key = AesCtr::new(&hex("2B7E151628AED2A6ABF7158809CF4F3C")).unwrap();
    let counter = hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD0000").try_into().unwrap();
    let mut stream = vec![0; 1_044_512];
    key.apply(&counter, &mut stream);
    assert_eq!(
        stream[..48],
        hex(
            "E03EAD0935C95E80E166B16DD92B4EB4 D23513162B02D0F72A43A2FE4A5F97AB
             41E95B3BB0A2E8DD477901E4FCA894C0"
        )
    );
    assert_eq!(
        stream[1_044_512 - 48..],
        hex(
            "EC8CDF7398607CB0F2D21675EA9EA1E4 362B7C3C6773516318A077D7FC5073AE
             6A2CC3787889374FBEB4C81B17BA6C44"
        )
    );
}

#[test]
fn rfc_3711_key_derivation() {
    // §B.3
    let master = AesCtr::new(&hex("E1F97A0D3E018BE0D64FA32C06DE4139")).unwrap();
    let salt = hex("0EC675AD498AFEEBB6960B3AABE6");
    let get = |label, len| {
        let mut out = vec![0; len];
        derive(&master, &salt, label, &mut out);
        out
    };
    assert_eq!(
        get(Label::RtpEncryption, 16),
        hex("C61E7A93744F39EE10734AFE3FF7A087")
    );
    assert_eq!(get(Label::RtpSalt, 14), hex("30CBBC08863D8C85D49DB34A9AE1"));
    assert_eq!(
        get(Label::RtpAuthentication, 94),
        hex(
            "CEBE321F6FF7716B6FD4AB49AF256A15 6D38BAA48F0A0ACF3C34E2359E6CDBCE
             E049646C43D9327AD175578EF7227098 6371C10C9A369AC2F94A8C5FBCDDDC25
             6D6E919A48B610EF17C2041E47403576 6B68642C59BBFC2F34DB60DBDFB2"
        )
    );
}

fn gcm(key_len: u8) -> Cipher {
    let key: Vec<u8> = (0..key_len).collect();
    Cipher::gcm(&key, *b"Quid pro quo").unwrap()
}

fn pair(key_len: u8) -> (Sender, Receiver) {
    (
        Sender::with_session(gcm(key_len), gcm(key_len), 0x5d4),
        Receiver::with_session(gcm(key_len), gcm(key_len)),
    )
}

const RTP: &str = "8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976
     69736120 696e2070 61727465 73207472 6573";

#[test]
fn rfc_7714_srtp() {
    // §16.1.1, §16.1.2, §16.2.1, §16.2.2
    for (key_len, protected) in [
        (
            16,
            "8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5
             0d294e6f 42a5f47a 51c7d19b 36de3adf 8833899d 7f27beb1 6a9152cf 765ee439 0cce",
        ),
        (
            32,
            "8040f17b 8041f8d3 5501a0b2 32b1de78 a822fe12 ef9f78fa 332e33aa b1801238
             9a58e2f3 b50b2a02 76ffae0f 1ba63799 b87b7aa3 db36dfff d6b0f9bb 7878d7a7 6c13",
        ),
    ] {
        let (mut sender, mut receiver) = pair(key_len);
        let mut packet = hex(RTP);
        let len = packet.len();
        packet.resize(len + 16, 0xee);
        assert_eq!(sender.protect_rtp_slice(&mut packet, len), Ok(len + 16));
        assert_eq!(packet, hex(protected));
        assert_eq!(receiver.unprotect_rtp(&mut packet), Ok(len));
        assert_eq!(packet[..len], hex(RTP));
        assert_eq!(
            receiver.unprotect_rtp(&mut hex(protected)),
            Err(Error::Replayed)
        );
    }
}

const RTCP: &str = "81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61
     deadbeef deadbeef deadbeef deadbeef deadbeef";

#[test]
fn rfc_7714_srtcp() {
    // §17.1, §17.2
    for (key_len, protected) in [
        (
            16,
            "81c8000d 4d617273 63e94885 dcdab67c a727d766 2f6b7e99 7ff5c0f7 6c06f32d
             c676a5f1 730d6fda 4ce09b46 86303ded 0bb9275b c84aa458 96cf4d2f c5abf872
             45d9eade 800005d4",
        ),
        (
            32,
            "81c8000d 4d617273 d50ae4d1 f5ce5d30 4ba297e4 7d470c28 2c3ece5d bffe0a50
             a2eaa5c1 110555be 8415f658 c61de047 6f1b6fad 1d1eb30c 4446839f 57ff6f6c
             b26ac3be 800005d4",
        ),
    ] {
        let (mut sender, mut receiver) = pair(key_len);
        let mut packet = hex(RTCP);
        let len = packet.len();
        packet.resize(len + 20, 0xee);
        assert_eq!(sender.protect_rtcp_slice(&mut packet, len), Ok(len + 20));
        assert_eq!(packet, hex(protected));
        assert_eq!(receiver.unprotect_rtcp(&mut packet), Ok(len));
        assert_eq!(packet[..len], hex(RTCP));
        assert_eq!(
            receiver.unprotect_rtcp(&mut hex(protected)),
            Err(Error::Replayed)
        );
    }
}

#[test]
fn rfc_7714_srtcp_without_encryption() {
    // §17.3, §17.4
    for (key_len, tag) in [
        (16, "841dd968 3dd78ec9 2ae58790 125f62b3"),
        (32, "91db4afb feee5a97 8fab4393 ed2615fe"),
    ] {
        let (_, mut receiver) = pair(key_len);
        let whole = [hex(RTCP), hex(tag), hex("000005d4")].concat();
        let mut changed = whole.clone();
        changed[20] ^= 1;
        assert_eq!(
            receiver.unprotect_rtcp(&mut changed),
            Err(Error::Unauthentic)
        );
        let mut packet = whole;
        assert_eq!(receiver.unprotect_rtcp(&mut packet), Ok(hex(RTCP).len()));
        assert_eq!(packet[..hex(RTCP).len()], hex(RTCP));
    }
}

#[test]
fn keys_are_good_for_so_many_packets() {
    let (_, mut receiver) = pair(16);
    let mut sender = Sender::with_session(gcm(16), gcm(16), (1 << 31) - 1);
    let mut packet = hex(RTCP);
    let len = packet.len();
    packet.resize(len + 20, 0);
    sender.protect_rtcp_slice(&mut packet.clone(), len).unwrap();
    assert!(matches!(
        sender.protect_rtcp_slice(&mut packet, len),
        Err(Error::Misuse(_))
    ));
    assert!(packet.iter().all(|byte| *byte == 0));

    let ssrc = 0x5501_a0b2;
    sender.start_at(ssrc, (1 << 48) - 2);
    receiver.start_at(ssrc, (1 << 48) - 2);
    let with = |sequence: u16| {
        let mut packet = hex(RTP);
        packet[2..4].copy_from_slice(&sequence.to_be_bytes());
        packet.resize(packet.len() + 16, 0);
        packet
    };
    let mut last = with(0xffff);
    let len = last.len() - 16;
    sender.protect_rtp_slice(&mut last, len).unwrap();
    assert_eq!(receiver.unprotect_rtp(&mut last), Ok(len));
    assert!(matches!(
        sender.protect_rtp_slice(&mut with(0), len),
        Err(Error::Misuse(_))
    ));
    assert_eq!(receiver.unprotect_rtp(&mut with(0)), Err(Error::TooOld));
}

#[test]
fn counter_mode_packets_of_another_program() {
    // Made with `openssl enc -aes-128-ctr` and `openssl mac -digest SHA1 HMAC` from the session keys that
    // RFC 3711 §B.3 lists.
    let keying = Keying::new(
        Profile::Aes128CmSha1_80,
        &hex("E1F97A0D3E018BE0D64FA32C06DE4139"),
        &hex("0EC675AD498AFEEBB6960B3AABE6"),
    )
    .unwrap();
    let plain = hex(CM_PLAIN);
    let mut packet = plain.clone();
    packet.resize(plain.len() + 10, 0);
    let mut sender = Sender::new(&keying).unwrap();
    assert_eq!(
        sender.protect_rtp_slice(&mut packet, plain.len()),
        Ok(plain.len() + 10)
    );
    assert_eq!(packet, hex(CM_PROTECTED));
    let mut receiver = Receiver::new(&keying).unwrap();
    assert_eq!(receiver.unprotect_rtp(&mut packet), Ok(plain.len()));
    assert_eq!(packet[..plain.len()], plain);
}

const CM_PLAIN: &str = "91601b59 00010203 deadbeef 0000002a bede0001 10ff0000 0011223344556677
     8899aabbccddeeff 0123456789";
const CM_PROTECTED: &str = "91601b59 00010203 deadbeef 0000002a bede0001 10ff0000 9517a377 1b6827b9
     185b90af 508bb5c7 6a2f2cbf c72c6b85 ccfdc7a8 701821";
