use esp_crypto::AesCtr;

/// What a session key is for (RFC 3711 §4.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Label {
    RtpEncryption = 0,
    RtpAuthentication = 1,
    RtpSalt = 2,
    RtcpEncryption = 3,
    RtcpAuthentication = 4,
    RtcpSalt = 5,
}

/// Fills `out` with the session key for `label` (RFC 3711 §4.3.1, key derivation rate zero).
///
/// RFC 7714 §11: a salt of 12 bytes is used as one of 14 that ends in zeros.
pub(crate) fn derive(master: &AesCtr, salt: &[u8], label: Label, out: &mut [u8]) {
    let mut counter = [0; 16];
    counter[..salt.len()].copy_from_slice(salt);
    counter[7] ^= label as u8;
    out.fill(0);
    master.apply(&counter, out);
}
