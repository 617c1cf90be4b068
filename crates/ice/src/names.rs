//! Our own addresses hidden behind names of multicast DNS (draft-ietf-mmusic-mdns-ice-candidates §3.1).
//!
//! 1. Each address gets a random name under `.local`, which says nothing about it.
//! 2. [`Action::Publish`] asks the driver to answer for the name on the local link.
//! 3. Host candidates are told with the name in the address's place; reflexive and relayed ones
//!    keep quiet about the address behind them (§3.1.2).
//! 4. The name lasts as long as the agent: [`Action::Withdraw`].

use std::net::IpAddr;

use esp_wire::{Action, Rng};

use crate::agent::Agent;
use crate::candidate::{CandidateHost, CandidateKind};
use crate::local::LocalCandidate;

/// Most names at one time; addresses beyond it are not told at all.
const MAX_NAMES: usize = 64;

/// The names of our addresses.
#[derive(Debug, Default)]
pub(crate) struct Names {
    list: Vec<(IpAddr, String)>,
}

impl Names {
    fn of(&self, address: IpAddr) -> Option<&str> {
        let known = self.list.iter().find(|(known, _)| *known == address);
        known.map(|(_, name)| name.as_str())
    }
}

/// A version 4 UUID (RFC 9562 §5.4) under `.local`.
fn random_name(rng: &mut Rng) -> String {
    let mut bytes: [u8; 16] = rng.array();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut name = String::with_capacity(42);
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            name.push('-');
        }
        for nibble in [byte >> 4, byte & 0x0f] {
            name.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
    }
    name + ".local"
}

impl Agent {
    /// Gives an address its name, if it is to be hidden and has none.
    pub(crate) fn name_address(&mut self, address: IpAddr) {
        let names = &mut self.locals.names;
        if !self.config.hide_addresses
            || names.of(address).is_some()
            || names.list.len() >= MAX_NAMES
        {
            return;
        }
        let name = random_name(&mut self.rng);
        names.list.push((address, name.clone()));
        self.actions.push_back(Action::Publish { name, address });
    }

    /// Takes the names back of addresses that are gone.
    pub(crate) fn withdraw_names(&mut self, keep: impl Fn(IpAddr) -> bool) {
        let list = std::mem::take(&mut self.locals.names.list);
        for (address, name) in list {
            if keep(address) {
                self.locals.names.list.push((address, name));
            } else {
                self.actions.push_back(Action::Withdraw { name });
            }
        }
    }

    /// A candidate as the peer is told of it.
    pub(crate) fn line(&self, candidate: &LocalCandidate) -> String {
        let ufrag = &self.session.local.credentials.ufrag;
        let mut told = candidate.to_candidate(Some(ufrag));
        if self.config.hide_addresses
            && candidate.kind == CandidateKind::Host
            && let Some(name) = self.locals.names.of(candidate.address.ip())
        {
            told.host = CandidateHost::Name(name.to_owned());
        }
        told.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_uuids() {
        let mut rng = Rng::new([7; 32]);
        let name = random_name(&mut rng);
        let label = name.strip_suffix(".local").unwrap();
        assert_eq!(label.len(), 36);
        assert_eq!(&label[14..15], "4");
        assert!(matches!(&label[19..20], "8" | "9" | "a" | "b"));
        assert_ne!(name, random_name(&mut rng));
    }
}
