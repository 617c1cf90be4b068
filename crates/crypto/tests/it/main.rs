//! Published vectors; the same for both providers.

use esp_crypto::{
    AesCtr, AesGcm, AesMask, EcdsaP256, Error, HmacSha1Key, HmacSha256Key, constant_time_eq, crc32,
    crc32c, hmac_sha1, hmac_sha256, md5, sha1, sha256, sha384, sha512,
};
use proptest::prelude::*;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16).expect("a hex digit") as u8)
        .collect();
    digits.chunks(2).map(|d| d[0] << 4 | d[1]).collect()
}

#[test]
fn hmac_sha1_of_rfc_2202() {
    let cases: [(&[u8], &[u8], &str); 7] = [
        (
            &[0x0b; 20],
            b"Hi There",
            "b617318655057264e28bc0b6fb378c8ef146be00",
        ),
        (
            b"Jefe",
            b"what do ya want for nothing?",
            "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
        ),
        (
            &[0xaa; 20],
            &[0xdd; 50],
            "125d7342b9ac11cd91a39af48aa17b4f63f175d3",
        ),
        (
            &hex("0102030405060708090a0b0c0d0e0f10111213141516171819"),
            &[0xcd; 50],
            "4c9007f4026250c6bc8414f9bf50c86c2d7235da",
        ),
        (
            &[0x0c; 20],
            b"Test With Truncation",
            "4c1a03424b55e07fe7f27be1d58bb9324a9a5a04",
        ),
        (
            &[0xaa; 80],
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            "aa4ae5e15272d00e95705637ce8a3b55ed402112",
        ),
        (
            &[0xaa; 80],
            b"Test Using Larger Than Block-Size Key and Larger Than One Block-Size Data",
            "e8e99d0f45237d786d6bbaa7965c7808bbff1a91",
        ),
    ];
    for (key, data, tag) in cases {
        assert_eq!(hmac_sha1(key, &[data])[..], hex(tag));
        let key = HmacSha1Key::new(key);
        let (a, b) = data.split_at(data.len() / 2);
        assert_eq!(key.sign(&[a, b])[..], hex(tag));
        assert!(key.verify(&[a, b], &hex(tag)[..10]));
        assert!(!key.verify(&[data], &[]));
        assert!(!key.verify(&[data], &[0; 21]));
    }
}

