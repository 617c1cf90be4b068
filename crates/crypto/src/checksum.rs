/// CRC-32 as in Ethernet, the checksum of STUN's FINGERPRINT before its XOR (RFC 8489 §14.7).
pub fn crc32(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

/// CRC-32C (Castagnoli), the checksum of SCTP packets (RFC 9260 Appendix A), in hardware where it exists.
///
/// The value is the plain CRC; SCTP writes it in little-endian byte order.
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
}
