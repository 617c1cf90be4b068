//! How flows share one bottleneck.

use std::time::Duration;

use esp_netsim::Link;
use esp_sctp::{Config, Error};

use super::connect;

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
