//! The table of names that the net's resolver knows.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use esp_wire::Resolution;

use crate::host::HostId;

/// What the resolver says about a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The addresses, best first; none means that the name is unknown.
    pub addresses: Vec<IpAddr>,
    /// After so long.
    pub delay: Duration,
}

#[derive(Debug)]
pub(crate) enum Entry {
    Dns(Answer),
    /// The addresses of a host, for those in the same network (RFC 6762).
    Mdns(HostId),
}

#[derive(Debug, Default)]
pub(crate) struct Names {
    table: BTreeMap<String, Entry>,
}

impl Names {
    pub(crate) fn insert(&mut self, name: &str, entry: Entry) {
        self.table.insert(name.to_ascii_lowercase(), entry);
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.table.remove(&name.to_ascii_lowercase());
    }

    pub(crate) fn find(&self, name: &str, by: Resolution) -> Option<&Entry> {
        let entry = self.table.get(&name.to_ascii_lowercase())?;
        let multicast = matches!(entry, Entry::Mdns(_));
        (multicast == (by == Resolution::Mdns)).then_some(entry)
    }
}
