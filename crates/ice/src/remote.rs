//! The candidates of the peer: signaled ones and those that its checks revealed.

use std::net::{IpAddr, SocketAddr};

use crate::candidate::{Candidate, CandidateKind};
use crate::pair::{PairEnd, same_address};
use crate::priority::clamp_priority;

/// Foundations of peer-reflexive candidates count from here: each has one of its own.
const REFLEXIVE_FOUNDATIONS: u32 = 1 << 20;
/// Most foundations that are told apart in one session.
const MAX_FOUNDATIONS: usize = 1_024;

#[derive(Clone, Copy, Debug)]
pub(crate) struct RemoteCandidate {
    pub(crate) end: PairEnd,
    pub(crate) foundation: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Remotes {
    list: Vec<RemoteCandidate>,
    foundations: Vec<String>,
    reflexive: u32,
}

/// What became of a candidate.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Added {
    New(RemoteCandidate),
    /// It was known from checks and has its signaled properties now.
    Updated(RemoteCandidate),
    Known,
    Full,
}

impl Remotes {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &RemoteCandidate> {
        self.list.iter()
    }

    pub(crate) fn find(&self, address: SocketAddr) -> Option<&RemoteCandidate> {
        (self.list.iter()).find(|known| same_address(known.end.address, address))
    }

    /// Adds a signaled candidate at an address.
    pub(crate) fn signal(
        &mut self,
        candidate: &Candidate,
        address: SocketAddr,
        limit: usize,
    ) -> Added {
        let end = PairEnd {
            address,
            kind: candidate.kind,
            priority: clamp_priority(candidate.priority),
        };
        let at = (self.list.iter()).position(|known| same_address(known.end.address, address));
        match at {
            Some(at) if self.list[at].foundation < REFLEXIVE_FOUNDATIONS => {
                return Added::Known;
            }
            None if self.list.len() >= limit => return Added::Full,
            _ => {}
        }
        let foundation = self.intern(&candidate.foundation);
        let known = RemoteCandidate { end, foundation };
        match at {
            Some(at) => {
                self.list[at] = known;
                Added::Updated(known)
            }
            None => {
                self.list.push(known);
                Added::New(known)
            }
        }
    }

    /// Adds a peer-reflexive candidate (RFC 8445 §7.3.1.3); beyond the limit the first one of this
    /// kind leaves the list, its pairs stay.
    pub(crate) fn reflect(
        &mut self,
        address: SocketAddr,
        priority: u32,
        limit: usize,
    ) -> RemoteCandidate {
        if self.list.len() >= limit {
            let reflexive = |known: &RemoteCandidate| known.foundation >= REFLEXIVE_FOUNDATIONS;
            let at = self.list.iter().position(reflexive).unwrap_or(0);
            self.list.remove(at);
        }
        self.reflexive = self.reflexive.wrapping_add(1) & (REFLEXIVE_FOUNDATIONS - 1);
        let known = RemoteCandidate {
            end: PairEnd {
                address,
                kind: CandidateKind::PeerReflexive,
                priority: clamp_priority(priority),
            },
            foundation: REFLEXIVE_FOUNDATIONS + self.reflexive,
        };
        self.list.push(known);
        known
    }

    /// A small number for a foundation; when the table is full, new ones share the last number.
    fn intern(&mut self, foundation: &str) -> u32 {
        let at = self
            .foundations
            .iter()
            .position(|known| known == foundation);
        let at = at.unwrap_or_else(|| {
            if self.foundations.len() < MAX_FOUNDATIONS {
                self.foundations.push(foundation.to_owned());
            }
            self.foundations.len() - 1
        });
        at as u32
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }
}

/// Whether an address can be a candidate at all.
pub(crate) fn is_usable(address: SocketAddr, loopback: bool) -> bool {
    let ip = address.ip();
    let nowhere = match ip {
        IpAddr::V4(v4) => v4.is_broadcast(),
        // RFC 8445 §5.1.1.1: neither IPv4-mapped nor IPv4-compatible nor site-local.
        IpAddr::V6(v6) => {
            v6.to_ipv4_mapped().is_some()
                || v6.segments()[0] & 0xffc0 == 0xfec0
                || (v6.segments()[..6] == [0; 6] && !v6.is_loopback())
        }
    };
    address.port() != 0
        && !ip.is_unspecified()
        && !ip.is_multicast()
        && !nowhere
        && (loopback || !ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signaled_candidate_takes_the_place_of_a_reflexive_one() {
        let mut remotes = Remotes::default();
        let address = "192.0.2.1:5".parse().unwrap();
        let seen = remotes.reflect(address, 77, 2);
        assert_eq!(seen.end.kind, CandidateKind::PeerReflexive);
        let signaled: Candidate = "candidate:a 1 udp 99 192.0.2.1 5 typ srflx"
            .parse()
            .unwrap();
        assert!(matches!(
            remotes.signal(&signaled, address, 2),
            Added::Updated(_)
        ));
        assert!(matches!(
            remotes.signal(&signaled, address, 2),
            Added::Known
        ));
        let other = "192.0.2.2:5".parse().unwrap();
        assert!(matches!(remotes.signal(&signaled, other, 1), Added::Full));
        assert_eq!(remotes.len(), 1);
    }

    #[test]
    fn addresses_that_lead_nowhere() {
        let usable = |text: &str| is_usable(text.parse().unwrap(), false);
        assert!(usable("192.0.2.1:1") && usable("[2001:db8::1]:1") && usable("[fe80::1]:1"));
        for bad in [
            "192.0.2.1:0",
            "0.0.0.0:1",
            "224.0.0.1:1",
            "255.255.255.255:1",
            "127.0.0.1:1",
            "[::1]:1",
            "[::]:1",
            "[::ffff:1.2.3.4]:1",
            "[::1.2.3.4]:1",
            "[fec0::1]:1",
            "[ff02::1]:1",
        ] {
            assert!(!usable(bad), "{bad}");
        }
        assert!(is_usable("[::1]:1".parse().unwrap(), true));
    }
}
