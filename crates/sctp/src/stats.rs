//! Counters of an association.

use std::time::Duration;

/// What an association has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Packets sent.
    pub packets_sent: u64,
    /// Packets received and accepted.
    pub packets_received: u64,
    /// Chunks of the handshake sent: INIT, INIT ACK, COOKIE ECHO and COOKIE ACK.
    pub handshake_sent: u64,
    /// Chunks of the handshake received.
    pub handshake_received: u64,
    /// Bytes of user data handed to `send`.
    pub bytes_sent: u64,
    /// Bytes of user data delivered by events.
    pub bytes_received: u64,
    /// Messages handed to `send`.
    pub messages_sent: u64,
    /// Messages delivered.
    pub messages_received: u64,
    /// DATA and I-DATA chunks sent again.
    pub chunks_retransmitted: u64,
    /// Chunks that arrived more than once.
    pub duplicates_received: u64,
    /// Chunks dropped because receive memory was full.
    pub chunks_refused: u64,
    /// Packets dropped: malformed, wrong checksum, wrong tag or port.
    pub packets_dropped: u64,
    /// Messages given up before they were delivered (RFC 3758).
    pub messages_abandoned: u64,
    /// SACKs sent.
    pub sacks_sent: u64,
    /// SACKs received.
    pub sacks_received: u64,
    /// Expirations of the retransmission timer.
    pub timeouts: u64,
    /// Reductions of the congestion window.
    pub congestion_events: u64,
    /// Packets that came with the mark of a long queue (ECN).
    pub marks_received: u64,
    /// Reductions taken back.
    pub spurious_events: u64,
    /// Smoothed round trip; zero before the first sample.
    pub rtt: Duration,
    /// Congestion window in bytes.
    pub congestion_window: usize,
    /// Bytes in flight.
    pub in_flight: usize,
    /// The peer's last advertised window in bytes.
    pub peer_window: usize,
    /// Bytes in the send buffer, acknowledged ones excluded.
    pub send_buffered: usize,
    /// Bytes in receive memory.
    pub receive_buffered: usize,
    /// The size of full packets in bytes, as far as the path was found to take it (RFC 8899).
    pub packet_size: usize,
    /// Probes of the path's MTU sent.
    pub path_probes: u64,
    /// Times that larger packets began to vanish.
    pub black_holes: u64,
    /// I-DATA is in use.
    pub interleaving: bool,
    /// Packets with data leave as ECN-capable.
    pub marking: bool,
    /// Packets leave without a checksum.
    pub zero_checksum: bool,
}
