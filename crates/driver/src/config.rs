//! Settings of a driver.

use std::time::Duration;

use crate::ServerTrust;

/// How many threads and how much memory a driver uses.
#[derive(Clone, Debug)]
pub struct DriverConfig {
    /// Threads that own peers and their sockets; each peer lives on one of them.
    pub shards: usize,
    /// The most threads that call applications; they start when all others are in a call.
    pub delivery_threads: usize,
    /// Bytes of frames that may wait for one application, and as many of messages and other events; over
    /// it, frames are dropped, and data channels close their window.
    pub mailbox_bytes: usize,
    /// Bytes of frames that may wait for the shard, for each connection (`send_pool_size`).
    pub media_outbox_bytes: usize,
    /// Bytes of data channel messages that may wait for the shard, for each connection.
    pub data_outbox_bytes: usize,
    /// Receive buffer asked of the system for each socket, in bytes.
    pub socket_receive_buffer: usize,
    /// Send buffer asked of the system for each socket, in bytes.
    pub socket_send_buffer: usize,
    /// How long a stream to a server may take until it is open, TLS included.
    pub stream_connect_timeout: Duration,
    /// Bytes that may wait in each stream; datagrams over it are dropped whole.
    pub stream_queue_bytes: usize,
    /// The most streams that the listeners of one peer hold at a time.
    pub accepted_streams: usize,
    /// Whose certificates the TLS streams to servers accept.
    pub server_trust: ServerTrust,
    /// How often the addresses of this host are looked at where the system does not tell of changes;
    /// where it does, 15 times more seldom.
    pub interface_interval: Duration,
    /// How long a name may take to resolve.
    pub resolve_timeout: Duration,
    /// The UDP port that all peers of a shard share on each address of this host, for servers with a firewall
    /// that lets in one port: shard `n`, counted from 0, takes this port plus `n`; 0 lets the system choose.
    /// With `None` each peer has sockets of its own. Peers with a port range of their own
    /// (`ice::Config::ports`) do not share. A TURN server knows its clients by address and port: towards servers over
    /// UDP each peer has sockets of its own, on ports of the system's choice, which nobody has to reach.
    pub shared_port: Option<u16>,
    /// Whether the peers of all drivers of this process together begin at most one check or request to a
    /// server in 5 ms (RFC 8445 §14.2).
    pub shared_pacing: bool,
}

impl Default for DriverConfig {
    fn default() -> Self {
        DriverConfig {
            shards: 1,
            delivery_threads: 4,
            mailbox_bytes: 1 << 20,
            media_outbox_bytes: 400_000,
            data_outbox_bytes: 1 << 20,
            socket_receive_buffer: 1 << 20,
            socket_send_buffer: 1 << 20,
            stream_connect_timeout: Duration::from_secs(10),
            stream_queue_bytes: 256 * 1024,
            accepted_streams: 64,
            server_trust: ServerTrust::default(),
            interface_interval: Duration::from_secs(2),
            resolve_timeout: Duration::from_secs(5),
            shared_port: None,
            shared_pacing: true,
        }
    }
}

impl DriverConfig {
    /// Sets the number of threads that own peers; at least 1.
    pub fn with_shards(mut self, shards: usize) -> Self {
        self.shards = shards.max(1);
        self
    }

    /// Sets the most threads that call applications; at least 1.
    pub fn with_delivery_threads(mut self, threads: usize) -> Self {
        self.delivery_threads = threads.max(1);
        self
    }

    /// Sets the UDP port that the peers of a shard share.
    pub fn with_shared_port(mut self, port: Option<u16>) -> Self {
        self.shared_port = port;
        self
    }

    /// Sets whether the peers of this process share the pace of their checks.
    pub fn with_shared_pacing(mut self, shared: bool) -> Self {
        self.shared_pacing = shared;
        self
    }

    /// Sets whose certificates the TLS streams to servers accept.
    pub fn with_server_trust(mut self, trust: ServerTrust) -> Self {
        self.server_trust = trust;
        self
    }
}
