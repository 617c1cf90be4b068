//! The provider over the RustCrypto crates, free of C.

use aes::{Aes128, Aes256};
use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::{AeadInOut as _, Aes128Gcm, Aes256Gcm};
use ctr::cipher::consts::U16;
use ctr::cipher::{BlockCipherEncrypt, BlockSizeUser, InnerIvInit as _, StreamCipher as _};
use ctr::{Ctr128BE, CtrCore};
use hmac::{Hmac, KeyInit as _, Mac as _};
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use p256::elliptic_curve::Generate as _;
use p256::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _};
use sha2::Digest;

use crate::{Error, NONCE_LEN, TAG_LEN};

pub(crate) const NAME: &str = "rust-crypto";

fn hash<D: Digest>(parts: &[&[u8]]) -> sha2::digest::Output<D> {
    let mut hash = D::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize()
}

pub(crate) fn sha1(parts: &[&[u8]]) -> [u8; 20] {
    hash::<sha1::Sha1>(parts).into()
}

pub(crate) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    hash::<sha2::Sha256>(parts).into()
}

pub(crate) fn sha384(parts: &[&[u8]]) -> [u8; 48] {
    hash::<sha2::Sha384>(parts).into()
}

pub(crate) fn sha512(parts: &[&[u8]]) -> [u8; 64] {
    hash::<sha2::Sha512>(parts).into()
}

#[derive(Clone)]
pub(crate) struct HmacSha1(Hmac<sha1::Sha1>);

impl HmacSha1 {
    pub(crate) fn new(key: &[u8]) -> Self {
        HmacSha1(Hmac::new_from_slice(key).expect("HMAC takes keys of any length"))
    }

    pub(crate) fn sign(&self, parts: &[&[u8]]) -> [u8; 20] {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

#[derive(Clone)]
pub(crate) struct HmacSha256(Hmac<sha2::Sha256>);

impl HmacSha256 {
    pub(crate) fn new(key: &[u8]) -> Self {
        HmacSha256(Hmac::new_from_slice(key).expect("HMAC takes keys of any length"))
    }

    pub(crate) fn sign(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

pub(crate) enum AesCtr {
    Aes128(Box<Aes128>),
    Aes256(Box<Aes256>),
}

impl AesCtr {
    pub(crate) fn new(key: &[u8]) -> Self {
        const CHECKED: &str = "the key's length was checked";
        if key.len() == 16 {
            AesCtr::Aes128(Box::new(Aes128::new_from_slice(key).expect(CHECKED)))
        } else {
            AesCtr::Aes256(Box::new(Aes256::new_from_slice(key).expect(CHECKED)))
        }
    }

    pub(crate) fn apply(&self, counter: &[u8; 16], data: &mut [u8]) {
        match self {
            AesCtr::Aes128(key) => {
                stream(key.as_ref(), counter).apply_keystream(data);
            }
            AesCtr::Aes256(key) => {
                stream(key.as_ref(), counter).apply_keystream(data);
            }
        }
    }
}

fn stream<'a, C>(key: &'a C, counter: &[u8; 16]) -> Ctr128BE<&'a C>
where
    C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16>,
{
    Ctr128BE::from_core(CtrCore::inner_iv_init(key, counter.into()))
}

pub(crate) enum AesMask {
    Aes128(Box<Aes128>),
    Aes256(Box<Aes256>),
}

impl AesMask {
    pub(crate) fn new(key: &[u8]) -> Self {
        const CHECKED: &str = "the key's length was checked";
        if key.len() == 16 {
            AesMask::Aes128(Box::new(Aes128::new_from_slice(key).expect(CHECKED)))
        } else {
            AesMask::Aes256(Box::new(Aes256::new_from_slice(key).expect(CHECKED)))
        }
    }

    pub(crate) fn mask(&self, sample: &[u8; 16]) -> [u8; 5] {
        let mut block = (*sample).into();
        match self {
            AesMask::Aes128(key) => key.encrypt_block(&mut block),
            AesMask::Aes256(key) => key.encrypt_block(&mut block),
        }
        let mut out = [0; 5];
        out.copy_from_slice(&block[..5]);
        out
    }
}

pub(crate) enum AesGcm {
    Aes128(Box<Aes128Gcm>),
    Aes256(Box<Aes256Gcm>),
}

impl AesGcm {
    pub(crate) fn new(key: &[u8]) -> Self {
        const CHECKED: &str = "the key's length was checked";
        if key.len() == 16 {
            AesGcm::Aes128(Box::new(Aes128Gcm::new_from_slice(key).expect(CHECKED)))
        } else {
            AesGcm::Aes256(Box::new(Aes256Gcm::new_from_slice(key).expect(CHECKED)))
        }
    }

    pub(crate) fn seal(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        data: &mut [u8],
    ) -> [u8; TAG_LEN] {
        let data = InOutBuf::from(data);
        let tag = match self {
            AesGcm::Aes128(key) => key.encrypt_inout_detached(nonce.into(), aad, data),
            AesGcm::Aes256(key) => key.encrypt_inout_detached(nonce.into(), aad, data),
        };
        tag.expect("fewer than 2^36 bytes").into()
    }

    pub(crate) fn open(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        data: &mut [u8],
        tag: &[u8; TAG_LEN],
    ) -> Result<(), Error> {
        let data = InOutBuf::from(data);
        let opened = match self {
            AesGcm::Aes128(key) => key.decrypt_inout_detached(nonce.into(), aad, data, tag.into()),
            AesGcm::Aes256(key) => key.decrypt_inout_detached(nonce.into(), aad, data, tag.into()),
        };
        opened.map_err(|_| Error::Unauthentic)
    }
}

pub(crate) struct EcdsaP256(SigningKey);

impl EcdsaP256 {
    pub(crate) fn generate() -> Result<Self, Error> {
        SigningKey::try_generate()
            .map(EcdsaP256)
            .map_err(|_| Error::Misuse("no key pair could be generated"))
    }

    pub(crate) fn from_pkcs8(der: &[u8]) -> Result<Self, Error> {
        SigningKey::from_pkcs8_der(der)
            .map(EcdsaP256)
            .map_err(|_| Error::Misuse("this is no P-256 key in PKCS #8"))
    }

    pub(crate) fn to_pkcs8(&self) -> Result<Vec<u8>, Error> {
        self.0
            .to_pkcs8_der()
            .map(|document| document.as_bytes().to_vec())
            .map_err(|_| Error::Misuse("the key cannot be exported"))
    }

    pub(crate) fn public_key(&self) -> [u8; 65] {
        let mut out = [0; 65];
        out.copy_from_slice(self.0.verifying_key().to_sec1_point(false).as_bytes());
        out
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let signature: Signature = self
            .0
            .try_sign(message)
            .map_err(|_| Error::Misuse("the message could not be signed"))?;
        Ok(signature.to_der().as_bytes().to_vec())
    }
}
