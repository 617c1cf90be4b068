//! A snapshot of a connection.

use std::net::SocketAddr;
use std::time::Duration;

use esp_ice::PairReport;
use esp_wire::{Instant, Role};

use crate::State;

/// States and figures at one moment.
#[derive(Clone, Debug)]
pub struct Report {
    /// The moment.
    pub at: Instant,
    /// The last state of the connection itself (never one of a channel or a track).
    pub state: State,
    /// The role in force; a conflict may have changed it.
    pub role: Role,
    /// Why the last connection ended, in words.
    pub reason: Option<String>,
    /// From `new_connection` to connected.
    pub setup: Option<Duration>,
    /// Our candidates.
    pub local_candidates: Vec<String>,
    /// Every pair and its state.
    pub pairs: Vec<PairReport>,
    /// The remote address of the pair in use.
    pub paired: Option<SocketAddr>,
    /// Round trip of the pair in use.
    pub rtt: Option<Duration>,
    /// `DTLS 1.2` or `DTLS 1.3`.
    pub dtls: Option<&'static str>,
    /// The SRTP profile.
    pub srtp: Option<&'static str>,
    /// Figures of sound and pictures.
    pub rtp: Option<esp_rtp::Stats>,
    /// Figures of the data channels.
    pub sctp: Option<esp_sctp::Stats>,
    /// Datagrams and bytes, in and out, and what was dropped and why.
    pub traffic: Traffic,
    /// Frames dropped because the application did not take them in time.
    pub media_dropped_by_application: u64,
    /// Datagrams lost because a stream, to a server or to the peer, took them too slowly.
    pub stream_dropped: u64,
    /// Datagrams that came to the UDP port that this connection shares with others and were for none of them; one
    /// figure for all that share it, 0 for a connection with ports of its own.
    pub shared_port_strays: u64,
}

/// What passed through a peer since `new_connection`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Datagrams received, ICE's own not counted.
    pub datagrams_in: u64,
    /// Their bytes.
    pub bytes_in: u64,
    /// Bytes of the largest of them.
    pub largest_in: usize,
    /// Datagrams sent, ICE's own not counted.
    pub datagrams_out: u64,
    /// Their bytes.
    pub bytes_out: u64,
    /// Datagrams that were none of DTLS, SRTP or SRTCP.
    pub unknown: u64,
    /// Packets that SRTP refused: forged, replayed or malformed.
    pub srtp_refused: u64,
    /// Datagrams that came before they could be understood and found no room.
    pub early_dropped: u64,
}
