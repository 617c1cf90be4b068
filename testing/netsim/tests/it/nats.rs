//! Who gets through which NAT.

use std::net::SocketAddr;
use std::time::Duration;

use esp_netsim::{HostId, Link, Nat, Net, SiteId};
use esp_wire::Instant;

use crate::probe::{Probe, Seen};

const SECOND: Duration = Duration::from_secs(1);

/// Two hosts behind NATs and a public one that tells them how they look from outside.
fn meet(seed: u64, a: Nat, b: Nat) -> bool {
    let mut net = Net::seeded(seed);
    let mirror = net.host("mirror", Probe::on(1_000));
    let (a_host, b_host) = (net.host("a", Probe::on(7)), net.host("b", Probe::on(7)));
    net.behind(a_host, a).behind(b_host, b);
    let mirror_at = SocketAddr::new(net.address(mirror), 1_000);
    for host in [a_host, b_host] {
        net.endpoint_mut(host).send(0, mirror_at, b"who am I?");
    }
    net.run_for(SECOND);
    let looks: Vec<_> = net.endpoint(mirror).datagrams();
    assert_eq!(looks.len(), 2, "{net}");
    let (a_at, b_at) = (looks[0].0, looks[1].0);
    for _ in 0..3 {
        net.endpoint_mut(a_host).send(0, b_at, b"from a");
        net.endpoint_mut(b_host).send(0, a_at, b"from b");
        net.run_for(SECOND);
    }
    let heard = |host: HostId| !net.endpoint(host).datagrams().is_empty();
    heard(a_host) && heard(b_host)
}

#[test]
fn which_pairs_of_nats_meet() {
    let cone = Nat::full_cone;
    let (restricted, ports) = (Nat::restricted, Nat::port_restricted);
    for seed in 0..20 {
        assert!(meet(seed, cone(), cone()));
        assert!(meet(seed, ports(), ports()));
        assert!(meet(seed, restricted(), ports()));
        // The peer's new port is let in by address, but the address we know of it is not its.
        assert!(!meet(seed, Nat::symmetric(), ports()));
        assert!(!meet(seed, Nat::symmetric(), Nat::symmetric()));
    }
}

#[test]
fn hairpins() {
    for hairpin in [false, true] {
        let mut net = Net::seeded(3);
        let mut nat = Nat::full_cone().with_preserved_ports();
        nat.hairpin = hairpin;
        let home = net.site(nat);
        let (a, b) = (net.host("a", Probe::on(5)), net.host("b", Probe::on(6)));
        net.join(a, home).join(b, home);
        let outside = net.host("out", Probe::on(9));
        let out_at = SocketAddr::new(net.address(outside), 9);
        net.endpoint_mut(b).send(0, out_at, b"open");
        net.run_for(SECOND);
        let external = SocketAddr::new(net.external_address(home).unwrap(), 6);
        net.endpoint_mut(a).send(0, external, b"by hairpin");
        net.run_for(SECOND);
        let heard = net.endpoint(b).datagrams();
        assert_eq!(heard.len(), usize::from(hairpin), "{net}");
        // Directly they reach each other in any case, without the delay of the public network.
        let direct = SocketAddr::new(net.address(b), 6);
        net.endpoint_mut(a).send(0, direct, b"directly");
        net.run_for(Duration::ZERO);
        let heard = net.endpoint(b).datagrams();
        assert_eq!(heard.last().unwrap().1, b"directly");
    }
}

#[test]
fn hosts_behind_a_nat_share_its_line() {
    let mut net = Net::seeded(4);
    let home = net.site(Nat::port_restricted());
    let narrow = Link::delayed(Duration::from_millis(5)).with_rate(1_000_000, 20_000);
    net.set_gate(home, narrow.clone(), narrow);
    let far = net.host("far", Probe::on(9));
    let to = SocketAddr::new(net.address(far), 9);
    for name in ["a", "b"] {
        let host = net.host(name, Probe::on(5));
        net.join(host, home);
        for _ in 0..5 {
            net.endpoint_mut(host).send(0, to, &[0; 972]);
        }
    }
    net.run_for(SECOND);
    let last = net.endpoint(far).seen.last().unwrap().0;
    // Ten packets of 8 ms each, the line's delay, and the public network's.
    assert_eq!(last, Instant::from_millis(80 + 5 + 20));
    let (up, down) = net.gate_stats(home).unwrap();
    assert_eq!((up.sent, down.sent), (10, 0));
}

