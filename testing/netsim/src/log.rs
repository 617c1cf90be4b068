//! The last packets, for the report of a failure.

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;

use esp_wire::Instant;

use crate::link::Loss;

/// What the log says about a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A host sent it.
    Sent,
    /// A socket got it.
    Delivered,
    /// A link did not carry it.
    Lost(Loss),
    /// A NAT or firewall did not let it in or out.
    Filtered,
    /// No such address, or no socket there.
    Unroutable,
}

/// One line of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// When.
    pub at: Instant,
    /// Where from, as seen at this point.
    pub from: SocketAddr,
    /// Where to, as seen at this point.
    pub to: SocketAddr,
    /// Bytes of payload.
    pub len: usize,
    /// The first byte, which tells the protocol (RFC 7983).
    pub first: u8,
    /// What happened.
    pub outcome: Outcome,
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.at.as_nanos() / 1_000;
        let protocol = match self.first {
            0..=3 => "STUN",
            20..=63 => "DTLS",
            64..=79 => "TURN",
            128..=191 => "SRTP",
            _ => "?",
        };
        write!(
            f,
            "{:>6}.{:06} s  {} -> {}  {} bytes, {:#04x} {}  {:?}",
            micros / 1_000_000,
            micros % 1_000_000,
            self.from,
            self.to,
            self.len,
            self.first,
            protocol,
            self.outcome,
        )
    }
}

/// The last so many records.
#[derive(Debug)]
pub(crate) struct Log {
    records: VecDeque<Record>,
    pub(crate) capacity: usize,
}

impl Log {
    pub(crate) fn new(capacity: usize) -> Self {
        Log {
            records: VecDeque::new(),
            capacity,
        }
    }

    pub(crate) fn add(&mut self, record: Record) {
        if self.capacity == 0 {
            return;
        }
        while self.records.len() >= self.capacity {
            self.records.pop_front();
        }
        self.records.push_back(record);
    }

    pub(crate) fn records(&self) -> impl Iterator<Item = &Record> {
        self.records.iter()
    }
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.records
            .iter()
            .try_for_each(|record| writeln!(f, "  {record}"))
    }
}
