//! Network address translation with the behaviours of RFC 4787.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use esp_wire::{Instant, Rng};

/// On what a mapping or a filter depends (RFC 4787 §4.1, §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Not on the remote end.
    EndpointIndependent,
    /// On the remote address.
    AddressDependent,
    /// On the remote address and port.
    AddressAndPortDependent,
}

impl Behaviour {
    /// As much of a remote end as matters.
    fn key(self, remote: SocketAddr) -> Option<SocketAddr> {
        match self {
            Behaviour::EndpointIndependent => None,
            Behaviour::AddressDependent => Some(SocketAddr::new(remote.ip(), 0)),
            Behaviour::AddressAndPortDependent => Some(remote),
        }
    }
}

/// How a NAT behaves. It translates IPv4; IPv6 passes, through a firewall if there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nat {
    /// When a new external port is taken.
    pub mapping: Behaviour,
    /// Whose packets are let in.
    pub filtering: Behaviour,
    /// Whether hosts inside reach each other by their external addresses.
    pub hairpin: bool,
    /// A mapping without packets from inside ends after so long.
    pub timeout: Duration,
    /// Whether the external port is the internal one when it is free.
    pub preserve_ports: bool,
    /// Whether IPv6 packets come in only from where some went out to.
    pub firewall: bool,
    /// Whether datagrams pass at all; streams always do.
    pub udp: bool,
}

impl Nat {
    /// A NAT with this mapping and filtering, no hairpinning, ports not preserved, mappings of two
    /// minutes, and an IPv6 firewall.
    pub fn new(mapping: Behaviour, filtering: Behaviour) -> Self {
        Nat {
            mapping,
            filtering,
            hairpin: false,
            timeout: Duration::from_secs(120),
            preserve_ports: false,
            firewall: true,
            udp: true,
        }
    }

    /// Mapping and filtering independent of the remote end, the kindest.
    pub fn full_cone() -> Self {
        Nat::new(
            Behaviour::EndpointIndependent,
            Behaviour::EndpointIndependent,
        )
    }

    /// Endpoint-independent mapping, address-dependent filtering.
    pub fn restricted() -> Self {
        Nat::new(Behaviour::EndpointIndependent, Behaviour::AddressDependent)
    }

    /// Endpoint-independent mapping, address- and port-dependent filtering; what homes have.
    pub fn port_restricted() -> Self {
        Nat::new(
            Behaviour::EndpointIndependent,
            Behaviour::AddressAndPortDependent,
        )
    }

    /// Mapping and filtering depend on address and port; two of these need a relay.
    pub fn symmetric() -> Self {
        Nat::new(
            Behaviour::AddressAndPortDependent,
            Behaviour::AddressAndPortDependent,
        )
    }

    /// Lets hosts inside reach each other by their external addresses.
    #[must_use]
    pub fn with_hairpin(mut self) -> Self {
        self.hairpin = true;
        self
    }

    /// Sets how long an unused mapping lives.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Keeps ports when they are free.
    #[must_use]
    pub fn with_preserved_ports(mut self) -> Self {
        self.preserve_ports = true;
        self
    }

    /// Stops all datagrams, as some offices do.
    #[must_use]
    pub fn without_udp(mut self) -> Self {
        self.udp = false;
        self
    }
}

/// What makes a mapping: the host inside and as much of the remote end as the behaviour asks for.
type Inside = (SocketAddr, Option<SocketAddr>);

#[derive(Debug)]
struct Mapping {
    inside: Inside,
    used: Instant,
    /// Remote ends that packets went to, and when last.
    contacts: BTreeMap<SocketAddr, Instant>,
}

/// A NAT at work.
#[derive(Debug)]
pub(crate) struct NatTable {
    pub(crate) nat: Nat,
    /// Its address outside.
    pub(crate) external: IpAddr,
    by_inside: BTreeMap<Inside, u16>,
    by_port: BTreeMap<u16, Mapping>,
    /// IPv6 flows that started inside: inside, outside, last use.
    flows: BTreeMap<(SocketAddr, SocketAddr), Instant>,
}

impl NatTable {
    pub(crate) fn new(nat: Nat, external: IpAddr) -> Self {
        NatTable {
            nat,
            external,
            by_inside: BTreeMap::new(),
            by_port: BTreeMap::new(),
            flows: BTreeMap::new(),
        }
    }

    /// Forgets all mappings, as after a reboot.
    pub(crate) fn forget(&mut self) {
        self.by_inside.clear();
        self.by_port.clear();
        self.flows.clear();
    }

