//! The net: hosts, networks, links, names and the clock.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use esp_wire::{Instant, Origin, Rng, Train};

use crate::clock::{Agenda, Event};
use crate::endpoint::Endpoint;
use crate::host::{Host, HostId, Machine};
use crate::link::{Link, LinkStats};
use crate::log::{Log, Record};
use crate::names::{Answer, Entry, Names};
use crate::stream::Streams;
use crate::stun_server::StunServer;
use crate::topology::{Reach, Site, SiteId};
use crate::turn_server::TurnServer;

/// What the net has done, all hosts together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetStats {
    /// Datagrams that hosts sent.
    pub sent: u64,
    /// Datagrams that sockets got.
    pub delivered: u64,
    /// Datagrams that a NAT or firewall stopped.
    pub filtered: u64,
    /// Datagrams to addresses or ports that nobody has.
    pub unroutable: u64,
    /// Datagrams sent out of sockets that were never bound, or closed.
    pub no_socket: u64,
}

/// A seeded network in virtual time; see the crate's example.
///
/// - Build: [`host`](Net::host), [`behind`](Net::behind), [`site`](Net::site),
///   [`stun_server`](Net::stun_server), [`name`](Net::name), [`loss`](Net::loss), ...
/// - Run: [`run_until`](Net::run_until), [`run_for`](Net::run_for), [`step`](Net::step).
/// - Interfere: [`endpoint_mut`](Net::endpoint_mut), [`after`](Net::after),
///   [`set_interfaces`](Net::set_interfaces), [`set_up`](Net::set_up).
pub struct Net<E> {
    pub(crate) seed: u64,
    pub(crate) now: Instant,
    pub(crate) rng: Rng,
    pub(crate) hosts: Vec<Host<E>>,
    pub(crate) sites: Vec<Site>,
    pub(crate) names: Names,
    pub(crate) streams: Streams,
    pub(crate) agenda: Agenda<E>,
    pub(crate) stats: NetStats,
    pub(crate) log: Log,
    pub(crate) merge: bool,
    pub(crate) icmp: bool,
    pub(crate) train: Option<Train>,
    pub(crate) spare: Vec<Vec<u8>>,
    /// Steps without the clock moving; too many of them are a bug of an endpoint.
    pub(crate) idle_steps: u32,
}

