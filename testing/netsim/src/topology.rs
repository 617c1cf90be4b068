//! Networks, and where a host is: the public one, and any number behind NATs, also nested.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use esp_wire::Interface;

use crate::clock::{Event, Tell};
use crate::endpoint::Endpoint;
use crate::host::{HostId, Port};
use crate::link::{Link, LinkStats, Pipe};
use crate::nat::{Nat, NatTable};
use crate::net::Net;

/// Names a network of a net; [`SiteId::PUBLIC`] is the one where every address is reachable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SiteId(pub(crate) usize);

impl SiteId {
    /// The public network.
    pub const PUBLIC: SiteId = SiteId(0);
}

/// Where an address leads to inside a network.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reach {
    Host(HostId),
    /// Through the NAT of this network.
    Gate(SiteId),
}

/// A network.
pub(crate) struct Site {
    /// The way out; the public network has none.
    pub(crate) gate: Option<Gate>,
    pub(crate) reach: BTreeMap<IpAddr, Reach>,
    /// What every packet crosses that travels in this network.
    pub(crate) core: Pipe,
    next_host: u8,
}

pub(crate) struct Gate {
    pub(crate) parent: SiteId,
    pub(crate) table: NatTable,
    /// The line that all hosts of the network share, out and in.
    pub(crate) up: Pipe,
    pub(crate) down: Pipe,
}

impl Site {
    pub(crate) fn new(gate: Option<Gate>, link: Link) -> Self {
        Site {
            gate,
            reach: BTreeMap::new(),
            core: Pipe::new(link),
            next_host: 2,
        }
    }
}

impl<E: Endpoint> Net<E> {
    /// Adds a network behind a NAT of the public network.
    pub fn site(&mut self, nat: Nat) -> SiteId {
        self.site_in(SiteId::PUBLIC, nat)
    }

    /// Adds a network behind a NAT of the network `parent` (a carrier's NAT, say).
    pub fn site_in(&mut self, parent: SiteId, nat: Nat) -> SiteId {
        let site = SiteId(self.sites.len());
        let external = self.fresh_address(parent, false);
        self.sites[parent.0]
            .reach
            .insert(external, Reach::Gate(site));
        let table = NatTable::new(nat, external);
        let gate = Gate {
            parent,
            table,
            up: Pipe::default(),
            down: Pipe::default(),
        };
        self.sites.push(Site::new(Some(gate), Link::default()));
        site
    }

    /// Puts a host behind a NAT of its own, in the place of all networks that it was in.
    pub fn behind(&mut self, host: HostId, nat: Nat) -> &mut Self {
        let site = self.site(nat);
        self.join(host, site)
    }

    /// Moves a host into a network, with one new IPv4 address; it is told so if it already runs.
    pub fn join(&mut self, host: HostId, site: SiteId) -> &mut Self {
        let address = self.fresh_address(site, false);
        self.set_interfaces(host, &[("eth0", site, address)])
    }

    /// Gives a host one more interface with a new IPv4 address in a network.
    pub fn add_interface(&mut self, host: HostId, name: &str, site: SiteId) -> IpAddr {
        let address = self.fresh_address(site, false);
        self.attach(host, name, site, address);
        self.announce(host);
        address
    }

    /// Gives a host an IPv6 address in the network of its first interface, on that interface.
    pub fn add_ipv6(&mut self, host: HostId) -> IpAddr {
        let first = &self.hosts[host.0].ports[0];
        let (name, site) = (first.interface.name.clone(), first.site);
        let address = self.fresh_address(site, true);
        self.attach(host, &name, site, address);
        self.announce(host);
        address
    }

    /// Replaces the interfaces of a host and tells it. Interfaces whose address stays keep their
    /// links; sockets on addresses that went away lead nowhere.
    pub fn set_interfaces(
        &mut self,
        host: HostId,
        interfaces: &[(&str, SiteId, IpAddr)],
    ) -> &mut Self {
        let mut old = std::mem::take(&mut self.hosts[host.0].ports);
        for port in &old {
            self.forget_address(port.site, port.interface.address);
        }
        for &(name, site, address) in interfaces {
            self.attach(host, name, site, address);
            let same = |port: &Port| port.site == site && port.interface.address == address;
            if let Some(index) = old.iter().position(same) {
                let kept = old.remove(index);
                if let Some(new) = self.hosts[host.0].ports.last_mut() {
                    (new.up, new.down) = (kept.up, kept.down);
                }
            }
        }
        self.announce(host);
        self
    }

