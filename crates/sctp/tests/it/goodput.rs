//! How much of a link is used, in virtual time.

use std::time::Duration;

use esp_sctp::{ChannelConfig, Config, Error, congestion};
use esp_wire::DataKind;

use crate::link::{Link, Net};

/// Megabits a second of user data over `bytes`.
fn goodput(config: Config, link: Link, bytes: usize) -> (f64, esp_sctp::Stats) {
    let mut net = Net::connected(3, [config.clone(), config], link);
    let channel = net.open(0, ChannelConfig::new("x"));
    net.run(Duration::from_secs(1));
    let start = net.now;
    let message = vec![1; 65_536];
    let count = bytes / message.len();
    let mut sent = 0;
    net.run_until(Duration::from_secs(600), |net| {
        let now = net.now;
        while sent < count {
            match net.sides[0].send(now, channel, DataKind::Binary, &message) {
                Ok(()) => sent += 1,
                Err(Error::WouldBlock) => break,
                Err(error) => panic!("{error}"),
            }
        }
        net.messages(1).len() == count
    });
    let time = (net.now - start).as_secs_f64();
    (
        (count * message.len()) as f64 * 8.0 / 1e6 / time,
        net.sides[0].stats(),
    )
}

fn link(rtt: u64, rate: u64, loss: f64, jitter: u64) -> Link {
    Link {
        delay: Duration::from_millis(rtt / 2),
        jitter: Duration::from_millis(jitter),
        loss,
        rate: rate * 1_000_000,
        queue: Duration::from_millis(rtt.max(20)),
        ..Link::default()
    }
}

#[test]
fn a_clean_link_is_filled() {
    for (rtt, rate, bytes) in [
        (2, 100, 40_000_000),
        (20, 50, 20_000_000),
        (100, 20, 20_000_000),
    ] {
        let (rate_seen, stats) = goodput(Config::default(), link(rtt, rate, 0.0, 0), bytes);
        println!("rtt {rtt} ms, {rate} Mbit/s: {rate_seen:.1}, {stats:?}");
        assert!(rate_seen > 0.85 * rate as f64, "{rtt} {rate}: {rate_seen}");
    }
}

#[test]
fn reordering_is_no_loss() {
    let (rate, stats) = goodput(Config::default(), link(40, 50, 0.0, 5), 20_000_000);
    println!("{rate:.1} {stats:?}");
    assert!(rate > 40.0, "{rate} {stats:?}");
}

#[test]
fn loss_costs_no_more_than_it_must() {
    for (loss, least) in [(0.001, 15.0), (0.01, 4.5), (0.05, 1.5)] {
        for algorithm in [congestion::Algorithm::Cubic, congestion::Algorithm::Reno] {
            let config = Config::default().with_congestion(algorithm);
            let (rate, stats) = goodput(config, link(20, 100, loss, 0), 8_000_000);
            println!("{loss} {algorithm:?}: {rate:.1} {}", stats.timeouts);
            assert!(rate > least, "{loss} {algorithm:?}: {rate} {stats:?}");
        }
    }
}