#[test]
fn hmac_sha256_of_rfc_4231() {
    let cases: [(&[u8], &[u8], &str); 6] = [
        (
            &[0x0b; 20],
            b"Hi There",
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        ),
        (
            b"Jefe",
            b"what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (
            &[0xaa; 20],
            &[0xdd; 50],
            "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
        ),
        (
            &hex("0102030405060708090a0b0c0d0e0f10111213141516171819"),
            &[0xcd; 50],
            "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
        ),
        (
            &[0xaa; 131],
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
        (
            &[0xaa; 131],
            b"This is a test using a larger than block-size key and a larger than block-size data. The key needs to be hashed before being used by the HMAC algorithm.",
            "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
        ),
    ];
    for (key, data, tag) in cases {
        assert_eq!(hmac_sha256(key, &[data])[..], hex(tag));
        assert!(HmacSha256Key::new(key).verify(&[data], &hex(tag)));
    }
}

#[test]
fn md5_of_rfc_1321() {
    for (text, value) in [
        ("", "d41d8cd98f00b204e9800998ecf8427e"),
        ("a", "0cc175b9c0f1b6a831c399e269772661"),
        ("abc", "900150983cd24fb0d6963f7d28e17f72"),
        ("message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
        (
            "abcdefghijklmnopqrstuvwxyz",
            "c3fcd3d76192e4007dfb496cca67e13b",
        ),
        (
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
            "d174ab98d277d9f5a5611c2c9f419d9f",
        ),
    ] {
        assert_eq!(md5(&[text.as_bytes()])[..], hex(value));
    }
    assert_eq!(md5(&[b"a", b"", b"bc"]), md5(&[b"abc"]));
}

#[test]
fn sha_of_fips_180() {
    assert_eq!(
        sha1(&[b"a", b"bc"])[..],
        hex("a9993e364706816aba3e25717850c26c9cd0d89d")
    );
    assert_eq!(
        sha256(&[b"a", b"bc"])[..],
        hex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    );
    assert_eq!(
        sha384(&[b"abc"])[..],
        hex(
            "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed
             8086072ba1e7cc2358baeca134c825a7"
        )
    );
    assert_eq!(
        sha512(&[b"abc"])[..],
        hex(
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a
             2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
        )
    );
}

#[test]
fn crc_check_values() {
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    // RFC 3720 §B.4
    assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
    assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
}

const SP800_38A: &str = "6bc1bee22e409f96e93d7e117393172a ae2d8a571e03ac9c9eb76fac45af8e51
     30c81c46a35ce411e5fbc1191a0a52ef f69f2445df4f9b17ad2b417be66c3710";

#[test]
fn ctr_of_sp_800_38a() {
    let cases = [
        (
            "2b7e151628aed2a6abf7158809cf4f3c",
            "874d6191b620e3261bef6864990db6ce 9806f66b7970fdff8617187bb9fffdff
             5ae4df3edbd5d35e5b4f09020db03eab 1e031dda2fbe03d1792170a0f3009cee",
        ),
        (
            "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
            "601ec313775789a5b7a7f504bbf3d228 f443e3ca4d62b59aca84e990cacaf5c5
             2b0930daa23de94ce87017ba2d84988d dfc9c58db67aada613c2dd08457941a6",
        ),
    ];
    let counter: [u8; 16] = std::array::from_fn(|i| 0xf0 + i as u8);
    for (key, cipher) in cases {
        let key = AesCtr::new(&hex(key)).unwrap();
        for len in 0..=64 {
            let mut data = hex(SP800_38A)[..len].to_vec();
            key.apply(&counter, &mut data);
            assert_eq!(data, hex(cipher)[..len]);
        }
    }
    assert!(AesCtr::new(&[0; 24]).is_err());
}

#[test]
fn masks_of_rfc_9001_and_fips_197() {
    let cases = [
        (
            "9f50449e04a0e810283a1e9933adedd2",
            "d1b1c98dd7689fb8ec11d242b123dc9b",
            "437b9aec36",
        ),
        (
            "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
            "00112233445566778899aabbccddeeff",
            "8ea2b7ca51",
        ),
    ];
    for (key, sample, mask) in cases {
        let key = AesMask::new(&hex(key)).unwrap();
        let sample: [u8; 16] = hex(sample).try_into().unwrap();
        assert_eq!(key.mask(&sample)[..], hex(mask));
    }
    assert!(AesMask::new(&[0; 24]).is_err());
}

const GCM_PLAIN: &str = "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72
     1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39";

#[test]
fn gcm_of_the_nist_submission() {
    let cases = [
        (
            "feffe9928665731c6d6a8f9467308308",
            "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e
             21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091",
            "5bc94fbc3221a5db94fae95ae7121a47",
        ),
        (
            "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
            "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa
             8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
            "76fc6ece0f4e1768cddf8853bb2d551b",
        ),
    ];
    let nonce = hex("cafebabefacedbaddecaf888").try_into().unwrap();
    let aad = hex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
    for (key, cipher, tag) in cases {
        let key = AesGcm::new(&hex(key)).unwrap();
        let mut data = hex(GCM_PLAIN);
        let len = data.len();
        assert_eq!(key.seal(&nonce, &aad, &mut data)[..], hex(tag));
        assert_eq!(data, hex(cipher));
        key.open(&nonce, &aad, &mut data, &hex(tag).try_into().unwrap())
            .unwrap();
        assert_eq!(data, hex(GCM_PLAIN));

        data.resize(len + 16, 0);
        key.seal_suffix(&nonce, &aad, &mut data).unwrap();
        assert_eq!(data, [hex(cipher), hex(tag)].concat());
        assert_eq!(key.open_suffix(&nonce, &aad, &mut data), Ok(len));
        assert_eq!(data[..len], hex(GCM_PLAIN));
    }
    assert!(AesGcm::new(&[0; 24]).is_err());
}

#[test]
fn gcm_refuses_what_was_changed() {
    let key = AesGcm::new(&[7; 16]).unwrap();
    let mut sealed = vec![1; 40];
    key.seal_suffix(&[2; 12], b"aad", &mut sealed).unwrap();
    for bit in 0..sealed.len() * 8 {
        let mut bad = sealed.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(
            key.open_suffix(&[2; 12], b"aad", &mut bad),
            Err(Error::Unauthentic)
        );
    }
    assert_eq!(
        key.open_suffix(&[2; 12], b"aaD", &mut sealed.clone()),
        Err(Error::Unauthentic)
    );
    assert_eq!(
        key.open_suffix(&[3; 12], b"aad", &mut sealed.clone()),
        Err(Error::Unauthentic)
    );
    assert_eq!(
        key.open_suffix(&[2; 12], b"aad", &mut [0; 15]),
        Err(Error::Unauthentic)
    );
    assert!(key.seal_suffix(&[2; 12], b"aad", &mut [0; 15]).is_err());
}

#[test]
fn a_key_pair_survives_its_document() {
    let key = EcdsaP256::generate().unwrap();
    let again = EcdsaP256::from_pkcs8(&key.to_pkcs8().unwrap()).unwrap();
    assert_eq!(key.public_key(), again.public_key());
    assert_eq!(key.public_key()[0], 4);
    let signature = again.sign(b"message").unwrap();
    assert_eq!(
        (signature[0], usize::from(signature[1])),
        (0x30, signature.len() - 2)
    );
    assert!(EcdsaP256::from_pkcs8(b"no key").is_err());
    assert_eq!(format!("{key:?}"), "EcdsaP256(..)");
}

#[test]
fn keys_do_not_show_themselves() {
    let shown = format!(
        "{:?} {:?} {:?}",
        HmacSha1Key::new(&[0xab; 20]),
        AesCtr::new(&[0xab; 16]).unwrap(),
        AesGcm::new(&[0xab; 16]).unwrap()
    );
    assert_eq!(shown, "HmacSha1Key(..) AesCtr(..) AesGcm(..)");
}

proptest! {
    #[test]
    fn gcm_round_trip(key in any::<[u8; 32]>(), nonce: [u8; 12], aad: Vec<u8>, data: Vec<u8>) {
        let key = AesGcm::new(&key).unwrap();
        let mut work = data.clone();
        let tag = key.seal(&nonce, &aad, &mut work);
        key.open(&nonce, &aad, &mut work, &tag).unwrap();
        prop_assert_eq!(work, data);
    }

    #[test]
    fn comparison_is_equality(a: Vec<u8>, b: Vec<u8>) {
        prop_assert_eq!(constant_time_eq(&a, &b), a == b);
        prop_assert!(constant_time_eq(&a, &a));
    }
}
