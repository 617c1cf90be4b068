//! Candidates of the peer that hide their address behind a name of multicast DNS.
//!
//! 1. The candidate names a single label under `.local`; other names are ignored (RFC 8839 §5.1).
//! 2. [`Action::Resolve`](esp_wire::Action::Resolve) asks for it once, whatever the number of
//!    candidates behind it, and only for a bounded number of names in a session.
//! 3. The answer makes a candidate at its first address of each family.

use std::net::{IpAddr, SocketAddr};

use esp_wire::{Action, Instant, QueryId, Resolution};

use crate::agent::Agent;
use crate::candidate::Candidate;

/// Most candidates that may wait for one name.
const CANDIDATES_PER_NAME: usize = 8;

#[derive(Debug, Default)]
pub(crate) struct Mdns {
    names: Vec<Name>,
}

#[derive(Debug)]
struct Name {
    name: String,
    query: QueryId,
    waiting: Vec<Candidate>,
    /// The addresses, once they are known.
    found: Option<Vec<IpAddr>>,
}

impl Mdns {
    /// Whether a name is still being resolved.
    pub(crate) fn is_pending(&self) -> bool {
        self.names.iter().any(|name| name.found.is_none())
    }
}

/// A single label under `.local`, in lower case.
fn local_name(name: &str) -> Option<String> {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    let label = name.strip_suffix(".local")?;
    let fits = (1..=63).contains(&label.len())
        && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    fits.then_some(name)
}

impl Agent {
    /// Takes a candidate whose address is a name.
    pub(crate) fn add_named_candidate(&mut self, now: Instant, candidate: Candidate, name: &str) {
        let name = match local_name(name) {
            Some(name) if self.config.resolve_mdns && !self.closed => name,
            _ => {
                self.counters.ignored_candidates += 1;
                return;
            }
        };
        let names = &mut self.session.mdns.names;
        if let Some(known) = names.iter_mut().find(|known| known.name == name) {
            match &known.found {
                Some(found) => {
                    let found = found.clone();
                    self.add_resolved(now, &candidate, &found);
                }
                None if known.waiting.len() < CANDIDATES_PER_NAME => known.waiting.push(candidate),
                None => self.counters.ignored_candidates += 1,
            }
            return;
        }
        if names.len() >= self.config.max_mdns {
            self.counters.ignored_candidates += 1;
            return;
        }
        let query = self.next_query;
        self.next_query = QueryId(query.0.wrapping_add(1));
        names.push(Name {
            name: name.clone(),
            query,
            waiting: vec![candidate],
            found: None,
        });
        self.actions.push_back(Action::Resolve {
            query,
            name,
            by: Resolution::Mdns,
        });
    }

    /// Takes the answer to a name of the peer; `false` when it was not one.
    pub(crate) fn on_name_resolved(
        &mut self,
        now: Instant,
        query: QueryId,
        addresses: &[IpAddr],
    ) -> bool {
        let names = &mut self.session.mdns.names;
        let Some(name) = names.iter_mut().find(|name| name.query == query) else {
            return false;
        };
        let mut found: Vec<IpAddr> = Vec::with_capacity(2);
        for address in addresses {
            if !(found.iter()).any(|other| other.is_ipv4() == address.is_ipv4()) {
                found.push(*address);
            }
        }
        let waiting = std::mem::take(&mut name.waiting);
        name.found = Some(found.clone());
        for candidate in &waiting {
            self.add_resolved(now, candidate, &found);
        }
        true
    }

    fn add_resolved(&mut self, now: Instant, candidate: &Candidate, addresses: &[IpAddr]) {
        for address in addresses {
            self.take_candidate_at(now, candidate, SocketAddr::new(*address, candidate.port));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_single_labels_under_local() {
        assert_eq!(local_name("A-1.LOCAL.").as_deref(), Some("a-1.local"));
        for name in ["local", ".local", "a.b.local", "a_b.local", "a.example"] {
            assert_eq!(local_name(name), None, "{name}");
        }
        assert_eq!(local_name(&format!("{}.local", "a".repeat(64))), None);
    }
}