    /// Pulls or plugs the cable of one address; the host is told so.
    pub fn set_up(&mut self, host: HostId, address: IpAddr, up: bool) -> &mut Self {
        for port in &mut self.hosts[host.0].ports {
            if port.interface.address == address {
                port.up.link.up = up;
                port.down.link.up = up;
            }
        }
        self.announce(host);
        self
    }

    /// A new address of a network, which nobody has.
    pub fn fresh_address(&mut self, site: SiteId, ipv6: bool) -> IpAddr {
        let entry = &mut self.sites[site.0];
        loop {
            let number = entry.next_host;
            entry.next_host = number.wrapping_add(1).max(1);
            let address = match (ipv6, site) {
                (true, SiteId(index)) => {
                    let (index, number) = (index as u16, u16::from(number));
                    IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, index, 0, 0, 0, 0, number))
                }
                (false, SiteId::PUBLIC) => IpAddr::from(Ipv4Addr::new(198, 51, 100, number)),
                (false, SiteId(index)) => {
                    IpAddr::from(Ipv4Addr::new(192, 168, index as u8, number))
                }
            };
            if !entry.reach.contains_key(&address) {
                return address;
            }
        }
    }

    /// Forgets all mappings of a NAT, as after a reboot.
    pub fn reboot_nat(&mut self, site: SiteId) -> &mut Self {
        if let Some(gate) = &mut self.sites[site.0].gate {
            gate.table.forget();
        }
        self
    }

    /// Changes how the NAT of a network behaves.
    pub fn nat_mut(&mut self, site: SiteId) -> Option<&mut Nat> {
        let gate = self.sites[site.0].gate.as_mut()?;
        Some(&mut gate.table.nat)
    }

    /// Sets the line between a NAT and the network outside, which all hosts behind it share: out,
    /// and in.
    pub fn set_gate(&mut self, site: SiteId, up: Link, down: Link) -> &mut Self {
        if let Some(gate) = &mut self.sites[site.0].gate {
            (gate.up.link, gate.down.link) = (up, down);
        }
        self
    }

    /// What the line between a NAT and the network outside has done: out, and in.
    pub fn gate_stats(&self, site: SiteId) -> Option<(LinkStats, LinkStats)> {
        let gate = self.sites[site.0].gate.as_ref()?;
        Some((gate.up.stats(), gate.down.stats()))
    }

    /// The address that a NAT has outside.
    pub fn external_address(&self, site: SiteId) -> Option<IpAddr> {
        let gate = self.sites[site.0].gate.as_ref()?;
        Some(gate.table.external)
    }

    /// The network of a host's first interface.
    pub fn site_of(&self, host: HostId) -> SiteId {
        self.hosts[host.0].ports[0].site
    }

    pub(crate) fn attach(&mut self, host: HostId, name: &str, site: SiteId, address: IpAddr) {
        let ports = &mut self.hosts[host.0].ports;
        let same_name = ports.iter().find(|port| port.interface.name == name);
        let index = match same_name {
            Some(port) => port.interface.index,
            None => ports.len() as u32 + 1,
        };
        ports.push(Port {
            interface: Interface {
                name: name.to_owned(),
                index,
                address,
            },
            site,
            up: Pipe::default(),
            down: Pipe::default(),
        });
        self.sites[site.0].reach.insert(address, Reach::Host(host));
        if address.is_ipv6() {
            // IPv6 is not translated: it is reachable from everywhere above.
            let mut inner = site;
            while let Some(gate) = &self.sites[inner.0].gate {
                let parent = gate.parent;
                self.sites[parent.0]
                    .reach
                    .insert(address, Reach::Gate(inner));
                inner = parent;
            }
        }
    }

    fn forget_address(&mut self, mut site: SiteId, address: IpAddr) {
        self.sites[site.0].reach.remove(&address);
        while let (true, Some(gate)) = (address.is_ipv6(), &self.sites[site.0].gate) {
            site = gate.parent;
            self.sites[site.0].reach.remove(&address);
        }
    }

    pub(crate) fn announce(&mut self, host: HostId) {
        let event = Event::Tell(host, Tell::Interfaces);
        self.agenda.plan(self.now, event);
    }
}
