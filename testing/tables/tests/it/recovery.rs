//! What loss recovery does where packets are late, and where so many are missing that no SACK tells of all.

use std::time::Duration;

use esp_netsim::{Duplex, Link};
use esp_sctp::{
    Config, Stats,
    congestion::Algorithm::{self, Cubic, Reno, Tolerant},
};
use esp_tables::goodput::{End, connect};

const MS: Duration = Duration::from_millis(1);
/// Round trip of the links, empty.
const ROUND_TRIP: Duration = Duration::from_millis(40);

/// 20 Mbit/s, and a queue that nothing here fills.
fn link() -> Link {
    Link::delayed(ROUND_TRIP / 2).with_rate(20_000_000, 1 << 20)
}

fn flow(link: Link, algorithm: Algorithm) -> Duplex<End> {
    let config = Config::default().with_congestion(algorithm);
    connect(3, link, &[config], u64::MAX, Duration::ZERO).expect("a pair that connects")
}

fn stats(net: &Duplex<End>) -> Stats {
    net.a.flows[0].stats()
}

#[test]
fn what_was_reduced_for_late_packets_is_given_back() {
    for algorithm in [Tolerant, Cubic, Reno] {
        let mut net = flow(link(), algorithm);
        // A queue stands, so that a loss would be taken for its overflow.
        net.run_until(
            |net| net.to_b.backlog(net.now()) > 60_000,
            Duration::from_secs(10),
        );
        let before = stats(&net);
        net.to_b.link = link().with_reordering(0.2, 30 * MS);
        net.run_for(8 * MS);
        net.to_b.link = link();
        net.run_for(300 * MS);
        let after = stats(&net);
        let (there, _) = net.stats();
        assert!(there.reordered > 0 && there.queue_drops == 0, "{there:?}");
        assert!(
            after.congestion_events > before.congestion_events,
            "{algorithm:?}: {after:?}"
        );
        assert!(
            after.spurious_events > before.spurious_events,
            "{algorithm:?}: {after:?}"
        );
        assert!(
            after.congestion_window >= before.congestion_window,
            "{algorithm:?}: {before:?}, {after:?}"
        );
        assert_eq!(after.timeouts, 0, "{algorithm:?}");
    }
}

#[test]
fn reordering_does_not_collapse() {
    let kinds = [
        (0.01, ROUND_TRIP / 4),
        (0.05, ROUND_TRIP / 2),
        (0.2, ROUND_TRIP / 4),
        (0.5, 5 * MS),
    ];
    for (share, late) in kinds {
        for algorithm in [Tolerant, Cubic, Reno] {
            let mut net = flow(link().with_reordering(share, late), algorithm);
            net.run_for(Duration::from_secs(2));
            let before = net.b.flows[0].delivered;
            net.run_for(Duration::from_secs(6));
            let rate = (net.b.flows[0].delivered - before) as f64 * 8e-6 / 6.0;
            let seen = stats(&net);
            println!("{share} {late:?} {algorithm:?}: {rate:.2} {seen:?}");
            assert!(
                rate >= 18.0,
                "{share} {late:?} {algorithm:?}: {rate}, {seen:?}"
            );
        }
    }
}

#[test]
fn what_no_sack_could_tell_of_is_not_sent_again() {
    // More gaps than a SACK of one packet holds.
    let link = Link::delayed(25 * MS)
        .with_rate(1_000_000_000, 8 << 20)
        .with_loss(0.1);
    let config = Config::default().with_buffers(16 << 20, 16 << 20);
    let mut net = connect(3, link, &[config], 12_000_000, Duration::ZERO).expect("a pair");
    net.run_until(
        |net| net.b.flows[0].delivered >= 12_000_000,
        Duration::from_secs(60),
    );
    let (sent, received) = (stats(&net), net.b.flows[0].stats());
    println!("{sent:?}\n{received:?}");
    assert!(sent.chunks_retransmitted > 1_000, "{sent:?}");
    assert!(
        received.duplicates_received * 20 < sent.chunks_retransmitted,
        "{sent:?}, {received:?}"
    );
}
