//! Which addresses and kinds of candidates take part.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::candidate::CandidateKind;

/// A range of addresses, written `10.0.0.0/8` or `2001:db8::/32`; without a length, one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    address: IpAddr,
    length: u8,
}

/// The text is not a network: an address, a slash, and the length of its prefix in bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkError(String);

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is not a network; write 10.0.0.0/8 or 2001:db8::/32",
            self.0
        )
    }
}

impl std::error::Error for NetworkError {}

impl Network {
    /// Whether an address lies in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                let shift = 32 - u32::from(self.length);
                let part = |bits: u32| bits.checked_shr(shift).unwrap_or(0);
                part(ours.to_bits()) == part(theirs.to_bits())
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                let shift = 128 - u32::from(self.length);
                let part = |bits: u128| bits.checked_shr(shift).unwrap_or(0);
                part(ours.to_bits()) == part(theirs.to_bits())
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let wrong = || NetworkError(text.to_owned());
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let length = match length {
            None => longest,
            Some(length) => length.parse().map_err(|_| wrong())?,
        };
        match length <= longest {
            true => Ok(Network { address, length }),
            false => Err(wrong()),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

/// Which addresses are used, on this side or on the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AddressFilter {
    /// All.
    #[default]
    All,
    /// Those in one of these networks.
    Only(Vec<Network>),
    /// Those in none of these networks.
    Except(Vec<Network>),
}

impl AddressFilter {
    /// Whether an address passes.
    pub fn admits(&self, address: IpAddr) -> bool {
        let within = |networks: &[Network]| networks.iter().any(|one| one.contains(address));
        match self {
            AddressFilter::All => true,
            AddressFilter::Only(networks) => within(networks),
            AddressFilter::Except(networks) => !within(networks),
        }
    }
}

/// Which kinds of our candidates the peer is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KindFilter {
    /// Addresses of this host. Sockets are opened on them all the same, and a peer that is checked from
    /// them may see them.
    pub host: bool,
    /// Addresses that a STUN server saw.
    pub server_reflexive: bool,
    /// Addresses on TURN servers.
    pub relayed: bool,
}

impl Default for KindFilter {
    fn default() -> Self {
        KindFilter {
            host: true,
            server_reflexive: true,
            relayed: true,
        }
    }
}

impl KindFilter {
    /// Whether candidates of this kind are told.
    pub(crate) fn admits(self, kind: CandidateKind) -> bool {
        match kind {
            CandidateKind::Host => self.host,
            CandidateKind::ServerReflexive => self.server_reflexive,
            CandidateKind::Relayed => self.relayed,
            CandidateKind::PeerReflexive => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_hold_what_their_prefix_says() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("0.0.0.0/0", "203.0.113.1", "2001:db8::1"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::1"),
            ("::/0", "fe80::1", "192.0.2.1"),
        ] {
            let parsed: Network = network.parse().unwrap();
            assert!(parsed.contains(inside.parse().unwrap()), "{network}");
            assert!(!parsed.contains(outside.parse().unwrap()), "{network}");
        }
        for wrong in [
            "",
            "10.0.0.0/33",
            "10.0.0/8",
            "::/129",
            "10.0.0.0/-1",
            "10.0.0.0/",
        ] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
        let text = "10.0.0.0/8";
        assert_eq!(text.parse::<Network>().unwrap().to_string(), text);
    }

    #[test]
    fn filters_admit_and_refuse() {
        let private: Network = "10.0.0.0/8".parse().unwrap();
        let (inside, outside) = ("10.1.1.1".parse().unwrap(), "192.0.2.1".parse().unwrap());
        let only = AddressFilter::Only(vec![private]);
        let except = AddressFilter::Except(vec![private]);
        assert!(only.admits(inside) && !only.admits(outside));
        assert!(!except.admits(inside) && except.admits(outside));
        assert!(AddressFilter::All.admits(outside));
    }
}