#[test]
fn a_nat_behind_a_nat() {
    let mut net = Net::seeded(4);
    let carrier = net.site(Nat::symmetric());
    let home = net.site_in(carrier, Nat::port_restricted());
    let (inner, outer) = (net.host("in", Probe::on(5)), net.host("out", Probe::on(9)));
    net.join(inner, home);
    let to = SocketAddr::new(net.address(outer), 9);
    net.endpoint_mut(inner).send(0, to, b"hello");
    net.run_for(SECOND);
    let (from, _) = net.endpoint(outer).datagrams()[0];
    assert_eq!(from.ip(), net.external_address(carrier).unwrap());
    net.endpoint_mut(outer).send(0, from, b"back");
    net.run_for(SECOND);
    assert_eq!(net.endpoint(inner).datagrams(), [(to, b"back".to_vec())]);
}

#[test]
fn mappings_end_with_time_and_reboots() {
    let mut net = Net::seeded(5);
    let nat = Nat::full_cone().with_timeout(Duration::from_secs(30));
    let (inner, outer) = (net.host("in", Probe::on(5)), net.host("out", Probe::on(9)));
    net.behind(inner, nat);
    let to = SocketAddr::new(net.address(outer), 9);
    let mut heard = 0;
    for (wait, reboot, comes) in [(29, false, true), (31, false, false), (1, true, false)] {
        net.endpoint_mut(inner).send(0, to, b"open");
        net.run_for(Duration::from_secs(wait));
        if reboot {
            net.reboot_nat(net.site_of(inner));
        }
        let (from, _) = net.endpoint(outer).datagrams().pop().unwrap();
        net.endpoint_mut(outer).send(0, from, b"back");
        net.run_for(SECOND);
        heard += usize::from(comes);
        assert_eq!(net.endpoint(inner).datagrams().len(), heard, "{net}");
    }
}

#[test]
fn ipv6_passes_the_firewall_once_asked_for() {
    let mut net = Net::seeded(6);
    let mut probes = [Probe::default(), Probe::default()];
    for probe in &mut probes {
        probe.bind(0, "[::]:5");
    }
    let [inner, outer] = probes;
    let (inner, outer) = (net.host("in", inner), net.host("out", outer));
    net.behind(inner, Nat::symmetric());
    let inner_at = SocketAddr::new(net.add_ipv6(inner), 5);
    let outer_at = SocketAddr::new(net.add_ipv6(outer), 5);
    net.endpoint_mut(outer).send(0, inner_at, b"unasked");
    net.run_for(SECOND);
    net.endpoint_mut(inner).send(0, outer_at, b"ask");
    net.run_for(SECOND);
    net.endpoint_mut(outer).send(0, inner_at, b"asked");
    net.run_for(SECOND);
    assert_eq!(net.endpoint(outer).datagrams()[0].0, inner_at);
    let heard = net.endpoint(inner).datagrams();
    assert_eq!(heard, [(outer_at, b"asked".to_vec())]);
    assert_eq!(net.stats().filtered, 1);
}

#[test]
fn a_host_roams() {
    let mut net = Net::seeded(8);
    let (phone, far) = (
        net.host("phone", Probe::on(5)),
        net.host("far", Probe::on(9)),
    );
    let wifi = net.site(Nat::port_restricted());
    let cellular = net.site(Nat::symmetric());
    net.join(phone, wifi);
    net.run_for(SECOND);
    let old = net.address(phone);
    let new = net.fresh_address(cellular, false);
    net.set_interfaces(phone, &[("wwan0", cellular, new)]);
    net.run_for(SECOND);
    assert_eq!(net.endpoint(phone).last(), &Seen::Interfaces(vec![new]));
    let told = net.endpoint(phone).seen.iter();
    let told = told.filter(|(_, seen)| matches!(seen, Seen::Interfaces(_)));
    assert_eq!(told.count(), 2);
    let to = SocketAddr::new(net.address(far), 9);
    net.endpoint_mut(phone).send(0, to, b"from the new address");
    net.endpoint_mut(phone).bind(1, &format!("{old}:0"));
    net.run_for(SECOND);
    let (from, _) = net.endpoint(far).datagrams()[0];
    assert_eq!(from.ip(), net.external_address(cellular).unwrap());
    assert!(matches!(net.endpoint(phone).last(), Seen::Closed(_, _)));
    net.set_up(phone, new, false);
    net.run_for(SECOND);
    assert_eq!(net.endpoint(phone).last(), &Seen::Interfaces(vec![]));
    assert_eq!(net.site_of(far), SiteId::PUBLIC);
}
