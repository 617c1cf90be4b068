//! Addresses in attributes, plain and XORed (RFC 8489 §14.1, §14.2).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use esp_wire::Reader;

use crate::header::{MAGIC_COOKIE, TransactionId};

/// The family field of addresses (RFC 8489 §14.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4, 0x01.
    V4,
    /// IPv6, 0x02.
    V6,
}

impl Family {
    /// The family of an address.
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Family::V4,
            IpAddr::V6(_) => Family::V6,
        }
    }

    pub(crate) const fn code(self) -> u8 {
        match self {
            Family::V4 => 1,
            Family::V6 => 2,
        }
    }

    pub(crate) const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Family::V4),
            2 => Some(Family::V6),
            _ => None,
        }
    }
}

/// Whether an address travels plain or XORed.
#[derive(Clone, Copy)]
pub(crate) enum Mask {
    Plain,
    Xor(TransactionId),
}

impl Mask {
    /// The 16 bytes that addresses are XORed with.
    fn bytes(self) -> [u8; 16] {
        let mut mask = [0; 16];
        if let Mask::Xor(id) = self {
            mask[..4].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
            mask[4..].copy_from_slice(&id.0);
        }
        mask
    }
}

/// Reads the value of an address attribute.
pub(crate) fn read(value: &[u8], mask: Mask) -> Option<SocketAddr> {
    let mask = mask.bytes();
    let mut reader = Reader::new(value);
    reader.u8().ok()?;
    let family = Family::from_code(reader.u8().ok()?)?;
    let port = reader.u16().ok()? ^ u16::from_be_bytes([mask[0], mask[1]]);
    let ip = match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::from(xor::<4>(reader.array().ok()?, &mask))),
        Family::V6 => IpAddr::V6(Ipv6Addr::from(xor::<16>(reader.array().ok()?, &mask))),
    };
    reader.is_empty().then_some(SocketAddr::new(ip, port))
}

/// Forms the value of an address attribute; the bytes and how many of them count.
pub(crate) fn write(address: SocketAddr, mask: Mask) -> ([u8; 20], usize) {
    let mask = mask.bytes();
    let mut value = [0; 20];
    value[1] = Family::of(address.ip()).code();
    let port = address.port() ^ u16::from_be_bytes([mask[0], mask[1]]);
    value[2..4].copy_from_slice(&port.to_be_bytes());
    match address.ip() {
        IpAddr::V4(ip) => {
            value[4..8].copy_from_slice(&xor(ip.octets(), &mask));
            (value, 8)
        }
        IpAddr::V6(ip) => {
            value[4..20].copy_from_slice(&xor(ip.octets(), &mask));
            (value, 20)
        }
    }
}

fn xor<const N: usize>(mut bytes: [u8; N], mask: &[u8; 16]) -> [u8; N] {
    for (byte, mask) in bytes.iter_mut().zip(mask) {
        *byte ^= mask;
    }
    bytes
}
