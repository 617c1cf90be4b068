//! How flows share one bottleneck.

use std::time::Duration;

use esp_netsim::Link;
use esp_sctp::{
    Config, Error,
    congestion::Algorithm::{self, Reno, Tolerant},
};

use super::{connect, line};

/// A bottleneck that two flows share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pairing {
    /// Rate in Mbit/s.
    pub rate: u64,
    /// Round trip of the empty link in ms.
    pub rtt: u64,
    /// The queue in bandwidth-delay products, 12,000 bytes at least.
    pub queue: f64,
}

/// The first flow and the one that comes 3 s later.
const PAIRS: [[Algorithm; 2]; 3] = [[Tolerant, Tolerant], [Tolerant, Reno], [Reno, Tolerant]];

/// All rows of the table.
pub fn pairings() -> Vec<Pairing> {
    let mut all = Vec::new();
    for rate in [10, 40, 100] {
        for rtt in [5, 20, 50, 100] {
            all.extend([0.25, 0.5, 1.0, 2.0].map(|queue| Pairing { rate, rtt, queue }));
        }
    }
    all
}

impl Pairing {
    /// Two flows, the second 3 s after the first, measured for a minute after 20 s.
    fn share(&self, algorithms: [Algorithm; 2]) -> Result<Share, Error> {
        let product = (self.rate * self.rtt * 125) as f64;
        let queue = (product * self.queue).max(12_000.0) as usize;
        let link = Link::delayed(Duration::from_micros(self.rtt * 500))
            .with_rate(self.rate * 1_000_000, queue);
        let configs = algorithms.map(|it| Config::default().with_congestion(it));
        let seconds = Duration::from_secs;
        share(link, &configs, seconds(3), seconds(20), seconds(60))
    }
}

/// The row of the table.
pub fn fairness_row(pairing: &Pairing) -> String {
    let mut row = format!("| {} | {} | {} |", pairing.rate, pairing.rtt, pairing.queue);
    for pair in PAIRS {
        row += &match pairing.share(pair) {
            Ok(share) => {
                let [first, second] = [0, 1].map(|at| super::shown(share.rates[at]));
                format!(" {:.3} ({first}, {second}) |", share.jain)
            }
            Err(error) => format!(" {error} |"),
        };
    }
    row
}

/// The text of `docs/tables/fairness.md`.
pub fn fairness() -> String {
    let mut out = String::from(
        "# Shares of a bottleneck in virtual time

Two flows over one link whose queue drops what does not fit, the second 3 s after the first; written by
`cargo xtask tables fairness`. Jain's index of what each delivered from the 20th second on for a minute (1: both the
same; 0.5: one of them all), and that in Mbit/s. *Ours* has the default congestion control, *RFC 9260* that of its §7.2.
At least 0.95 between two of ours; at least 0.8 against RFC 9260's where the round trip is 50 ms or less. The queue is in
bandwidth-delay products, 12,000 bytes at least.

| link Mbit/s | RTT ms | queue | ours, ours | ours, then RFC 9260 | RFC 9260, then ours |
|---:|---:|---:|---|---|---|
",
    );
    for pairing in pairings() {
        line(&mut out, &fairness_row(&pairing));
    }
    out
}

/// What flows got of a link.
#[derive(Clone, Debug)]
pub struct Share {
    /// User data of each flow in Mbit/s.
    pub rates: Vec<f64>,
    /// Jain's index: 1 when all got the same, 1/n when one got everything.
    pub jain: f64,
}

/// Runs a flow for each configuration over one link, each beginning `stagger` after the one before
/// it, and measures them for `time` after `warm_up`.
pub fn share(
    link: Link,
    configs: &[Config],
    stagger: Duration,
    warm_up: Duration,
    time: Duration,
) -> Result<Share, Error> {
    let mut net = connect(5, link, configs, u64::MAX, stagger)?;
    net.run_for(warm_up);
    let before: Vec<u64> = net.b.flows.iter().map(|flow| flow.delivered).collect();
    net.run_for(time);
    let rate = |(flow, before): (&super::Flow, &u64)| {
        (flow.delivered - before) as f64 * 8e-6 / time.as_secs_f64()
    };
    let rates: Vec<f64> = net.b.flows.iter().zip(&before).map(rate).collect();
    let (sum, squares) = rates.iter().fold((0.0, 0.0), |(sum, squares), rate| {
        (sum + rate, squares + rate * rate)
    });
    Ok(Share {
        jain: sum * sum / (rates.len() as f64 * squares.max(1e-12)),
        rates,
    })
}
