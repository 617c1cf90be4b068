//! Goodput of one association over round trip, loss, reordering, deep queues and rate.

mod cells;
mod end;
mod share;

use std::{fmt::Write, time::Duration};

use esp_netsim::Link;
use esp_sctp::{Config, Error, Stats};

pub use cells::{BUFFER, LARGE_BUFFER, SHORT_BUFFER, cells, figure, shown, table};
pub use end::{DATAGRAM, End, Flow, MESSAGE, connect};
pub use share::{Pairing, Share, fairness, fairness_row, pairings, share};

/// The bytes that one cell moves at most.
pub const VOLUME: u64 = 64_000_000;
/// The time of a full link that one cell moves at most.
const TIME: u64 = 8;

/// What a cell does to packets besides its round trip, rate and loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    /// A queue of one bandwidth-delay product, 64 KiB at least.
    Plain,
    /// The same, and every hundredth packet comes a quarter of a round trip late.
    Reordering,
    /// A queue that holds a second.
    Bufferbloat,
}

/// One cell of the table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    /// Round trip of the empty link in ms.
    pub rtt: u64,
    /// Rate each way in Mbit/s, IP and UDP headers included.
    pub rate: u64,
    /// Probability of loss, each way.
    pub loss: f64,
    /// What else happens.
    pub weather: Weather,
    /// Send buffer and receive buffer in bytes, each.
    pub buffer: usize,
}

impl Cell {
    /// Bytes that fill the link for a round trip.
    pub fn product(&self) -> usize {
        (self.rate * self.rtt * 125) as usize
    }

    /// The link, the same both ways.
    pub fn link(&self) -> Link {
        let plain = self.product().max(64 << 10);
        let queue = match self.weather {
            Weather::Bufferbloat => (self.rate * 125_000) as usize,
            Weather::Plain | Weather::Reordering => plain,
        };
        let link = Link::delayed(Duration::from_micros(self.rtt * 500))
            .with_rate(self.rate * 1_000_000, queue)
            .with_loss(self.loss);
        match self.weather {
            Weather::Reordering => {
                link.with_reordering(0.01, Duration::from_micros(self.rtt * 250))
            }
            Weather::Plain | Weather::Bufferbloat => link,
        }
    }

    /// Bytes that the cell moves: what the link carries in 8 s, at most 64 MB.
    pub fn volume(&self) -> u64 {
        VOLUME.min(self.rate * TIME * 125_000)
    }

    /// True when both buffers hold the bandwidth-delay product.
    pub fn holds(&self) -> bool {
        self.buffer >= self.product()
    }
}

/// What a cell showed.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// User data in Mbit/s over the second half of what was received.
    pub goodput: f64,
    /// Bytes received.
    pub received: u64,
    /// The sender's counters.
    pub stats: Stats,
}

/// Computes a cell with the default settings but for the buffers.
pub fn run(cell: &Cell) -> Result<Outcome, Error> {
    run_with(
        cell,
        Config::default(),
        cell.volume(),
        Duration::from_secs(60),
    )
}

/// Computes a cell until `volume` bytes were received or `limit` has passed.
pub fn run_with(
    cell: &Cell,
    config: Config,
    volume: u64,
    limit: Duration,
) -> Result<Outcome, Error> {
    let config = config.with_buffers(cell.buffer, cell.buffer);
    let link = cell.link();
    let mut net = connect(
        1,
        link,
        std::slice::from_ref(&config),
        volume,
        Duration::ZERO,
    )?;
    let start = net.now();
    let mut log = vec![(start, 0)];
    while net.b.received() < volume && net.now().since(start) < limit {
        net.run_for(Duration::from_millis(1));
        log.push((net.now(), net.b.received()));
    }
    let (end, received) = log[log.len() - 1];
    let half = log.iter().find(|(_, bytes)| *bytes * 2 >= received);
    let (middle, before) = half.copied().unwrap_or((start, 0));
    let time = end.since(middle).as_secs_f64().max(1e-9);
    Ok(Outcome {
        goodput: (received - before) as f64 * 8e-6 / time,
        received,
        stats: net.a.flows[0].stats(),
    })
}

fn line(out: &mut String, text: &str) {
    // Writing to a `String` cannot fail.
    let _ = writeln!(out, "{text}");
}
