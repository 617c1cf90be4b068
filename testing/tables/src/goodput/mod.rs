//! Goodput of one association over round trip, loss, reordering, deep queues and rate.

mod cells;
mod end;
mod share;

use std::{fmt::Write, time::Duration};

use esp_netsim::Link;
use esp_sctp::{Config, Error, Stats};
use esp_wire::Instant;

pub use cells::{BUFFER, LARGE_BUFFER, cells, figure, shown, table};
pub use end::{DATAGRAM, End, Flow, MESSAGE, connect};
pub use share::{Pairing, Share, fairness, fairness_row, pairings, share};

/// The bytes that one cell moves at most.
pub const VOLUME: u64 = 64_000_000;
/// The same where a path is given the time to be filled.
pub const LONG_VOLUME: u64 = 512_000_000;
/// A cell that moves less than so many bandwidth-delay products is measured at its end only.
const PRODUCTS: u64 = 5;
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
    /// As plain, with more to move.
    Long,
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
            Weather::Plain | Weather::Reordering | Weather::Long => plain,
        };
        let link = Link::delayed(Duration::from_micros(self.rtt * 500))
            .with_rate(self.rate * 1_000_000, queue)
            .with_loss(self.loss);
        match self.weather {
            Weather::Reordering => {
                link.with_reordering(0.01, Duration::from_micros(self.rtt * 250))
            }
            Weather::Plain | Weather::Bufferbloat | Weather::Long => link,
        }
    }

    /// Bytes that the cell moves: what the link carries in 8 s, at most 64 MB.
    pub fn volume(&self) -> u64 {
        match self.weather {
            Weather::Long => LONG_VOLUME,
            _ => VOLUME.min(self.rate * TIME * 125_000),
        }
    }

    /// What comes before the measured part of what was received: a half, or seven eighths where the whole
    /// is hardly more than the start of a flow.
    fn head(&self) -> f64 {
        match self.volume() < PRODUCTS * self.product() as u64 {
            true => 7.0 / 8.0,
            false => 0.5,
        }
    }

    /// Mbit/s over the measured part, by what was received at which time.
    pub fn goodput(&self, log: &[(Instant, u64)]) -> f64 {
        let (Some(first), Some((end, received))) = (log.first(), log.last()) else {
            return 0.0;
        };
        let head = *received as f64 * self.head();
        let begun = log.iter().find(|(_, bytes)| *bytes as f64 >= head);
        let (begin, before) = begun.unwrap_or(first);
        let time = end.since(*begin).as_secs_f64().max(1e-9);
        (received - before) as f64 * 8e-6 / time
    }

    /// True when both buffers hold the bandwidth-delay product.
    pub fn holds(&self) -> bool {
        self.buffer >= self.product()
    }
}

/// What a cell showed.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// User data in Mbit/s over the measured part of what was received.
    pub goodput: f64,
    /// Bytes received.
    pub received: u64,
    /// The sender's counters.
    pub stats: Stats,
}

/// Computes a cell with the default settings but for the buffers, and for interleaving, for which there is
/// nothing in one channel.
pub fn run(cell: &Cell) -> Result<Outcome, Error> {
    run_with(
        cell,
        Config::default().with_interleaving(false),
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
    // The flow goes on beyond the volume, lest the repair of its last packets count as idle time of the link.
    let mut net = connect(
        1,
        link,
        std::slice::from_ref(&config),
        u64::MAX,
        Duration::ZERO,
    )?;
    let start = net.now();
    let mut log = vec![(start, 0)];
    while net.b.received() < volume && net.now().since(start) < limit {
        net.run_for(Duration::from_millis(1));
        log.push((net.now(), net.b.received()));
    }
    Ok(Outcome {
        goodput: cell.goodput(&log),
        received: net.b.received(),
        stats: net.a.flows[0].stats(),
    })
}

fn line(out: &mut String, text: &str) {
    // Writing to a `String` cannot fail.
    let _ = writeln!(out, "{text}");
}