    /// Translates the source of a packet on its way out.
    pub(crate) fn outbound(
        &mut self,
        now: Instant,
        from: SocketAddr,
        to: SocketAddr,
        rng: &mut Rng,
    ) -> SocketAddr {
        if from.is_ipv6() {
            self.flows.insert((from, to), now);
            return from;
        }
        let inside = (from, self.nat.mapping.key(to));
        let port = match self.live_port(now, inside) {
            Some(port) => port,
            None => self.open(now, inside, rng),
        };
        if let Some(mapping) = self.by_port.get_mut(&port) {
            mapping.used = now;
            mapping.contacts.insert(to, now);
        }
        SocketAddr::new(self.external, port)
    }

    /// Translates the destination of a packet on its way in; `None` when it is not let in.
    pub(crate) fn inbound(
        &self,
        now: Instant,
        from: SocketAddr,
        to: SocketAddr,
    ) -> Option<SocketAddr> {
        if to.is_ipv6() {
            let flow = self.flows.get(&(to, from));
            let alive = flow.is_some_and(|used| now.since(*used) < self.nat.timeout);
            return (alive || !self.nat.firewall).then_some(to);
        }
        let mapping = self.by_port.get(&to.port())?;
        if now.since(mapping.used) >= self.nat.timeout {
            return None;
        }
        let wanted = self.nat.filtering.key(from);
        let admitted = mapping.contacts.iter().any(|(contact, used)| {
            now.since(*used) < self.nat.timeout && self.nat.filtering.key(*contact) == wanted
        });
        admitted.then_some(mapping.inside.0)
    }

    fn live_port(&self, now: Instant, inside: Inside) -> Option<u16> {
        let port = *self.by_inside.get(&inside)?;
        let used = self.by_port.get(&port)?.used;
        (now.since(used) < self.nat.timeout).then_some(port)
    }

    fn open(&mut self, now: Instant, inside: Inside, rng: &mut Rng) -> u16 {
        let free = |table: &Self, port: u16| {
            let mapping = table.by_port.get(&port);
            mapping.is_none_or(|mapping| now.since(mapping.used) >= table.nat.timeout)
        };
        let mut port = inside.0.port();
        if !self.nat.preserve_ports || !free(self, port) {
            port = 1_024 + rng.below(64_512) as u16;
            while !free(self, port) {
                port = port.checked_add(1).unwrap_or(1_024);
            }
        }
        let mapping = Mapping {
            inside,
            used: now,
            contacts: BTreeMap::new(),
        };
        let old = self.by_port.insert(port, mapping);
        if let Some(old) = old.filter(|old| self.by_inside.get(&old.inside) == Some(&port)) {
            self.by_inside.remove(&old.inside);
        }
        self.by_inside.insert(inside, port);
        port
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    /// Sends to two remotes, then looks who gets in by the first mapping.
    fn probe(nat: Nat) -> (bool, [bool; 3]) {
        let mut rng = Rng::new([1; 32]);
        let mut table = NatTable::new(nat, address("203.0.113.1:0").ip());
        let inside = address("192.168.1.2:4000");
        let remote = address("198.51.100.1:1000");
        let now = Instant::ZERO;
        let first = table.outbound(now, inside, remote, &mut rng);
        let second = table.outbound(now, inside, address("198.51.100.9:1000"), &mut rng);
        let comers = [
            "198.51.100.1:1000",
            "198.51.100.1:1001",
            "198.51.100.2:1000",
        ];
        let admitted = comers.map(|from| table.inbound(now, address(from), first) == Some(inside));
        (first == second, admitted)
    }

    #[test]
    fn the_classic_four() {
        assert_eq!(probe(Nat::full_cone()), (true, [true, true, true]));
        assert_eq!(probe(Nat::restricted()), (true, [true, true, false]));
        assert_eq!(probe(Nat::port_restricted()), (true, [true, false, false]));
        assert_eq!(probe(Nat::symmetric()), (false, [true, false, false]));
    }

    #[test]
    fn mappings_end_and_ports_are_kept() {
        let mut rng = Rng::new([1; 32]);
        let nat = Nat::port_restricted()
            .with_preserved_ports()
            .with_timeout(Duration::from_secs(30));
        let mut table = NatTable::new(nat, address("203.0.113.1:0").ip());
        let (a, b) = (address("192.168.1.2:4000"), address("192.168.1.3:4000"));
        let remote = address("198.51.100.1:1000");
        let outside = table.outbound(Instant::ZERO, a, remote, &mut rng);
        assert_eq!(outside.port(), 4_000);
        let other = table.outbound(Instant::ZERO, b, remote, &mut rng);
        assert_ne!(other.port(), 4_000);
        let early = Instant::from_millis(29_999);
        assert_eq!(table.inbound(early, remote, outside), Some(a));
        let late = Instant::from_millis(30_000);
        assert_eq!(table.inbound(late, remote, outside), None);
    }
}
