//! What the discovery of RFC 5780 says of every kind of NAT.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use esp_netsim::{Behaviour, Endpoint, HostId, Nat, Net, SiteId};
use esp_stun::behaviour::{Dependence, Discovery, Findings, Mapping};
use esp_wire::{Action, Input, Instant, Train};

const BEHAVIOURS: [Behaviour; 3] = [
    Behaviour::EndpointIndependent,
    Behaviour::AddressDependent,
    Behaviour::AddressAndPortDependent,
];
const LIMIT: Duration = Duration::from_secs(20);

struct Explorer(Discovery);

impl Endpoint for Explorer {
    fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        self.0.handle_input(now, input);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.0.handle_timeout(now);
    }

    fn poll_transmit(&mut self, now: Instant, train: &mut Train) -> bool {
        self.0.poll_transmit(now, train)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.0.poll_timeout()
    }

    fn poll_action(&mut self) -> Option<Action> {
        self.0.poll_action()
    }
}

/// The host is at home, its address known before it begins.
fn explore(net: &mut Net<Explorer>, servers: &[SocketAddr], site: SiteId) -> (HostId, Findings) {
    let address: IpAddr = net.fresh_address(site, false);
    let discovery = Discovery::new(net.origin("explorer"), servers, &[address]);
    let host = net.host("explorer", Explorer(discovery));
    net.set_interfaces(host, &[("eth0", site, address)]);
    net.run_until(|net| net.endpoint(host).0.is_done(), LIMIT);
    (host, net.endpoint(host).0.findings().clone())
}

fn same(nat: Behaviour) -> Dependence {
    match nat {
        Behaviour::EndpointIndependent => Dependence::EndpointIndependent,
        Behaviour::AddressDependent => Dependence::AddressDependent,
        Behaviour::AddressAndPortDependent => Dependence::AddressAndPortDependent,
    }
}

#[test]
fn every_kind_of_nat_is_named() {
    for (seed, mapping) in (1..).zip(BEHAVIOURS) {
        for filtering in BEHAVIOURS {
            for hairpin in [false, true] {
                let mut net = Net::seeded(seed);
                let server = net.discovery_server();
                let mut nat = Nat::new(mapping, filtering);
                nat.hairpin = hairpin;
                let site = net.site(nat);
                let (_, found) = explore(&mut net, &[server], site);
                assert_eq!(found.translated, Some(true), "{net}");
                let expected = match mapping {
                    Behaviour::EndpointIndependent => Mapping::EndpointIndependent,
                    Behaviour::AddressDependent => Mapping::AddressDependent,
                    Behaviour::AddressAndPortDependent => Mapping::AddressAndPortDependent,
                };
                assert_eq!(found.mapping, Some(expected), "{net}");
                assert_eq!(found.filtering, Some(same(filtering)), "{net}");
                assert_eq!(found.discovered_by, Some(server));
                assert!(found.answers[0].after.is_some());
                // Who hairpins still filters: a stranger inside is a stranger.
                let open = filtering == Behaviour::EndpointIndependent;
                assert_eq!(found.hairpin, Some(hairpin && open), "{net}");
            }
        }
    }
}

#[test]
fn a_public_host_has_no_nat() {
    let mut net = Net::seeded(3);
    let server = net.discovery_server();
    let (_, found) = explore(&mut net, &[server], SiteId::PUBLIC);
    assert_eq!(found.translated, Some(false));
    assert_eq!(found.mapping, Some(Mapping::EndpointIndependent));
    assert_eq!(found.filtering, Some(Dependence::EndpointIndependent));
    assert_eq!(found.hairpin, None);
    assert_eq!(found.keeps_ports(), Some(true));
}

#[test]
fn two_plain_servers_tell_the_mapping_as_far_as_they_can() {
    for (nat, mapping) in [
        (Nat::full_cone(), Mapping::EndpointIndependent),
        (Nat::port_restricted(), Mapping::EndpointIndependent),
        (Nat::symmetric(), Mapping::Dependent),
    ] {
        let mut net = Net::seeded(4);
        let servers = [net.stun_server(), net.stun_server()];
        let site = net.site(nat);
        let (_, found) = explore(&mut net, &servers, site);
        assert_eq!(found.mapping, Some(mapping));
        assert_eq!((found.filtering, found.discovered_by), (None, None));
        assert!(found.answers.iter().all(|answer| answer.mapped.is_some()));
    }
}

#[test]
fn one_plain_server_tells_neither() {
    let mut net = Net::seeded(5);
    let servers = [net.stun_server()];
    let site = net.site(Nat::symmetric());
    let (_, found) = explore(&mut net, &servers, site);
    assert_eq!((found.mapping, found.filtering), (None, None));
    assert_eq!(found.translated, Some(true));
}

#[test]
fn without_udp_nothing_is_claimed() {
    let mut net = Net::seeded(6);
    let servers = [net.discovery_server(), net.stun_server()];
    let site = net.site(Nat::full_cone().without_udp());
    let (_, found) = explore(&mut net, &servers, site);
    assert!(!found.answered());
    assert_eq!(
        (found.mapping, found.filtering, found.translated),
        (None, None, None)
    );
}

#[test]
fn loss_and_silent_servers_do_not_mislead() {
    let mut right = 0;
    for seed in 0..40 {
        let mut net = Net::seeded(seed);
        net.loss(0.1);
        let servers = [
            "198.51.100.250:3478".parse().unwrap(),
            net.discovery_server(),
        ];
        let site = net.site(Nat::restricted());
        let (_, found) = explore(&mut net, &servers, site);
        assert_eq!(found.answers[0].mapped, None);
        let both = (found.mapping, found.filtering);
        right += usize::from(
            both == (
                Some(Mapping::EndpointIndependent),
                Some(Dependence::AddressDependent),
            ),
        );
    }
    // Three transmissions of each request: more than 19 of 20 get through.
    assert!(right >= 36, "{right} of 40");
}