impl<E: Endpoint> Net<E> {
    /// An empty net at time zero; packets take 20 ms across the public network.
    pub fn seeded(seed: u64) -> Self {
        let public = Link::delayed(Duration::from_millis(20));
        Net {
            seed,
            now: Instant::ZERO,
            rng: Rng::new(Origin::seeded(seed).seed).fork("netsim"),
            hosts: Vec::new(),
            sites: vec![Site::new(None, public)],
            names: Names::default(),
            streams: Streams::default(),
            agenda: Agenda::default(),
            stats: NetStats::default(),
            log: Log::new(40),
            merge: false,
            icmp: false,
            train: Some(Train::with_capacity(65_536)),
            spare: Vec::new(),
            idle_steps: 0,
        }
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The time.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// An origin for what will run on a host; it depends on the seed and `label` alone, but for
    /// the time.
    pub fn origin(&self, label: &str) -> Origin {
        let mut origin = Origin::seeded(self.seed).fork(label);
        origin.unix = origin.unix_at(self.now);
        origin.now = self.now;
        origin
    }

    /// Adds a host with one IPv4 address in the public network.
    pub fn host(&mut self, name: &str, endpoint: E) -> HostId {
        self.add(name, Machine::User(endpoint))
    }

    /// Adds a server of any kind with one IPv4 address in the public network.
    pub fn server(&mut self, name: &str, server: impl Endpoint + 'static) -> HostId {
        self.add(name, Machine::Server(Box::new(server)))
    }

    /// Adds a STUN server on port 3478, for datagrams and streams, and gives its IPv4 address; it
    /// has an IPv6 address as well ([`Net::host_at`], [`Net::ipv6`]).
    pub fn stun_server(&mut self) -> SocketAddr {
        let name = format!("stun{}", self.hosts.len());
        let host = self.server(&name, StunServer::new(3478));
        self.listen(host, 3478);
        self.add_ipv6(host);
        SocketAddr::new(self.address(host), 3478)
    }

    /// Adds a STUN server that offers the tests of RFC 5780, on ports 3478 and 3479 of two IPv4
    /// addresses, and gives the first address.
    pub fn discovery_server(&mut self) -> SocketAddr {
        let name = format!("discovery{}", self.hosts.len());
        let host = self.server(&name, StunServer::discovering([3478, 3479]));
        self.add_interface(host, "eth1", SiteId::PUBLIC);
        SocketAddr::new(self.address(host), 3478)
    }

    /// Adds a TURN server on port 3478, for datagrams and streams, and gives its IPv4 address; it
    /// has an IPv6 address as well ([`Net::host_at`], [`Net::ipv6`]).
    pub fn turn_server(&mut self, username: &str, password: &str) -> SocketAddr {
        self.turn_server_with(TurnServer::new(3478, username, password))
    }

    /// Adds a TURN server with settings of its own; it must be on port 3478.
    pub fn turn_server_with(&mut self, server: TurnServer) -> SocketAddr {
        let name = format!("turn{}", self.hosts.len());
        let host = self.server(&name, server);
        self.listen(host, 3478);
        self.add_ipv6(host);
        SocketAddr::new(self.address(host), 3478)
    }

    fn add(&mut self, name: &str, machine: Machine<E>) -> HostId {
        let host = HostId(self.hosts.len());
        self.hosts.push(Host::new(name, machine));
        self.join(host, SiteId::PUBLIC);
        host
    }

    /// The first address of a host.
    pub fn address(&self, host: HostId) -> IpAddr {
        self.hosts[host.0].ports[0].interface.address
    }

    /// The first IPv6 address of a host, if it has one.
    pub fn ipv6(&self, host: HostId) -> Option<IpAddr> {
        let ports = self.hosts[host.0].ports.iter();
        let mut addresses = ports.map(|port| port.interface.address);
        addresses.find(IpAddr::is_ipv6)
    }

    /// The host with this address in the public network.
    pub fn host_at(&self, address: IpAddr) -> Option<HostId> {
        match self.sites[0].reach.get(&address)? {
            Reach::Host(host) => Some(*host),
            Reach::Gate(_) => None,
        }
    }

    /// What runs on a host.
    ///
    /// # Panics
    /// When it is one of the net's own servers.
    pub fn endpoint(&self, host: HostId) -> &E {
        match &self.hosts[host.0].machine {
            Machine::User(endpoint) => endpoint,
            Machine::Server(_) => panic!("{host:?} is a server of the net"),
        }
    }

    /// What runs on a host, to be commanded; its output is collected at the next step.
    ///
    /// # Panics
    /// When it is one of the net's own servers.
    pub fn endpoint_mut(&mut self, host: HostId) -> &mut E {
        let entry = &mut self.hosts[host.0];
        entry.dirty = true;
        match &mut entry.machine {
            Machine::User(endpoint) => endpoint,
            Machine::Server(_) => panic!("{host:?} is a server of the net"),
        }
    }

    /// Two different hosts at once, to carry something from one to the other.
    ///
    /// # Panics
    /// When they are the same, or servers of the net.
    pub fn pair_mut(&mut self, a: HostId, b: HostId) -> (&mut E, &mut E) {
        let places = self.hosts.get_disjoint_mut([a.0, b.0]);
        let [a, b] = places.expect("two different hosts");
        (a.dirty, b.dirty) = (true, true);
        match (&mut a.machine, &mut b.machine) {
            (Machine::User(a), Machine::User(b)) => (a, b),
            _ => panic!("one of the two is a server of the net"),
        }
    }

    /// Lets a host accept streams on a port of any of its addresses.
    pub fn listen(&mut self, host: HostId, port: u16) -> &mut Self {
        for any in [IpAddr::from([0; 4]), IpAddr::from([0; 16])] {
            self.hosts[host.0]
                .listeners
                .insert(SocketAddr::new(any, port));
        }
        self
    }

    /// Does something `delay` from now.
    pub fn after(&mut self, delay: Duration, call: impl FnOnce(&mut Self) + 'static) -> &mut Self {
        self.agenda
            .plan(self.now + delay, Event::Call(Box::new(call)));
        self
    }

    /// Makes the resolver know a name, without delay.
    pub fn name(&mut self, name: &str, addresses: &[IpAddr]) -> &mut Self {
        self.answer(
            name,
            Answer {
                addresses: addresses.to_vec(),
                delay: Duration::ZERO,
            },
        )
    }

    /// Makes the resolver answer like this; no address means failure.
    pub fn answer(&mut self, name: &str, answer: Answer) -> &mut Self {
        self.names.insert(name, Entry::Dns(answer));
        self
    }

    /// Makes a host answer to a `.local` name inside its networks.
    pub fn mdns(&mut self, name: &str, host: HostId) -> &mut Self {
        self.names.insert(name, Entry::Mdns(host));
        self
    }

    /// Makes the resolver forget a name.
    pub fn forget_name(&mut self, name: &str) -> &mut Self {
        self.names.remove(name);
        self
    }

    /// Sets the delay across the public network.
    pub fn delay(&mut self, delay: Duration) -> &mut Self {
        self.core_mut(SiteId::PUBLIC).delay = delay;
        self
    }

    /// Sets the probability of loss across the public network.
    pub fn loss(&mut self, loss: f64) -> &mut Self {
        self.core_mut(SiteId::PUBLIC).loss = loss;
        self
    }

    /// Sets the jitter across the public network.
    pub fn jitter(&mut self, jitter: Duration) -> &mut Self {
        self.core_mut(SiteId::PUBLIC).jitter = jitter;
        self
    }

    /// Sets probability and lateness of reordering across the public network.
    pub fn reordering(&mut self, reorder: f64, by: Duration) -> &mut Self {
        let core = self.core_mut(SiteId::PUBLIC);
        (core.reorder, core.reorder_by) = (reorder, by);
        self
    }

    /// Sets the probability of duplication across the public network.
    pub fn duplicates(&mut self, duplicate: f64) -> &mut Self {
        self.core_mut(SiteId::PUBLIC).duplicate = duplicate;
        self
    }

    /// What every packet crosses that travels in a network.
    pub fn core_mut(&mut self, site: SiteId) -> &mut Link {
        &mut self.sites[site.0].core.link
    }

    /// Sets both directions of all access links of a host.
    pub fn set_link(&mut self, host: HostId, link: Link) -> &mut Self {
        for port in &mut self.hosts[host.0].ports {
            port.up.link = link.clone();
            port.down.link = link.clone();
        }
        self
    }

    /// The access link of one address of a host: up, away from the host, and down.
    ///
    /// # Panics
    /// When the host has no such address.
    pub fn link_mut(&mut self, host: HostId, address: IpAddr) -> (&mut Link, &mut Link) {
        let index = self.hosts[host.0].port_with(address);
        let port = &mut self.hosts[host.0].ports[index.expect("an address of this host")];
        (&mut port.up.link, &mut port.down.link)
    }

    /// What the access links of a host have done: up and down, of its first address.
    pub fn link_stats(&self, host: HostId) -> (LinkStats, LinkStats) {
        let port = &self.hosts[host.0].ports[0];
        (port.up.stats(), port.down.stats())
    }

    /// What the core of a network has done.
    pub fn core_stats(&self, site: SiteId) -> LinkStats {
        self.sites[site.0].core.stats()
    }

    /// What the net has done.
    pub fn stats(&self) -> NetStats {
        self.stats
    }

    /// Hands datagrams of equal size that arrive together over as one input, as GRO does.
    pub fn merge_arrivals(&mut self, merge: bool) -> &mut Self {
        self.merge = merge;
        self
    }

    /// Tells senders when nobody has the address or port that they send to.
    pub fn icmp(&mut self, icmp: bool) -> &mut Self {
        self.icmp = icmp;
        self
    }

    /// Keeps the last `records` lines of the packet log; 40 if not told otherwise.
    pub fn keep_log(&mut self, records: usize) -> &mut Self {
        self.log.capacity = records;
        self
    }

    /// The last packets, oldest first.
    pub fn log(&self) -> impl Iterator<Item = &Record> {
        self.log.records()
    }

    pub(crate) fn recycle(&mut self, buffer: Vec<u8>) {
        if self.spare.len() < 256 {
            self.spare.push(buffer);
        }
    }
}

impl<E> fmt::Display for Net<E> {
    /// The seed, the time and the last packets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.now.as_nanos() as f64 / 1e6;
        writeln!(
            f,
            "netsim seed {}, time {millis} ms, {:?}",
            self.seed, self.stats
        )?;
        for host in &self.hosts {
            let addresses = host.ports.iter().map(|port| port.interface.address);
            writeln!(f, "  {}: {:?}", host.name, addresses.collect::<Vec<_>>())?;
        }
        self.log.fmt(f)
    }
}

impl<E> Drop for Net<E> {
    /// A failing test shows how to run it again.
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{self}");
        }
    }
}
