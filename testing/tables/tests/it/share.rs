//! How flows share a bottleneck.

use std::time::Duration;

use esp_netsim::Link;
use esp_sctp::{
    Config,
    congestion::Algorithm::{self, Reno, Tolerant},
};
use esp_tables::goodput::share;

/// Two flows over 10 Mbit/s, of which the second begins 3 s after the first, measured for 30 s.
fn index(rtt: u64, queue: f64, algorithms: [Algorithm; 2]) -> f64 {
    let product = (10 * rtt * 125) as f64;
    let queue = (product * queue).max(12_000.0) as usize;
    let link = Link::delayed(Duration::from_micros(rtt * 500)).with_rate(10_000_000, queue);
    let configs = algorithms.map(|algorithm| Config::default().with_congestion(algorithm));
    let seconds = Duration::from_secs;
    let share =
        share(link, &configs, seconds(3), seconds(10), seconds(30)).expect("flows that run");
    println!("{rtt} ms, queue {queue}: {algorithms:?} {share:?}");
    share.jain
}

#[test]
fn two_of_ours_share_evenly() {
    for (rtt, queue) in [(20, 0.25), (20, 1.0), (50, 0.5)] {
        let jain = index(rtt, queue, [Tolerant, Tolerant]);
        assert!(jain >= 0.95, "{rtt} ms, queue of {queue}: {jain}");
    }
}

#[test]
fn a_plain_flow_gets_its_share() {
    for (rtt, queue) in [(5, 1.0), (20, 1.0), (50, 0.5)] {
        for pair in [[Tolerant, Reno], [Reno, Tolerant]] {
            let jain = index(rtt, queue, pair);
            assert!(jain >= 0.8, "{rtt} ms, queue of {queue}, {pair:?}: {jain}");
        }
    }
}
