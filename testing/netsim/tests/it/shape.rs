//! Delay, loss, rate, MTU, merging, and that a seed repeats a run.

use std::net::SocketAddr;
use std::time::Duration;

use esp_netsim::{Echo, Link, Nat, Net, Record, SiteId};
use esp_wire::Ecn;

use crate::probe::{Probe, Seen};

const SECOND: Duration = Duration::from_secs(1);

fn run(seed: u64) -> (Vec<Record>, usize) {
    let mut net = Net::seeded(seed);
    net.keep_log(10_000);
    let far = net.host("far", Echo::listener(5_000));
    let to = SocketAddr::new(net.address(far), 5_000);
    let near = net.host("near", Echo::caller(to, 500));
    net.behind(near, Nat::symmetric())
        .loss(0.02)
        .jitter(Duration::from_millis(5))
        .reordering(0.05, Duration::from_millis(9))
        .duplicates(0.01);
    net.run_for(10 * SECOND);
    let records = net.log().copied().collect();
    (records, net.endpoint(near).received())
}

#[test]
fn a_seed_repeats_a_run() {
    let (first, received) = run(11);
    assert_eq!(run(11).0, first);
    assert_ne!(run(12).0, first);
    assert!((470..500).contains(&received), "{received}");
}

#[test]
fn a_narrow_uplink_queues_and_drops() {
    let mut net = Net::seeded(1);
    let far = net.host("far", Probe::on(9));
    let near = net.host("near", Probe::on(8));
    let to = SocketAddr::new(net.address(far), 9);
    net.set_link(near, Link::default().with_rate(1_000_000, 20_000));
    // 1,000 bytes with headers take 8 ms each.
    for _ in 0..50 {
        net.endpoint_mut(near).send(0, to, &[0; 972]);
    }
    net.run_for(SECOND);
    let heard = net.endpoint(far).datagrams().len();
    assert_eq!(heard, 20);
    let (last, _) = net.endpoint(far).seen.last().unwrap();
    assert_eq!(last.as_nanos() / 1_000_000, 20 + 8 * 20);
    let (up, _) = net.link_stats(near);
    assert_eq!((up.sent, up.delivered, up.queue_drops), (50, 20, 30));
}

#[test]
fn what_exceeds_the_mtu_vanishes() {
    let mut net = Net::seeded(1);
    let (far, near) = (
        net.host("far", Probe::on(9)),
        net.host("near", Probe::on(8)),
    );
    let to = SocketAddr::new(net.address(far), 9);
    net.core_mut(SiteId::PUBLIC).mtu = 1_280;
    net.endpoint_mut(near).send(0, to, &[1; 1_252]);
    net.endpoint_mut(near).send(0, to, &[2; 1_253]);
    net.run_for(SECOND);
    assert_eq!(net.endpoint(far).datagrams().len(), 1);
    assert_eq!(net.core_stats(SiteId::PUBLIC).too_big, 1);
}

#[test]
fn equal_arrivals_can_be_merged() {
    for merge in [false, true] {
        let mut net = Net::seeded(1);
        let far = net.host("far", Echo::listener(5_000));
        let to = SocketAddr::new(net.address(far), 5_000);
        let near = net.host("near", Echo::caller(to, 30));
        net.merge_arrivals(merge);
        net.run_until(|net| net.endpoint(near).received() == 30, SECOND);
        let inputs = net.endpoint(near).inputs();
        assert_eq!(inputs, if merge { 1 } else { 30 });
    }
}

#[test]
fn congestion_is_marked() {
    let mut net = Net::seeded(1);
    let (far, near) = (
        net.host("far", Probe::on(9)),
        net.host("near", Probe::on(8)),
    );
    let to = SocketAddr::new(net.address(far), 9);
    let link = Link::default()
        .with_rate(1_000_000, 50_000)
        .with_mark(5_000);
    net.set_link(near, link);
    net.endpoint_mut(near).ecn = Ecn::Ect0;
    for _ in 0..10 {
        net.endpoint_mut(near).send(0, to, &[0; 972]);
    }
    net.run_for(SECOND);
    assert_eq!(net.endpoint(far).ecn, Ecn::Ce);
    assert_eq!(net.link_stats(near).0.marked, 4);
}

#[test]
fn the_unreachable_is_told_if_wanted() {
    for icmp in [false, true] {
        let mut net = Net::seeded(1);
        let (far, near) = (
            net.host("far", Probe::on(9)),
            net.host("near", Probe::on(8)),
        );
        net.icmp(icmp);
        let to = SocketAddr::new(net.address(far), 10);
        net.endpoint_mut(near).send(0, to, b"anybody?");
        net.run_for(SECOND);
        let told = net.endpoint(near).last() == &Seen::Unreachable(to);
        assert_eq!(told, icmp);
        assert_eq!(net.stats().unroutable, 1);
    }
}

#[test]
fn things_happen_when_planned() {
    let mut net = Net::seeded(1);
    let (far, near) = (
        net.host("far", Probe::on(9)),
        net.host("near", Probe::on(8)),
    );
    let to = SocketAddr::new(net.address(far), 9);
    net.after(Duration::from_millis(500), move |net| {
        net.endpoint_mut(near).send(0, to, b"late");
    });
    let took = net.run_until(|net| !net.endpoint(far).datagrams().is_empty(), SECOND);
    assert_eq!(took, Duration::from_millis(520));
}

#[test]
fn a_failure_names_its_seed() {
    let mut net: Net<Probe> = Net::seeded(4_711);
    let failure = net.try_run_until(|_| false, SECOND).unwrap_err();
    assert!(failure.to_string().contains("seed 4711"), "{failure}");
    let caught = std::panic::catch_unwind(|| {
        let mut net: Net<Probe> = Net::seeded(4_711);
        net.run_until(|_| false, SECOND);
    });
    let message = *caught.unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains("seed 4711"), "{message}");
}
